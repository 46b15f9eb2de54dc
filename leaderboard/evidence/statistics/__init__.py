"""Pure numbers in, pure numbers out: intervals, gaps, ranks, words. No Django, no clock; dice are an argument."""

from leaderboard.evidence.statistics.accuracy import Clustered, Spread, clustered, sampled
from leaderboard.evidence.statistics.adjusted import (
    AdjustedGap,
    adjusted_gap,
    gaps_against,
    leave_one_out,
)
from leaderboard.evidence.statistics.ancova import Calibrated, ItemGap, calibrate, item_gap
from leaderboard.evidence.statistics.differences import (
    ScoreTest,
    agresti_caffo,
    barnard,
    boschloo,
    fisher,
    mee,
    miettinen_nurminen,
    newcombe,
    score_test,
    score_z,
)
from leaderboard.evidence.statistics.families import adjusted_covariance
from leaderboard.evidence.statistics.fragility import Fragility, fewest_contaminated
from leaderboard.evidence.statistics.intervals import (
    Interval,
    accuracy_interval,
    clopper_pearson,
    mid_p,
    wald,
    wilson,
)
from leaderboard.evidence.statistics.leaks import (
    Leak,
    canaries_by_chance,
    leak_contrast,
    leak_contrast_by_item,
)
from leaderboard.evidence.statistics.likelihood import (
    Association,
    Contrast,
    bca_over_families,
    kendall,
    likelihood_contrast,
    min_k,
    partial_spearman,
    spearman,
)
from leaderboard.evidence.statistics.logits import Sides
from leaderboard.evidence.statistics.meta import (
    Family,
    Pooled,
    der_simonian_laird,
    family_gap,
    shared_covariance,
)
from leaderboard.evidence.statistics.multiplicity import benjamini_hochberg, holm
from leaderboard.evidence.statistics.paired import mcnemar_chi2, mcnemar_exact, tango
from leaderboard.evidence.statistics.pairwise import packed, rank_among
from leaderboard.evidence.statistics.panel import FEWEST_REFERENCES, Panel, fit_panel
from leaderboard.evidence.statistics.power import (
    items_needed,
    visible,
    visible_paired,
    visible_raw_gap,
)
from leaderboard.evidence.statistics.ranks import Standing, standings
from leaderboard.evidence.statistics.ranksets import RankSet, marginal_rank_set, rank_sets
from leaderboard.evidence.statistics.release import is_surely_above, release_bound
from leaderboard.evidence.statistics.sampling import (
    SampledScore,
    best_of_n,
    maj_at_k,
    over_items,
    pass_at_k,
    pass_hat_k,
)
from leaderboard.evidence.statistics.verdicts import (
    Case,
    Counts,
    GapTest,
    Verdict,
    is_truncated,
    raw_test,
    smallest_visible_gap,
    verdicts,
    worst_case_gap,
)

__all__ = [
    "FEWEST_REFERENCES",
    "AdjustedGap",
    "Association",
    "Calibrated",
    "Case",
    "Clustered",
    "Contrast",
    "Counts",
    "Family",
    "Fragility",
    "GapTest",
    "Interval",
    "ItemGap",
    "Leak",
    "Panel",
    "Pooled",
    "RankSet",
    "SampledScore",
    "ScoreTest",
    "Sides",
    "Spread",
    "Standing",
    "Verdict",
    "accuracy_interval",
    "adjusted_covariance",
    "adjusted_gap",
    "agresti_caffo",
    "barnard",
    "bca_over_families",
    "benjamini_hochberg",
    "best_of_n",
    "boschloo",
    "calibrate",
    "canaries_by_chance",
    "clopper_pearson",
    "clustered",
    "der_simonian_laird",
    "family_gap",
    "fewest_contaminated",
    "fisher",
    "fit_panel",
    "gaps_against",
    "holm",
    "is_surely_above",
    "is_truncated",
    "item_gap",
    "items_needed",
    "kendall",
    "leak_contrast",
    "leak_contrast_by_item",
    "leave_one_out",
    "likelihood_contrast",
    "maj_at_k",
    "marginal_rank_set",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mee",
    "mid_p",
    "miettinen_nurminen",
    "min_k",
    "newcombe",
    "over_items",
    "packed",
    "partial_spearman",
    "pass_at_k",
    "pass_hat_k",
    "rank_among",
    "rank_sets",
    "raw_test",
    "release_bound",
    "sampled",
    "score_test",
    "score_z",
    "shared_covariance",
    "smallest_visible_gap",
    "spearman",
    "standings",
    "tango",
    "verdicts",
    "visible",
    "visible_paired",
    "visible_raw_gap",
    "wald",
    "wilson",
    "worst_case_gap",
]
