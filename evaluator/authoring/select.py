"""Selection of items: by second solver, by audit, and by the public set's mix of difficulty."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluator.authoring.distributions import Comparison, compare
from evaluator.contract import Outcome
from evaluator.errors import Code, error
from evaluator.grading import grade
from evaluator.items import Item
from evaluator.sealing.allocation import cell

VERDICTS = ("keep", "drop")
REASONS = (
    "",
    "ambiguous",
    "wrong_answer",
    "not_in_scope",
    "outside_knowledge",
    "too_similar",
    "offensive",
)

Cell = tuple[int, int]


@dataclass(frozen=True)
class Funnel:
    """Number of items after each stage; None for a stage that was left out."""

    written: int
    solved: int | None
    audited: int | None
    selected: int


_GRADERS = {
    "number": "numeric-1",
    "choice": "choice-1",
    "expression": "expression-1",
}
_WRITTEN = {
    "number": "#### {}",
    "choice": "#### {}",
    "expression": "$\\boxed{{{}}}$",
}


def agrees(item: Item, solution: str) -> bool:
    """Return True if a second solver's answer equals the gold answer.

    Raises ``selection_impossible`` for items that are answered by programs: their reference
    solutions are executed by ``check``.
    """
    if item.kind not in _GRADERS:
        raise error(Code.SELECTION_IMPOSSIBLE, f"no second solve of items of kind {item.kind}")
    written = _WRITTEN[item.kind].format(solution.strip())
    graded = grade(_GRADERS[item.kind], written, item.gold)
    return graded.outcome is Outcome.RIGHT


def solved_alike(
    items: Mapping[int, Item],
    solutions: Mapping[int, str],
) -> set[int]:
    """Return the items on which the second solver, who saw no answer, agrees.

    Raises ``sheet_unreadable``.
    """
    if not solutions.keys() <= items.keys():
        raise error(Code.SHEET_UNREADABLE, "it has rows that are no item")
    alike: set[int] = set()
    for number, solution in solutions.items():
        if agrees(items[number], solution):
            alike.add(number)
    return alike


def passed_audit(
    items: Mapping[int, Item],
    verdicts: Mapping[int, tuple[str, str]],
) -> set[int]:
    """Return the items with the verdict ``keep``.

    Raises ``sheet_unreadable`` for unknown rows, verdicts or reasons.
    """
    known_rows = verdicts.keys() <= items.keys()
    known_verdicts = all(
        verdict in VERDICTS and reason in REASONS for verdict, reason in verdicts.values()
    )
    if not (known_rows and known_verdicts):
        allowed_verdicts = " or ".join(VERDICTS)
        allowed_reasons = ", ".join(REASONS[1:])
        allowed = f"verdicts are {allowed_verdicts}, reasons {allowed_reasons}"
        raise error(Code.SHEET_UNREADABLE, allowed)
    passed: set[int] = set()
    for number, (verdict, _) in verdicts.items():
        if verdict == "keep":
            passed.add(number)
    return passed


def dropped(verdicts: Mapping[int, tuple[str, str]]) -> dict[str, int]:
    """Return the number of dropped items by reason; ``unsaid`` for no reason."""
    counts: Counter[str] = Counter()
    for verdict, reason in verdicts.values():
        if verdict == "drop":
            counts[reason or "unsaid"] += 1
    return dict(sorted(counts.items()))


def select(
    items: Sequence[Item],
    public: Sequence[Item],
    n: int,
    *,
    seed: int,
) -> tuple[list[int], tuple[Comparison, ...]]:
    """Return ``n`` positions of ``items``, ascending, and their comparison with the public set.

    They have the public set's joint mix of steps and answer digits: each kind of item has a quota
    by largest remainder; a kind with too few items is filled from the nearest kinds. Raises
    ``selection_impossible`` if there are fewer items than wanted, or if the mix is unlike.
    """
    if not 0 < n <= len(items):
        raise error(Code.SELECTION_IMPOSSIBLE, f"{n} of {len(items)} items")
    draw = random.Random(seed)  # noqa: S311 - a draw that can be repeated, not a secret
    pools: dict[Cell, list[int]] = {}
    for position, item in enumerate(items):
        pools.setdefault(cell(item), []).append(position)
    for pool in pools.values():
        draw.shuffle(pool)
    chosen: list[int] = []
    quotas = _quotas(public, n)
    for kind, count in sorted(quotas.items()):
        for _ in range(count):
            pool = _nearest(pools, kind)
            chosen.append(pool.pop())
    chosen.sort()
    chosen_items = [items[position] for position in chosen]
    comparisons = compare(chosen_items, public)
    mix = tuple(comparison for comparison in comparisons if comparison.name != "length")
    if any(comparison.unlike for comparison in mix):
        raise error(
            Code.SELECTION_IMPOSSIBLE,
            "too few items of some kinds: the mix would be unlike the public set's",
        )
    return chosen, mix


def targets(
    public: Sequence[Item],
    n: int,
    *,
    seed: int,
) -> list[int]:
    """Return step counts for ``n`` briefs, in the public set's mix and in random order."""
    steps: list[int] = []
    quotas = _quotas(public, n)
    for kind, count in sorted(quotas.items()):
        steps += [kind[0]] * count
    random.Random(seed).shuffle(steps)  # noqa: S311 - as above
    return steps


def _quotas(public: Iterable[Item], n: int) -> dict[Cell, int]:
    """Return the quota of each kind among ``n`` items: proportional, by largest remainder."""
    counts = Counter(cell(item) for item in public)
    total = sum(counts.values())
    if not total:
        raise error(Code.SET_EMPTY)

    def rank(kind: Cell) -> tuple[int, Cell]:
        remainder = n * counts[kind] % total
        return -remainder, kind

    quotas = {kind: n * count // total for kind, count in counts.items()}
    left = n - sum(quotas.values())
    for kind in sorted(counts, key=rank)[:left]:
        quotas[kind] += 1
    return quotas


def _nearest(pools: Mapping[Cell, list[int]], kind: Cell) -> list[int]:
    """Return the pool of a kind, or the nearest one that is not empty."""

    def distance(other: Cell) -> tuple[int, Cell]:
        steps = abs(other[0] - kind[0])
        digits = abs(other[1] - kind[1])
        return steps + digits, other

    filled = [other for other, pool in pools.items() if pool]
    return pools[min(filled, key=distance)]
