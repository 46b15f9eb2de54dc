"""From counts in the database to a finished ranking or analysis. The only room that calls the statistics."""

from leaderboard.rankings.snapshots import cohorts
from leaderboard.rankings.snapshots.boards import METHOD, Draft, build, rank, recompute
from leaderboard.rankings.snapshots.entries import Entry, Tally, newest, of_runs
from leaderboard.rankings.snapshots.published import PublishedDraft, analyse

__all__ = [
    "METHOD",
    "Draft",
    "Entry",
    "PublishedDraft",
    "Tally",
    "analyse",
    "build",
    "cohorts",
    "newest",
    "of_runs",
    "rank",
    "recompute",
]
