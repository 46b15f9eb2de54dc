"""Recording reports: each once, only from the attempt that holds the run, in any order.

A message brings one report, or several about one run. They are applied in their order, and run and
outcomes are written once. A report is checked in this order. Where a check fails nothing changes,
since all of the message is one transaction:

- the envelope's signature;
- entries of an exposure journal, which are stored also for an attempt that no longer holds the run:
  the items were shown;
- the fence: token and worker;
- the receipt;
- the body.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, OuterRef, Q, Subquery
from django.db.models.functions import Now
from msgspec import UNSET

from evaluator.contract import (
    ANSWERED,
    Announcement,
    CountsOpening,
    Declined,
    Exposed,
    Failed,
    Finished,
    Graded,
    Identified,
    LeaseAnswer,
    LeaseRefusal,
    LogLine,
    NotRescored,
    Probed,
    Progress,
    Report,
    Rescored,
    SetCounts,
    Started,
    Transcripts,
    unpack_bits,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.ledger.envelopes import open_envelope
from leaderboard.ledger.actions import record_announcement, store_log
from leaderboard.ledger.models import Evaluator, Grant
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.artefacts import identify
from leaderboard.submissions.actions.attempts import (
    answer_lease,
    erase_key,
    fail,
    next_attempt,
    renew_token,
    retry_or_fail,
)
from leaderboard.submissions.actions.closes import request_ranking
from leaderboard.submissions.actions.finishing import store_summary
from leaderboard.submissions.actions.locked import MERGED, LockedRun
from leaderboard.submissions.actions.plans import goes_on
from leaderboard.submissions.actions.practice import store_result, store_transcripts
from leaderboard.submissions.actions.probes import record_probe
from leaderboard.submissions.actions.queue import (
    decline,
    dispatch_on_commit,
    follow_announcement,
)
from leaderboard.submissions.actions.quotas import charge_shown
from leaderboard.submissions.actions.rescoring import order_board_grader, record_rescoring
from leaderboard.submissions.models import (
    Outbox,
    Receipt,
    ReportKey,
    Run,
    lease_end,
    seconds_from_now,
)
from leaderboard.submissions.states import LIVE, Disposition, RunState, is_current

logger = logging.getLogger(__name__)

SENDER = ("pool", "cordon")
"""Fields of an evaluator that decide about its reports of runs. What it announced is long."""
NOTED = (Progress, Graded)
"""Bodies of which there are many, and which do not need what was submitted."""
RECEIPTLESS = (Declined, Rescored, NotRescored)
"""Bodies that are not of an attempt under way: the states of runs and orders sort them out."""
AttemptBody = Started | Identified | Progress | Graded | Transcripts | Finished | Failed
"""Bodies that only the attempt that holds a run may send about it."""


def record_report(*, envelope: object) -> Disposition:
    """Record one report, as :func:`record_reports` does.

    Where it is refused its evaluator is notified, if it asked for the lease.
    """
    return record_reports(envelopes=[envelope])[0]


def record_reports(*, envelopes: Sequence[object]) -> list[Disposition]:
    """Record the reports of one message in their order: all of them, or none.

    Raises ``bad_message`` for one that is malformed, forged or does not fit its run, and for
    several that are not of one evaluator about one run. Record the reports of such a message one
    by one.
    """
    senders: dict[str, Evaluator] = {}

    def public_key_of(name: str) -> str | None:
        if name not in senders:
            named = Evaluator.objects.filter(name=name)
            for sender in named.only("name", "public_key", *SENDER):
                senders[name] = sender
        return senders[name].public_key if name in senders else None

    reports = [open_envelope(envelope, public_key_of) for envelope in envelopes]
    evaluator = senders[reports[0].evaluator]
    body = reports[0].body
    if len(reports) == 1:
        if isinstance(body, Announcement):
            return [_record_announcement(Evaluator.objects.get(pk=evaluator.pk), body)]
        if isinstance(body, Probed):
            return [record_probe(body)]
    else:
        about = {(report.evaluator, report.run) for report in reports}
        alone = any(isinstance(report.body, Announcement | Probed) for report in reports)
        if alone or len(about) != 1:
            raise error(Code.BAD_MESSAGE, "the reports of a message are not of one run")
    try:
        with transaction.atomic():
            return _record(evaluator, reports)
    except EvaluatorError:
        if len(reports) == 1:
            _answer(evaluator, reports[0], LeaseRefusal.BAD_MESSAGE)
        raise


def _record_announcement(evaluator: Evaluator, body: Announcement) -> Disposition:
    before = evaluator.abilities()
    if not record_announcement(evaluator=evaluator, announcement=body):
        return Disposition.STALE
    evaluator.refresh_from_db()
    if evaluator.abilities() != before:
        follow_announcement(evaluator=evaluator)
    return Disposition.APPLIED


def _record(evaluator: Evaluator, reports: Sequence[Report]) -> list[Disposition]:
    """Record reports about one run, in the caller's transaction."""
    bodies = [report.body for report in reports]
    of_token = Grant.objects.filter(
        run=OuterRef("pk"),
        token=OuterRef("token"),
    )
    # Every message locks its run first and its evaluator after it, whichever recorder takes it.
    run = Run.objects.locked(
        reports[0].run,
        submitted=not all(isinstance(body, NOTED) for body in bodies),
        is_late=ExpressionWrapper(Q(deadline__lt=Now()), BooleanField()),
        grant=Subquery(of_token.values("hash")),
    )
    exposed = [body for body in bodies if isinstance(body, Exposed)]
    if exposed:
        # What all reports have of the log, under one lock of the evaluator.
        lines: list[LogLine] = []
        opened: list[CountsOpening] = []
        for body in exposed:
            lines += body.entries
            opened += body.tallies
        heads = [body.head for body in exposed]
        store_log(
            evaluator=evaluator,
            lines=lines,
            notes=heads,
            opened=opened,
        )
    if run is None:
        if len(exposed) == len(bodies):
            return [Disposition.STALE] * len(bodies)
        raise error(Code.BAD_MESSAGE, "no such run")
    if exposed:
        charge_shown(run)
    locked = LockedRun(run)
    unseen = _take_receipts(run, evaluator, reports)
    dispositions = [_record_one(locked, evaluator, report, unseen) for report in reports]
    locked.write()
    return dispositions


