"""Grading again: asking the evaluator that keeps a run's answers, recording what it says, ranking by it.

What a run came to when it was asked is never touched. An order that is asked for twice is one order; an answer that
comes twice is recorded once; one to an order whose run has been queued again since is not taken.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.contract import GraderCounts, Name, NotRescored, Rescored, RescoredSet, fits
from evaluator.errors import Code, error
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, quiet_database, refuse
from leaderboard.ledger.actions import record_grant
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.queueing import bell, ring_ranking
from leaderboard.submissions.models import (
    COUNTED,
    CountsByGrader,
    RescoredOutcomes,
    Rescoring,
    Run,
    RunOutcomes,
    seconds_from_now,
)
from leaderboard.submissions.states import Disposition, RunState

logger = logging.getLogger(__name__)

GRADED = (RunState.GRADED, RunState.RANKED)


def ask_again(*, run: UUID, grader: str, by: User) -> Rescoring:
    """Have a run's answers graded again by ``grader``; the order that already waits for it, if there is one.

    Raises ``forbidden``, ``invalid_field``, ``not_found``, and ``not_now`` for a run that is not graded.
    """
    _may(by, grader)
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if locked.state not in GRADED:
            raise refuse(Refusal.NOT_NOW)
        return _order(locked, grader, by)


def ask_all_again(*, slug: str, grader: str, by: User) -> list[Rescoring]:
    """The same for every graded run of a pair. Raises ``forbidden``, ``invalid_field``, ``unknown_pair``."""
    _may(by, grader)
    pair = SetPair.objects.filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    runs = Run.objects.filter(submission__pair=pair, state__in=GRADED).order_by("pk")
    return [ask_again(run=run, grader=grader, by=by) for run in runs.values_list("pk", flat=True)]


def follow_grader(run: Run) -> None:
    """Where the ranking is made by another grader than runs are graded by, have a newly graded run graded by it too."""
    if run.submission.pair.ranked_by:
        _order(run, run.submission.pair.ranked_by, None)


def _may(by: User, grader: str) -> None:
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if not fits(grader, Name):
        raise refuse(Refusal.INVALID_FIELD, "grader")


def _order(run: Run, grader: str, by: User | None) -> Rescoring:
    """The waiting order for a graded run, made where there is none. The run is locked."""
    waiting = run.rescorings.waiting().filter(grader=grader).first()
    if waiting is not None:
        return waiting
    if run.evaluator is None:
        raise refuse(Refusal.NOT_NOW)
    exposure_token = max(run.token, *run.rescorings.values_list("exposure_token", flat=True), 0) + 1
    job = dispatch.rescoring_job(run, exposure_token)
    record_grant(run=run.pk, token=exposure_token, **job.granted())
    order = Rescoring.objects.create(
        run=run,
        evaluator=run.evaluator,
        grader=grader,
        token=run.token,
        exposure_token=exposure_token,
        asked_by=by,
        due=Now(),
        deadline=seconds_from_now(settings.QUEUE_SECONDS),
    )
    transaction.on_commit(partial(_ring_now, order.pk))
    return order


def _ring_now(order: int) -> None:
    """Send an order as soon as its transaction is over; where that fails, the next drain does it."""
    with suppress(SiteError), quiet_database(), transaction.atomic():
        found = (
            Rescoring.objects.due()
            .select_for_update(of=("self",), skip_locked=True)
            .filter(pk=order)
            .first()
        )
        if found is not None:
            _ring(found)


def drain_rescorings() -> int:
    """Send every order that is due, and end those whose time is over. Returns how many were sent."""
    sent = 0
    with transaction.atomic():
        rows = Rescoring.objects.due().select_related("evaluator", "run__submission__pair")
        for order in rows.select_for_update(of=("self",), skip_locked=True)[:500]:
            if Rescoring.objects.filter(pk=order.pk, deadline__lt=Now()).exists():
                order.end(Rescoring.State.FAILED, code=Code.DEADLINE.value)
            elif _ring(order):
                sent += 1
    return sent


def _ring(order: Rescoring) -> bool:
    """Send, then note it, as for a job: twice is dropped, never is not."""
    if not bell(lambda: dispatch.ring_rescore(order)):
        return False
    Rescoring.objects.filter(pk=order.pk).update(due=seconds_from_now(settings.RING_SECONDS))
    return True


# --- what evaluators say


def keep_tallies(run: Run, rows: Mapping[str, RunOutcomes], told: Sequence[GraderCounts]) -> None:
    """Keep what each grader made of the answers. Raises ``bad_message`` for counts that fit no set of the run."""
    places = {(one.set, one.grader) for one in told}
    if len(places) != len(told) or any(
        one.set not in rows or one.n > rows[one.set].n for one in told
    ):
        raise error(Code.BAD_MESSAGE, "counts of graders are not for the sets of the run")
    if any(one.n != one.right + one.wrong + one.no_answer + one.truncated for one in told):
        raise error(Code.BAD_MESSAGE, "counts of graders do not add up")
    run.counts_by_grader.all().delete()
    names = ("grader", "n", "right", "wrong", "no_answer", "truncated")
    CountsByGrader.objects.bulk_create(
        CountsByGrader(
            run=run, item_set=rows[one.set].item_set, **{name: getattr(one, name) for name in names}
        )
        for one in told
    )


def keep_answer(
    run: Run, evaluator: Evaluator, token: int, body: Rescored | NotRescored
) -> Disposition:
    """Record the answer to an order, once. The run is locked. Raises ``bad_message`` for one that does not fit it."""
    order = (
        Rescoring.objects.select_for_update()
        .filter(pk=body.order, run=run, evaluator=evaluator)
        .first()
    )
    if order is None or token != order.token:
        raise error(Code.BAD_MESSAGE, "no such order")
    if order.state != Rescoring.State.ASKED:
        return Disposition.DUPLICATE
    if run.token != order.token or run.state not in GRADED:
        order.end(Rescoring.State.FAILED, code=Code.RUN_UNDER_WAY.value)
        return Disposition.STALE
    if isinstance(body, NotRescored):
        order.end(Rescoring.State.FAILED, code=body.code.value)
        logger.warning("not rescored: order=%s run=%s code=%s", order.pk, run.pk, body.code)
        return Disposition.APPLIED
    _keep(order, body)
    return Disposition.APPLIED


def _keep(order: Rescoring, body: Rescored) -> None:
    own = {row.item_set.name: row for row in order.run.outcomes.select_related("item_set")}
    told = {one.name: one for one in body.sets}
    if body.grader != order.grader or len(told) != len(body.sets) or sorted(told) != sorted(own):
        raise error(Code.BAD_MESSAGE, "what was graded again is not what was asked for")
    if not all(_fits(row, told[name]) for name, row in own.items()):
        raise error(Code.BAD_MESSAGE, "outcomes do not fit their set")
    for name in sorted(told):
        row = RescoredOutcomes.of(order, own[name], told[name].outcomes)
        row.save()
        changed = ", ".join(f"{kind} {count}" for kind, count in row.changed.items()) or "nothing"
        logger.info(
            "rescored: order=%s run=%s set=%s n=%s: %s",
            order.pk,
            order.run_id,
            name,
            row.counted,
            changed,
        )
    order.end(Rescoring.State.DONE, grader_digest=body.grader_digest)
    transaction.on_commit(partial(ring_ranking, order.run.submission.pair.slug))


def _fits(own: RunOutcomes, told: RescoredSet) -> bool:
    indices = [index for index, _, _ in told.outcomes]
    known = all(now in COUNTED for _, _, now in told.outcomes)
    return known and len(set(indices)) == len(indices) and own.assigns(indices)


# --- which grader a ranking is made by


def switch_grader(*, slug: str, grader: str, by: User, leave_out: bool = False) -> SetPair:
    """Make the ranking of a pair from another grader's outcomes, for both sets; or from the runs' own again.

    Raises ``forbidden``, ``invalid_field``, ``unknown_pair``, and ``not_rescored`` where runs that count lack outcomes
    of it; with ``leave_out`` these have no rank until they have.
    """
    _may(by, grader)
    with transaction.atomic():
        pair = SetPair.objects.select_for_update(of=("self",)).filter(slug=slug).first()
        if pair is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        own = grader == pair.grader
        if not own and not leave_out and (missing := _missing(pair, grader)):
            raise refuse(Refusal.NOT_RESCORED, missing)
        pair.ranked_by = "" if own else grader
        pair.stale = True
        pair.save(update_fields=["ranked_by", "stale"])
        logger.info("ranked by: pair=%s grader=%s by=%s", pair.slug, grader, by.pk)
        transaction.on_commit(partial(ring_ranking, pair.slug))
    return pair


def _missing(pair: SetPair, grader: str) -> str:
    """How many of the runs that count lack outcomes of a grader, as words; empty for none."""
    counting = Run.objects.filter(
        submission__pair=pair,
        submission__protocol="",
        state__in=GRADED,
        retracted=False,
        post_release=False,
    )
    runs = list(counting)
    missing = len(runs) - len(Rescoring.objects.newest(runs, grader))
    return f"{missing} of {len(runs)} runs" if missing else ""
