"""Metrics for Prometheus: who may read them, and what they count."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries

from leaderboard.submissions.models import RefusedReport, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sample import make_pair, make_run
from tests.leaderboard.sealed import register, seal, show

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
TOKEN = "a token that only prometheus has"


def samples(client: Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values by name and the values of the labels, which stand by their names."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def with_token(settings: Any, db: None) -> None:
    cache.clear()
    settings.METRICS_TOKEN = TOKEN


@pytest.mark.parametrize("header", ["", "Bearer", f"Bearer {TOKEN}x", TOKEN, "Bearer \u00e9"])
def test_no_other_visitor_learns_that_there_are_metrics(
    client: Client, with_token: None, header: str
) -> None:
    headers = {"Authorization": header} if header else {}
    assert client.get("/metrics", headers=headers).status_code == 404


def test_without_a_token_there_are_no_metrics(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    answer = client.get("/metrics", headers={"Authorization": "Bearer "})
    assert answer.status_code == 404


def test_metrics_count_runs_failures_and_waiting_results(client: Client, with_token: None) -> None:
    pair = make_pair("twins")
    make_run(pair, "first", public=300, private=300)
    make_run(pair, "second", public=300, private=300, state=RunState.QUEUED)
    failed = make_run(pair, "third", state=RunState.FAILED, fault="ours", left_open=400)
    Run.objects.filter(pk=failed.pk).update(attempts=3)
    RefusedReport.objects.create(
        day=timezone.now().date(),
        code="bad_message",
        count=4,
        digest="0" * 64,
        last=timezone.now(),
    )
    values = samples(client)
    assert values["holdfast_runs", ("graded",)] == 1
    assert values["holdfast_runs", ("queued",)] == 1
    assert values["holdfast_runs", ("running",)] == 0
    assert values["holdfast_failed_runs", ("lost", "ours")] == 1
    assert values["holdfast_repeated_attempts_total", ()] == 2
    assert values["holdfast_open_cohort_seconds", ("twins",)] > 86_400
    assert values["holdfast_queue_oldest_seconds", ("default",)] > 86_400
    assert values["holdfast_refused_reports", ("bad_message",)] == 4
    assert values["holdfast_housekeeping_age_seconds", ()] == float("inf")
    assert values["holdfast_problems", ("beat_dead",)] == 1


def test_metrics_name_no_model_and_no_person(client: Client, with_token: None) -> None:
    pair = make_pair("twins")
    make_run(pair, "secretive-model", public=300, private=300, organisation="Quiet people")
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    text = answer.content.decode()
    assert "twins" in text
    assert "secretive" not in text and "Quiet" not in text and "submitter" not in text
    assert "no-store" in answer.headers["Cache-Control"]


def test_metrics_count_different_items_that_were_shown(
    client: Client, with_token: None, evaluator: FakeEvaluator
) -> None:
    pair = register(seal())
    evaluator.register()
    show(pair, evaluator, list(range(4)))
    show(pair, evaluator, list(range(2, 13)), recipient="host.example", tier="T1")
    values = samples(client)
    assert values["holdfast_exposed_items", ("0", "twin")] == 10
    assert values["holdfast_exposed_items", ("1", "twin")] == 3
    assert values["holdfast_exposed_items", ("9", "twin")] == 0


def test_metrics_cost_as_many_queries_for_more_runs(
    client: Client, with_token: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    pair = make_pair("twins")
    for number in range(12):
        make_run(pair, f"model-{number}", public=300, private=300)
    with django_assert_max_num_queries(25):
        samples(client)


# --- what stands in deploy/


def test_alerts_and_dashboard_use_metrics_that_exist(client: Client, with_token: None) -> None:
    pair = make_pair("twins")
    make_run(pair, "first", public=300, private=300)
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    known = set()
    for family in text_string_to_metric_families(answer.content.decode()):
        suffix = "_total" if family.type == "counter" else ""
        known.add(family.name + suffix)
    for path in (DEPLOY / "prometheus" / "alerts.yaml", DEPLOY / "grafana" / "holdfast.json"):
        used = set(re.findall(r"\bholdfast_[a-z_]+", path.read_text()))
        assert used and used <= known, f"{path.name}: {used - known}"