def _record_one(
    locked: LockedRun,
    evaluator: Evaluator,
    report: Report,
    unseen: set[ReportKey],
) -> Disposition:
    run = locked.run
    body = report.body
    if isinstance(body, Rescored | NotRescored):
        locked.write()
        return record_rescoring(run, evaluator, report.token, body)
    if isinstance(body, Declined):
        locked.write()
        is_queued = run.state == RunState.QUEUED and report.token == run.token
        if is_queued and evaluator.pool == run.pool:
            decline(run=run, evaluator=evaluator, code=body.code)
            disposition = Disposition.APPLIED
        else:
            disposition = _count_stale(run)
    else:
        disposition = _record_of_attempt(locked, evaluator, report, unseen)
    refusal = _refusal(run, evaluator, report)
    transaction.on_commit(partial(_answer, evaluator, report, refusal))
    return disposition


# --- leases


def _answer(evaluator: Evaluator, report: Report, refusal: LeaseRefusal | None) -> None:
    """Answer a report that asks for the lease, or for its renewal."""
    if report.slot is None or not isinstance(report.body, ANSWERED):
        return
    answer = LeaseAnswer(
        run=report.run,
        token=report.token,
        worker=report.worker,
        sequence=report.sequence,
        refusal=refusal,
    )
    answer_lease(evaluator.name, report.slot, answer)


_ENDED = {
    RunState.CANCELLED: LeaseRefusal.CANCELLED,
    RunState.FAILED: LeaseRefusal.FAILED,
    RunState.GRADED: LeaseRefusal.ENDED,
    RunState.RANKED: LeaseRefusal.ENDED,
}


def _refusal(run: Run, evaluator: Evaluator, report: Report) -> LeaseRefusal | None:
    """Return why an attempt holds no lease of the run, which is locked; None where it holds it."""
    if evaluator.pool != run.pool:
        return LeaseRefusal.OTHER_POOL
    if report.token != run.token:
        return LeaseRefusal.REPLACED
    if ended := _ENDED.get(RunState(run.state)):
        return ended
    if run.state not in LIVE:
        return LeaseRefusal.NOT_BEGUN
    holds = run.evaluator_id == evaluator.pk and run.worker == report.worker
    return None if holds else LeaseRefusal.REPLACED


