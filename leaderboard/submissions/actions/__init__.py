"""Writes across the models of a submission: taking one, recording reports, looking after runs."""

from leaderboard.submissions.actions.attempts import erase_old_keys
from leaderboard.submissions.actions.closes import close_rule, next_closes
from leaderboard.submissions.actions.commitments import commit_weights
from leaderboard.submissions.actions.continuation import continue_run
from leaderboard.submissions.actions.expected import Expected, expected
from leaderboard.submissions.actions.leases import end_lapsed, request_end_of_lapsed
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
from leaderboard.submissions.actions.pairs import withdraw_pair
from leaderboard.submissions.actions.queue import drain_outbox
from leaderboard.submissions.actions.queue_place import queue_place
from leaderboard.submissions.actions.quotas import quotas_of, set_limit
from leaderboard.submissions.actions.recording import record_report
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
    is_due,
    mark_ranked,
    reap,
    request_rankings,
    requeue,
)
from leaderboard.submissions.actions.submissions import preflight_of, submit
from leaderboard.submissions.actions.uploads import begin as begin_upload
from leaderboard.submissions.actions.uploads import (
    chunk_for,
    open_file,
    put_chunk,
    put_list,
    upload_of,
    uploads_of,
)
from leaderboard.submissions.actions.uploads import complete as complete_upload
from leaderboard.submissions.actions.uploads import delete as delete_upload
from leaderboard.submissions.actions.uploads import expire as expire_uploads
from leaderboard.submissions.actions.uploads import progress as upload_progress
from leaderboard.submissions.states import Disposition

__all__ = [
    "Act",
    "Disposition",
    "Expected",
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
    "commit_weights",
    "complete_upload",
    "continue_run",
    "delete_upload",
    "deliver",
    "drain_outbox",
    "drain_rescorings",
    "end_lapsed",
    "end_transfer",
    "erase_old_keys",
    "examine",
    "expected",
    "expire_uploads",
    "follow_rule",
    "follow_rules",
    "forecast",
    "graded",
    "is_due",
    "mark_ranked",
    "next_closes",
    "next_step",
    "offer_transfer",
    "open_file",
    "owned_webhooks",
    "ping_webhook",
    "preflight_of",
    "propose",
    "prune",
    "public_facts",
    "publish",
    "put_chunk",
    "put_list",
    "queue_place",
    "quotas_of",
    "reap",
    "record_report",
    "refuse_report",
    "register_lineage",
    "release_progress",
    "remove_webhook",
    "rename_model",
    "request_end_of_lapsed",
    "request_notifications",
    "request_rankings",
    "requeue",
    "results_on",
    "retract_run",
    "set_limit",
    "standing",
    "status",
    "submit",
    "switch_grader",
    "upload_of",
    "upload_progress",
    "uploads_of",
    "watch",
    "weigh",
    "withdraw",
    "withdraw_pair",
]
