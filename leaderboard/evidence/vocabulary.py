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


class Levels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of the evidence levels, as fractions.

    - ``overfit``: largest p-value after Holm's correction over the cohort;
    - ``watch``: largest p-value after Benjamini and Hochberg's correction over the cohort;
    - ``single``: level of a test of one model alone, one-sided;
    - ``power``: chance with which a smallest visible gap is found at level ``single``;
    - ``visible_gap``: largest smallest visible gap at which "no evidence" may be stated;
    - ``truncated``: share of truncated answers on a set above which nothing may be stated.
    """

    overfit: float = 0.05
    watch: float = 0.10
    single: float = 0.05
    power: float = 0.80
    visible_gap: float = 0.05
    truncated: float = 0.02


LEVELS = Levels()
"""Levels in force."""

CohortBasis = Literal["twins", "panel", "none"]
"""Assumption of a verdict: exchangeable sets by construction, a panel of references, or none."""
