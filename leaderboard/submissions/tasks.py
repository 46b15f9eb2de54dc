"""Tasks of the recorder. Each calls one action; no text of a database reaches a log."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from celery import Task
from django.db import close_old_connections

from evaluator.contract import RECORD_TASK
from evaluator.errors import EvaluatorError
from evaluator.ledger.envelopes import unpack_envelopes
from leaderboard.celery import (
    DISPATCH_TASK,
    DRAIN_TASK,
    END_LAPSED_TASK,
    NOTIFY_TASK,
    PRUNE_TASK,
    REAP_TASK,
    WATCH_TASK,
    app,
)
from leaderboard.errors import Refusal, SiteError, SiteUnavailable, quiet_database
from leaderboard.submissions import actions

logger = logging.getLogger(__name__)

T = TypeVar("T")
PATIENCE = 20
"""Number of tries of a report while the database is away, before it goes back to the broker."""
LONGEST_WAIT_SECONDS = 30.0


def patiently(action: Callable[[], T], *, sleep: Callable[[float], None] = time.sleep) -> T:
    """Run ``action``, repeatedly while the database is away, with growing pauses and jitter."""
    for tried in range(PATIENCE):
        try:
            with quiet_database():
                return action()
        except SiteUnavailable as failure:
            if failure.code is not Refusal.DATABASE_AWAY or tried == PATIENCE - 1:
                raise
            logger.warning("waiting for the database: %s", failure.detail)
            close_old_connections()
            jitter = random.uniform(0.5, 1.0)  # noqa: S311
            sleep(min(LONGEST_WAIT_SECONDS, 0.2 * 2**tried) * jitter)
    raise AssertionError("unreachable")


# Acknowledged late, unlike the other tasks: a recorder that dies must not lose a report, and one
# that comes twice is recorded once.
@app.task(
    name=RECORD_TASK,
    bind=True,
    acks_late=True,
    reject_on_worker_lost=True,
    max_retries=None,
    typing=False,
)  # type: ignore[untyped-decorator]
def record(self: "Task[..., None]", *args: object, **kwargs: object) -> None:
    """Record the reports of a message. A refusal is logged by its code; the recorder goes on."""
    if len(args) != 1 or kwargs:
        logger.warning("refused a report: arguments")
        return
    try:
        envelopes = unpack_envelopes(args[0])
    except EvaluatorError as failure:
        logger.warning("refused a report: %s %s", failure.code, failure.detail)
        count_refused(args[0], failure)
        return
    try:
        if len(envelopes) == 1 or not record_together(envelopes):
            record_each(envelopes)
    except SiteUnavailable as failure:
        if failure.code is not Refusal.DATABASE_AWAY:
            raise
        raise self.retry(countdown=LONGEST_WAIT_SECONDS) from None


def record_together(envelopes: Sequence[object]) -> bool:
    """Record the reports of a message in one transaction.

    Return False where one of them fails: each is to be recorded alone, and to fail alone. Raises
    ``database_away``.
    """
    try:
        patiently(partial(actions.record_reports, envelopes=envelopes))
    except SiteUnavailable as failure:
        if failure.code is Refusal.DATABASE_AWAY:
            raise
        logger.warning("a message is recorded report by report: %s", failure.code)
        return False
    except Exception as failure:  # noqa: BLE001 - a defect that one report meets costs no other
        logger.warning("a message is recorded report by report: %s", type(failure).__name__)
        return False
    return True


def record_each(envelopes: Sequence[object]) -> None:
    """Record reports one by one. Raises ``database_away``, and a defect once all were tried."""
    defects: list[Exception] = []
    for envelope in envelopes:
        try:
            patiently(partial(actions.record_report, envelope=envelope))
        except EvaluatorError as failure:
            logger.warning("refused a report: %s %s", failure.code, failure.detail)
            count_refused(envelope, failure)
        except SiteUnavailable as failure:
            logger.error("report not recorded: %s %s", failure.code, failure.detail)
            if failure.code is Refusal.DATABASE_AWAY:
                raise
        except Exception as defect:  # noqa: BLE001 - raised below
            defects.append(defect)
    if defects:
        raise defects[0]


def count_refused(envelope: object, refusal: EvaluatorError) -> None:
    """Count a refused report. Where the database is away, only the log has it."""
    try:
        with quiet_database():
            actions.refuse_report(envelope, refusal)
    except SiteError as failure:
        logger.warning("refused report not counted: %s %s", failure.code, failure.detail)


@app.task(name=WATCH_TASK)  # type: ignore[untyped-decorator]
def watch() -> None:
    """Stamp the heartbeat by which a dead beat is seen."""
    housekeeping(actions.watch)


@app.task(name=PRUNE_TASK)  # type: ignore[untyped-decorator]
def prune() -> None:
    """Delete rows that are past their time."""
    housekeeping(lambda: actions.prune().total)
    housekeeping(actions.expire_uploads)


@app.task(name=REAP_TASK)  # type: ignore[untyped-decorator]
def reap() -> None:
    """Request the end of expired attempts, erase old keys, end embargoes, request rankings, follow
    the rules and the watch list.
    """
    housekeeping(actions.request_end_of_lapsed)
    housekeeping(actions.erase_old_keys)
    housekeeping(actions.end_embargoes)
    housekeeping(actions.end_probes)
    housekeeping(actions.request_rankings)
    housekeeping(actions.follow_rules)
    housekeeping(actions.follow_watches)


@app.task(name=END_LAPSED_TASK, typing=False)  # type: ignore[untyped-decorator]
def end_lapsed(*args: object, **kwargs: object) -> None:
    """Requeue or fail the attempts that were over at a moment."""
    match args:
        case (str(moment),) if not kwargs:
            try:
                parsed = datetime.fromisoformat(moment).astimezone(UTC)
            except (ValueError, OverflowError):
                logger.warning("refused a moment")
                return
            housekeeping(lambda: actions.end_lapsed(moment=parsed))
        case _:
            logger.warning("refused a moment: arguments")


@app.task(name=DRAIN_TASK)  # type: ignore[untyped-decorator]
def drain() -> None:
    """Send the jobs and the orders that are due; then compare weights that a run has brought."""
    housekeeping(actions.drain_outbox)
    housekeeping(actions.drain_rescorings)
    housekeeping(actions.request_prompts)
    housekeeping(actions.request_notifications)
    housekeeping(actions.compare_weights)


@app.task(name=DISPATCH_TASK)  # type: ignore[untyped-decorator]
def dispatch() -> None:
    """Send the jobs that are due, as soon as one was made due."""
    housekeeping(actions.drain_outbox)


@app.task(name=NOTIFY_TASK)  # type: ignore[untyped-decorator]
def notify() -> None:
    """Send the notifications that are due. Those left are requested again by the housekeeping."""
    housekeeping(actions.deliver)


def housekeeping(action: Callable[[], int]) -> None:
    """Run ``action``. Logs one line where the database is away: the task runs again in seconds."""
    try:
        with quiet_database():
            action()
    except SiteUnavailable as failure:
        logger.warning("housekeeping put off: %s %s", failure.code, failure.detail)
