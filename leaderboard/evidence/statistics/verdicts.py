"""Verdict about one model: an evidence level, decided in a fixed order.

1. Truncated answers above ``levels.truncated`` on either set: ``cannot tell``, whatever the test.
2. One-sided p at most ``levels.overfit``: ``overfit``; at most ``levels.watch``: ``watch``.
3. No test, or one that finds only gaps above ``levels.visible_gap`` at level ``watch``:
   ``cannot tell``.
4. Otherwise ``no evidence``.

These are the levels of a run by its own test. A later try of a model takes that of the first run
(``leaderboard.evidence.first_runs``).

No other model enters. So of 1,000 models that are not overfitted about ``1000 * levels.overfit``
are called overfit, however many are submitted together.
"""

from typing import NamedTuple, Protocol

from leaderboard.evidence.statistics.differences import newcombe, score_test
from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.power import visible
from leaderboard.evidence.vocabulary import LEVELS, Evidence, Levels

NO_GAP = 0.5
"""One-sided p-value of a gap of zero."""


class Counts(Protocol):
    """Outcomes on one set, as far as a verdict needs them.

    No whole numbers where scores are means over samples: these have the same standard error.
    """

    @property
    def right(self) -> float:
        """Items answered right."""

    @property
    def truncated(self) -> float:
        """Items whose answer was cut off before it stated a result."""

    @property
    def n(self) -> float:
        """Every assigned item."""


class GapTest(NamedTuple):
    """Test of one model: one-sided p, and the smallest gaps, as fractions, that it finds.

    ``visible`` is found at level ``watch``, ``visible_overfit`` at level ``overfit``.
    """

    p: float
    visible: float
    visible_overfit: float


class Gap(Protocol):
    """Adjusted gap, by counts or by items."""

    @property
    def p(self) -> float:
        """One-sided p-value."""

    def visible_at(self, alpha: float, power: float) -> float:
        """Return the smallest gap that a one-sided test at ``alpha`` finds with ``power``."""


class Case(NamedTuple):
    """Input of one verdict; no test where there is neither a panel nor exchangeability."""

    public: Counts
    private: Counts
    test: GapTest | None


class Verdict(NamedTuple):
    """Evidence level and the p-value behind it: ``None`` where the model was not tested."""

    evidence: Evidence
    p: float | None


def is_truncated(public: Counts, private: Counts, levels: Levels = LEVELS) -> bool:
    """Return True if the share of truncated answers on either set is above ``levels.truncated``."""
    for side in (public, private):
        most = levels.truncated * side.n
        if side.truncated > most:
            return True
    return False


def smallest_visible_gap(interval: Interval, level: float, alpha: float = LEVELS.watch) -> float:
    """Return the true gap that a one-sided test at ``alpha`` would find with the usual power.

    ``(z₁₋α + z_power) · se``, where se is the half width of the gap's own interval over its
    critical value. Unlike the plug-in formula this does not vanish when a model gets everything
    right or wrong.
    """
    width = interval.high - interval.low
    se = width / (2 * critical_value(level))
    return visible(se, alpha)


def raw_test(
    public: Counts,
    private: Counts,
    level: float = LEVEL,
    levels: Levels = LEVELS,
) -> GapTest:
    """Return Miettinen and Nurminen's test, public above private, for exchangeable sets."""
    counts = (public.right, public.n, private.right, private.n)
    interval = newcombe(*counts, level)
    return GapTest(
        p=score_test(*counts).p_greater,
        visible=smallest_visible_gap(interval, level, levels.watch),
        visible_overfit=smallest_visible_gap(interval, level, levels.overfit),
    )


def adjusted_test(gap: Gap, levels: Levels = LEVELS) -> GapTest:
    """Return the test of an adjusted gap."""
    return GapTest(
        p=gap.p,
        visible=gap.visible_at(levels.watch, levels.power),
        visible_overfit=gap.visible_at(levels.overfit, levels.power),
    )


def beyond_noise(gap: float, test: GapTest, floor: float) -> GapTest:
    """Return a test; a gap below ``floor``, the noise of one and the same model, is no evidence."""
    p = test.p
    if gap < floor:
        p = max(p, NO_GAP)
    return GapTest(
        p=p,
        visible=max(test.visible, floor),
        visible_overfit=max(test.visible_overfit, floor),
    )


def verdict(case: Case, levels: Levels = LEVELS) -> Verdict:
    """Return the verdict about one model."""
    if case.test is None or is_truncated(case.public, case.private, levels):
        return Verdict(Evidence.CANNOT_TELL, None)
    return Verdict(evidence_level(case.test, levels), case.test.p)


def evidence_level(test: GapTest, levels: Levels = LEVELS) -> Evidence:
    """Return the evidence level of a model that was tested and not truncated."""
    if test.p <= levels.overfit:
        return Evidence.OVERFIT
    if test.p <= levels.watch:
        return Evidence.WATCH
    if test.visible > levels.visible_gap:
        return Evidence.CANNOT_TELL
    return Evidence.NO_EVIDENCE


def worst_case_gap(public: Counts, private: Counts) -> Interval:
    """Return the gaps between which truncated answers can move it.

    The ends: all wrong on one set and all right on the other.
    """
    public_most = public.right + public.truncated
    private_most = private.right + private.truncated
    low = public.right / public.n - private_most / private.n
    high = public_most / public.n - private.right / private.n
    return Interval(low, high)
