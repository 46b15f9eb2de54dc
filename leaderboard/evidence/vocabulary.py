"""Evidence levels: their names, the thresholds behind them, and the one place where both stand.

Verdicts and analyses carry the :class:`Levels` that they were decided by, so that prose and pages
read thresholds from what they show and never from a constant of their own.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec


class Evidence(StrEnum):
    """Evidence of overfitting to the public set. Never "clean", never "cheating".

    ``PENDING`` is that of a run whose cohort is not closed yet.
    """

    OVERFIT = "overfit"
    WATCH = "watch"
    NO_EVIDENCE = "no_evidence"
    CANNOT_TELL = "cannot_tell"
    PENDING = "pending"

    @property
    def label(self) -> str:
        """Name on pages."""
        return LABELS[self]


LABELS: Mapping[Evidence, str] = {
    Evidence.OVERFIT: "overfit",
    Evidence.WATCH: "watch",
    Evidence.NO_EVIDENCE: "no evidence",
    Evidence.CANNOT_TELL: "cannot tell",
    Evidence.PENDING: "not decided yet",
}
DECIDED = tuple(level for level in Evidence if level is not Evidence.PENDING)
"""Levels that a verdict can have, the strongest first."""


LARGEST_TRIED = 200
"""Cohort size up to which the fewest contaminated references are found: half a second for each."""
FLAGGED = (Evidence.OVERFIT, Evidence.WATCH)
"""Levels that state a gap beyond chance, the stronger first."""


class Levels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of the evidence levels, as fractions.

    - ``overfit``, ``watch``: largest p-values of the two levels, one-sided;
    - ``visible_gap``: largest gap that may need to be there before a test finds it at level
      ``watch``; a weaker test states nothing;
    - ``power``: chance with which a smallest visible gap is found;
    - ``truncated``: share of truncated answers on a set above which nothing may be stated;
    - ``single``: level of a test that decides no evidence level, such as that of a leak;
    - ``holm``, ``benjamini_hochberg``: levels of the corrections over a published table, which
      decide no evidence level;
    - ``correction``: "none" where the p-value is that of one model alone. "cohort" where it was
      corrected over the cohort, by Holm for ``overfit`` and by Benjamini and Hochberg for
      ``watch``, as in the methods before ``evidence-3``, whose bodies have no such field.
    """

    overfit: float
    watch: float
    visible_gap: float
    power: float = 0.80
    truncated: float = 0.02
    single: float = 0.05
    holm: float = 0.05
    benjamini_hochberg: float = 0.10
    correction: Literal["none", "cohort"] = "cohort"


LEVELS = Levels(overfit=0.001, watch=0.01, visible_gap=0.08, correction="none")
"""Levels in force."""

CORRECTED_LEVELS = Levels(overfit=0.05, watch=0.10, visible_gap=0.05)
"""Levels of the methods before ``evidence-3``."""

CohortBasis = Literal["twins", "panel", "none"]
"""Assumption of a verdict: exchangeable sets by construction, a panel of references, or none."""
