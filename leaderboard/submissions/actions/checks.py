"""Checks of the site's programs, its broker and its evaluators: one result for each fault.

One list serves the page, the API and ``manage.py doctor``. All checks read the database alone, so
that a page costs a few queries, but for those of the broker and of the migrations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from evaluator import grading, protocols
from evaluator.contract import JOB_VERSION
from leaderboard.benchmarks.models import SetPair
from leaderboard.celery import WATCH_SECONDS, app
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.actions.closes import hindrance, next_closes
from leaderboard.submissions.actions.pools import Pool
from leaderboard.submissions.actions.watches import overdue_watches
from leaderboard.submissions.models import (
    Delivery,
    Heartbeat,
    Letter,
    PlannedClose,
    RefusedReport,
    Run,
    StateChange,
)
from leaderboard.submissions.scheduling import UNPLACED
from leaderboard.submissions.states import RunState

BEAT_LATE = timedelta(seconds=6 * WATCH_SECONDS)
LONG_WAIT = timedelta(hours=6)
RECENT_DAYS = 7
GRADED_BOUND = timedelta(days=7)
"""Time that a result may wait for the close of its cohort."""
UNSENT = timedelta(minutes=15)
"""Time after which a notification that is due shows that no worker sends any."""
CLOSE_WARNING = timedelta(days=1)
"""Time before a close in which maintainers are warned of it."""


@dataclass(frozen=True)
class CheckResult:
    """Fault for maintainers. A ``problem`` keeps runs from ending; anything else is a note."""

    code: str
    sentence: str
    advice: str
    problem: bool = True

    def __str__(self) -> str:
        kind = "problem" if self.problem else "note"
        return f"{kind}: {self.code}: {self.sentence} {self.advice}"


def check_beat(beat: Heartbeat | None) -> Iterator[CheckResult]:
    """Report a housekeeping that does not run."""
    advice = "Restart the housekeeping, and see that a beat runs or that its command line has -B."
    if beat is None:
        yield CheckResult("beat_dead", "The housekeeping has never run.", advice)
    elif beat.at < timezone.now() - BEAT_LATE:
        sentence = f"The housekeeping has not run since {_moment(beat.at)}."
        yield CheckResult("beat_dead", sentence, advice)


def check_recorder(recorded: Heartbeat | None, beat: Heartbeat | None) -> Iterator[CheckResult]:
    """Report recorders that are behind: no lease ends meanwhile, and no run that is lost is found.

    ``recorded`` is the last moment up to which all reports were recorded. Where the housekeeping
    does not run, which sends these moments, they say nothing of the recorders.
    """
    now = timezone.now()
    late = max(BEAT_LATE, timedelta(seconds=settings.LEASE_SECONDS))
    if recorded is None or beat is None or beat.at < now - BEAT_LATE:
        return
    if recorded.at < now - late:
        yield CheckResult(
            "recorder_late",
            f"Reports are recorded up to {_moment(recorded.at)} only.",
            "Restart the recorder, or start more with "
            "'celery -A leaderboard.celery worker -Q record --pool solo'.",
        )


def check_pools(pools: Sequence[Pool]) -> Iterator[CheckResult]:
    """Report pools that no evaluator serves, and runs that have waited for long."""
    for pool in pools:
        if not pool.registered:
            yield CheckResult(
                "no_evaluator",
                f"No evaluator is registered for the pool {pool.name}.",
                "Register one with 'manage.py register_evaluator', "
                "or set HOLDFAST_POOL to a pool that has one.",
            )
        elif not pool.in_service:
            yield CheckResult(
                "no_evaluator",
                f"Pool {pool.name}: {pool.sentence}",
                "Start one, and run 'python -m evaluator doctor' on its host.",
            )
        elif pool.oldest and pool.oldest < timezone.now() - LONG_WAIT:
            yield CheckResult(
                "long_wait",
                f"Pool {pool.name}: a run has waited since {_moment(pool.oldest)}, "
                f"{pool.waiting} wait.",
                "Start more evaluators, or look at what they work on.",
                problem=False,
            )


def check_evaluators() -> Iterator[CheckResult]:
    """Report evaluators that are silent, out of service or outdated, or whose log contradicts."""
    live = set(Evaluator.objects.live().values_list("pk", flat=True))
    for evaluator in Evaluator.objects.order_by("pk"):
        if evaluator.flagged:
            yield CheckResult(
                "log_contradicts",
                f"Two signed lines of {evaluator.name}'s log contradict each other.",
                "Treat its host as compromised until you know why; see docs/operations.md.",
            )
        if evaluator.cordoned_at:
            yield CheckResult(
                "cordoned",
                f"{evaluator.name} is {evaluator.cordon} by {evaluator.cordoned_by}"
                f" since {_moment(evaluator.cordoned_at)}: {evaluator.cordon_reason.rstrip('.')}.",
                f"End it with 'manage.py evaluators --resume {evaluator.name}' or on /manage/.",
                problem=False,
            )
        if evaluator.pk not in live:
            if evaluator.last_seen and not evaluator.cordon:
                seen = _moment(evaluator.last_seen)
                sentence = f"{evaluator.name} has not been seen since {seen}."
                advice = "Start it, or look at its broker."
                yield CheckResult("evaluator_silent", sentence, advice, problem=False)
            continue
        if evaluator.out_of_service:
            yield CheckResult(
                "out_of_service",
                f"{evaluator.name} is out of service: {evaluator.out_of_service}.",
                "It returns by itself once that is mended.",
            )
        host = evaluator.host_facts()
        for failure in evaluator.engine_failures():
            yield CheckResult(
                "engine_failing",
                f"{evaluator.name}: {failure.name} fails the self-test ({failure.code})"
                " and gets no runs.",
                "Run 'python -m evaluator doctor' on its host, mend the engine, "
                "restart the evaluator.",
                problem=not (host and host.engines),
            )
        if JOB_VERSION not in evaluator.reads:
            yield CheckResult(
                "unknown_version",
                f"{evaluator.name} (release {evaluator.software}) does not read jobs of version "
                f"{JOB_VERSION}.",
                "Install the same release on the site and on its host.",
            )


def check_sets() -> Iterator[CheckResult]:
    """Report sets that no evaluator in service holds, and pairs whose answers none can execute."""
    serving = list(Evaluator.objects.in_service())
    if not serving:
        return
    for pair in SetPair.with_practice.select_related("public", "private"):
        for item_set in pair.sets():
            if not any(evaluator.holds_set(item_set) for evaluator in serving):
                yield CheckResult(
                    "set_not_held",
                    f"No evaluator in service holds the set {item_set.name}.",
                    "Install it on one, and enrol its host if it is sealed.",
                )
        executed = grading.needs_jail(protocols.get(pair.protocol).grader)
        if executed and not any(evaluator.executes for evaluator in serving):
            yield CheckResult(
                "sandbox_missing",
                f"No evaluator in service can grade the answers that {pair.slug} asks for.",
                "Install bubblewrap and libseccomp on one; its 'doctor' says what is missing.",
            )


def check_models() -> Iterator[CheckResult]:
    """Report models that wait because no evaluator in service can hold or load them."""
    stuck = Run.objects.filter(state=RunState.QUEUED, waiting__in=UNPLACED)
    found = stuck.aggregate(runs=Count("pk"), deadline=Min("deadline"))
    if found["runs"]:
        yield CheckResult(
            "worker_missing",
            f"{found['runs']} runs wait for an evaluator that holds their model; the first fails "
            f"on {_moment(found['deadline'])}.",
            "Start one with more GPU memory or the engine: the page of each run says which. "
            "'manage.py runs --state queued' lists them.",
            problem=False,
        )


def check_messages(beat: Heartbeat | None) -> Iterator[CheckResult]:
    """Report messages that could not be decoded, and reports that were refused."""
    counts = beat.facts.get("quarantined", {}) if beat else {}
    for queue, count in sorted(counts.items()):
        yield CheckResult(
            "quarantine",
            f"{count} messages that could not be decoded were set aside from the queue {queue}.",
            "See who can write to the broker.",
            problem=False,
        )
    since = timezone.now().date() - timedelta(days=RECENT_DAYS)
    refused = RefusedReport.objects.filter(day__gte=since)
    for row in refused.order_by("day", "code", "claimed"):
        about = f" that name {row.claimed}" if row.claimed else ""
        yield CheckResult(
            "refused_reports",
            f"{row.count} reports{about} were refused on {row.day}: {row.code}, "
            f"the last {row.digest[:16]}.",
            "Compare the releases of site and evaluators.",
            problem=False,
        )


def check_closes() -> Iterator[CheckResult]:
    """Report boards whose results wait for too long, or whose close is near or hindered."""
    now = timezone.now()
    closes = next_closes()
    waiting = Run.objects.undecided().filter(submission__pair__withdrawn_at=None)
    first = waiting.order_by("submission__pair", "ended_at", "pk").distinct("submission__pair")
    for run in first.select_related("submission__pair"):
        pair = run.submission.pair
        since = run.ended_at or now
        close = closes.get(pair.pk)
        advice = f"Plan a close of {pair.slug}, or run 'manage.py close_cohort {pair.slug}'."
        sentence = f"Run {run.pk} on {pair.slug} has waited as graded since {_moment(since)}."
        if since < now - GRADED_BOUND:
            if close is not None:
                sentence += f" The board closes on {_moment(close)}."
            yield CheckResult("graded_long", sentence, advice, problem=close is None)
        elif close is not None and close < now + CLOSE_WARNING:
            yield CheckResult(
                "close_near",
                f"The board of {pair.slug} closes by itself on {_moment(close)}.",
                "Look at its runs before: retract what is wrong, or plan another close.",
                problem=False,
            )
    for plan in PlannedClose.objects.due().select_related("pair"):
        if reason := hindrance(plan.pair):
            yield CheckResult(
                "close_hindered",
                f"The close of {plan.pair.slug} that was planned for {_moment(plan.at)} was not"
                f" carried out. {reason}",
                f"Look into it, then run 'manage.py close_cohort {plan.pair.slug}'.",
            )


def check_watches() -> Iterator[CheckResult]:
    """Report watched endpoints whose last time was missed or has not come."""
    for watch, day in overdue_watches():
        why = "It is not over."
        occasions = watch.occasions.all()
        last = max(occasions, key=lambda occasion: occasion.day, default=None)
        if last is not None and last.day >= day and last.code:
            why = f"It was missed: {last.code}."
        yield CheckResult(
            "watch_overdue",
            f"{watch} was to be asked on {day}. {why}",
            "Look at its runs in the console. A key that was refused: end the watch and add it"
            " with another one.",
            problem=False,
        )


def check_notifications() -> Iterator[CheckResult]:
    """Report notifications that no worker sends."""
    before = timezone.now() - UNSENT
    oldest = [
        StateChange.objects.aggregate(first=Min("moment"))["first"],
        Delivery.objects.aggregate(first=Min("due"))["first"],
        Letter.objects.aggregate(first=Min("due"))["first"],
    ]
    overdue = [moment for moment in oldest if moment is not None and moment < before]
    if overdue:
        yield CheckResult(
            "notifications_unsent",
            f"Mails or webhooks have been due since {_moment(min(overdue))} and were not sent.",
            "Start a worker: 'celery -A leaderboard.celery worker -Q notifications --pool solo'.",
            problem=False,
        )


def check_migrations() -> Iterator[CheckResult]:
    """Report migrations that have not been applied."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        sentence = f"{len(missing)} migrations have not been applied."
        yield CheckResult("migrations", sentence, "Run 'manage.py migrate'.")


def check_broker() -> Iterator[CheckResult]:
    """Report a broker that takes no connection."""
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=5)
    except (BrokerAway, OSError):
        advice = "Start it, and compare BROKER_URL."
        yield CheckResult("broker_away", "The broker cannot be reached.", advice)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
