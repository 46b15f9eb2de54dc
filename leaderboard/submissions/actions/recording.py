"""Recording reports: each once, only from the attempt that holds the run, in whatever order they come.

The order of trust: the envelope's signature, then the fence (token and worker), then the receipt, then
the body. Whatever fails changes nothing, since all of it is one transaction. Lines of an exposure journal
are kept before the fence is asked: what was shown was shown, by whomever.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import cast

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest, Least, Now

from evaluator.contract import (
    MIN_CELL_SIZE,
    Announcement,
    Declined,
    Exposed,
    Failed,
    Finished,
    Graded,
    LeaseAnswer,
    LeaseRefusal,
    NotRescored,
    Progress,
    Reasons,
    Record,
    Report,
    Rescored,
    SetCounts,
    SetLikelihood,
    Started,
    Votes,
    unpack_bits,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.ledger.envelopes import open_envelope
from leaderboard.ledger.actions import keep_log, record_announcement
from leaderboard.ledger.models import Evaluator, Grant
from leaderboard.submissions.actions.lineages import is_post_release
from leaderboard.submissions.actions.queueing import (
    answer,
    decline,
    erase_key,
    fail,
    follow_announcement,
    retry_or_fail,
    ring_ranking,
)
from leaderboard.submissions.actions.rescoring import follow_grader, keep_answer, keep_tallies
from leaderboard.submissions.models import (
    Outbox,
    Receipt,
    Run,
    RunOutcomes,
    Submission,
    TensorList,
    seconds_from_now,
)
from leaderboard.submissions.states import LIVE, Disposition, RunState, is_current

logger = logging.getLogger(__name__)

Attempted = Started | Progress | Graded | Finished | Failed
"""What only the attempt that holds a run may say of it."""


def record_report(*, envelope: object) -> Disposition:
    """Record one report. Raises ``bad_message`` for one that is malformed, forged, or does not fit its run."""
    report = open_envelope(envelope, Evaluator.objects.public_key_of)
    evaluator = Evaluator.objects.get(name=report.evaluator)
    if isinstance(report.body, Announcement):
        return _announced(evaluator, report.body)
    try:
        with transaction.atomic():
            return _take(evaluator, report)
    except EvaluatorError:
        _answer(evaluator, report, LeaseRefusal.BAD_MESSAGE)
        raise


def _announced(evaluator: Evaluator, body: Announcement) -> Disposition:
    before = evaluator.abilities()
    if not record_announcement(evaluator=evaluator, announcement=body):
        return Disposition.STALE
    evaluator.refresh_from_db()
    if evaluator.abilities() != before:
        follow_announcement(evaluator=evaluator)
    return Disposition.APPLIED


def _take(evaluator: Evaluator, report: Report) -> Disposition:
    body = report.body
    if isinstance(body, Exposed):
        keep_log(evaluator=evaluator, lines=body.entries, note=body.head, opened=body.tallies)
    run = Run.objects.locked(report.run)
    if run is not None and isinstance(body, Rescored | NotRescored):
        return keep_answer(run, evaluator, report.token, body)
    if run is not None:
        declined = isinstance(body, Declined)
        disposition = (
            _declined(run, evaluator, report) if declined else _record(run, evaluator, report)
        )
        refusal = _refusal(run, evaluator, report)
        transaction.on_commit(partial(_answer, evaluator, report, refusal))
        return disposition
    if isinstance(body, Exposed):
        return Disposition.STALE
    raise error(Code.BAD_MESSAGE, "no such run")


def _answer(evaluator: Evaluator, report: Report, refusal: LeaseRefusal | None) -> None:
    """Answer a report that asks for the lease, or for its renewal."""
    if report.slot is None or not isinstance(report.body, Started | Progress):
        return
    told = LeaseAnswer(
        run=report.run,
        token=report.token,
        worker=report.worker,
        sequence=report.sequence,
        refusal=refusal,
    )
    answer(evaluator.name, report.slot, told)


_ENDED = {
    RunState.CANCELLED: LeaseRefusal.CANCELLED,
    RunState.FAILED: LeaseRefusal.FAILED,
    RunState.GRADED: LeaseRefusal.ENDED,
    RunState.RANKED: LeaseRefusal.ENDED,
}


def _refusal(run: Run, evaluator: Evaluator, report: Report) -> LeaseRefusal | None:
    """Return the reason why an attempt holds no lease of the run; None where it holds it. Only under the run's lock."""
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


