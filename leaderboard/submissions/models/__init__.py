"""Models, submissions and runs. No column here could hold the text of an item."""

from leaderboard.submissions.models.closes import PlannedClose
from leaderboard.submissions.models.embargoes import Embargo, is_decided, shown_from
from leaderboard.submissions.models.letters import Letter
from leaderboard.submissions.models.messages import Decline, Outbox, Receipt, ReportKey
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
    PassAt,
    PublicCounts,
    RunOutcomes,
    SampleMean,
    blocks_asked,
    public_outcomes,
    runs_asked,
    sealed_selection,
)
from leaderboard.submissions.models.plans import RunPlan, plan_facts
from leaderboard.submissions.models.practice import PracticeResult, Transcript
from leaderboard.submissions.models.probes import Probe, PublicPrompt
from leaderboard.submissions.models.published_scores import published_in_steps, run_counts
from leaderboard.submissions.models.quotas import QuotaEntry
from leaderboard.submissions.models.replies import Reply
from leaderboard.submissions.models.rescoring import (
    COUNTS,
    CountsByGrader,
    GraderComparison,
    RescoredOutcomes,
    Rescoring,
    compare_graders,
)
from leaderboard.submissions.models.runs import Run, lease_end, seconds_from_now
from leaderboard.submissions.models.statements import (
    Statements,
    adapters_of_runs,
    base_models,
    statements_of_runs,
    trained_on_public,
)
from leaderboard.submissions.models.systems import (
    MODEL_NAME,
    SERVED_NAME,
    Commitment,
    Likeness,
    Lineage,
    LineageRecord,
    Model,
    SampledTensor,
    Submission,
    TensorList,
)
from leaderboard.submissions.models.uploads import Upload, UploadFile
from leaderboard.submissions.models.watching import Change, Occasion, Watch

__all__ = [
    "BEAT",
    "COUNTED",
    "COUNTS",
    "MODEL_NAME",
    "RECORDED",
    "SERVED_NAME",
    "TRANSFER_DAYS",
    "UNASSIGNED",
    "Change",
    "Commitment",
    "CountsByGrader",
    "Decline",
    "Delivery",
    "Embargo",
    "FormerIdentity",
    "GraderComparison",
    "Heartbeat",
    "Letter",
    "Likeness",
    "Lineage",
    "LineageRecord",
    "MailChoice",
    "Model",
    "Occasion",
    "Outbox",
    "PackedOutcomes",
    "PassAt",
    "PlannedClose",
    "PracticeResult",
    "Probe",
    "PublicCounts",
    "PublicPrompt",
    "QuotaEntry",
    "Receipt",
    "RefusedReport",
    "Reply",
    "ReportKey",
    "RescoredOutcomes",
    "Rescoring",
    "Run",
    "RunOutcomes",
    "RunPlan",
    "SampleMean",
    "SampledTensor",
    "StateChange",
    "Statements",
    "Submission",
    "TensorList",
    "Transcript",
    "Transfer",
    "Upload",
    "UploadFile",
    "Watch",
    "Webhook",
    "adapters_of_runs",
    "base_models",
    "blocks_asked",
    "compare_graders",
    "is_decided",
    "lease_end",
    "names_of",
    "owners_so_far",
    "plan_facts",
    "public_outcomes",
    "published_in_steps",
    "run_counts",
    "runs_asked",
    "sealed_selection",
    "seconds_from_now",
    "shown_from",
    "statements_of_runs",
    "trained_on_public",
]
