"""All that writes across the models of a submission: taking one, recording reports, looking after runs."""

from leaderboard.submissions.actions.queueing import (
    cancel,
    drain_outbox,
    mark_ranked,
    reap,
    requeue,
    ring_unranked,
)
from leaderboard.submissions.actions.recording import Disposition, record_report
from leaderboard.submissions.actions.submitting import submit

__all__ = [
    "Disposition",
    "cancel",
    "drain_outbox",
    "mark_ranked",
    "reap",
    "record_report",
    "requeue",
    "ring_unranked",
    "submit",
]
