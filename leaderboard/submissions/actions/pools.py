"""Pools of evaluators: how many serve each, and the runs that wait for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Min

from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class Pool:
    """Pool of evaluators: how many announce themselves and take runs, and the runs that wait."""

    name: str
    registered: int
    live: int
    in_service: int
    last_seen: datetime | None
    waiting: int
    running: int
    oldest: datetime | None

    @property
    def sentence(self) -> str:
        """State of the pool, for any visitor."""
        if self.in_service:
            return f"{self.in_service} of {self.registered} evaluators in service."
        if self.live:
            return "Every evaluator that runs is out of service."
        if self.last_seen:
            return f"No evaluator has been seen since {self.last_seen:%Y-%m-%d %H:%M} UTC."
        return "No evaluator has been seen."


def all_pools() -> tuple[Pool, ...]:
    """Return the pools that have an evaluator or a run under way, and the pool of new runs."""
    under_way = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING)
    runs = Run.objects.filter(state__in=under_way).values("pool", "state")
    counts: dict[str, dict[str, Any]] = {}
    for row in runs.annotate(runs=Count("pk"), oldest=Min("queued_at")):
        counts.setdefault(row["pool"], {})[row["state"]] = row
    members: dict[str, list[Evaluator]] = {}
    for evaluator in Evaluator.objects.order_by("pk"):
        members.setdefault(evaluator.pool, []).append(evaluator)
    live = set(Evaluator.objects.live().values_list("pk", flat=True))
    names = {settings.POOL, *counts, *members}
    return tuple(
        _pool(name, members.get(name, []), live, counts.get(name, {})) for name in sorted(names)
    )


def _pool(
    name: str,
    members: Sequence[Evaluator],
    live_keys: Collection[int],
    counts: Mapping[str, Mapping[str, Any]],
) -> Pool:
    """Return a pool from its evaluators and the counts of its runs, by state."""
    live = [evaluator for evaluator in members if evaluator.pk in live_keys]
    seen = [evaluator.last_seen for evaluator in members if evaluator.last_seen]
    queued = counts.get(RunState.QUEUED)
    busy = [counts[state] for state in (RunState.LEASED, RunState.RUNNING) if state in counts]
    return Pool(
        name=name,
        registered=len(members),
        live=len(live),
        in_service=sum(not evaluator.out_of_service for evaluator in live),
        last_seen=max(seen, default=None),
        waiting=queued["runs"] if queued else 0,
        running=sum(row["runs"] for row in busy),
        oldest=queued["oldest"] if queued else None,
    )
