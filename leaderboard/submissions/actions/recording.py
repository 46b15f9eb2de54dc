"""Recording reports: each once, only from the attempt that holds the run, in any order.

A report is checked in this order. Where a check fails nothing changes, since all of it is one
transaction:

- the envelope's signature;
- entries of an exposure journal, which are stored also for an attempt that no longer holds the run:
  the items were shown;
- the fence: token and worker;
- the receipt;
- the body.
"""

import logging
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest, Least, Now
from msgspec import UNSET

from evaluator.contract import (
    ANSWERED,
    Announcement,
    Declined,
    Exposed,
    Failed,
    Finished,
    Graded,
    Identified,
    LeaseAnswer,
    LeaseRefusal,
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
from leaderboard.submissions.models import Outbox, Receipt, Run, seconds_from_now
from leaderboard.submissions.states import LIVE, Disposition, RunState, is_current

logger = logging.getLogger(__name__)

AttemptBody = Started | Identified | Progress | Graded | Transcripts | Finished | Failed
"""Bodies that only the attempt that holds a run may send about it."""


def record_report(*, envelope: object) -> Disposition:
    """Record one report.

    Raises ``bad_message`` for one that is malformed, forged or does not fit its run.
    """
    report = open_envelope(envelope, Evaluator.objects.public_key_of)
    evaluator = Evaluator.objects.get(name=report.evaluator)
    if isinstance(report.body, Announcement):
        return _record_announcement(evaluator, report.body)
    if isinstance(report.body, Probed):
        return record_probe(report.body)
    try:
        with transaction.atomic():
            return _record(evaluator, report)
    except EvaluatorError:
        _answer(evaluator, report, LeaseRefusal.BAD_MESSAGE)
        raise


def _record_announcement(evaluator: Evaluator, body: Announcement) -> Disposition:
    before = evaluator.abilities()
    if not record_announcement(evaluator=evaluator, announcement=body):
        return Disposition.STALE
    evaluator.refresh_from_db()
    if evaluator.abilities() != before:
        follow_announcement(evaluator=evaluator)
    return Disposition.APPLIED


def _record(evaluator: Evaluator, report: Report) -> Disposition:
    body = report.body
    if isinstance(body, Exposed):
        store_log(evaluator=evaluator, lines=body.entries, note=body.head, opened=body.tallies)
    run = Run.objects.locked(report.run)
    if run is None:
        if isinstance(body, Exposed):
            return Disposition.STALE
        raise error(Code.BAD_MESSAGE, "no such run")
    if isinstance(body, Exposed):
        charge_shown(run)
    if isinstance(body, Rescored | NotRescored):
        return record_rescoring(run, evaluator, report.token, body)
    if isinstance(body, Declined):
        disposition = _record_decline(run, evaluator, report, body)
    else:
        disposition = _record_of_attempt(run, evaluator, report)
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


def _record_decline(run: Run, evaluator: Evaluator, report: Report, body: Declined) -> Disposition:
    if evaluator.pool != run.pool or run.state != RunState.QUEUED or report.token != run.token:
        return _count_stale(run)
    decline(run=run, evaluator=evaluator, code=body.code)
    return Disposition.APPLIED


def _record_of_attempt(run: Run, evaluator: Evaluator, report: Report) -> Disposition:
    if run.evaluator_id not in (None, evaluator.pk) or evaluator.pool != run.pool:
        # No receipt: it must not pass for one of the evaluator that holds the run.
        return _count_stale(run)
    receipt = {
        "run": run,
        "token": report.token,
        "worker": report.worker,
        "sequence": report.sequence,
    }
    if Receipt.objects.filter(**receipt).exists():
        return Disposition.DUPLICATE
    Receipt.objects.create(**receipt)
    if not is_current(run.attempt, token=report.token, worker=report.worker):
        return _count_stale(run)
    run.renew(lease_seconds=settings.LEASE_SECONDS)
    if isinstance(report.body, Exposed):
        return Disposition.APPLIED
    if withheld := _withhold(run, evaluator, report):
        return withheld
    if run.state == RunState.QUEUED:
        _begin(run, evaluator, report)
    return _apply(run, report.token, cast("AttemptBody", report.body))


def _withhold(run: Run, evaluator: Evaluator, report: Report) -> Disposition | None:
    """Give a run that an attempt begins too late, or under a cordon, to no evaluator or another.

    Returns the disposition of the report; None where the attempt begins or goes on.
    """
    if run.state == RunState.QUEUED:
        if Run.objects.filter(pk=run.pk, deadline__lt=Now()).exists():
            fail(run, Code.NOT_STARTED)
            return Disposition.LATE
        if evaluator.cordon:
            # It read the message in the pool's queue, or had it before it was cordoned.
            renew_token(run)
            dispatch_on_commit(run)
            return Disposition.STALE
    elif _is_taken_back(run, evaluator, report):
        next_attempt(run, attempts=run.attempts, pause_seconds=0.0)
        dispatch_on_commit(run)
        return Disposition.APPLIED
    return None


def _is_taken_back(run: Run, evaluator: Evaluator, report: Report) -> bool:
    """Return True where a paused evaluator asks for another lease of a run that it has not done."""
    paused = evaluator.cordon == Evaluator.Cordon.PAUSED
    asks = isinstance(report.body, Progress)
    return paused and asks and run.state in LIVE and run.claimed is None


def _count_stale(run: Run) -> Disposition:
    run.change(stale_reports=F("stale_reports") + 1)
    return Disposition.STALE


def _begin(run: Run, evaluator: Evaluator, report: Report) -> None:
    """Lease the run to the attempt, which begins with whichever of its reports comes first."""
    run.move(
        RunState.LEASED,
        worker=report.worker,
        slot=report.slot,
        waiting="",
        evaluator=evaluator,
        started_at=Now(),
        phase="loading",
        lease_expires=seconds_from_now(settings.LEASE_SECONDS),
        deadline=seconds_from_now(
            dispatch.seconds_of(run.submission.pair) + settings.LEASE_SECONDS
        ),
    )


# --- the body


def _apply(run: Run, token: int, body: AttemptBody) -> Disposition:
    if isinstance(body, Started):
        return _apply_started(run, token, body)
    if isinstance(body, Graded):
        return _apply_graded(run, body)
    if isinstance(body, Transcripts):
        return store_transcripts(run, body)
    if run.state not in LIVE:
        return Disposition.LATE
    if isinstance(body, Identified):
        identify(run, body)
    elif isinstance(body, Failed):
        _apply_failed(run, body)
    elif isinstance(body, Finished):
        # The run is graded where the stored outcomes agree with the reported counts.
        rows = store_summary(run, body)
        if not _complete(run) and all(row.is_complete for row in rows.values()):
            raise error(Code.BAD_MESSAGE, "counts differ from the outcomes")
    else:
        if body.phase != "loading":
            _ensure_running(run)
            run.change(phase=body.phase)
        run.change(done=Greatest(F("done"), Least(F("total"), body.done)), **_written(run, body))
    return Disposition.APPLIED


def _written(run: Run, body: Progress) -> dict[str, Any]:
    """Return the number of candidates that a system's generator has written, as a field."""
    return {} if body.written is UNSET else {"written": min(body.written, run.candidates)}


def _apply_started(run: Run, token: int, body: Started) -> Disposition:
    if not Grant.objects.filter(run=run.pk, token=token, hash=body.grant).exists():
        raise error(Code.BAD_MESSAGE, "a report repeats another grant")
    if not run.worker:
        return Disposition.LATE
    run.change(protocol_digest=body.protocol_digest)
    if body.grader != run.submission.pair.grader and run.state in LIVE:
        fail(run, Code.MISCONFIGURED)
    return Disposition.APPLIED


def _apply_failed(run: Run, body: Failed) -> None:
    retry_or_fail(run, body.code)
    if body.code is Code.HANDED_BACK:
        dispatch_on_commit(run)


def _ensure_running(run: Run) -> None:
    if run.state == RunState.LEASED:
        run.move(RunState.RUNNING, phase="asking")


def _apply_graded(run: Run, body: Graded) -> Disposition:
    """Store outcomes, for a failed run those of its last attempt: it may be queued again."""
    indices = [index for index, _ in body.outcomes]
    row = run.outcomes.select_related("item_set").filter(item_set__name=body.set).first()
    if row is None or not row.assigns(indices) or len(set(indices)) != len(indices):
        raise error(Code.BAD_MESSAGE, "outcomes do not fit their set")
    if not row.fits_samples(body.samples_right, len(indices)):
        raise error(Code.BAD_MESSAGE, "right samples do not fit the protocol")
    if run.state not in LIVE and not (run.state == RunState.FAILED and run.worker):
        return Disposition.LATE
    row.merge(body.outcomes, body.samples_right)
    row.save()
    _ensure_running(run)
    counted = sum(outcomes.counted for outcomes in run.outcomes.all())
    run.change(done=Greatest(F("done"), counted))
    _complete(run)
    return Disposition.APPLIED


def _complete(run: Run) -> bool:
    """Grade the run once the evaluator has reported it finished and all outcomes have arrived.

    An adaptive run whose plan asks for more items is queued again instead.
    """
    if run.claimed is None or run.state not in LIVE:
        return False
    claims = {counts.name: counts for counts in map(SetCounts.from_dict, run.claimed)}
    before = _closed_before(run)
    for row in run.outcomes.select_related("item_set"):
        name = row.item_set.name
        if not row.is_complete or claims[name] != row.counts_without(before[name]):
            return False
    _ensure_running(run)
    if goes_on(run):
        return True
    run.move(RunState.GRADED, done=F("total"))
    erase_key(run)
    if run.submission.pair.practice:
        store_result(run)
        return True
    order_board_grader(run)
    transaction.on_commit(partial(request_ranking, run.submission.pair.slug))
    return True


def _closed_before(run: Run) -> dict[str, frozenset[int]]:
    """Return by set the items that the current attempt need not ask again."""
    payload = Outbox.objects.get(run=run, token=run.token).payload
    return {asked["name"]: unpack_bits(asked["done"], asked["n"]) for asked in payload["sets"]}
