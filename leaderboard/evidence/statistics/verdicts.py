"""Verdicts of one cohort: an evidence level for each model, decided in a fixed order.

1. Truncated answers above ``levels.truncated`` on either set: ``cannot tell``, whatever the test.
2. Holm's adjusted p at most ``levels.overfit``: ``overfit``. Benjamini and Hochberg's at most
   ``levels.watch``: ``watch``.
3. Smallest visible gap above ``levels.visible_gap``, or no test at all: ``cannot tell``.
4. Otherwise ``no evidence``.

The family of tests is one cohort: the models of one close of the board, less those that step 1
decides. A verdict is given once; later cohorts are other families.
"""

from collections.abc import Sequence
from typing import NamedTuple

from leaderboard.evidence.statistics.differences import newcombe, score_test
from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.multiplicity import benjamini_hochberg, holm
from leaderboard.evidence.statistics.power import visible
from leaderboard.evidence.vocabulary import LEVELS, Evidence, Levels


class Counts(NamedTuple):
    """Outcomes on one set, as far as a verdict needs them: ``n`` is every assigned item."""

    right: int
    truncated: int
    n: int


class GapTest(NamedTuple):
    """Test of one model: one-sided p, and the smallest gap that it could have seen, a fraction."""

    p: float
    visible: float


class Case(NamedTuple):
    """Input of one verdict; no test where there is neither a panel nor exchangeability."""

    public: Counts
    private: Counts
    test: GapTest | None


class Verdict(NamedTuple):
    """Evidence level and the p-values behind it: ``None`` where the model was not tested."""

    evidence: Evidence
    p: float | None
    holm: float | None
    benjamini_hochberg: float | None


def is_truncated(public: Counts, private: Counts, levels: Levels = LEVELS) -> bool:
    """Return True if the share of truncated answers on either set is above ``levels.truncated``."""
    return any(side.truncated > levels.truncated * side.n for side in (public, private))


def smallest_visible_gap(interval: Interval, level: float, levels: Levels = LEVELS) -> float:
    """Return the true gap that a one-sided test would find with ``levels.power``, as a fraction.

    ``(z₁₋α + z_power) · se``, where se is the half width of the gap's own interval over its
    critical value. Unlike the plug-in formula this does not vanish when a model gets everything
    right or wrong.
    """
    se = (interval.high - interval.low) / (2 * critical_value(level))
    return visible(se, levels.single, levels.power)


def raw_test(public: Counts, private: Counts, level: float = LEVEL) -> GapTest:
    """Return Miettinen and Nurminen's test, public above private, for exchangeable sets."""
    counts = (public.right, public.n, private.right, private.n)
    smallest = smallest_visible_gap(newcombe(*counts, level), level)
    return GapTest(score_test(*counts).p_greater, smallest)


def verdicts(cohort: Sequence[Case], levels: Levels = LEVELS) -> list[Verdict]:
    """Return the verdict of each case of one cohort, in the order given."""
    tests = []
    for case in cohort:
        truncated = is_truncated(case.public, case.private, levels)
        tests.append(None if truncated else case.test)
    p = [test.p for test in tests if test]
    corrected = zip(holm(p).tolist(), benjamini_hochberg(p).tolist(), strict=True)
    result = []
    for test in tests:
        if test is None:
            result.append(Verdict(Evidence.CANNOT_TELL, None, None, None))
        else:
            holm_p, bh_p = next(corrected)
            evidence = evidence_level(holm_p, bh_p, test.visible, levels)
            result.append(Verdict(evidence, test.p, holm_p, bh_p))
    return result


def evidence_level(holm_p: float, bh_p: float, visible_gap: float, levels: Levels) -> Evidence:
    """Return the evidence level of a model that was tested and not truncated."""
    if holm_p <= levels.overfit:
        return Evidence.OVERFIT
    if bh_p <= levels.watch:
        return Evidence.WATCH
    if visible_gap > levels.visible_gap:
        return Evidence.CANNOT_TELL
    return Evidence.NO_EVIDENCE


def worst_case_gap(public: Counts, private: Counts) -> Interval:
    """Return the gaps between which truncated answers can move it.

    The ends: all wrong on one set and all right on the other.
    """
    low = public.right / public.n - (private.right + private.truncated) / private.n
    high = (public.right + public.truncated) / public.n - private.right / private.n
    return Interval(low, high)
