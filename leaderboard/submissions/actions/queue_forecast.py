"""Forecast of a pool's queue: the order in which runs begin, and when.

It takes the starts of the schedule by which the dispatch sends runs, with the runs under way and
those that were sent before. Practice follows, on the evaluators that the dispatch leaves to it.
"""

import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from uuid import UUID

from django.db.models import F

from evaluator.errors import Code
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.fair_order import Due, FairOrder
from leaderboard.submissions.actions.paces import pace_of, under_way
from leaderboard.submissions.actions.queue import needs_of, practice_share
from leaderboard.submissions.fair_share import UNKNOWN_SECONDS, Fleet, Schedule
from leaderboard.submissions.models import Outbox, Run
from leaderboard.submissions.scheduling import Needs, Takes
from leaderboard.submissions.states import RunState

FORESEEN = 500
"""Runs of a queue that are foreseen at most: a page is made from them."""
_NEW = UUID(int=0)
"""The run that would be queued now."""
_NEW_KEY = 1 << 63
"""Its key, behind those of all outbox rows."""


@dataclass(frozen=True)
class NewRun:
    """Run that would be queued now, of an organisation; ``seconds`` None if unknown."""

    organisation: int
    needs: Needs
    seconds: float | None
    practice: bool = False


@dataclass(frozen=True)
class Turn:
    """Turn of a run: its place from 1, and its begin; None where that is not known."""

    position: int
    start: datetime | None


@dataclass(frozen=True)
class Forecast:
    """Turns of the runs of a pool, as far as they are foreseen.

    ``turns``, and in ``missing`` the codes of what every evaluator in service lacks, are by run.
    ``last`` is the place behind all that begin, ``new`` the turn of the run that would be queued.
    """

    last: Turn
    new: Turn
    turns: Mapping[UUID, Turn]
    missing: Mapping[UUID, Code]

    def turn(self, run: Run) -> Turn:
        """Return the turn of a queued run; the last place where it is not foreseen."""
        return self.turns.get(run.pk, self.last)

    def lack(self, run: Run) -> Code | None:
        """Return the code of what every evaluator in service lacks for a queued run, if known."""
        return self.missing.get(run.pk)


def foresee(pool: str, *, new: NewRun | None = None) -> Forecast:
    """Return the forecast of a pool's queue, with a run that would be queued now.

    The number of queries does not depend on the length of the queue.
    """
    now = time.time()
    candidates = dispatch.candidates(pool)
    serving = any(candidate.in_service for candidate in candidates)
    order = FairOrder(pool, candidates, under_way(pool))
    sent: list[Due] = []
    waiting = order.first(FORESEEN, each=FORESEEN, held=not serving)
    if serving:
        sent = order.sent
        waiting += order.paused(FORESEEN)
    keys = [due.outbox for due in (*sent, *waiting)]
    rows = Outbox.objects.filter(pk__in=keys)
    needs = needs_of(list(rows.select_related("run__submission__upload")))
    sent = [due for due in sent if due.outbox in needs]
    if new is not None and not new.practice:
        needs[_NEW_KEY] = new.needs
        waiting.append(Due(_NEW_KEY, _NEW, new.organisation, now, new.seconds))
    schedule = order.schedule(waiting, needs, now=now)
    starts = []
    for due in sent:
        own_needs = order.needs_of(due, needs)
        start = schedule.sent(due.waiting(own_needs), now=now)
        if start is not None:
            starts.append(start)
    starts.extend(schedule)
    starts.sort(key=lambda start: start.at)
    runs: dict[Hashable, UUID] = {due.outbox: due.run for due in (*sent, *waiting)}
    begins = [(runs[start.run.key], start.at) for start in starts]
    missing = _missing(schedule.queue.fleet, waiting, needs, begins)
    begins += _practice(pool, schedule, now=now, new=new, held=not serving)
    return _forecast(begins, missing, known=serving)


def foresee_of(runs: Iterable[Run]) -> dict[str, Forecast]:
    """Return the forecasts of the pools in which some of the runs wait, by pool."""
    pools = {run.pool for run in runs if run.state == RunState.QUEUED}
    return {pool: foresee(pool) for pool in sorted(pools)}


def _practice(
    pool: str,
    schedule: Schedule,
    *,
    now: float,
    new: NewRun | None,
    held: bool,
) -> list[tuple[UUID, float]]:
    """Return the begins of practice runs, which wait for all others.

    With ``held`` also of those that wait for what no evaluator has.
    """
    attempts = Outbox.objects.queued().filter(run__pool=pool).practice()
    if not held:
        attempts = attempts.filter(run__waiting="")
    rows = attempts[:FORESEEN].values_list(
        "run",
        "run__submission__pair",
        "run__submission__kind",
        F("run__total") - F("run__done"),
    )
    pace = pace_of(pool)
    lengths = []
    for run, pair, kind, items in rows:
        seconds = pace.seconds(pair=pair, kind=kind, items=items)
        lengths.append((run, seconds))
    if new is not None and new.practice:
        lengths.append((_NEW, new.seconds))
    free = []
    for worker in schedule.workers:
        if worker.candidate.takes is not Takes.ENDPOINTS:
            free.append(max(now, worker.free_at))
    free.sort()
    free = free[: practice_share(len(free))]
    begins = []
    for run, seconds in lengths:
        at = heappop(free)
        length = UNKNOWN_SECONDS if seconds is None else seconds
        heappush(free, at + length)
        begins.append((run, at))
    return begins


def _missing(
    fleet: Fleet,
    waiting: Sequence[Due],
    needs: Mapping[int, Needs],
    begins: Sequence[tuple[UUID, float]],
) -> dict[UUID, Code]:
    """Return the codes of what every evaluator in service lacks for the runs that never begin."""
    begun = {run for run, _ in begins}
    missing = {}
    for due in waiting:
        if due.outbox in needs and due.run not in begun:
            code = fleet.missing(needs[due.outbox])
            if code is not None:
                missing[due.run] = code
    return missing


def _forecast(
    begins: Sequence[tuple[UUID, float]],
    missing: Mapping[UUID, Code],
    *,
    known: bool,
) -> Forecast:
    """Return the forecast of the runs that begin, in their order, and of those that do not."""
    turns: dict[UUID, Turn] = {}
    for run, at in begins:
        start = datetime.fromtimestamp(at, UTC) if known else None
        turns[run] = Turn(len(turns) + 1, start)
    last = Turn(len(turns) + 1, None)
    return Forecast(
        last=last,
        new=turns.get(_NEW, last),
        turns=turns,
        missing=missing,
    )
