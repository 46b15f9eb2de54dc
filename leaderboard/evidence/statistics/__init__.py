"""Pure functions of numbers: intervals, gaps, ranks and evidence levels.

No Django, no clock; a random generator is an argument.
"""

from leaderboard.evidence.statistics.accuracy import Clustered, Spread, clustered, sampled
from leaderboard.evidence.statistics.adjusted import (
    AdjustedGap,
    adjusted_gap,
    gaps_against,
)
from leaderboard.evidence.statistics.ancova import (
    ItemGap,
    ItemPanel,
    item_gap,
    item_gap_against,
    item_panel,
)
from leaderboard.evidence.statistics.calibration import FEWEST_VOTES, Calibration, calibrate
from leaderboard.evidence.statistics.differences import (
    ScoreTest,
    joined,
    miettinen_nurminen,
    newcombe,
    score_test,
    score_z,
)
from leaderboard.evidence.statistics.fragility import Fragility, fewest_contaminated
from leaderboard.evidence.statistics.intervals import (
    Interval,
    accuracy_interval,
    clopper_pearson,
    wilson,
)
from leaderboard.evidence.statistics.leaks import (
    Leak,
    leak_contrast,
)
from leaderboard.evidence.statistics.likelihood import (
    Association,
    bca_over_families,
    kendall,
    partial_spearman,
    spearman,
)
from leaderboard.evidence.statistics.logits import Sides
from leaderboard.evidence.statistics.meta import (
    Family,
    family_gap,
    shared_covariance,
    sign_test,
)
from leaderboard.evidence.statistics.multiplicity import benjamini_hochberg, holm
from leaderboard.evidence.statistics.panel import FEWEST_REFERENCES, Panel, fit_panel
from leaderboard.evidence.statistics.power import (
    visible,
    visible_raw_gap,
)
from leaderboard.evidence.statistics.ranks import Standing, standings
from leaderboard.evidence.statistics.ranksets import RankSet, rank_sets
from leaderboard.evidence.statistics.sampling import (
    SampledScore,
    best_of_n,
    clustered_interval,
    effective_items,
    maj_at_k,
    over_items,
    pass_at_k,
    pass_hat_k,
)
from leaderboard.evidence.statistics.shrinkage import Shrunken, shrunken
from leaderboard.evidence.statistics.staged_leaks import StagedLeak, easiness, staged_leak
from leaderboard.evidence.statistics.verdicts import (
    Case,
    Counts,
    GapTest,
    Verdict,
    adjusted_test,
    beyond_noise,
    evidence_level,
    is_truncated,
    raw_test,
    smallest_visible_gap,
    verdict,
    worst_case_gap,
)

__all__ = [
    "FEWEST_REFERENCES",
    "FEWEST_VOTES",
    "AdjustedGap",
    "Association",
    "Calibration",
    "Case",
    "Clustered",
    "Counts",
    "Family",
    "Fragility",
    "GapTest",
    "Interval",
    "ItemGap",
    "ItemPanel",
    "Leak",
    "Panel",
    "RankSet",
    "SampledScore",
    "ScoreTest",
    "Shrunken",
    "Sides",
    "Spread",
    "StagedLeak",
    "Standing",
    "Verdict",
    "accuracy_interval",
    "adjusted_gap",
    "adjusted_test",
    "bca_over_families",
    "benjamini_hochberg",
    "best_of_n",
    "beyond_noise",
    "calibrate",
    "clopper_pearson",
    "clustered",
    "clustered_interval",
    "easiness",
    "effective_items",
    "evidence_level",
    "family_gap",
    "fewest_contaminated",
    "fit_panel",
    "gaps_against",
    "holm",
    "is_truncated",
    "item_gap",
    "item_gap_against",
    "item_panel",
    "joined",
    "kendall",
    "leak_contrast",
    "maj_at_k",
    "miettinen_nurminen",
    "newcombe",
    "over_items",
    "partial_spearman",
    "pass_at_k",
    "pass_hat_k",
    "rank_sets",
    "raw_test",
    "sampled",
    "score_test",
    "score_z",
    "shared_covariance",
    "shrunken",
    "sign_test",
    "smallest_visible_gap",
    "spearman",
    "staged_leak",
    "standings",
    "verdict",
    "visible",
    "visible_raw_gap",
    "wilson",
    "worst_case_gap",
]
