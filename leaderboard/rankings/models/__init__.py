"""What pages read: finished rankings of what we ran, and apart from them what others published."""

from leaderboard.rankings.models.boards import (
    ACCESS,
    WORDS,
    Access,
    EvidenceCode,
    Row,
    Score,
    Snapshot,
    Unranked,
    unranked,
)
from leaderboard.rankings.models.published import PublishedRow, PublishedTable

__all__ = [
    "ACCESS",
    "WORDS",
    "Access",
    "EvidenceCode",
    "PublishedRow",
    "PublishedTable",
    "Row",
    "Score",
    "Snapshot",
    "Unranked",
    "unranked",
]
