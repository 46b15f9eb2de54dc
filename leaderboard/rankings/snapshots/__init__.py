"""From counts in the database to a finished ranking or analysis. The only room that calls the statistics."""

from leaderboard.rankings.snapshots.boards import METHOD, Draft, Entry, Tally, build, rank, recompute
from leaderboard.rankings.snapshots.published import PublishedDraft, analyse

__all__ = ["METHOD", "Draft", "Entry", "PublishedDraft", "Tally", "analyse", "build", "rank", "recompute"]