def _record(run: Run, evaluator: Evaluator, report: Report) -> Disposition:
    if run.evaluator_id not in (None, evaluator.pk) or evaluator.pool != run.pool:
        return _stale(
            run
        )  # without a receipt: it must not pass for one of the evaluator that holds the run
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
        return _stale(run)
    run.renew(lease_seconds=settings.LEASE_SECONDS)
    if isinstance(report.body, Exposed):
        return Disposition.APPLIED
    if run.state == RunState.QUEUED and Run.objects.filter(pk=run.pk, deadline__lt=Now()).exists():
        fail(run, Code.NOT_STARTED)
        return Disposition.LATE
    if run.state == RunState.QUEUED:
        _bind(run, evaluator, report)
    return _apply(run, report.token, cast("Attempted", report.body))


def _declined(run: Run, evaluator: Evaluator, report: Report) -> Disposition:
    if evaluator.pool != run.pool or run.state != RunState.QUEUED or report.token != run.token:
        return _stale(run)
    decline(run=run, evaluator=evaluator, code=cast("Declined", report.body).code)
    return Disposition.APPLIED


def _stale(run: Run) -> Disposition:
    run.change(stale_reports=F("stale_reports") + 1)
    return Disposition.STALE


def _bind(run: Run, evaluator: Evaluator, report: Report) -> None:
    """The attempt begins with whichever of its reports comes first."""
    run.move(
        RunState.LEASED,
        worker=report.worker,
        slot=report.slot,
        waiting="",
        evaluator=evaluator,
        started_at=Now(),
        phase="loading",
        lease_expires=seconds_from_now(settings.LEASE_SECONDS),
        deadline=seconds_from_now(settings.RUN_SECONDS + settings.LEASE_SECONDS),
    )


def _apply(run: Run, token: int, body: Attempted) -> Disposition:
    if isinstance(body, Started):
        return _started(run, token, body)
    if isinstance(body, Graded):
        return _graded(run, body)
    if run.state not in LIVE:
        return Disposition.LATE
    if isinstance(body, Progress):
        _progress(run, body)
    elif isinstance(body, Finished):
        _finished(run, body)
    else:
        _failed(run, body)
    return Disposition.APPLIED


def _started(run: Run, token: int, body: Started) -> Disposition:
    if not Grant.objects.filter(run=run.pk, token=token, hash=body.grant).exists():
        raise error(Code.BAD_MESSAGE, "a report repeats another grant")
    if not run.worker:
        return Disposition.LATE
    run.change(protocol_digest=body.protocol_digest)
    if body.grader != run.submission.pair.grader and run.state in LIVE:
        fail(run, Code.MISCONFIGURED)
    return Disposition.APPLIED


def _progress(run: Run, body: Progress) -> None:
    if body.phase != "loading":
        _ask(run)
        run.change(phase=body.phase)
    run.change(done=Greatest(F("done"), Least(F("total"), body.done)))


def _ask(run: Run) -> None:
    if run.state == RunState.LEASED:
        run.move(RunState.RUNNING, phase="asking")


def _graded(run: Run, body: Graded) -> Disposition:
    """Write outcomes down. A failed run still takes those of its last attempt: it may be queued again."""
    indices = [index for index, _ in body.outcomes]
    row = run.outcomes.select_related("item_set").filter(item_set__name=body.set).first()
    if row is None or not row.assigns(indices) or len(set(indices)) != len(indices):
        raise error(Code.BAD_MESSAGE, "outcomes do not fit their set")
    if run.state not in LIVE and not (run.state == RunState.FAILED and run.worker):
        return Disposition.LATE
    row.merge(body.outcomes)
    row.save()
    _ask(run)
    counted = sum(outcomes.counted for outcomes in run.outcomes.all())
    run.change(done=Greatest(F("done"), counted))
    _complete(run)
    return Disposition.APPLIED


def _finished(run: Run, body: Finished) -> None:
    """Every item has an outcome, says the evaluator: taken at its word only when the stored column agrees."""
    rows = {row.item_set.name: row for row in run.outcomes.select_related("item_set")}
    if sorted(claim.name for claim in body.sets) != sorted(rows):
        raise error(Code.BAD_MESSAGE, "counts are not for the sets of the run")
    if any(
        claim.n != rows[claim.name].n or _total(claim) > claim.n or claim.not_counted
        for claim in body.sets
    ):
        raise error(Code.BAD_MESSAGE, "counts do not fit their set")
    _votes(rows, body.votes)
    keep_tallies(run, rows, body.graders)
    if body.record and not _fits(body.record, run, rows):
        raise error(Code.BAD_MESSAGE, "a record is not of the run")
    _likelihoods(run, rows, body.likelihoods)
    _reasons(run, rows, body.reasons)
    claims = [claim.to_dict() for claim in body.sets]
    record = body.record.to_dict() if body.record else None
    run.change(
        claimed=claims,
        record=record,
        artefact=body.artefact,
        post_release=is_post_release(run, body.artefact),
    )
    run.change(likelihood_failed=body.likelihood_failed or "", weights=_weights(body))
    if not _complete(run) and all(row.is_complete for row in rows.values()):
        raise error(Code.BAD_MESSAGE, "counts differ from the outcomes")