# --- the fence, the receipt


def _key(report: Report) -> ReportKey:
    return report.token, report.worker, report.sequence


def _is_of_another(run: Run, evaluator: Evaluator) -> bool:
    """Return True where another evaluator holds the run, or one of another pool may."""
    return run.evaluator_id not in (None, evaluator.pk) or evaluator.pool != run.pool


def _take_receipts(
    run: Run,
    evaluator: Evaluator,
    reports: Sequence[Report],
) -> set[ReportKey]:
    """Add the receipts of all reports of attempts. Return those that had none."""
    keys = []
    for report in reports:
        if not isinstance(report.body, RECEIPTLESS):
            keys.append(_key(report))
    if not keys or _is_of_another(run, evaluator):
        # No receipts: they must not pass for those of the evaluator that holds the run.
        return set()
    return Receipt.objects.take(run, keys)


def _record_of_attempt(
    locked: LockedRun,
    evaluator: Evaluator,
    report: Report,
    unseen: set[ReportKey],
) -> Disposition:
    run = locked.run
    if _is_of_another(run, evaluator):
        return _count_stale(run)
    if _key(report) not in unseen:
        return Disposition.DUPLICATE
    unseen.remove(_key(report))
    if not is_current(run.attempt, token=report.token, worker=report.worker):
        return _count_stale(run)
    if run.state in LIVE:
        run.hold(lease_expires=lease_end())
    if isinstance(report.body, Exposed):
        return Disposition.APPLIED
    if withheld := _withhold(locked, evaluator, report):
        return withheld
    if run.state == RunState.QUEUED:
        # Whichever report of the attempt comes first leases the run to it.
        digest = {}
        if isinstance(report.body, Started):
            digest = {"protocol_digest": report.body.protocol_digest}
        seconds = dispatch.seconds_of(run.submission.pair) + settings.LEASE_SECONDS
        run.move(
            RunState.LEASED,
            worker=report.worker,
            slot=report.slot,
            waiting="",
            evaluator=evaluator,
            started_at=Now(),
            phase="loading",
            lease_expires=lease_end(),
            deadline=seconds_from_now(seconds),
            **digest,
        )
    return _apply(locked, cast("AttemptBody", report.body))


def _withhold(locked: LockedRun, evaluator: Evaluator, report: Report) -> Disposition | None:
    """Give a run that an attempt begins too late, or under a cordon, to no evaluator or another.

    Returns the disposition of the report; None where the attempt begins or goes on.
    """
    run = locked.run
    if run.state == RunState.QUEUED:
        if run.is_late:
            fail(run, Code.NOT_STARTED)
            return Disposition.LATE
        if evaluator.cordon:
            # It read the message in the pool's queue, or had it before it was cordoned.
            renew_token(run)
            dispatch_on_commit()
            return Disposition.STALE
        return None
    is_paused = evaluator.cordon == Evaluator.Cordon.PAUSED
    asks_lease = isinstance(report.body, Progress)
    is_undone = run.state in LIVE and run.claimed is None
    if is_paused and asks_lease and is_undone:
        locked.write()
        next_attempt(run, attempts=run.attempts, pause_seconds=0.0)
        dispatch_on_commit()
        return Disposition.APPLIED
    return None


def _count_stale(run: Run) -> Disposition:
    run.hold(stale_reports=run.stale_reports + 1)
    return Disposition.STALE


# --- the body


def _apply(locked: LockedRun, body: AttemptBody) -> Disposition:
    run = locked.run
    if isinstance(body, Started):
        return _apply_started(locked, body)
    if isinstance(body, Graded):
        return _apply_graded(locked, body)
    if isinstance(body, Transcripts):
        locked.write()
        return store_transcripts(run, body)
    if run.state not in LIVE:
        return Disposition.LATE
    if isinstance(body, Identified):
        locked.write()
        identify(run, body)
    elif isinstance(body, Failed):
        locked.write()
        _apply_failed(run, body)
    elif isinstance(body, Finished):
        # The run is graded where the stored outcomes agree with the reported counts.
        store_summary(locked, body)
        is_completed = _complete(locked)
        rows = locked.rows.values()
        if not is_completed and all(row.is_complete for row in rows):
            raise error(Code.BAD_MESSAGE, "counts differ from the outcomes")
    else:
        if body.phase != "loading":
            _ensure_running(run)
            run.hold(phase=body.phase)
        done = min(run.total, body.done)
        run.hold(done=max(run.done, done), **_written(run, body))
    return Disposition.APPLIED


