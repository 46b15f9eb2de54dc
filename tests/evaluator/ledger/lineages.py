"""Random lineage graphs with runs, and the release rule told in the plainest way: by trying every subset."""

from itertools import combinations

from hypothesis import strategies as st

from evaluator.ledger.rules import Evidence, LineageFact, Lineages, RunFact

NAMES = "abcdefg"
ROOT, MOMENT = "0" * 64, "2026-02-01T00:00:00Z"


def run_id(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def run(model: str, right: int = 19, n: int = 20, *, number: int = 0, **changed: object) -> RunFact:
    """A run that counts, of a model of the lineage of its name, where nothing is changed."""
    fields = {"model": model, "lineage": model, "open_weights": True, "tier": "T0", "complete": True}
    about = {"run": run_id(number or ord(model[0])), "n": n, "assigned": n, "right": right}
    return RunFact(**(fields | about | changed))  # type: ignore[arg-type]


def evidence_of(runs: object, lineages: object) -> Evidence:
    return Evidence(set="twin", root=ROOT, moment=MOMENT, runs=tuple(runs), lineages=tuple(lineages))  # type: ignore[arg-type]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[LineageFact, ...]:
    """Mostly merges and derivatives of earlier names; sometimes cycles, self parents, unknown and twice-told ones."""
    wild = draw(st.booleans())
    facts = []
    for place, name in enumerate(NAMES):
        above = [*NAMES, "ghost"] if wild else list(NAMES[:place])
        many = draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2])) if above else 0
        parents = [draw(st.sampled_from(above)) for _ in range(many)]
        facts.append(LineageFact(name=name, parents=tuple(parents)))
    if wild and draw(st.booleans()):
        facts.append(LineageFact(name=draw(st.sampled_from(NAMES)), parents=(draw(st.sampled_from(NAMES)),)))
    return tuple(draw(st.permutations(facts)))


@st.composite
def runs(draw: st.DrawFn) -> tuple[RunFact, ...]:
    """Up to nine runs of up to six models; most count, and most are near the share."""
    found = []
    for number in range(draw(st.integers(3, 9))):
        place = (draw(st.integers(0, 5)) + number) % 6
        lineage = draw(st.sampled_from([NAMES[place]] * 9 + [*NAMES]))
        odd = draw(st.sampled_from([{}] * 9 + ODD))
        fields: dict[str, object] = {"lineage": lineage, "right": draw(st.sampled_from([18, 19, 19, 19, 20])), **odd}
        found.append(run("uvwxyz"[place], number=number + 1, **fields))  # type: ignore[arg-type]
    return tuple(found)


ODD: list[dict[str, object]] = [
    {"complete": False},
    {"retracted": True},
    {"flagged": True},
    {"current": False},
    {"tier": "T1"},
    {"open_weights": False},
    {"lineage": None},
    {"lineage": "ghost"},
    {"assigned": 21},
    {"n": 0, "assigned": 0, "right": 0},
    {"right": 21},
]
"""What keeps a run from counting, one at a time."""


def counts(clause: Lineages, one: RunFact) -> bool:
    """The rule's words about a single run, one by one."""
    return (
        one.complete
        and one.current
        and not one.retracted
        and not one.flagged
        and one.tier == "T0"
        and (one.open_weights or not clause.open_weights)
        and one.n > 0
        and one.n == one.assigned
        and one.right <= one.n
        and one.right * clause.denominator >= clause.numerator * one.n
    )


def family(name: str, facts: tuple[LineageFact, ...]) -> set[str] | None:
    """A name with all its ancestors; None where one is unknown, told in two ways, or its own ancestor."""
    above: dict[str, set[str]] = {}
    reach = {name}
    while True:
        for one in reach:
            ways = {frozenset(fact.parents) for fact in facts if fact.name == one}
            if len(ways) != 1:
                return None
            above[one] = set(next(iter(ways)))
        more = reach.union(*above.values())
        if more == reach:
            break
        reach = more
    return None if any(_reaches(one, one, above) for one in reach) else reach


def _reaches(start: str, goal: str, above: dict[str, set[str]]) -> bool:
    seen, todo = set(), list(above[start])
    while todo:
        one = todo.pop()
        if one == goal:
            return True
        if one not in seen:
            seen.add(one)
            todo.extend(above[one])
    return False


def families(clause: Lineages, evidence: Evidence) -> dict[str, set[str]]:
    """The family of each model that has a run that counts, and one lineage in all its runs."""
    found = {}
    for one in evidence.runs:
        told = {other.lineage for other in evidence.runs if other.model == one.model}
        known = family(one.lineage, evidence.lineages) if one.lineage is not None else None
        if counts(clause, one) and len(told) == 1 and known is not None:
            found[one.model] = known
    return found


def most(clause: Lineages, evidence: Evidence) -> int:
    """The size of the largest set of models with no ancestor in common, by trying every subset."""
    known = families(clause, evidence)
    fits = [
        len(chosen)
        for size in range(len(known) + 1)
        for chosen in combinations(known, size)
        if all(not known[one] & known[other] for one, other in combinations(chosen, 2))
    ]
    return max(fits)
