"""Many answers to one question: the majority vote, its share as a confidence, and what fewer answers would do.

An answer is a short text in one spelling for one value, as ``Grade.extracted`` of the headline grader is; the empty
text is no answer, which cannot win a vote but counts among those asked. Everything here is pure and exact: shares and
estimates are fractions.
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
    """The winning ``answer``, and its ``share`` of all answers asked for, those without one included."""

    answer: str
    share: Fraction

    def __repr__(self) -> str:
        return f"Majority({self.share})"


def majority(answers: Sequence[str]) -> Majority:
    """The most frequent answer; of several, the one that came first. Without any, ``NONE`` with share 0.

    Raises ValueError where nothing was asked.
    """
    if not answers:
        raise ValueError("a vote of nobody")
    counts = Counter(answer for answer in answers if answer != NONE)
    if not counts:
        return Majority(NONE, Fraction(0))
    winner, count = max(
        counts.items(), key=lambda item: item[1]
    )  # of equals the first, in order of appearance
    return Majority(winner, Fraction(count, len(answers)))


def majority_at(answers: Sequence[str], right: Collection[str], k: int) -> Fraction:
    """maj@k, without bias: the chance that a majority of ``k`` of these answers, drawn without replacement, is right.

    ``right`` holds the answers that are graded right. As the answers come in no particular order, each of the equals
    in a tied vote comes first equally often. The mean over all subsets is computed, not sampled. Raises ValueError
    unless 1 <= k <= the number of answers.
    """
    if not 1 <= k <= len(answers):
        raise ValueError("k answers of those there are")
    counts = Counter(answers)
    blank = counts.pop(NONE, 0)
    won = sum((_wins(counts, blank, name, k) for name in right if name in counts), Fraction(0))
    return won / comb(len(answers), k)


def _wins(counts: Counter[str], blank: int, name: str, k: int) -> Fraction:
    """In how many of the subsets of ``k`` answers ``name`` wins; one tied with j others counts 1/(j + 1)."""
    others = [count for other, count in counts.items() if other != name]
    total = Fraction(0)
    for votes in range(1, min(counts[name], k) + 1):
        ways = _rest(others, blank, k - votes, votes)
        chosen = comb(counts[name], votes)
        total += sum(
            (Fraction(chosen * number, ties + 1) for ties, number in ways.items()), Fraction(0)
        )
    return total


def _rest(others: Sequence[int], blank: int, size: int, most: int) -> dict[int, int]:
    """Ways to draw ``size`` answers from the others so that none has more than ``most``, by how many have as many."""
    ways = {(0, 0): 1}  # (drawn so far, tied so far) -> ways
    for count in others:
        grown: dict[tuple[int, int], int] = {}
        for (drawn, ties), number in ways.items():
            for votes in range(min(count, most, size - drawn) + 1):
                state = drawn + votes, ties + (votes == most)
                grown[state] = grown.get(state, 0) + number * comb(count, votes)
        ways = grown
    found: dict[int, int] = {}
    for (drawn, ties), number in ways.items():
        if size - drawn <= blank:
            found[ties] = found.get(ties, 0) + number * comb(blank, size - drawn)
    return found


@dataclass(frozen=True, slots=True)
class Bin:
    """Votes whose share lies in (``low``, ``high``]: how many, their mean share, and the share of them that is right.

    ``share`` and ``right`` are None where the bin is empty. The first bin holds share 0 too.
    """

    low: Fraction
    high: Fraction
    n: int
    share: Fraction | None
    right: Fraction | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far shares can be read as chances. ``error`` is the expected calibration error: the mean over votes of how
    far the share of right ones in a bin is from the mean share there. ``brier`` is the mean squared difference."""

    bins: tuple[Bin, ...]
    error: Fraction
    brier: Fraction


def calibration(votes: Sequence[tuple[Fraction, bool]], *, bins: int = 10) -> Calibration:
    """Calibration of (share, right) pairs in bins of equal width. Raises ValueError where there is none."""
    if not votes or bins < 1:
        raise ValueError("no votes to calibrate")
    held: list[list[tuple[Fraction, bool]]] = [[] for _ in range(bins)]
    for share, right in votes:
        held[max(0, -(-share * bins // 1) - 1)].append((share, right))
    made = tuple(_bin(inside, place, bins) for place, inside in enumerate(held))
    far = (
        one.n * abs(one.right - one.share)
        for one in made
        if one.share is not None and one.right is not None
    )
    error = sum(far, Fraction(0)) / len(votes)
    brier = sum(((share - right) ** 2 for share, right in votes), Fraction(0)) / len(votes)
    return Calibration(made, error, brier)


def merged(bins: Sequence[Bin], *, least: int) -> tuple[Bin, ...]:
    """The same votes in wider bins, none with fewer than ``least`` of them; () where there are not so many at all.

    Bins are joined from below; what is left at the upper end joins the last.
    """
    joined: list[Bin] = []
    for one in bins:
        few = bool(joined) and joined[-1].n < least
        joined.append(_join(joined.pop(), one) if few else one)
    while len(joined) > 1 and joined[-1].n < least:
        upper = joined.pop()
        joined.append(_join(joined.pop(), upper))
    return tuple(joined) if joined and joined[0].n >= max(least, 1) else ()


def _join(lower: Bin, upper: Bin) -> Bin:
    n = lower.n + upper.n
    if not n:
        return Bin(lower.low, upper.high, 0, None, None)
    share, right = (
        sum((getattr(one, name) * one.n for one in (lower, upper) if one.n), Fraction(0)) / n
        for name in ("share", "right")
    )
    return Bin(lower.low, upper.high, n, share, right)


def _bin(inside: Sequence[tuple[Fraction, bool]], place: int, bins: int) -> Bin:
    low, high, n = Fraction(place, bins), Fraction(place + 1, bins), len(inside)
    if not n:
        return Bin(low, high, 0, None, None)
    shares = sum((share for share, _ in inside), Fraction(0))
    return Bin(low, high, n, shares / n, Fraction(sum(right for _, right in inside), n))
