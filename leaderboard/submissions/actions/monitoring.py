"""Status of the site's programs and of the pools, with findings and advice.

One list of findings serves the page, the API and ``manage.py doctor``. It is read from the database
alone, so a page costs a few queries; only the doctor and the housekeeping ask the broker.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, F, Min
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.broker import quarantined
from evaluator.contract import JOB_VERSION
from evaluator.errors import EvaluatorError
from leaderboard.benchmarks.models import SetPair
from leaderboard.celery import WATCH_SECONDS, app
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models import BEAT, Heartbeat, RefusedReport, Run
from leaderboard.submissions.states import RunState

BEAT_LATE = timedelta(seconds=6 * WATCH_SECONDS)
LONG_WAIT = timedelta(hours=6)
RECENT_DAYS = 7


@dataclass(frozen=True)
class Finding:
    """Finding for maintainers. A ``problem`` keeps runs from ending; anything else is a note."""

    code: str
    sentence: str
    advice: str
    problem: bool = True

    def __str__(self) -> str:
        kind = "problem" if self.problem else "note"
        return f"{kind}: {self.code}: {self.sentence} {self.advice}"


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


@dataclass(frozen=True)
class Status:
    """Status of the site: the last housekeeping, the pools, the findings."""

    beat: datetime | None
    pools: tuple[Pool, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True where nothing keeps runs from ending."""
        return not any(finding.problem for finding in self.findings)


def watch() -> int:
    """Stamp the housekeeping's heartbeat, with the number of quarantined messages.

    Returns that number.
    """
    try:
        counts = quarantined(app)
    except (BrokerAway, OSError):
        counts = {}
    Heartbeat.stamp(BEAT, quarantined=counts)
    return sum(counts.values())


def refuse_report(envelope: object, failure: EvaluatorError) -> None:
    """Count a report that was refused."""
    raw = _canonical(envelope)
    claimed = _claimed(envelope)
    key = {"day": timezone.now().date(), "code": failure.code.value, "claimed": claimed}
    fields = {"size": len(raw), "digest": hashlib.sha256(raw).hexdigest(), "last": Now()}
    with transaction.atomic():
        row, _ = RefusedReport.objects.get_or_create(**key, defaults=fields)
        RefusedReport.objects.filter(pk=row.pk).update(count=F("count") + 1, **fields)


def _canonical(envelope: object) -> bytes:
    try:
        return json.dumps(envelope, sort_keys=True).encode(errors="replace")
    except (TypeError, ValueError, RecursionError):
        return b""


def _claimed(envelope: object) -> str:
    report = envelope.get("report") if isinstance(envelope, dict) else None
    name = report.get("evaluator") if isinstance(report, dict) else None
    known = (
        isinstance(name, str)
        and "\0" not in name
        and Evaluator.objects.public_key_of(name) is not None
    )
    return str(name) if known else ""


def status() -> Status:
    """Return the status, as far as the database knows it."""
    beat = Heartbeat.objects.filter(name=BEAT).first()
    pools = tuple(_pools())
    findings = (
        *_of_beat(beat),
        *_of_pools(pools),
        *_of_evaluators(),
        *_of_sets(),
        *_of_messages(beat),
    )
    return Status(beat.at if beat else None, pools, findings)


def examine() -> tuple[Finding, ...]:
    """Return the findings, with those about the broker and the migrations."""
    return (*_of_migrations(), *_of_broker(), *status().findings)


def _pools() -> Iterable[Pool]:
    under_way = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING)
    runs = Run.objects.filter(state__in=under_way).values("pool", "state")
    counted = {
        (row["pool"], row["state"]): row
        for row in runs.annotate(runs=Count("pk"), oldest=Min("queued_at"))
    }
    evaluators = list(Evaluator.objects.order_by("pk"))
    live = set(Evaluator.objects.live().values_list("pk", flat=True))
    names = {settings.POOL}
    names |= {pool for pool, _ in counted} | {evaluator.pool for evaluator in evaluators}
    for name in sorted(names):
        members = [evaluator for evaluator in evaluators if evaluator.pool == name]
        of_pool = {state: row for (pool, state), row in counted.items() if pool == name}
        yield _pool(name, members, live, of_pool)


def _pool(
    name: str,
    members: Sequence[Evaluator],
    live: Collection[int],
    counted: Mapping[str, Mapping[str, Any]],
) -> Pool:
    """Return a pool from its evaluators and the counts of its runs, by state."""
    queued = counted.get(RunState.QUEUED)
    busy = [counted[state] for state in (RunState.LEASED, RunState.RUNNING) if state in counted]
    return Pool(
        name=name,
        registered=len(members),
        live=sum(evaluator.pk in live for evaluator in members),
        in_service=sum(_is_in_service(evaluator, live) for evaluator in members),
        last_seen=_last_seen(members),
        waiting=queued["runs"] if queued else 0,
        running=sum(row["runs"] for row in busy),
        oldest=queued["oldest"] if queued else None,
    )


