"""Pools of evaluators: how many serve each, and the runs that wait for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q

from evaluator.artefacts.fleet import Worker
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models import Run, Submission
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class Pool:
    """Pool of evaluators: how many announce themselves and take runs, and the runs that wait.

    ``silent`` are those that are neither live nor cordoned, ``engine_failing`` the live ones with
    an engine that does not pass the self-test. ``endpoint_places`` are those of the evaluators in
    service for runs of endpoints, apart from weights; ``endpoints_running`` are such runs.
    """

    name: str
    registered: int
    live: int
    in_service: int
    cordoned: int
    silent: int
    engine_failing: int
    last_seen: datetime | None
    waiting: int
    running: int
    endpoint_places: int
    endpoints_running: int
    oldest: datetime | None

    @property
    def sentence(self) -> str:
        """State of the pool, for any visitor."""
        if self.in_service:
            parts = [f"{self.in_service} of {self.registered} evaluators in service"]
            if self.endpoint_places:
                parts.append(f"with {self.endpoint_places} places for endpoints")
            if self.cordoned:
                parts.append(f"{self.cordoned} cordoned")
            if self.silent:
                parts.append(f"{self.silent} silent")
            if self.engine_failing:
                parts.append(f"{self.engine_failing} with an engine that fails its self-test")
            return f"{', '.join(parts)}."
        if self.cordoned and self.cordoned == self.registered:
            return "Every evaluator is cordoned: maintainers work on them."
        if self.live:
            return "Every evaluator that runs is out of service."
        if self.last_seen:
            return f"No evaluator has been seen since {self.last_seen:%Y-%m-%d %H:%M} UTC."
        return "No evaluator has been seen."


def known_workers(name: str | None = None) -> list[Worker]:
    """Return the evaluators of a pool, as far as each has announced its host.

    Without a name it is the pool of new runs.
    """
    pool = Evaluator.objects.of_pool(name or settings.POOL)
    serving = set(pool.in_service().values_list("pk", flat=True))
    return [
        Worker(in_service=evaluator.pk in serving, host=evaluator.host_facts())
        for evaluator in pool.exclude(last_seen=None)
    ]


def all_pools() -> tuple[Pool, ...]:
    """Return the pools that have an evaluator or a run under way, and the pool of new runs.

    Practice is not counted: it waits for others by intent.
    """
    under_way = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING)
    runs = Run.objects.official().filter(state__in=under_way)
    is_of_endpoint = Q(submission__kind=Submission.Kind.ENDPOINT)
    by_pool_and_state = runs.values("pool", "state").annotate(
        runs=Count("pk"),
        oldest=Min("queued_at"),
        endpoints=Count("pk", filter=is_of_endpoint),
    )
    counts: dict[str, dict[str, Any]] = {}
    for row in by_pool_and_state:
        of_pool = counts.setdefault(row["pool"], {})
        of_pool[row["state"]] = row
    members: dict[str, list[Evaluator]] = {}
    for evaluator in Evaluator.objects.order_by("pk"):
        members.setdefault(evaluator.pool, []).append(evaluator)
    live = set(Evaluator.objects.live().values_list("pk", flat=True))
    pools = []
    for name in sorted({settings.POOL, *counts, *members}):
        evaluators = members.get(name, [])
        pools.append(_pool(name, evaluators, live, counts.get(name, {})))
    return tuple(pools)


def _pool(
    name: str,
    members: Sequence[Evaluator],
    live_keys: Collection[int],
    counts: Mapping[str, Mapping[str, Any]],
) -> Pool:
    """Return a pool from its evaluators and the counts of its runs, by state."""
    queued = counts.get(RunState.QUEUED)
    under_way = (RunState.LEASED, RunState.RUNNING)
    busy = [counts[state] for state in under_way if state in counts]
    return Pool(
        name=name,
        waiting=queued["runs"] if queued else 0,
        running=sum(row["runs"] for row in busy),
        endpoints_running=sum(row["endpoints"] for row in busy),
        oldest=queued["oldest"] if queued else None,
        **_counted(members, live_keys),
    )


def _counted(members: Sequence[Evaluator], live_keys: Collection[int]) -> dict[str, Any]:
    """Return the fields of a pool that count its evaluators."""
    live = [evaluator for evaluator in members if evaluator.pk in live_keys]
    serving = [evaluator for evaluator in live if evaluator.takes_runs]
    seen = [evaluator.last_seen for evaluator in members if evaluator.last_seen]
    return {
        "registered": len(members),
        "live": len(live),
        "in_service": len(serving),
        "endpoint_places": sum(evaluator.endpoint_runs for evaluator in serving),
        "cordoned": sum(bool(evaluator.cordon) for evaluator in members),
        "silent": sum(
            not evaluator.cordon and evaluator.pk not in live_keys for evaluator in members
        ),
        "engine_failing": sum(bool(evaluator.engine_failures()) for evaluator in live),
        "last_seen": max(seen, default=None),
    }
