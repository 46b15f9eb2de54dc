"""Models, submissions and runs. No column here could hold the text of an item."""

from leaderboard.submissions.models.messages import Decline, Outbox, Receipt
from leaderboard.submissions.models.monitoring import (
    BEAT,
    RECORDED,
    Heartbeat,
    RefusedReport,
)
from leaderboard.submissions.models.naming import (
    TRANSFER_DAYS,
    FormerIdentity,
    Transfer,
    names_of,
    owners_so_far,
)
from leaderboard.submissions.models.notifications import (
    Delivery,
    MailChoice,
    StateChange,
    Webhook,
)
from leaderboard.submissions.models.outcomes import (
    COUNTED,
    UNASSIGNED,
    PackedOutcomes,
    PublicCounts,
    RunOutcomes,
    SampleMean,
    blocks_asked,
    runs_asked,
    sealed_selection,
)
from leaderboard.submissions.models.plans import RunPlan, plan_facts
from leaderboard.submissions.models.published_scores import published_in_steps, run_counts
from leaderboard.submissions.models.quotas import QuotaEntry
from leaderboard.submissions.models.rescoring import (
    COUNTS,
    CountsByGrader,
    GraderComparison,
    RescoredOutcomes,
    Rescoring,
    compare_graders,
)
from leaderboard.submissions.models.runs import Run, seconds_from_now
from leaderboard.submissions.models.statements import (
    Statements,
    statements_of_runs,
    trained_on_public,
)
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
from leaderboard.submissions.models.uploads import Upload, UploadFile

__all__ = [
    "BEAT",
    "COUNTED",
    "COUNTS",
    "MODEL_NAME",
    "RECORDED",
    "SERVED_NAME",
    "TRANSFER_DAYS",
    "UNASSIGNED",
    "Commitment",
    "CountsByGrader",
    "Decline",
    "Delivery",
    "FormerIdentity",
    "GraderComparison",
    "Heartbeat",
    "Lineage",
    "LineageRecord",
    "MailChoice",
    "Model",
    "Outbox",
    "PackedOutcomes",
    "PublicCounts",
    "QuotaEntry",
    "Receipt",
    "RefusedReport",
    "RescoredOutcomes",
    "Rescoring",
    "Run",
    "RunOutcomes",
    "RunPlan",
    "SampleMean",
    "StateChange",
    "Statements",
    "Submission",
    "TensorList",
    "Transfer",
    "Upload",
    "UploadFile",
    "Webhook",
    "blocks_asked",
    "compare_graders",
    "names_of",
    "owners_so_far",
    "plan_facts",
    "published_in_steps",
    "run_counts",
    "runs_asked",
    "sealed_selection",
    "seconds_from_now",
    "statements_of_runs",
    "trained_on_public",
]
