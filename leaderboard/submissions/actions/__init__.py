"""Writes across the models of a submission: taking one, recording reports, looking after runs."""

from leaderboard.submissions.actions.attempts import erase_old_keys
from leaderboard.submissions.actions.bounds import practice_use
from leaderboard.submissions.actions.closes import (
    close_rule,
    close_rules,
    hindrance,
    is_due,
    mark_closed,
    next_closes,
    plan_close,
    planned_closes,
    request_rankings,
    withdraw_close,
)
from leaderboard.submissions.actions.commitments import commit_weights
from leaderboard.submissions.actions.continuation import continue_run
from leaderboard.submissions.actions.cordons import (
    condition,
    cordon,
    resume,
    with_condition,
)
from leaderboard.submissions.actions.embargoes import (
    LONGEST_EMBARGO,
    end_embargoes,
    lift_embargo,
    may_lift,
)
from leaderboard.submissions.actions.expected import Expected, expected
from leaderboard.submissions.actions.leases import end_lapsed, request_end_of_lapsed
from leaderboard.submissions.actions.likenesses import compare_weights, hints_of, with_hints
from leaderboard.submissions.actions.lineages import assign_lineage, register_lineage
from leaderboard.submissions.actions.monitoring import (
    examine,
    public_facts,
    refuse_report,
    status,
    watch,
)
from leaderboard.submissions.actions.naming import (
    accept_transfer,
    end_transfer,
    offer_transfer,
    rename_model,
)
from leaderboard.submissions.actions.next_steps import Act, NextStep, next_step, results_on
from leaderboard.submissions.actions.notifications import (
    add_webhook,
    choose_mail,
    deliver,
    owned_webhooks,
    ping_webhook,
    remove_webhook,
    request_notifications,
)
from leaderboard.submissions.actions.pairs import public_only, withdraw_pair
from leaderboard.submissions.actions.preflights import preflight_of, preflight_of_endpoint
from leaderboard.submissions.actions.probes import end_probes, probe_result, request_prompts
from leaderboard.submissions.actions.queue import drain_outbox
from leaderboard.submissions.actions.queue_forecast import Forecast, foresee, foresee_of
from leaderboard.submissions.actions.queue_place import queue_place
from leaderboard.submissions.actions.quotas import quotas_of, set_limit
from leaderboard.submissions.actions.recording import record_report, record_reports
from leaderboard.submissions.actions.relatives import relatives_of
from leaderboard.submissions.actions.release import (
    follow_rule,
    follow_rules,
    propose,
    publish,
    withdraw,
)
from leaderboard.submissions.actions.release_evidence import (
    Weighed,
    forecast,
    release_progress,
    standing,
    weigh,
)
from leaderboard.submissions.actions.replies import (
    hide_reply,
    may_reply,
    withdraw_reply,
    write_reply,
)
from leaderboard.submissions.actions.rescoring import (
    ask_again,
    ask_all_again,
    drain_rescorings,
    switch_grader,
)
from leaderboard.submissions.actions.retention import prune
from leaderboard.submissions.actions.retraction import retract_run
from leaderboard.submissions.actions.runs import (
    cancel,
    graded,
    mark_ranked,
    reap,
    requeue,
)
from leaderboard.submissions.actions.submissions import submit
from leaderboard.submissions.actions.uploads import addresses as upload_addresses
from leaderboard.submissions.actions.uploads import begin as begin_upload
from leaderboard.submissions.actions.uploads import (
    chunk_for,
    open_file,
    put_chunk,
    put_list,
    store_of,
    upload_of,
    uploads_of,
)
from leaderboard.submissions.actions.uploads import complete as complete_upload
from leaderboard.submissions.actions.uploads import delete as delete_upload
from leaderboard.submissions.actions.uploads import expire as expire_uploads
from leaderboard.submissions.actions.uploads import progress as upload_progress
from leaderboard.submissions.actions.watches import (
    WATCH_ENDED,
    end_watch,
    follow_watches,
    overdue_watches,
    watch_endpoint,
)
from leaderboard.submissions.states import Disposition

__all__ = [
    "LONGEST_EMBARGO",
    "WATCH_ENDED",
    "Act",
    "Disposition",
    "Expected",
    "Forecast",
    "NextStep",
    "Weighed",
    "accept_transfer",
    "add_webhook",
    "ask_again",
    "ask_all_again",
    "assign_lineage",
    "begin_upload",
    "cancel",
    "choose_mail",
    "chunk_for",
    "close_rule",
    "close_rules",
    "commit_weights",
    "compare_weights",
    "complete_upload",
    "condition",
    "continue_run",
    "cordon",
    "delete_upload",
    "deliver",
    "drain_outbox",
    "drain_rescorings",
    "end_embargoes",
    "end_lapsed",
    "end_probes",
    "end_transfer",
    "end_watch",
    "erase_old_keys",
    "examine",
    "expected",
    "expire_uploads",
    "follow_rule",
    "follow_rules",
    "follow_watches",
    "forecast",
    "foresee",
    "foresee_of",
    "graded",
    "hide_reply",
    "hindrance",
    "hints_of",
    "is_due",
    "lift_embargo",
    "mark_closed",
    "mark_ranked",
    "may_lift",
    "may_reply",
    "next_closes",
    "next_step",
    "offer_transfer",
    "open_file",
    "overdue_watches",
    "owned_webhooks",
    "ping_webhook",
    "plan_close",
    "planned_closes",
    "practice_use",
    "preflight_of",
    "preflight_of_endpoint",
    "probe_result",
    "propose",
    "prune",
    "public_facts",
    "public_only",
    "publish",
    "put_chunk",
    "put_list",
    "queue_place",
    "quotas_of",
    "reap",
    "record_report",
    "record_reports",
    "refuse_report",
    "register_lineage",
    "relatives_of",
    "release_progress",
    "remove_webhook",
    "rename_model",
    "request_end_of_lapsed",
    "request_notifications",
    "request_prompts",
    "request_rankings",
    "requeue",
    "results_on",
    "resume",
    "retract_run",
    "set_limit",
    "standing",
    "status",
    "store_of",
    "submit",
    "switch_grader",
    "upload_addresses",
    "upload_of",
    "upload_progress",
    "uploads_of",
    "watch",
    "watch_endpoint",
    "weigh",
    "with_condition",
    "with_hints",
    "withdraw",
    "withdraw_close",
    "withdraw_pair",
    "withdraw_reply",
    "write_reply",
]
