"""Gap of a practice run, by the method for sets that are equally hard by construction.

It has no panel, no cohort and no evidence level: nothing is decided about the model.
"""

from leaderboard.evidence import statistics
from leaderboard.evidence.entries import LEVEL, effective
from leaderboard.submissions.adaptive import RawGap
from leaderboard.submissions.models import Run, run_counts


def raw_gap(run: Run) -> RawGap:
    """Return the gap between both sets of a graded run, with Newcombe's interval."""
    by_set = {}
    for counts in run_counts(run):
        by_set[counts.set] = effective(counts, counts.mean)
    public_set, private_set = run.submission.pair.sets()
    public = by_set[public_set.name]
    private = by_set[private_set.name]
    low, high = statistics.newcombe(
        public.right,
        public.n,
        private.right,
        private.n,
        LEVEL,
    )
    public_share = public.right / public.n
    private_share = private.right / private.n
    return RawGap(public_share, private_share, low, high)
