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
        known = isfinite(self.score)
        return self.vote.answer != voting.NONE, known, self.score if known else 0.0


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate that wins, of several in the order of their numbers."""
    return max(candidates, key=lambda candidate: candidate.rank)  # of equals the first


def decide(votes: Sequence[Vote], scores: Sequence[float]) -> Vote:
    """Return the vote that counts: the majority's, or of scored candidates the best one's."""
    if not scores:
        return ballots.decide(votes)
    pairs = zip(votes, scores, strict=True)
    return choose([Candidate(vote, score) for vote, score in pairs]).vote


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
        subsets = comb(worse + len(group), k) - comb(worse, k)
        total += Fraction(subsets * sum(group), len(group))
        worse += len(group)
    return total / comb(len(candidates), k)


def any_right_at(candidates: Sequence[Candidate], k: int) -> Fraction:
    """Return pass@k: the chance that one of ``k`` of these candidates is right."""
    n = len(candidates)
    wrong = n - sum(candidate.is_right for candidate in candidates)
    return 1 - Fraction(comb(wrong, k), comb(n, k))


def summary(name: str, items: Sequence[Sequence[Candidate]], *, least: int) -> Candidates | None:
    """Return aggregates over all items of a set, in bins of at least ``least`` choices each.

    None for fewer items. Every item has equally many candidates, two or more.
    """
    if not items:
        return None
    chosen = [choose(candidates) for candidates in items]
    calibrated = voting.calibration([_confidence(candidate) for candidate in chosen])
    bins = voting.merged(calibrated.bins, least=max(least, 1))
    if not bins:
        return None
    every = [candidate for candidates in items for candidate in candidates]
    return Candidates(
        name=name,
        n=len(items),
        samples=len(items[0]),
        right=sum(candidate.is_right for candidate in every),
        unreadable=sum(candidate.vote.answer == voting.NONE for candidate in every),
        unscored=sum(not isfinite(candidate.score) for candidate in every),
        curve=curve(items),
        bins=tuple(published_bin(made) for made in bins),
        error=rounded(calibrated.error),
        brier=rounded(calibrated.brier),
    )


def curve(items: Sequence[Sequence[Candidate]]) -> tuple[CandidatesPoint, ...]:
    """Return the accuracies with 1, 2, 4 and so on up to all candidates of each item."""
    samples = len(items[0])
    steps = voting.ladder(samples)
    random = []
    for candidates in items:
        right = sum(candidate.is_right for candidate in candidates)
        random.append(right / len(candidates))
    last = [float(chosen_at(candidates, samples)) for candidates in items]
    # Bonferroni, over the comparisons of all candidates with fewer.
    together = _z(max(len(steps) - 1, 1))
    points = []
    for k in steps:
        chosen = [float(chosen_at(candidates, k)) for candidates in items]
        anything = [float(any_right_at(candidates, k)) for candidates in items]
        votes = []
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
    spread = mean * (1 - mean) / worth + (z / (2 * worth)) ** 2
    half = z * sqrt(spread) / shrinkage
    return _estimate(mean, centre - half, centre + half)


def _difference(first: Sequence[float], second: Sequence[float], z: float) -> Estimate:
    """Return the mean difference over items, with a normal interval."""
    differences = [one - other for one, other in zip(first, second, strict=True)]
    n = len(differences)
    half = z * sqrt(variance(differences) / n) if n > 1 else 1.0
    mean = fmean(differences)
    return _estimate(mean, mean - half, mean + half)


def _estimate(value: float, low: float, high: float) -> Estimate:
    bounds = []
    for number in (value, low, high):
        clipped = max(-1.0, min(1.0, number))
        bounds.append(rounded(clipped))
    return Estimate(value=bounds[0], low=bounds[1], high=bounds[2])


def _confidence(candidate: Candidate) -> tuple[Fraction, bool]:
    """Return the score as a confidence, 0 for none, and true for a right answer."""
    score = Fraction(candidate.score) if isfinite(candidate.score) else Fraction(0)
    return score, candidate.is_right
