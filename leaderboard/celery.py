"""Celery application of the site's workers and of beat: JSON by name, no results.

celery -A leaderboard.celery worker -Q record         as many as the evaluators need
celery -A leaderboard.celery worker -Q rankings       one; likewise housekeeping, notifications
celery -A leaderboard.celery beat                     one
"""

import os
from typing import Any

from celery import Celery, Task
from celery.signals import beat_init, celeryd_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from evaluator.broker import celery_settings
from evaluator.contract import RECORD_QUEUE, RECORD_TASK, SHIP_TASK, Ship, journal_queue
from leaderboard.errors import quiet_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leaderboard.settings")
# Of the recorder, unless another program has read its settings by now.
os.environ.setdefault("HOLDFAST_PROGRAM", "recorder")

# It reads what was just named.
from leaderboard.settings import require_complete

REAP_TASK = "holdfast.reap"
END_LAPSED_TASK = "holdfast.end_lapsed"
"""Ends the attempts whose lease was over at its one argument, a moment. On the queue ``record``.
"""
DRAIN_TASK = "holdfast.drain"
DISPATCH_TASK = "holdfast.dispatch"
"""Dispatches the runs that are due, which `drain` does as well: sent where one becomes due."""
REBUILD_TASK = "holdfast.rebuild"
"""Rebuilds the ranking of one pair; its one argument is the pair's slug. On the queue ``rankings``.
"""
ASK_LOGS_TASK = "holdfast.ask_logs"
WATCH_TASK = "holdfast.watch"
PRUNE_TASK = "holdfast.prune"
NOTIFY_TASK = "holdfast.notify"
"""Sends the mail and calls the webhooks that are due. On a queue of its own, whose worker may wait
for a slow receiver."""
NOTIFICATIONS_QUEUE = "notifications"
HOUSEKEEPING_QUEUE = "housekeeping"
RANKINGS_QUEUE = "rankings"
BEAT_SECONDS = 2.0
ASK_LOGS_SECONDS = 60.0
WATCH_SECONDS = 10.0
PRUNE_SECONDS = 3600.0
"""Often, since beat's schedule is in memory and starts anew with the recorder. Each call prunes a
bounded number of rows."""
VISIBILITY_SECONDS = 60
"""Time after which Redis returns a report that a recorder took with it when it died.

Kombu's default is an hour. A report that is returned while a recorder still works on it is recorded
once.
"""


class QuietTask(Task):  # type: ignore[misc]
    """Task that replaces a database's errors: Celery would log the row that they quote."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task."""
        with quiet_database():
            return super().__call__(*args, **kwargs)


def transport_options(broker_url: str) -> dict[str, Any]:
    """Return the recorder's own options of the broker's transport."""
    if not broker_url.startswith("redis"):
        return {}
    return {"socket_connect_timeout": 3, "visibility_timeout": VISIBILITY_SECONDS}


app = Celery("leaderboard", task_cls=QuietTask, amqp="evaluator.broker:Amqp")
app.conf.update(celery_settings(settings.BROKER_URL))
app.conf.update(
    task_default_queue=HOUSEKEEPING_QUEUE,
    task_routes={
        RECORD_TASK: {"queue": RECORD_QUEUE},
        END_LAPSED_TASK: {"queue": RECORD_QUEUE},
        REBUILD_TASK: {"queue": RANKINGS_QUEUE},
        REAP_TASK: {"queue": HOUSEKEEPING_QUEUE},
        DRAIN_TASK: {"queue": HOUSEKEEPING_QUEUE},
        DISPATCH_TASK: {"queue": HOUSEKEEPING_QUEUE},
        ASK_LOGS_TASK: {"queue": HOUSEKEEPING_QUEUE},
        WATCH_TASK: {"queue": HOUSEKEEPING_QUEUE},
        PRUNE_TASK: {"queue": HOUSEKEEPING_QUEUE},
        NOTIFY_TASK: {"queue": NOTIFICATIONS_QUEUE},
    },
    # A beat that finds the recorder busy must not leave a heap of equal tasks: each expires before
    # the next.
    beat_schedule={
        "reap": {
            "task": REAP_TASK,
            "schedule": BEAT_SECONDS,
            "options": {"expires": 2 * BEAT_SECONDS},
        },
        "drain": {
            "task": DRAIN_TASK,
            "schedule": BEAT_SECONDS,
            "options": {"expires": 2 * BEAT_SECONDS},
        },
        "prune": {
            "task": PRUNE_TASK,
            "schedule": PRUNE_SECONDS,
            "options": {"expires": PRUNE_SECONDS},
        },
        "watch": {
            "task": WATCH_TASK,
            "schedule": WATCH_SECONDS,
            "options": {"expires": WATCH_SECONDS},
        },
        "ask logs": {
            "task": ASK_LOGS_TASK,
            "schedule": ASK_LOGS_SECONDS,
            "options": {"expires": ASK_LOGS_SECONDS},
        },
    },
    # A broker that is away must not delay a request: the outbox is sent again by `drain`.
    task_publish_retry=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
)
app.conf.broker_transport_options |= transport_options(settings.BROKER_URL)
app.autodiscover_tasks(["leaderboard.ledger", "leaderboard.submissions", "leaderboard.board"])


def request_log(evaluator: str, *, after: int) -> None:
    """Ask an evaluator for its log behind the line ``after``.

    Raises the broker's error where the broker is away.
    """
    order = Ship(after=after).to_dict()
    app.send_task(
        SHIP_TASK,
        args=[order],
        queue=journal_queue(evaluator),
        expires=ASK_LOGS_SECONDS,
        retry=False,
    )


def broker_answers() -> bool:
    """Return True if the broker takes a connection and answers on it."""
    with app.connection_for_write() as connection:
        try:
            connection.connect()
            connection.channel().close()
        except (*connection.connection_errors, *connection.channel_errors, OSError):
            return False
    return True


@celeryd_init.connect  # type: ignore[untyped-decorator]
@beat_init.connect  # type: ignore[untyped-decorator]
def refuse_half_a_configuration(**_: Any) -> None:
    """Stop a recorder that lacks a setting before it takes its first message."""
    try:
        require_complete()
    except ImproperlyConfigured as missing:
        # Celery only logs an exception of a handler, and goes on.
        raise SystemExit(str(missing)) from None