def _weights(body: Finished) -> str:
    """Keep the list of the tensors once, however many runs there are of it. Returns its digest, empty for none."""
    if body.weights is None:
        return ""
    digest = body.weights.digest()
    TensorList.objects.get_or_create(digest=digest, defaults={"data": body.weights.to_dict()})
    return digest


def _votes(rows: dict[str, RunOutcomes], votes: Sequence[Votes]) -> None:
    """Keep the aggregates over several samples, set by set. Those of a sealed set have no small cells."""
    told = {one.name: one for one in votes}
    if len(told) != len(votes) or not told.keys() <= rows.keys():
        raise error(Code.BAD_MESSAGE, "votes are not for the sets of the run")
    for name, row in rows.items():
        one = told.get(name)
        least = MIN_CELL_SIZE if row.item_set.sealed else 1
        if one and (one.n != row.n or one.right > one.n * one.samples or not _whole(one, least)):
            raise error(Code.BAD_MESSAGE, "votes do not fit their set")
        row.votes = one.to_dict() if one else None
        row.save(update_fields=["votes"])


def _whole(votes: Votes, least: int) -> bool:
    counted = sum(one.n for one in votes.bins)
    return counted == votes.n and all(one.n >= least and one.right <= one.n for one in votes.bins)


def _fits(record: Record, run: Run, rows: dict[str, RunOutcomes]) -> bool:
    submission = run.submission
    named = sorted(one.name for one in record.shots) == sorted(rows)
    return named and (record.protocol, record.grader) == (
        submission.asked_by,
        submission.pair.grader,
    )


def _likelihoods(run: Run, rows: dict[str, RunOutcomes], told: Sequence[SetLikelihood]) -> None:
    """Keep what weights found of each set: of all of them, over all items that the run is scored on, or of none."""
    found = {one.name: one for one in told}
    if told and (
        run.submission.kind != Submission.Kind.CHECKPOINT
        or sorted(one.name for one in told) != sorted(rows)
    ):
        raise error(Code.BAD_MESSAGE, "likelihoods are not for the sets of the run")
    if any(one.n != rows[one.name].n for one in told):
        raise error(Code.BAD_MESSAGE, "likelihoods do not fit their set")
    for name, row in rows.items():
        row.likelihood = found[name].to_dict() if told else None
        row.save(update_fields=["likelihood"])


def _reasons(run: Run, rows: dict[str, RunOutcomes], reasons: Sequence[Reasons]) -> None:
    """Store why an endpoint gave no answer, set by set: over the whole item selection, of a sealed set no small one."""
    by_set = {one.name: one for one in reasons}
    if reasons and run.submission.kind != Submission.Kind.ENDPOINT:
        raise error(Code.BAD_MESSAGE, "reasons are of endpoints only")
    if len(by_set) != len(reasons) or not by_set.keys() <= rows.keys():
        raise error(Code.BAD_MESSAGE, "reasons are not for the sets of the run")
    for name, row in rows.items():
        counts = (
            {str(reason): count for reason, count in by_set[name].counts}
            if name in by_set
            else None
        )
        least = MIN_CELL_SIZE if row.item_set.sealed else 1
        if counts and (by_set[name].n != row.n or row.n < least or sum(counts.values()) > row.n):
            raise error(Code.BAD_MESSAGE, "reasons do not fit their set")
        row.reasons = counts
        row.save(update_fields=["reasons"])


def _total(counts: SetCounts) -> int:
    return counts.right + counts.wrong + counts.no_answer + counts.truncated + counts.not_counted


def _complete(run: Run) -> bool:
    """Grade the run if the evaluator has said that it is finished and all it sent has arrived."""
    if run.claimed is None or run.state not in LIVE:
        return False
    rows = list(run.outcomes.select_related("item_set"))
    claims = {claim.name: claim for claim in map(SetCounts.from_dict, run.claimed)}
    before = _closed_before(run)
    if not all(row.is_complete and _agrees(row, claims, before) for row in rows):
        return False
    _ask(run)
    run.move(RunState.GRADED, done=run.total)
    erase_key(run)
    follow_grader(run)
    transaction.on_commit(partial(ring_ranking, run.submission.pair.slug))
    return True


def _agrees(
    row: RunOutcomes, claims: dict[str, SetCounts], before: dict[str, frozenset[int]]
) -> bool:
    name = row.item_set.name
    return claims[name] == row.counts_without(before[name])


def _closed_before(run: Run) -> dict[str, frozenset[int]]:
    """By set, the items that the current attempt was told not to ask again."""
    payload = Outbox.objects.get(run=run, token=run.token).payload
    return {asked["name"]: unpack_bits(asked["done"], asked["n"]) for asked in payload["sets"]}


def _failed(run: Run, body: Failed) -> None:
    retry_or_fail(run, body.code)
