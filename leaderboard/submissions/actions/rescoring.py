"""Rescoring: grading the stored answers of runs again, and the grader that a board is made by.

A run's own outcomes never change. An order that is requested twice is one order. A result that
comes twice is recorded once; it is refused where the run has been queued again since.
"""

import logging
from contextlib import suppress
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.contract import Name, NotRescored, Rescored, RescoredSet, fits
from evaluator.errors import Code, error
from evaluator.protocols import samples_of_mean
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, quiet_database, refuse
from leaderboard.ledger.actions import record_grant
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import try_to_send
from leaderboard.submissions.actions.closes import request_ranking
from leaderboard.submissions.models import (
    COUNTED,
    RescoredOutcomes,
    Rescoring,
    Run,
    RunOutcomes,
    seconds_from_now,
)
from leaderboard.submissions.states import Disposition, RunState

logger = logging.getLogger(__name__)

GRADED = (RunState.GRADED, RunState.RANKED)
SENT_AT_ONCE = 500


# --- orders


def ask_again(*, run: UUID, grader: str, by: User) -> Rescoring:
    """Order the rescoring of a run by ``grader``; return the order that waits already, if one does.

    Raises ``forbidden``, ``invalid_field``, ``not_found``, and ``not_now`` for a run that is not
    graded, or is practice.
    """
    _check_order(by, grader)
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if locked.state not in GRADED or locked.has_practised:
            raise refuse(Refusal.NOT_NOW)
        return _order(locked, grader, by)


def ask_all_again(
    *,
    slug: str,
    grader: str,
    by: User,
) -> list[Rescoring]:
    """Order the rescoring of every graded run of a pair.

    Raises ``forbidden``, ``invalid_field``, ``unknown_pair``.
    """
    _check_order(by, grader)
    pair = SetPair.objects.filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    runs = Run.objects.official().filter(submission__pair=pair, state__in=GRADED)
    keys = runs.order_by("pk").values_list("pk", flat=True)
    return [ask_again(run=key, grader=grader, by=by) for key in keys]


def order_board_grader(run: Run) -> None:
    """Order the rescoring of a newly graded run where the board is made by another grader."""
    if run.submission.pair.ranked_by:
        _order(run, run.submission.pair.ranked_by, None)


def _check_order(by: User, grader: str) -> None:
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if not fits(grader, Name):
        raise refuse(Refusal.INVALID_FIELD, "grader")


def _order(run: Run, grader: str, by: User | None) -> Rescoring:
    """Return the waiting order for a graded, locked run; create it where there is none."""
    waiting = run.rescorings.waiting().filter(grader=grader).first()
    if waiting is not None:
        return waiting
    if run.evaluator is None:
        raise refuse(Refusal.NOT_NOW)
    earlier = run.rescorings.values_list("exposure_token", flat=True)
    exposure_token = max(run.token, *earlier, 0) + 1
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

    def send_now() -> None:
        # Where this fails, the next drain sends it.
        with suppress(SiteError), quiet_database(), transaction.atomic():
            due = Rescoring.objects.due().filter(pk=order.pk)
            locking = due.select_for_update(of=("self",), skip_locked=True)
            locked = locking.first()
            if locked is not None:
                _send(locked)

    transaction.on_commit(send_now)
    return order


def drain_rescorings() -> int:
    """Send every order that is due, and fail those past their deadline.

    Returns the number of orders sent.
    """
    sent = 0
    with transaction.atomic():
        due = Rescoring.objects.due().select_related("evaluator", "run__submission__pair")
        locked = due.select_for_update(of=("self",), skip_locked=True)
        for order in locked[:SENT_AT_ONCE]:
            past = Rescoring.objects.filter(pk=order.pk, deadline__lt=Now())
            if past.exists():
                order.end(Rescoring.State.FAILED, code=Code.DEADLINE.value)
            elif _send(order):
                sent += 1
    return sent


def _send(order: Rescoring) -> bool:
    """Send an order, then store when it is due again: evaluators drop one that comes twice."""
    if not try_to_send(partial(dispatch.send_rescoring, order)):
        return False
    again = seconds_from_now(settings.REDISPATCH_SECONDS)
    Rescoring.objects.filter(pk=order.pk).update(due=again)
    return True


