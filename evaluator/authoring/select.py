"""What is kept: items whose second solver agrees, that the audit keeps, in the public set's mix of difficulty."""

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
    """How many items came through each stage; None for a stage that was left out."""

    written: int
    solved: int | None
    audited: int | None
    kept: int


def agrees(item: Item, solution: str) -> bool:
    """Whether a second solver's number is the gold one, compared exactly."""
    return grade("numeric-1", f"#### {solution.strip()}", item.gold).outcome is Outcome.RIGHT


def solved_alike(items: Mapping[int, Item], solutions: Mapping[int, str]) -> set[int]:
    """The items that the second solver, who saw no answer, solved alike. Raises ``sheet_unreadable``."""
    if not solutions.keys() <= items.keys():
        raise error(Code.SHEET_UNREADABLE, "it has rows that are no item")
    return {number for number, solution in solutions.items() if agrees(items[number], solution)}


def kept_by_audit(items: Mapping[int, Item], verdicts: Mapping[int, tuple[str, str]]) -> set[int]:
    """The items that the audit keeps. Raises ``sheet_unreadable`` for unknown rows, verdicts or reasons."""
    fine = verdicts.keys() <= items.keys() and all(
        verdict in VERDICTS and reason in REASONS for verdict, reason in verdicts.values()
    )
    if not fine:
        raise error(
            Code.SHEET_UNREADABLE,
            f"verdicts are {' or '.join(VERDICTS)}, reasons {', '.join(REASONS[1:])}",
        )
    return {number for number, (verdict, _) in verdicts.items() if verdict == "keep"}


def dropped(verdicts: Mapping[int, tuple[str, str]]) -> dict[str, int]:
    """How often the audit dropped an item, by reason; ``unsaid`` where it gave none."""
    counts = Counter(
        reason or "unsaid" for verdict, reason in verdicts.values() if verdict == "drop"
    )
    return dict(sorted(counts.items()))


def select(
    items: Sequence[Item], public: Sequence[Item], n: int, *, seed: int
) -> tuple[list[int], tuple[Comparison, ...]]:
    """``n`` positions of ``items``, ascending, in the public set's joint mix of steps and answer digits.

    Each kind of item gets its quota by largest remainder; where one has too few, its neighbours give more. Raises
    ``selection_impossible`` where there are fewer items than wanted, or where the mix comes out unlike.
    """
    if not 0 < n <= len(items):
        raise error(Code.SELECTION_IMPOSSIBLE, f"{n} of {len(items)} items")
    draw = random.Random(seed)  # noqa: S311 - a draw that can be repeated, not a secret
    pools: dict[Cell, list[int]] = {}
    for place, item in enumerate(items):
        pools.setdefault(cell(item), []).append(place)
    for pool in pools.values():
        draw.shuffle(pool)
    chosen: list[int] = []
    for kind, count in sorted(_quotas(public, n).items()):
        for _ in range(count):
            chosen.append(_nearest(pools, kind).pop())
    chosen.sort()
    mix = tuple(
        one for one in compare([items[place] for place in chosen], public) if one.name != "length"
    )
    if any(one.unlike for one in mix):
        raise error(
            Code.SELECTION_IMPOSSIBLE,
            "too few items of some kinds: the mix would be unlike the public set's",
        )
    return chosen, mix


def targets(public: Sequence[Item], n: int, *, seed: int) -> list[int]:
    """Step counts for ``n`` briefs, in the public set's mix and in a random order."""
    steps = [kind[0] for kind, count in sorted(_quotas(public, n).items()) for _ in range(count)]
    random.Random(seed).shuffle(steps)  # noqa: S311 - as above
    return steps


def _quotas(public: Iterable[Item], n: int) -> dict[Cell, int]:
    """How many of ``n`` items should be of each kind: proportional, rounded by largest remainder."""
    counts = Counter(cell(item) for item in public)
    total = sum(counts.values())
    if not total:
        raise error(Code.SET_EMPTY)
    quotas = {kind: n * count // total for kind, count in counts.items()}
    by_remainder = sorted(counts, key=lambda kind: (-(n * counts[kind] % total), kind))
    for kind in by_remainder[: n - sum(quotas.values())]:
        quotas[kind] += 1
    return quotas


def _nearest(pools: Mapping[Cell, list[int]], kind: Cell) -> list[int]:
    """The pool of a kind, or the nearest one that has something left."""
    left = [other for other, pool in pools.items() if pool]
    return pools[
        min(left, key=lambda other: (abs(other[0] - kind[0]) + abs(other[1] - kind[1]), other))
    ]
