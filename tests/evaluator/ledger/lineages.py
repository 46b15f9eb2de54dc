"""Random lineage graphs with runs, and the release rule in its plainest form: by trying every subset."""

import hashlib
from itertools import combinations

from hypothesis import strategies as st

from evaluator.contract import Weights
from evaluator.ledger.rules import Evidence, LineageFact, Lineages, RunFact

NAMES = "abcdefg"
ROOT, MOMENT = "0" * 64, "2026-02-01T00:00:00Z"


def run_id(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def weights(*tensors: str, **sized: int) -> Weights:
    """Weights of these tensors, each of a hundred bytes unless it is given its own size."""
    sizes = {hashlib.sha256(name.encode()).hexdigest()[:32]: size for name, size in sized.items()}
    sizes |= {hashlib.sha256(name.encode()).hexdigest()[:32]: 100 for name in tensors}
    return Weights(
        bytes=sum(sizes.values()), count=len(sizes), tensors=tuple(sorted(sizes.items()))
    )


def artefact(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def run(model: str, right: int = 19, n: int = 20, *, number: int = 0, **changed: object) -> RunFact:
    """A run that counts, of a model of the lineage of its name, with weights of its own, where nothing is changed."""
    fields = {
        "model": model,
        "lineage": model,
        "open_weights": True,
        "tier": "T0",
        "complete": True,
    }
    fields |= {"artefact": artefact(model), "weights": weights(f"{model} 1", f"{model} 2")}
    about = {"run": run_id(number or ord(model[0])), "n": n, "assigned": n, "right": right}
    return RunFact(**(fields | about | changed))  # type: ignore[arg-type]


def evidence_of(runs: object, lineages: object) -> Evidence:
    return Evidence(
        set="twin", root=ROOT, moment=MOMENT, runs=tuple(runs), lineages=tuple(lineages)
    )  # type: ignore[arg-type]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[LineageFact, ...]:
    """Mostly merges and derivatives of earlier names; sometimes cycles, self parents, unknown and ones recorded twice."""
    wild = draw(st.booleans())
    facts = []
    for place, name in enumerate(NAMES):
        above = [*NAMES, "ghost"] if wild else list(NAMES[:place])
        many = draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2])) if above else 0
        parents = [draw(st.sampled_from(above)) for _ in range(many)]
        facts.append(LineageFact(name=name, parents=tuple(parents)))
    if wild and draw(st.booleans()):
        facts.append(
            LineageFact(name=draw(st.sampled_from(NAMES)), parents=(draw(st.sampled_from(NAMES)),))
        )
    return tuple(draw(st.permutations(facts)))


@st.composite
def runs(draw: st.DrawFn) -> tuple[RunFact, ...]:
    """Up to nine runs of up to six models; most count, and most are near the share."""
    found = []
    for number in range(draw(st.integers(3, 9))):
        place = (draw(st.integers(0, 5)) + number) % 6
        lineage = draw(st.sampled_from([NAMES[place]] * 9 + [*NAMES]))
        odd = draw(st.sampled_from([{}] * 9 + ODD + COPIES))
        fields: dict[str, object] = {
            "lineage": lineage,
            "right": draw(st.sampled_from([18, 19, 19, 19, 20])),
            **odd,
        }
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
    {"weights": None},
]
"""What keeps a run from counting, one at a time."""
COPIES: list[dict[str, object]] = [
    {"artefact": artefact("copy"), "weights": weights("copy 1", "copy 2")},
    {"artefact": artefact("readme"), "weights": weights("copy 1", "copy 2")},
    {"artefact": artefact("tuned"), "weights": weights("copy 1", tuned=800)},
    {"artefact": artefact("apart"), "weights": weights("copy 1", apart=900)},
    {"base_model": "base"},
]
"""Copies and what is nearly one: the last but one of the weights shares just one part in ten, which is not too much."""


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
    """A name with all its ancestors; None where one is unknown, recorded in two ways, or its own ancestor."""
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


def families(clause: Lineages, evidence: Evidence) -> dict[str, tuple[RunFact, set[str]]]:
    """Each run that counts with its family: of one lineage in all that is recorded of these weights under this name."""
    found = {}
    for one in evidence.runs:
        of = [
            other.lineage
            for other in evidence.runs
            if (other.model, other.artefact) == (one.model, one.artefact)
        ]
        known = family(one.lineage, evidence.lineages) if one.lineage is not None else None
        if counts(clause, one) and len(set(of)) == 1 and known is not None:
            found[one.run] = (one, known)
    return found


def apart(one: tuple[RunFact, set[str]], other: tuple[RunFact, set[str]]) -> bool:
    """The rule's words about two runs, one by one."""
    (first, above), (second, others) = one, other
    if (
        first.model == second.model
        or above & others
        or (first.base_model and first.base_model == second.base_model)
    ):
        return False
    if first.weights is None or second.weights is None or first.artefact == second.artefact:
        return False
    mine, theirs = dict(first.weights.tensors), dict(second.weights.tensors)
    shared = sum(size for tensor, size in mine.items() if tensor in theirs)
    return 10 * shared <= min(sum(mine.values()), sum(theirs.values()))


def most(clause: Lineages, evidence: Evidence) -> int:
    """The size of the largest set of runs that are apart, two by two, by trying every subset."""
    known = families(clause, evidence)
    fits = [
        len(chosen)
        for size in range(len(known) + 1)
        for chosen in combinations(known.values(), size)
        if all(apart(one, other) for one, other in combinations(chosen, 2))
    ]
    return max(fits)
