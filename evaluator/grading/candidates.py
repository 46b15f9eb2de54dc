"""Choice among the scored candidates of an item, and aggregates of it over a set.

- The best score wins. Of equals the first: the lowest number.
- A candidate without a readable answer, as a program that fails, wins only where no candidate has
  one.
- A score that is no finite number ranks below every other, and above no candidate that it ties.

Accuracy with k candidates is the mean over all subsets of k of those there are, by order
statistics; candidates that tie win equally often, as they come in no particular order. It is
unbiased for any k (as pass@k, arXiv:2107.03374). Intervals take the candidates of an item as one
cluster: they are of means over items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, isfinite, sqrt
from statistics import NormalDist, fmean, variance

from evaluator.contract import Candidates, CandidatesPoint, Estimate, Outcome
from evaluator.grading import ballots, voting
from evaluator.grading.ballots import Vote, majority_at, published_bin, rounded

Rank = tuple[bool, bool, float]


@dataclass(frozen=True, slots=True, repr=False)
class Candidate:
    """One candidate as a grader read it, and its verifier's score, from 0 to 1 or no number."""

    vote: Vote
    score: float

    @property
    def is_right(self) -> bool:
        """True for a right answer."""
        return self.vote.outcome is Outcome.RIGHT

    @property
    def rank(self) -> Rank:
        """Key by which candidates are compared; the largest wins."""
        is_readable = self.vote.answer != voting.NONE
        is_scored = isfinite(self.score)
        score = self.score if is_scored else 0.0
        return is_readable, is_scored, score


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate that wins, of several in the order of their numbers."""
    return max(candidates, key=lambda candidate: candidate.rank)  # of equals the first


def decide(votes: Sequence[Vote], scores: Sequence[float]) -> Vote:
    """Return the vote that counts: the majority's, or of scored candidates the best one's."""
    if not scores:
        return ballots.decide(votes)
    pairs = zip(votes, scores, strict=True)
    candidates = [Candidate(vote, score) for vote, score in pairs]
    return choose(candidates).vote


def chosen_at(candidates: Sequence[Candidate], k: int) -> Fraction:
    """Return the chance that the choice among ``k`` of these candidates is right.

    The best of a subset is one of a group of equals where the subset has one of the group and none
    better. Raises ValueError unless 1 <= k <= the number of candidates.
    """
    if not 1 <= k <= len(candidates):
        raise ValueError("k candidates of those there are")
    groups: dict[Rank, list[bool]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.rank, []).append(candidate.is_right)
    total = Fraction(0)
    worse = 0
    for _, group in sorted(groups.items()):
        size = len(group)
        subsets = comb(worse + size, k) - comb(worse, k)
        total += Fraction(subsets * sum(group), size)
        worse += size
    return total / comb(len(candidates), k)


def any_right_at(candidates: Sequence[Candidate], k: int) -> Fraction:
    """Return pass@k: the chance that one of ``k`` of these candidates is right."""
    n = len(candidates)
    right = sum(candidate.is_right for candidate in candidates)
    wrong = n - right
    return 1 - Fraction(comb(wrong, k), comb(n, k))


def summary(
    name: str,
    items: Sequence[Sequence[Candidate]],
    *,
    least: int,
) -> Candidates | None:
    """Return aggregates over all items of a set, in bins of at least ``least`` choices each.

    None for fewer items. Every item has equally many candidates, two or more.
    """
    if not items:
        return None
    confidences: list[tuple[Fraction, bool]] = []
    for candidates in items:
        best = choose(candidates)
        # The score is the confidence, 0 where there is none.
        confidence = Fraction(best.score) if isfinite(best.score) else Fraction(0)
        confidences.append((confidence, best.is_right))
    calibrated = voting.calibration(confidences)
    bins = voting.merged(calibrated.bins, least=max(least, 1))
    if not bins:
        return None
    right = 0
    unreadable = 0
    unscored = 0
    for candidates in items:
        for candidate in candidates:
            right += candidate.is_right
            unreadable += candidate.vote.answer == voting.NONE
            unscored += not isfinite(candidate.score)
    return Candidates(
        name=name,
        n=len(items),
        samples=len(items[0]),
        right=right,
        unreadable=unreadable,
        unscored=unscored,
        curve=curve(items),
        bins=tuple(published_bin(made) for made in bins),
        error=rounded(calibrated.error),
        brier=rounded(calibrated.brier),
    )


def curve(items: Sequence[Sequence[Candidate]]) -> tuple[CandidatesPoint, ...]:
    """Return the accuracies with 1, 2, 4 and so on up to all candidates of each item."""
    samples = len(items[0])
    steps = voting.ladder(samples)
    random: list[float] = []
    for candidates in items:
        right = sum(candidate.is_right for candidate in candidates)
        random.append(right / len(candidates))
    last = [float(chosen_at(candidates, samples)) for candidates in items]
    # Bonferroni, over the comparisons of all candidates with fewer.
    comparisons = max(len(steps) - 1, 1)
    together = _z(comparisons)
    points: list[CandidatesPoint] = []
    for k in steps:
        chosen = [float(chosen_at(candidates, k)) for candidates in items]
        anything = [float(any_right_at(candidates, k)) for candidates in items]
        votes: list[float] = []
        for candidates in items:
            ballot = [candidate.vote for candidate in candidates]
            votes.append(float(majority_at(ballot, k)))
        point = CandidatesPoint(
            k=k,
            chosen=_accuracy(chosen),
            vote=rounded(fmean(votes)),
            any_right=rounded(fmean(anything)),
            over_random=_difference(chosen, random, _z(1)),
            over_vote=_difference(chosen, votes, _z(1)),
            more=_difference(last, chosen, together),
        )
        points.append(point)
    return tuple(points)


def _z(comparisons: int) -> float:
    """Return the normal quantile of a two-sided 95% interval for so many at once."""
    return NormalDist().inv_cdf(1 - 0.025 / comparisons)


def _accuracy(values: Sequence[float]) -> Estimate:
    """Return a mean of chances with Wilson's interval, for as many items as its error is worth."""
    n = len(values)
    mean = fmean(values)
    squared_error = variance(values) / n if n > 1 else 0.0
    worth = mean * (1 - mean) / squared_error if squared_error else n
    z = _z(1)
    shrinkage = 1 + z**2 / worth
    centre = (mean + z**2 / (2 * worth)) / shrinkage
    variance_of_mean = mean * (1 - mean) / worth
    spread = variance_of_mean + (z / (2 * worth)) ** 2
    half = z * sqrt(spread) / shrinkage
    return _estimate(mean, centre - half, centre + half)


def _difference(first: Sequence[float], second: Sequence[float], z: float) -> Estimate:
    """Return the mean difference over items, with a normal interval."""
    pairs = zip(first, second, strict=True)
    differences = [one - other for one, other in pairs]
    n = len(differences)
    half = z * sqrt(variance(differences) / n) if n > 1 else 1.0
    mean = fmean(differences)
    return _estimate(mean, mean - half, mean + half)


def _estimate(value: float, low: float, high: float) -> Estimate:
    clipped: list[float] = []
    for number in (value, low, high):
        inside = max(-1.0, min(1.0, number))
        clipped.append(rounded(inside))
    value, low, high = clipped
    return Estimate(value=value, low=low, high=high)
