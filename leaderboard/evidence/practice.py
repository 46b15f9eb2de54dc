"""Gap of a practice run, by the method for sets that are equally hard by construction.

It has no panel, no cohort and no evidence level: nothing is decided about the model.
"""

from leaderboard.evidence import statistics
from leaderboard.evidence.entries import LEVEL, effective
from leaderboard.submissions.adaptive import RawGap
from leaderboard.submissions.models import Run, run_counts


def raw_gap(run: Run) -> RawGap:
    """Return the gap between both sets of a graded run, with Newcombe's interval."""
    counts = {one.set: effective(one, one.mean) for one in run_counts(run)}
    public, private = run.submission.pair.sets()
    first = counts[public.name]
    second = counts[private.name]
    low, high = statistics.newcombe(first.right, first.n, second.right, second.n, LEVEL)
    return RawGap(first.right / first.n, second.right / second.n, low, high)
