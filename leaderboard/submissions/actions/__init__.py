"""All that writes across the models of a submission: taking one, recording reports, looking after runs."""

from leaderboard.submissions.actions.continuing import continue_run
from leaderboard.submissions.actions.evidence import Weighed, forecast, weigh
from leaderboard.submissions.actions.lineages import (
    assign_lineage,
    commit_weights,
    register_lineage,
)
from leaderboard.submissions.actions.operations import (
    examine,
    public_facts,
    refuse_report,
    status,
    watch,
)
from leaderboard.submissions.actions.queue_place import queue_place
from leaderboard.submissions.actions.queueing import (
    cancel,
    drain_outbox,
    erase_old_keys,
    graded,
    is_due,
    mark_ranked,
    reap,
    requeue,
    ring_unranked,
)
from leaderboard.submissions.actions.recording import record_report
from leaderboard.submissions.actions.releasing import (
    follow_rule,
    follow_rules,
    propose,
    publish,
    withdraw,
)
from leaderboard.submissions.actions.rescoring import (
    ask_again,
    ask_all_again,
    drain_rescorings,
    switch_grader,
)
from leaderboard.submissions.actions.retention import prune
from leaderboard.submissions.actions.retraction import retract_run
from leaderboard.submissions.actions.submitting import submit
from leaderboard.submissions.actions.withdrawing import withdraw_pair
from leaderboard.submissions.states import Disposition

__all__ = [
    "Disposition",
    "Weighed",
    "ask_again",
    "ask_all_again",
    "assign_lineage",
    "cancel",
    "commit_weights",
    "continue_run",
    "drain_outbox",
    "drain_rescorings",
    "erase_old_keys",
    "examine",
    "follow_rule",
    "follow_rules",
    "forecast",
    "graded",
    "is_due",
    "mark_ranked",
    "propose",
    "prune",
    "public_facts",
    "publish",
    "queue_place",
    "reap",
    "record_report",
    "refuse_report",
    "register_lineage",
    "requeue",
    "retract_run",
    "ring_unranked",
    "status",
    "submit",
    "switch_grader",
    "watch",
    "weigh",
    "withdraw",
    "withdraw_pair",
]
