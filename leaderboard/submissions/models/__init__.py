"""Models, submissions and runs. No column here could hold the text of an item: outcomes are one byte each."""

from leaderboard.submissions.models.operations import BEAT, Heartbeat, RefusedReport
from leaderboard.submissions.models.rescoring import (
    SIDES,
    Beside,
    GraderTally,
    RescoredOutcomes,
    Rescoring,
    side_by_side,
)
from leaderboard.submissions.models.results import (
    COUNTED,
    UNASSIGNED,
    Decline,
    Outbox,
    PackedOutcomes,
    Receipt,
    RunOutcomes,
    Told,
    runs_asked,
    sealed_form,
    told_of,
)
from leaderboard.submissions.models.runs import Run, seconds_from_now
from leaderboard.submissions.models.systems import (
    MODEL_NAME,
    SERVED_NAME,
    Commitment,
    Lineage,
    LineageRecord,
    Model,
    Submission,
    TensorList,
)

__all__ = [
    "BEAT",
    "COUNTED",
    "MODEL_NAME",
    "SERVED_NAME",
    "SIDES",
    "UNASSIGNED",
    "Beside",
    "Commitment",
    "Decline",
    "GraderTally",
    "Heartbeat",
    "Lineage",
    "LineageRecord",
    "Model",
    "Outbox",
    "PackedOutcomes",
    "Receipt",
    "RefusedReport",
    "RescoredOutcomes",
    "Rescoring",
    "Run",
    "RunOutcomes",
    "Submission",
    "TensorList",
    "Told",
    "runs_asked",
    "sealed_form",
    "seconds_from_now",
    "side_by_side",
    "told_of",
]