def _is_in_service(evaluator: Evaluator, live: Collection[int]) -> bool:
    return evaluator.pk in live and not evaluator.out_of_service


def _last_seen(evaluators: Sequence[Evaluator]) -> datetime | None:
    moments = [evaluator.last_seen for evaluator in evaluators if evaluator.last_seen]
    return max(moments, default=None)


def _of_beat(beat: Heartbeat | None) -> Iterable[Finding]:
    advice = "Restart the recorder, and see that its command line has -B or that a beat runs."
    if beat is None:
        yield Finding("beat_dead", "The housekeeping has never run.", advice)
    elif beat.at < timezone.now() - BEAT_LATE:
        yield Finding(
            "beat_dead", f"The housekeeping has not run since {_moment(beat.at)}.", advice
        )


def _of_pools(pools: Sequence[Pool]) -> Iterable[Finding]:
    for pool in pools:
        if not pool.registered:
            advice = "Register one with 'manage.py register_evaluator', or set HOLDFAST_POOL to a pool that has one."
            yield Finding(
                "no_evaluator", f"No evaluator is registered for the pool {pool.name}.", advice
            )
        elif not pool.in_service:
            advice = "Start one, and run 'python -m evaluator doctor' on its host."
            yield Finding("no_evaluator", f"Pool {pool.name}: {pool.sentence}", advice)
        elif pool.oldest and pool.oldest < timezone.now() - LONG_WAIT:
            sentence = f"Pool {pool.name}: a run has waited since {_moment(pool.oldest)}, {pool.waiting} wait."
            yield Finding(
                "long_wait",
                sentence,
                "Start more evaluators, or look at what they work on.",
                problem=False,
            )


def _of_evaluators() -> Iterable[Finding]:
    live = set(Evaluator.objects.live().values_list("pk", flat=True))
    for evaluator in Evaluator.objects.order_by("pk"):
        if evaluator.flagged:
            advice = "Treat its host as compromised until you know why; see docs/operations.md."
            yield Finding(
                "log_contradicts",
                f"Two signed lines of {evaluator.name}'s log contradict each other.",
                advice,
            )
        if evaluator.last_seen and evaluator.pk not in live:
            sentence = f"{evaluator.name} has not been seen since {_moment(evaluator.last_seen)}."
            yield Finding(
                "evaluator_silent", sentence, "Start it, or look at its broker.", problem=False
            )
        elif evaluator.pk in live and evaluator.out_of_service:
            sentence = f"{evaluator.name} is out of service: {evaluator.out_of_service}."
            yield Finding("out_of_service", sentence, "It returns by itself once that is mended.")
        if evaluator.pk in live and JOB_VERSION not in evaluator.reads:
            sentence = f"{evaluator.name} (release {evaluator.software}) does not read jobs of version {JOB_VERSION}."
            yield Finding(
                "unknown_version", sentence, "Install the same release on the site and on its host."
            )


def _of_sets() -> Iterable[Finding]:
    serving = list(Evaluator.objects.in_service())
    for pair in SetPair.objects.select_related("public", "private"):
        for item_set in pair.sets():
            held = any(evaluator.holds_set(item_set) for evaluator in serving)
            if serving and not held:
                sentence = f"No evaluator in service holds the set {item_set.name}."
                yield Finding(
                    "set_not_held",
                    sentence,
                    "Install it on one, and enrol its host if it is sealed.",
                )


def _of_messages(beat: Heartbeat | None) -> Iterable[Finding]:
    counts = beat.facts.get("quarantined", {}) if beat else {}
    for queue, count in sorted(counts.items()):
        sentence = (
            f"{count} messages that could not be decoded were set aside from the queue {queue}."
        )
        yield Finding("quarantine", sentence, "See who can write to the broker.", problem=False)
    since = timezone.now().date() - timedelta(days=RECENT_DAYS)
    for row in RefusedReport.objects.filter(day__gte=since).order_by("day", "code", "claimed"):
        about = f" that name {row.claimed}" if row.claimed else ""
        sentence = f"{row.count} reports{about} were refused on {row.day}: {row.code}, the last {row.digest[:16]}."
        yield Finding(
            "refused_reports",
            sentence,
            "Compare the releases of site and evaluators.",
            problem=False,
        )


def _of_migrations() -> Iterable[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Finding(
            "migrations",
            f"{len(missing)} migrations have not been applied.",
            "Run 'manage.py migrate'.",
        )


def _of_broker() -> Iterable[Finding]:
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=5)
    except (BrokerAway, OSError):
        yield Finding(
            "broker_away", "The broker cannot be reached.", "Start it, and compare BROKER_URL."
        )


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def public_facts(status_now: Status) -> dict[str, Any]:
    """Return what any visitor may know: the state of each pool, and no name of a host."""
    names = ("name", "registered", "in_service", "waiting", "running", "oldest")
    pools = [
        {name: getattr(pool, name) for name in names} | {"sentence": pool.sentence}
        for pool in status_now.pools
    ]
    return {"ok": status_now.ok, "beat": status_now.beat, "pools": pools}
