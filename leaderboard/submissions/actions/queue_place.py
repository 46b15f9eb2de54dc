"""Place of a queued run in its pool's queue, and what keeps it from beginning."""

from dataclasses import dataclass
from datetime import datetime

from evaluator.artefacts.fleet import NO_WORKER, check_workers
from evaluator.contract.hub import ModelFacts
from evaluator.errors import EXPLANATIONS, Code
from leaderboard.ledger.models import Evaluator, EvaluatorQuerySet
from leaderboard.submissions.actions.pools import known_workers
from leaderboard.submissions.actions.queue_forecast import FORESEEN, Forecast, foresee
from leaderboard.submissions.models import Run
from leaderboard.submissions.scheduling import UNPLACED
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class QueuePlace:
    """Place of a queued run, from 1, in the order in which fair share lets runs begin.

    ``start`` is when it begins, as far as that is foreseen. ``held_up_by`` is the code of what
    keeps it from beginning, None where it only waits for its turn; ``reason`` is the same as a
    sentence for its author. ``until`` is when a run that is held up fails, if that lasts.
    """

    position: int
    held_up_by: Code | None
    reason: str
    start: datetime | None = None
    until: datetime | None = None


def queue_place(run: Run, forecast: Forecast | None = None) -> QueuePlace | None:
    """Return the place of a run in the queue; None where it is not queued.

    ``forecast`` is that of its pool, where it is known already.
    """
    if run.state != RunState.QUEUED:
        return None
    forecast = forecast or foresee(run.pool)
    turn = forecast.turn(run)
    pool = Evaluator.objects.of_pool(run.pool)
    lack = _lack(run, pool, forecast)
    if lack in UNPLACED:
        # The check of its weights names the evaluator that is missing.
        reason = EXPLANATIONS[lack].sentence
        facts = run.submission.hub_facts or run.submission.upload_facts
        if isinstance(facts, ModelFacts) and lack is not Code.ENGINE_WRONG:
            check = check_workers(facts, known_workers(run.pool))
            if check.code in (NO_WORKER, "workers_away"):
                reason = check.sentence
        reason += " The run begins by itself once such an evaluator serves."
    else:
        reason = _reason(pool, lack, turn.position)
    if lack is None:
        if run.submission.pair.practice:
            reason += " Practice waits until no official run waits."
        return QueuePlace(turn.position, None, reason, turn.start)
    bound = f"{run.deadline:%d %b %Y, %H:%M} UTC"
    reason += f" Otherwise it fails on {bound}, which charges no quota."
    return QueuePlace(turn.position, lack, reason, until=run.deadline)


def _lack(run: Run, pool: EvaluatorQuerySet, forecast: Forecast) -> Code | None:
    if run.waiting:
        return Code(run.waiting)
    if missing := forecast.lack(run):
        return missing
    serving = list(pool.in_service())
    if serving:
        sets = run.submission.pair.sets()
        for evaluator in serving:
            if all(evaluator.holds_set(item_set) for item_set in sets):
                return None
        return Code.UNKNOWN_SET
    if pool.live().exists():
        return Code.OUT_OF_SERVICE
    # A release that does not announce itself takes runs from the pool's queue.
    silent = pool.filter(last_seen__isnull=True).exists()
    return None if silent else Code.EVALUATOR_AWAY


def _reason(pool: EvaluatorQuerySet, lack: Code | None, position: int) -> str:
    if lack is Code.OUT_OF_SERVICE:
        return (
            "Every evaluator of this pool is out of service for now. "
            "The run begins by itself once one is back."
        )
    if lack is Code.UNKNOWN_SET:
        return (
            "No evaluator in service holds this set. The maintainers have to install it; "
            "you need not do anything."
        )
    if lack not in (None, Code.EVALUATOR_AWAY):
        return EXPLANATIONS[lack].sentence
    if pool.live().exists() and position > FORESEEN:
        return f"More than {FORESEEN} runs are to begin before it."
    if pool.live().exists():
        return (
            f"It is number {position} in the queue, and begins as soon as an evaluator is free. "
            "The organisation that used the evaluators least lately comes first."
        )
    seen = pool.exclude(last_seen=None).order_by("-last_seen").first()
    since = f" since {seen.last_seen:%Y-%m-%d %H:%M} UTC" if seen else ""
    return (
        f"No evaluator has been seen for this pool{since}. "
        "The run begins by itself once one is back."
    )
