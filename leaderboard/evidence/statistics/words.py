"""From the tests of a cohort to one plain word for each model, decided in a fixed order.

1. More than 2% truncated on either set: ``cannot tell``, whatever the test says.
2. Holm's adjusted p at most .05: ``overfit``. Benjamini–Hochberg's at most .10: ``watch``.
3. A smallest visible gap above 5 percentage points, or no test at all: ``cannot tell``.
4. What is left: ``no evidence``.

The family of tests is one cohort: the models of one close of the board, less those that point 1 decides. A word is
decided once; later cohorts are other families.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from leaderboard.evidence.statistics.differences import newcombe, score_test
from leaderboard.evidence.statistics.evidence import (
    CUT_SHARE,
    WIDEST_VISIBLE_GAP,
    Counts,
    smallest_visible_gap,
)
from leaderboard.evidence.statistics.intervals import LEVEL, Interval
from leaderboard.evidence.statistics.multiplicity import benjamini_hochberg, holm

OVERFIT_LEVEL, WATCH_LEVEL = 0.05, 0.10


class Word(StrEnum):
    """What a gap supports. Never "clean", never "cheating"."""

    OVERFIT = "overfit"
    WATCH = "watch"
    NO_EVIDENCE = "no evidence"
    CANNOT_TELL = "cannot tell"


class GapTest(NamedTuple):
    """One model's test: its one-sided p, and the smallest gap that it could have seen, as a fraction."""

    p: float
    visible: float


class Case(NamedTuple):
    """What a word is decided from; no test where there is neither a panel nor exchangeability."""

    public: Counts
    private: Counts
    test: GapTest | None


class Verdict(NamedTuple):
    """A word, and the adjusted p-values behind it: ``None`` where the model was not tested in this cohort."""

    word: Word
    p: float | None
    holm: float | None
    benjamini_hochberg: float | None


def is_cut(public: Counts, private: Counts) -> bool:
    """Whether more than 2% of the answers on either set were truncated."""
    return any(side.truncated > CUT_SHARE * side.n for side in (public, private))


def raw_test(public: Counts, private: Counts, level: float = LEVEL) -> GapTest:
    """The test of a pair whose sets are exchangeable by construction: Miettinen–Nurminen's, public above private."""
    counts = (public.right, public.n, private.right, private.n)
    return GapTest(
        score_test(*counts).p_greater, smallest_visible_gap(newcombe(*counts, level), level)
    )


def words(cohort: Sequence[Case]) -> list[Verdict]:
    """The verdict of each case of one cohort, in the order given."""
    tested = [
        i for i, case in enumerate(cohort) if case.test and not is_cut(case.public, case.private)
    ]
    p = [test.p for i in tested if (test := cohort[i].test)]
    adjusted = {
        i: (float(h), float(b))
        for i, h, b in zip(tested, holm(p), benjamini_hochberg(p), strict=True)
    }
    verdicts = []
    for i, case in enumerate(cohort):
        if case.test is None or i not in adjusted:
            verdicts.append(Verdict(Word.CANNOT_TELL, None, None, None))
        else:
            word = word_for(*adjusted[i], case.test.visible)
            verdicts.append(Verdict(word, case.test.p, *adjusted[i]))
    return verdicts


def word_for(holm_p: float, bh_p: float, smallest: float) -> Word:
    """The word of a model that was tested and not cut."""
    if holm_p <= OVERFIT_LEVEL:
        return Word.OVERFIT
    if bh_p <= WATCH_LEVEL:
        return Word.WATCH
    return Word.CANNOT_TELL if smallest > WIDEST_VISIBLE_GAP else Word.NO_EVIDENCE


def worst_case_gap(public: Counts, private: Counts) -> Interval:
    """The gaps between which the truncated items can move it: all wrong on one set and all right on the other."""
    low = public.right / public.n - (private.right + private.truncated) / private.n
    high = (public.right + public.truncated) / public.n - private.right / private.n
    return Interval(low, high)
