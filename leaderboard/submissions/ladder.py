"""Published scores of self-declared endpoints: in steps, and a new one only beyond its noise. Pure.

Exact scores of several runs are equations about single items. So a score on a season's block is
rounded to steps as large as its standard error. A party's further score is published only if it
differs from all that the party has by more than its noise; else the party's best one within the
noise is published again. After A. Blum and M. Hardt, "The Ladder", ICML 2015.

Published scores follow from the exact ones in the order in which the runs were graded, so they can
be computed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, sqrt
from uuid import UUID

from evaluator.contract import Tier

EXACT_TIERS: tuple[Tier, ...] = ("T0", "T1")
"""Tiers whose scores on sealed items are published as they are.

A self-declared endpoint wrote both the answers and the server, so its owner chooses which items a
score is about.
"""

Party = frozenset[tuple[str, object]]
"""Names that a run is counted under. Two runs are of one party where they share any of them."""


@dataclass(frozen=True)
class ExactScore:
    """Right answers of one run, and ``most``: the items with an answer, which could all be right.

    The owner of the endpoint knows which items have an answer.
    """

    run: UUID
    party: Party
    right: int
    most: int


@dataclass(frozen=True)
class PublishedScore:
    """Right answers as published, at most ``within`` items from the exact ones.

    Anyone can see which bound holds: a rounded score is none that the party had before.
    """

    right: int
    within: int


def step_of(n: int) -> int:
    """Return the step of a score over ``n`` items, in items: ⌈√n / 2⌉.

    √n / 2 is the standard error of a count of n items at its largest, where half are right.
    """
    return max(1, ceil(sqrt(n) / 2))


def noise_of(n: int) -> int:
    """Return the noise of a score over ``n`` items, in items: ⌈√n⌉, two standard errors."""
    return ceil(sqrt(n))


def published_scores(scores: Iterable[ExactScore], n: int) -> dict[UUID, PublishedScore]:
    """Return the published scores by run, of ``scores`` over the same ``n`` items, oldest first."""
    step = step_of(n)
    noise = noise_of(n)
    published: dict[UUID, PublishedScore] = {}
    rungs: list[tuple[Party, int]] = []
    for score in scores:
        near = []
        for party, published_right in rungs:
            is_near = abs(published_right - score.right) <= noise
            if party & score.party and is_near:
                near.append(published_right)
        # Of two multiples of the step that are as near, it is the larger one.
        nearest = (2 * score.right + step) // (2 * step) * step
        right = max(near) if near else nearest
        right = min(right, score.most)
        published[score.run] = PublishedScore(right, noise if near else step // 2)
        rungs.append((score.party, right))
    return published
