"""Several answers to one question: majority, confidence, maj@k and pass@k.

An answer is a short text in one spelling for one value, as ``Grade.extracted`` of the headline
grader is. The empty text is no answer: it cannot win a vote but counts among those asked. All is
pure and exact: shares and estimates are fractions.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

NONE = ""
"""No answer could be read."""


@dataclass(frozen=True, slots=True, repr=False)
class Majority:
    """The winning ``answer``, and its ``share`` of all answers asked for.

    Those without an answer count in the share.
    """

    answer: str
    share: Fraction

    def __repr__(self) -> str:
        return f"Majority({self.share})"


def majority(answers: Sequence[str]) -> Majority:
    """Return the most frequent answer; of several, the first. Without any, ``NONE`` with share 0.

    Raises ValueError where nothing was asked.
    """
    if not answers:
        raise ValueError("a vote without answers")
    counts = Counter(answer for answer in answers if answer != NONE)
    if not counts:
        return Majority(NONE, Fraction(0))
    [(winner, count)] = counts.most_common(1)  # of equals the first
    return Majority(winner, Fraction(count, len(answers)))


def majority_at(answers: Sequence[str], right: Collection[str], k: int) -> Fraction:
    """Return maj@k, unbiased: the chance that the majority of ``k`` of these answers is right.

    The ``k`` are drawn without replacement; ``right`` holds the answers that are graded right. As
    the answers come in no particular order, each of the equals in a tied vote comes first equally
    often. The mean over all subsets is computed, not sampled. Raises ValueError unless 1 <= k <=
    the number of answers.
    """
    if not 1 <= k <= len(answers):
        raise ValueError("k answers of those there are")
    counts = Counter(answers)
    blank = counts.pop(NONE, 0)
    won = Fraction(0)  # subsets that a right answer wins; one that it ties with j others: 1/(j + 1)
    for name in right:
        if name not in counts:
            continue
        own = counts[name]
        others = [count for other, count in counts.items() if other != name]
        for votes in range(1, min(own, k) + 1):
            chosen = comb(own, votes)
            rest = _rest(others, blank, k - votes, votes)
            for ties, number in rest.items():
                won += Fraction(chosen * number, ties + 1)
    return won / comb(len(answers), k)


def pass_at(right: int, n: int, k: int) -> Fraction:
    """Return pass@k, unbiased: the chance that one of ``k`` of these ``n`` answers is right.

    ``1 - C(n - c, k) / C(n, k)`` with c ``right`` answers: M. Chen et al. (2021), arXiv 2107.03374,
    equation 1. Raises ValueError unless 0 <= right <= n and 1 <= k <= n.
    """
    if not 0 <= right <= n or not 1 <= k <= n:
        raise ValueError("k answers of those there are")
    return 1 - Fraction(comb(n - right, k), comb(n, k))


def ladder(samples: int) -> list[int]:
    """Return the numbers k of answers that are reported: 1, 2, 4 and so on, and ``samples``."""
    numbers = {samples}
    power = 1
    while power <= samples:
        numbers.add(power)
        power *= 2
    return sorted(numbers)


def _rest(
    others: Sequence[int],
    blank: int,
    size: int,
    most: int,
) -> dict[int, int]:
    """Return the ways to draw ``size`` answers from the others, by the number of ties.

    None of them has more than ``most``; a tie has as many.
    """
    ways = {(0, 0): 1}  # (drawn so far, tied so far) -> ways
    for count in others:
        grown: dict[tuple[int, int], int] = {}
        for (drawn, ties), number in ways.items():
            largest = min(count, most, size - drawn)
            for votes in range(largest + 1):
                is_tie = votes == most
                state = (drawn + votes, ties + is_tie)
                more = number * comb(count, votes)
                grown[state] = grown.get(state, 0) + more
        ways = grown
    by_ties: dict[int, int] = {}
    for (drawn, ties), number in ways.items():
        left = size - drawn
        if left <= blank:
            more = number * comb(blank, left)
            by_ties[ties] = by_ties.get(ties, 0) + more
    return by_ties


@dataclass(frozen=True, slots=True)
class Bin:
    """Votes whose share lies in (``low``, ``high``]: their number, mean share, and share of right
    ones.

    ``share`` and ``right`` are None where the bin is empty. The first bin holds share 0 too.
    """

    low: Fraction
    high: Fraction
    n: int
    share: Fraction | None
    right: Fraction | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Agreement between shares and chances.

    ``error`` is the expected calibration error: the mean over votes of the distance between the
    share of right ones in a bin and the mean share there. ``brier`` is the mean squared difference.
    """

    bins: tuple[Bin, ...]
    error: Fraction
    brier: Fraction


def calibration(
    votes: Sequence[tuple[Fraction, bool]],
    *,
    bins: int = 10,
) -> Calibration:
    """Return the calibration of (share, right) pairs in bins of equal width.

    Raises ValueError where there is none.
    """
    if not votes or bins < 1:
        raise ValueError("no votes to calibrate")
    held: list[list[tuple[Fraction, bool]]] = [[] for _ in range(bins)]
    for share, right in votes:
        place = -(-share * bins // 1) - 1  # the last bin whose low end is below the share
        inside = held[max(0, place)]
        inside.append((share, right))
    made: list[Bin] = []
    error = Fraction(0)
    for place, inside in enumerate(held):
        low = Fraction(place, bins)
        high = Fraction(place + 1, bins)
        n = len(inside)
        if not n:
            made.append(Bin(low, high, 0, None, None))
            continue
        total_share = sum((share for share, _ in inside), Fraction(0))
        mean_share = total_share / n
        number_right = sum(right for _, right in inside)
        share_right = Fraction(number_right, n)
        made.append(Bin(low, high, n, mean_share, share_right))
        error += n * abs(share_right - mean_share)
    squares = [(share - right) ** 2 for share, right in votes]
    brier = sum(squares, Fraction(0)) / len(votes)
    return Calibration(tuple(made), error / len(votes), brier)


def merged(bins: Sequence[Bin], *, least: int) -> tuple[Bin, ...]:
    """Return the same votes in wider bins, none with fewer than ``least`` of them.

    () where there are not so many at all. Bins are joined from below; the rest at the upper end
    joins the last.
    """
    joined: list[Bin] = []
    for upper in bins:
        if joined and joined[-1].n < least:
            lower = joined.pop()
            joined.append(_join(lower, upper))
        else:
            joined.append(upper)
    while len(joined) > 1 and joined[-1].n < least:
        upper = joined.pop()
        lower = joined.pop()
        joined.append(_join(lower, upper))
    if not joined or joined[0].n < max(least, 1):
        return ()
    return tuple(joined)


def _join(lower: Bin, upper: Bin) -> Bin:
    n = lower.n + upper.n
    if not n:
        return Bin(lower.low, upper.high, 0, None, None)
    share = Fraction(0)
    right = Fraction(0)
    for part in (lower, upper):
        if part.share is not None and part.right is not None:
            share += part.share * part.n
            right += part.right * part.n
    return Bin(lower.low, upper.high, n, share / n, right / n)