# --- results


def record_rescoring(
    run: Run,
    evaluator: Evaluator,
    token: int,
    body: Rescored | NotRescored,
) -> Disposition:
    """Record the answer to an order, once. The run is locked.

    Raises ``bad_message`` for an answer that does not fit its order.
    """
    orders = Rescoring.objects.select_for_update().filter(run=run, evaluator=evaluator)
    order = orders.filter(pk=body.order).first()
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
    else:
        _store_result(order, body)
    return Disposition.APPLIED


def _store_result(order: Rescoring, body: Rescored) -> None:
    outcomes = order.run.outcomes.select_related("item_set")
    own = {row.item_set.name: row for row in outcomes}
    rescored = {of_set.name: of_set for of_set in body.sets}
    is_once_each = len(rescored) == len(body.sets)
    complete = is_once_each and rescored.keys() == own.keys()
    if body.grader != order.grader or not complete:
        raise error(Code.BAD_MESSAGE, "what was graded again is not what was asked for")
    for name, of_set in rescored.items():
        _check_outcomes(own[name], of_set)
    for name in sorted(rescored):
        row = RescoredOutcomes.of(order, own[name], rescored[name].outcomes)
        row.save()
        kinds = [f"{kind} {count}" for kind, count in row.changed.items()]
        changes = ", ".join(kinds)
        logger.info(
            "rescored: order=%s run=%s set=%s n=%s: %s",
            order.pk,
            order.run_id,
            name,
            row.counted,
            changes or "nothing",
        )
    order.end(Rescoring.State.DONE, grader_digest=body.grader_digest)
    pair = order.run.submission.pair
    transaction.on_commit(partial(request_ranking, pair.slug))


def _check_outcomes(own: RunOutcomes, rescored: RescoredSet) -> None:
    """Raise ``bad_message`` unless the outcomes are final, and of different items of the run."""
    indices = [index for index, _, _ in rescored.outcomes]
    final = all(now in COUNTED for _, _, now in rescored.outcomes)
    is_once_each = len(set(indices)) == len(indices)
    if not final or not is_once_each or not own.assigns(indices):
        raise error(Code.BAD_MESSAGE, "outcomes do not fit their set")


# --- the grader of a board


def switch_grader(
    *,
    slug: str,
    grader: str,
    by: User,
    leave_out: bool = False,
) -> SetPair:
    """Make the ranking of a pair from a grader's outcomes, for both sets.

    Raises ``forbidden``, ``invalid_field``, ``unknown_pair``, ``pair_adaptive`` where plans follow
    from the outcomes of the pair's own grader, and ``not_rescored`` where runs that count lack
    outcomes of it; with ``leave_out`` these have no rank until they have.
    """
    _check_order(by, grader)
    with transaction.atomic():
        pairs = SetPair.objects.select_for_update(of=("self",))
        pair = pairs.filter(slug=slug).first()
        if pair is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        is_own = grader == pair.grader
        if pair.adaptive and not is_own:
            raise refuse(Refusal.PAIR_ADAPTIVE, slug)
        if not is_own and samples_of_mean(pair.protocol) > 1:
            detail = "grader: scores of this pair are means, and rescoring grades majorities"
            raise refuse(Refusal.INVALID_FIELD, detail)
        if not is_own and not leave_out:
            counting = Run.objects.filter(
                submission__pair=pair,
                submission__protocol="",
                state__in=GRADED,
                retracted=False,
                post_release=False,
            )
            runs = list(counting)
            missing = len(runs) - len(Rescoring.objects.newest(runs, grader))
            if missing:
                raise refuse(Refusal.NOT_RESCORED, f"{missing} of {len(runs)} runs")
        pair.ranked_by = "" if is_own else grader
        pair.stale = True
        pair.save(update_fields=["ranked_by", "stale"])
        logger.info("ranked by: pair=%s grader=%s by=%s", pair.slug, grader, by.pk)
        transaction.on_commit(partial(request_ranking, pair.slug))
    return pair
