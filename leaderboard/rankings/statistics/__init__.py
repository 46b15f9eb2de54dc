"""Pure numbers in, pure numbers out: intervals, ranks and the evidence word. No Django, no clock, no randomness."""

from leaderboard.rankings.statistics.evidence import Counts, Evidence, judge, smallest_visible_gap
from leaderboard.rankings.statistics.intervals import Interval, newcombe, wilson
from leaderboard.rankings.statistics.ranks import Standing, standings

__all__ = [
    "Counts",
    "Evidence",
    "Interval",
    "Standing",
    "judge",
    "newcombe",
    "smallest_visible_gap",
    "standings",
    "wilson",
]
