"""Adaptive runs on pages, in the API and in exports: marked, and no count of a single item."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Run, RunPlan
from tests.leaderboard import adaptive
from tests.leaderboard.adaptive import ENDPOINT, EXPOSED_N, Asker
from tests.leaderboard.closing import publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(db: None) -> SetPair:
    return adaptive.make_pair()


@pytest.fixture
def run(pair: SetPair, user: Any, ask: Callable[..., Any], bell: Any, evaluator: Any) -> Run:
    """An adaptive run on a board that is closed."""
    evaluator.register()
    drawn = adaptive.sample(overfit=1.5, ability=0.5)
    adaptive.make_panel(pair, drawn)
    order = ask(model="Overfit", **ENDPOINT)
    submitted = actions.submit(user=user, key=adaptive.new_key(), ask=order).runs.get()
    Asker(evaluator, drawn, record_report).run_to_end(submitted)
    publish(pair=pair)
    return submitted


def test_rows_are_marked_and_scores_are_said_to_be_estimates(run: Run, client: Client) -> None:
    asked = RunPlan.objects.get(run=run).asked
    board = client.get("/boards/pair/").content.decode()
    assert f"adaptive: {asked} of {EXPOSED_N} items" in board
    (row,) = re.findall(r'<tr[^>]* data-model="Overfit".*?</tr>', board, re.DOTALL)
    assert ">adaptive</a>" in row and ">≈" in row
    assert board.count(">adaptive</a>") == 1
    assert "≈ marks a private score that is estimated" in board
    model = client.get("/models/Overfit/").content.decode()
    assert f", adaptive: {asked} of {EXPOSED_N} items" in model
    assert f"estimated for {EXPOSED_N} items from {asked} that were asked" in model
    assert "/methodology/#adaptive" in model
    assert 'id="adaptive"' in client.get("/methodology/").content.decode()
    reference = client.get("/models/ref-03/").content.decode()
    assert "adaptive" not in reference.partition("</main>")[0]


def test_pages_of_the_pair_and_the_run_show_the_plan(run: Run, client: Client) -> None:
    plan = RunPlan.objects.get(run=run)
    assert "Adaptive test adaptive-1" in client.get("/sets/pair/").content.decode()
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert plan.digest in page
    assert "is not its score" in page


def test_the_api_publishes_the_option_and_the_plan(run: Run, client: Client) -> None:
    plan = RunPlan.objects.get(run=run)
    assert client.get("/api/v1/sets/pair").json()["adaptive"] == "adaptive-1"
    of_run = client.get(f"/api/v1/runs/{run.pk}").json()["adaptive"]
    assert (of_run["digest"], of_run["asked"]) == (plan.digest, plan.asked)
    listed = {one["id"]: one for one in client.get("/api/v1/runs").json()["runs"]}
    assert listed[str(run.pk)]["plan"] == {"digest": plan.digest, "plan": plan.body}
    assert all("plan" not in one for key, one in listed.items() if key != str(run.pk))
    rows = {row["model"]: row for row in client.get("/api/v1/board?pair=pair").json()["rows"]}
    assert rows["Overfit"]["adaptive"]["asked"] == rows["Overfit"]["private"]["n"] == plan.asked
    assert rows["ref-03"]["adaptive"] is None


def test_exports_name_the_items_that_an_estimate_is_for(run: Run, client: Client) -> None:
    text = client.get("/boards/pair.csv").content.decode()
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows["Overfit"]["private_planned"] == str(EXPOSED_N)
    assert rows["ref-03"]["private_planned"] == ""


PAGES = (
    "/boards/pair/",
    "/models/Overfit/",
    "/sets/pair/",
    "/sets/pair/exposure/",
    "/api/v1/board?pair=pair",
    "/api/v1/sets/pair",
    "/api/v1/runs",
    "/api/v1/grants",
    "/boards/pair.csv",
)


def test_counts_by_item_and_statistics_of_looks_are_nowhere(run: Run, admin_client: Client) -> None:
    plan = RunPlan.objects.get(run=run)
    secrets = [plan.easiness["public"], plan.easiness["private"], plan.easiness["salt"]]
    secrets += [json.dumps(plan.result["z"])[1:-1], str(plan.result["z"][0])]
    for page in (*PAGES, f"/runs/{run.pk}/", f"/api/v1/runs/{run.pk}"):
        answer = admin_client.get(page)
        assert answer.status_code == 200
        text = answer.content.decode()
        assert not [secret for secret in secrets if secret in text], page
