"""Votes on an item, one for each sample: their majority, and aggregates over a set."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import stdev

from evaluator.contract import Outcome, VoteBin, Votes
from evaluator.grading import voting

_PLACES = 6
"""Digits of an aggregate: more would reveal the items behind it."""


@dataclass(frozen=True, slots=True, repr=False)
class Vote:
    """One sample's answer as a grader read it, and its outcome. ``repr`` shows the outcome only."""

    answer: str
    outcome: Outcome

    def __repr__(self) -> str:
        return f"Vote({self.outcome.name.lower()})"


def decide(votes: Sequence[Vote]) -> Vote:
    """Return the majority's answer, with the commonest outcome of those that gave it.

    Of equals, the first.
    """
    winner = voting.majority([vote.answer for vote in votes]).answer
    outcomes = Counter(vote.outcome for vote in votes if vote.answer == winner)
    [(commonest, _)] = outcomes.most_common(1)
    return Vote(winner, commonest)


def samples_right(votes: Iterable[Vote]) -> int:
    """Count the right samples of one item."""
    return sum(vote.outcome is Outcome.RIGHT for vote in votes)


def summary(
    name: str,
    items: Sequence[Sequence[Vote]],
    *,
    least: int,
) -> Votes | None:
    """Return aggregates over all items of a set, in bins of at least ``least`` votes each.

    None for fewer items. Every item has equally many votes, two or more.
    """
    if not items:
        return None
    shares: list[tuple[Fraction, bool]] = []
    for votes in items:
        share = voting.majority([vote.answer for vote in votes]).share
        is_right = decide(votes).outcome is Outcome.RIGHT
        shares.append((share, is_right))
    calibrated = voting.calibration(shares)
    bins = voting.merged(calibrated.bins, least=max(least, 1))
    if not bins:
        return None
    samples = len(items[0])
    rights = [samples_right(votes) for votes in items]
    # The standard error of the mean share; the samples of an item are a cluster.
    mean_error = 0.0
    if len(items) > 1:
        shares_right = [right / samples for right in rights]
        mean_error = stdev(shares_right) / sqrt(len(items))
    majority: list[tuple[int, float]] = []
    for k in voting.ladder(samples):
        chances = [majority_at(votes, k) for votes in items]
        mean_chance = sum(chances, Fraction(0)) / len(items)
        majority.append((k, rounded(mean_chance)))
    return Votes(
        name=name,
        n=len(items),
        samples=samples,
        right=sum(rights),
        mean_error=rounded(mean_error),
        majority=tuple(majority),
        bins=tuple(published_bin(made) for made in bins),
        error=rounded(calibrated.error),
        brier=rounded(calibrated.brier),
    )


def majority_at(votes: Sequence[Vote], k: int) -> Fraction:
    """Return maj@k of one item (:func:`voting.majority_at`)."""
    answers = [vote.answer for vote in votes]
    right = {vote.answer for vote in votes if vote.outcome is Outcome.RIGHT}
    return voting.majority_at(answers, right, k)


def rounded(value: Fraction | float) -> float:
    """Return a published number, which has no more digits than it needs."""
    return round(float(value), _PLACES)


def published_bin(made: voting.Bin) -> VoteBin:
    """Return a bin as it is reported; it is not empty."""
    assert made.share is not None and made.right is not None  # noqa: S101 - merged: never empty
    return VoteBin(
        low=int(made.low * 10),
        high=int(made.high * 10),
        n=made.n,
        share=rounded(made.share),
        right=int(made.right * made.n),
    )
