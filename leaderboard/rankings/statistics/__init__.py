"""Pure numbers in, pure numbers out: intervals, gaps, ranks and the evidence words. No Django, no clock; randomness
is an argument."""

from leaderboard.rankings.statistics.accuracy import Clustered, Spread, clustered, sampled
from leaderboard.rankings.statistics.differences import (
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
from leaderboard.rankings.statistics.evidence import Counts, Evidence, judge, smallest_visible_gap
from leaderboard.rankings.statistics.intervals import Interval, accuracy_interval, clopper_pearson, mid_p, wald, wilson
from leaderboard.rankings.statistics.likelihood import (
    Association,
    Contrast,
    bca_over_families,
    kendall,
    likelihood_contrast,
    min_k,
    partial_spearman,
    spearman,
)
from leaderboard.rankings.statistics.meta import Family, Pooled, der_simonian_laird, family_gap, shared_covariance
from leaderboard.rankings.statistics.multiplicity import benjamini_hochberg, holm
from leaderboard.rankings.statistics.paired import mcnemar_chi2, mcnemar_exact, tango
from leaderboard.rankings.statistics.power import items_needed, visible, visible_paired, visible_raw_gap
from leaderboard.rankings.statistics.ranks import Standing, standings
from leaderboard.rankings.statistics.release import is_surely_above, release_bound
from leaderboard.rankings.statistics.sampling import (
    SampledScore,
    best_of_n,
    maj_at_k,
    over_items,
    pass_at_k,
    pass_hat_k,
)
