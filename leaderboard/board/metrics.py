"""Metrics of the site, in Prometheus's text format.

All figures are read from the database when Prometheus asks, so that every process of the site
answers the same and none has to count by itself. No figure is about a single model, run or item.
"""

from collections.abc import Iterator
from datetime import datetime

from django.core.cache import cache
from django.db.models import Count, Min, Sum
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from leaderboard.benchmarks.models import SetPair
from leaderboard.ledger.models import Entry
from leaderboard.submissions.actions import overdue_watches, status
from leaderboard.submissions.actions.monitoring import Status
from leaderboard.submissions.exposure_report import Reveal, report_exposure
from leaderboard.submissions.models import Delivery, RefusedReport, Run
from leaderboard.submissions.states import RunState

EXPOSURE_SECONDS = 600
"""Age of the exposure's figures at most: adding them up reads every entry of the ledger."""


class SiteCollector(Collector):
    """Collector of all metrics of the site."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, from the database as it is now."""
        now = status()
        yield from _of_pools(now)
        yield from _of_runs()
        yield from _of_programs(now)
        exposed = GaugeMetricFamily(
            "holdfast_exposed_items",
            "Items of a sealed block that were shown to any recipient.",
            labels=["set", "block"],
        )
        rows = cache.get_or_set("metrics-exposure", _exposed_blocks, EXPOSURE_SECONDS)
        for name, block, items in rows or ():
            exposed.add_metric([name, block], items)
        yield exposed


def exposition() -> bytes:
    """Return all metrics in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(SiteCollector())
    return generate_latest(registry)


def _age(moment: datetime | None) -> float:
    """Return the seconds since a moment; 0 where there is none."""
    if moment is None:
        return 0.0
    age = timezone.now() - moment
    return max(0.0, age.total_seconds())


def _of_pools(now: Status) -> Iterator[Metric]:
    oldest = GaugeMetricFamily(
        "holdfast_queue_oldest_seconds", "Time that the oldest queued run waits.", labels=["pool"]
    )
    evaluators = GaugeMetricFamily(
        "holdfast_evaluators",
        "Evaluators that are registered, announce themselves, take runs, are cordoned.",
        labels=["pool", "state"],
    )
    endpoints = GaugeMetricFamily(
        "holdfast_endpoint_runs",
        "Places for runs of endpoints, apart from weights, and such runs.",
        labels=["pool", "state"],
    )
    for pool in now.pools:
        oldest.add_metric([pool.name], _age(pool.oldest))
        evaluators.add_metric([pool.name, "registered"], pool.registered)
        evaluators.add_metric([pool.name, "live"], pool.live)
        evaluators.add_metric([pool.name, "in_service"], pool.in_service)
        evaluators.add_metric([pool.name, "cordoned"], pool.cordoned)
        endpoints.add_metric([pool.name, "places"], pool.endpoint_places)
        endpoints.add_metric([pool.name, "running"], pool.endpoints_running)
    yield oldest
    yield evaluators
    yield endpoints


def _of_runs() -> Iterator[Metric]:
    runs = GaugeMetricFamily("holdfast_runs", "Runs by state.", labels=["state"])
    by_state = Run.objects.order_by().values_list("state")
    counts = dict(by_state.annotate(Count("pk")))
    for state in RunState:
        runs.add_metric([state.value], counts.get(state.value, 0))
    yield runs
    failures = GaugeMetricFamily(
        "holdfast_failed_runs", "Failed runs by fault and code.", labels=["fault", "code"]
    )
    failed = Run.objects.filter(state=RunState.FAILED).order_by()
    by_code = failed.values_list("fault", "code")
    for fault, code, number in by_code.annotate(Count("pk")):
        failures.add_metric([fault, code], number)
    yield failures
    attempts = Run.objects.aggregate(attempts=Sum("attempts"), runs=Count("pk"))
    repeated = (attempts["attempts"] or 0) - attempts["runs"]
    yield CounterMetricFamily(
        "holdfast_repeated_attempts",
        "Attempts after the first of a run: an expired lease, or a fault of ours.",
        value=repeated,
    )
    ages = GaugeMetricFamily(
        "holdfast_open_cohort_seconds",
        "Time since the first result that waits for the close of its board.",
        labels=["pair"],
    )
    waiting = Run.objects.of_authors().filter(
        state=RunState.GRADED, submission__pair__withdrawn_at=None
    )
    first = waiting.order_by().values_list("submission__pair__slug").annotate(Min("ended_at"))
    for slug, moment in first:
        ages.add_metric([slug], _age(moment))
    yield ages


def _of_programs(now: Status) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "holdfast_housekeeping_age_seconds",
        "Time since the housekeeping ran; infinite if it never has.",
        value=_age(now.beat) if now.beat else float("inf"),
    )
    problems = GaugeMetricFamily(
        "holdfast_problems",
        "Findings of manage.py doctor that keep runs from ending.",
        labels=["code"],
    )
    codes = [result.code for result in now.check_results if result.problem]
    for code in sorted(set(codes)):
        problems.add_metric([code], codes.count(code))
    yield problems
    yield GaugeMetricFamily(
        "holdfast_watches_overdue",
        "Watched endpoints whose last time was missed or has not come.",
        value=len(overdue_watches()),
    )
    refused = GaugeMetricFamily(
        "holdfast_refused_reports", "Reports that were refused, by code.", labels=["code"]
    )
    refused_by_code = RefusedReport.objects.order_by().values_list("code")
    for code, number in refused_by_code.annotate(Sum("count")):
        refused.add_metric([code], number)
    yield refused
    unsent = Delivery.objects.filter(due__lte=Now())
    due = unsent.aggregate(oldest=Min("due"))
    yield GaugeMetricFamily(
        "holdfast_notifications_late_seconds",
        "Time since the oldest unsent mail or webhook was due.",
        value=_age(due["oldest"]),
    )


def _exposed_blocks() -> list[tuple[str, str, int]]:
    """Return the name of each sealed set, each of its blocks, and how many of its items were
    shown."""
    manifests = {}
    rows = []
    for pair in SetPair.objects.select_related("private"):
        manifest = pair.private.facts()
        if manifest:
            manifests[manifest.name] = manifest
    columns = ("moment", "recipient", "tier", "line__root", "line__items")
    for name, manifest in sorted(manifests.items()):
        exposures = Entry.objects.filter(kind="exposure", set_name=name)
        entries = exposures.values_list(*columns).iterator()
        report = report_exposure(manifest, (Reveal(*entry) for entry in entries))
        for block, exposure in report.blocks.items():
            rows.append((name, str(block), exposure.total.items))
    return rows
