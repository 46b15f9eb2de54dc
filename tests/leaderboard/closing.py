"""What a board shows once its cohort is closed."""

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import snapshot as snapshots
from leaderboard.board.actions import close_cohort, rebuild
from leaderboard.board.models import Snapshot


def publish(*, pair: SetPair) -> Snapshot:
    """Close the cohort of ``pair``; the board that comes of it."""
    close_cohort(pair=pair)
    return rebuild(pair=pair)


def drafted(pair: SetPair) -> snapshots.Draft:
    """The same, with the newest ranking computed once more and not saved."""
    close_cohort(pair=pair)
    return snapshots.build(pair)
