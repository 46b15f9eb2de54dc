"""Several graded answers to one item become one, and what they came to over a whole set becomes an aggregate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from evaluator.contract import Outcome, VoteBin, Votes
from evaluator.grading import voting

_PLACES = 6
"""Digits of an aggregate that are told: more could be read backwards into the items behind it."""


@dataclass(frozen=True, slots=True, repr=False)
class Vote:
    """One answer as a grader read it, and its outcome. ``repr`` shows the outcome only."""

    answer: str
    outcome: Outcome

    def __repr__(self) -> str:
        return f"Vote({self.outcome.name.lower()})"


def decide(said: Sequence[Vote]) -> Vote:
    """The answer of the majority, with the commonest outcome of those that gave it; of equals the first."""
    winner = voting.majority([one.answer for one in said]).answer
    outcomes = Counter(one.outcome for one in said if one.answer == winner)
    return Vote(winner, outcomes.most_common(1)[0][0])


def summary(name: str, items: Sequence[Sequence[Vote]], *, least: int) -> Votes | None:
    """What the votes on all items of a set came to, in bins of at least ``least`` votes each; None for fewer items.

    Every item has equally many answers, two or more.
    """
    votes = [_vote(said) for said in items]
    if not votes:
        return None
    calibrated = voting.calibration(votes)
    bins = voting.merged(calibrated.bins, least=max(least, 1))
    if not bins:
        return None
    samples = len(items[0])
    return Votes(
        name=name,
        n=len(items),
        samples=samples,
        right=sum(one.outcome is Outcome.RIGHT for said in items for one in said),
        majority=tuple((k, _told(_majority_at(items, k))) for k in _ladder(samples)),
        bins=tuple(_told_bin(one) for one in bins),
        error=_told(calibrated.error),
        brier=_told(calibrated.brier),
    )


def _vote(said: Sequence[Vote]) -> tuple[Fraction, bool]:
    return voting.majority([one.answer for one in said]).share, decide(
        said
    ).outcome is Outcome.RIGHT


def _ladder(samples: int) -> list[int]:
    """1, 2, 4 and so on, and all of them."""
    return sorted(
        {*(1 << power for power in range(samples.bit_length()) if 1 << power <= samples), samples}
    )


def _majority_at(items: Sequence[Sequence[Vote]], k: int) -> Fraction:
    found = (
        voting.majority_at(
            [one.answer for one in said],
            {one.answer for one in said if one.outcome is Outcome.RIGHT},
            k,
        )
        for said in items
    )
    return sum(found, Fraction(0)) / len(items)


def _told(value: Fraction) -> float:
    return round(float(value), _PLACES)


def _told_bin(one: voting.Bin) -> VoteBin:
    assert one.share is not None and one.right is not None  # noqa: S101 - merged bins are never empty
    return VoteBin(
        low=int(one.low * 10),
        high=int(one.high * 10),
        n=one.n,
        share=_told(one.share),
        right=int(one.right * one.n),
    )