def _written(run: Run, body: Progress) -> dict[str, Any]:
    """Return the number of candidates that a system's generator has written, as a field."""
    if body.written is UNSET:
        return {}
    return {"written": min(body.written, run.candidates)}


def _apply_started(locked: LockedRun, body: Started) -> Disposition:
    run = locked.run
    if run.grant != body.grant:
        raise error(Code.BAD_MESSAGE, "a report repeats another grant")
    if not run.worker:
        return Disposition.LATE
    if run.protocol_digest != body.protocol_digest:
        run.hold(protocol_digest=body.protocol_digest)
    if body.grader != run.submission.pair.grader and run.state in LIVE:
        locked.write()
        fail(run, Code.MISCONFIGURED)
    return Disposition.APPLIED


def _apply_failed(run: Run, body: Failed) -> None:
    retry_or_fail(run, body.code)
    if body.code is Code.HANDED_BACK:
        dispatch_on_commit()


def _ensure_running(run: Run) -> None:
    if run.state == RunState.LEASED:
        run.hold_step(RunState.RUNNING, phase="asking")


def _apply_graded(locked: LockedRun, body: Graded) -> Disposition:
    """Store outcomes, for a failed run those of its last attempt: it may be queued again."""
    indices = [index for index, _ in body.outcomes]
    run = locked.run
    rows = locked.rows
    row = rows.get(body.set)
    is_once_each = len(set(indices)) == len(indices)
    if row is None or not row.assigns(indices) or not is_once_each:
        raise error(Code.BAD_MESSAGE, "outcomes do not fit their set")
    if not row.fits_samples(body.samples_right, len(indices)):
        raise error(Code.BAD_MESSAGE, "right samples do not fit the protocol")
    has_failed_attempt = run.state == RunState.FAILED and run.worker
    if run.state not in LIVE and not has_failed_attempt:
        return Disposition.LATE
    row.merge(body.outcomes, body.samples_right)
    locked.hold([row], MERGED)
    _ensure_running(run)
    counted = sum(outcomes.counted for outcomes in rows.values())
    run.hold(done=max(run.done, counted))
    _complete(locked)
    return Disposition.APPLIED


def _complete(locked: LockedRun) -> bool:
    """Grade the run once the evaluator has reported it finished and all outcomes have arrived.

    An adaptive run whose plan asks for more items is queued again instead.
    """
    run = locked.run
    rows = locked.rows
    if run.claimed is None or run.state not in LIVE:
        return False
    claimed = map(SetCounts.from_dict, run.claimed)
    claims = {counts.name: counts for counts in claimed}
    job = _job(run)
    before = _closed_before(job)
    for name, row in rows.items():
        closed = before[name] if before else frozenset()
        if not row.is_complete or claims[name] != row.counts_without(closed):
            return False
    _ensure_running(run)
    if job.get("adaptive"):
        locked.write()
        if goes_on(run):
            return True
    run.hold_step(RunState.GRADED, done=run.total)
    locked.write()
    erase_key(run)
    if run.submission.is_watched:
        return True
    if run.submission.pair.practice:
        store_result(run)
        return True
    order_board_grader(run)
    transaction.on_commit(partial(request_ranking, run.submission.pair.slug))
    return True


def _job(run: Run) -> dict[str, Any]:
    """Return what the attempt was asked, empty where no item was closed and no plan exists."""
    if run.token == 1 and not run.submission.is_endpoint:
        return {"sets": []}
    attempt = Outbox.objects.get(run=run, token=run.token)
    payload: dict[str, Any] = attempt.payload
    return payload


def _closed_before(job: dict[str, Any]) -> dict[str, frozenset[int]]:
    """Return by set the items that the attempt of a job need not ask again."""
    closed = {}
    for asked in job["sets"]:
        closed[asked["name"]] = unpack_bits(asked["done"], asked["n"])
    return closed
