"""Place of a queued run in its pool's queue, and what keeps it from beginning."""

from dataclasses import dataclass

from evaluator.errors import EXPLANATIONS, Code
from leaderboard.ledger.models import Evaluator, EvaluatorQuerySet
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class QueuePlace:
    """Place of a queued run, from 1.

    ``held_up_by`` is the code of what keeps it from beginning, None where it only waits for its
    turn; ``reason`` is the same as a sentence for its author.
    """

    position: int
    held_up_by: Code | None
    reason: str


def queue_place(run: Run) -> QueuePlace | None:
    """Return the place of a run in the queue; None where it is not queued."""
    if run.state != RunState.QUEUED:
        return None
    queued = Run.objects.filter(pool=run.pool, state=RunState.QUEUED)
    position = queued.filter(queued_at__lt=run.queued_at).count() + 1
    pool = Evaluator.objects.of_pool(run.pool)
    lack = _lack(run, pool)
    return QueuePlace(position, lack, _reason(pool, lack, position))


def _lack(run: Run, pool: EvaluatorQuerySet) -> Code | None:
    if run.waiting:
        return Code(run.waiting)
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
    if pool.live().exists():
        return f"It is number {position} in the queue, and begins as soon as an evaluator is free."
    seen = pool.exclude(last_seen=None).order_by("-last_seen").first()
    since = f" since {seen.last_seen:%Y-%m-%d %H:%M} UTC" if seen else ""
    return (
        f"No evaluator has been seen for this pool{since}. "
        "The run begins by itself once one is back."
    )
