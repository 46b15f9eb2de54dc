"""The feed of results, the calendar of closes and the badges."""

import re
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board.feeds import _escaped, _folded
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    make_board(made)
    actions.close_cohort(pair=made)
    return made


def entries(client: Client, address: str) -> list[dict[str, str]]:
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/atom+xml")
    tree = ElementTree.fromstring(answer.content)
    return [
        {one.tag.removeprefix(ATOM): one.text or one.get("href", "") for one in entry}
        for entry in tree.iter(f"{ATOM}entry")
    ]


def test_a_close_is_an_entry_with_the_evidence_about_each_model(
    client: Client, pair: SetPair
) -> None:
    (entry,) = entries(client, "/boards/demo/feed.atom")
    assert entry["title"] == "Demo arithmetic: results of round 1"
    assert "demo-contaminated: overfit" in entry["summary"]
    assert "late-one" not in entry["summary"], "it is not graded yet"
    assert entry["id"].endswith("/boards/demo/#round-1")
    make_run(pair, "newcomer", public=300, private=300)
    assert len(entries(client, "/feed.atom")) == 1, "a graded run is no result yet"
    actions.close_cohort(pair=pair)
    newest, oldest = entries(client, "/feed.atom")
    assert newest["summary"].startswith("newcomer: ") and oldest == entry
    assert client.get("/boards/nowhere/feed.atom").status_code == 404


def test_a_retracted_run_leaves_the_feed(client: Client, pair: SetPair) -> None:
    run = Run.objects.get(submission__model__name="demo-contaminated", state=RunState.RANKED)
    run.change(retracted_at=run.ended_at, retracted_by=run.submission.submitted_by, retracted_why="by_request")  # fmt: skip
    (entry,) = entries(client, "/feed.atom")
    assert "demo-contaminated" not in entry["summary"]


def test_feeds_and_badges_are_revalidated(client: Client, pair: SetPair) -> None:
    for address in ("/boards/demo/feed.atom", "/boards/demo/models/demo-honest/badge.svg"):
        first = client.get(address)
        again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, first.headers["Cache-Control"]) == (304, "no-cache")


def test_the_calendar_names_the_closes_that_are_known(
    client: Client, pair: SetPair, settings: Any
) -> None:
    assert b"VEVENT" not in client.get("/closes.ics").content
    settings.COHORT_SECONDS = 7 * 86400
    run = make_run(pair, "newcomer", public=300, private=300)
    close = run.ended_at + timedelta(days=7)
    answer = client.get("/closes.ics")
    assert answer.headers["Content-Type"].startswith("text/calendar")
    lines = answer.content.decode().split("\r\n")
    assert f"DTSTART:{close:%Y%m%dT%H%M%SZ}" in lines
    assert "SUMMARY:Results of Demo arithmetic" in lines
    page = client.get("/boards/demo/").content.decode()
    assert f'Next results: <time datetime="{close.isoformat()}">' in page
    SetPair.objects.update(title="x")
    settings.COHORT_SECONDS = 86400
    moved = client.get("/boards/demo/").content.decode()
    assert f"{run.ended_at + timedelta(days=1):%Y-%m-%dT%H:%M}" in moved, "its version has changed"


def test_the_values_of_the_calendar_are_escaped() -> None:
    assert _escaped("a, b; c\\ d\nBEGIN:VEVENT") == "a\\, b\\; c\\\\ d BEGIN:VEVENT"
    pieces = _folded("SUMMARY:" + "ü" * 100)
    assert all(len(piece.encode()) <= 75 for piece in pieces)
    assert pieces[0] + "".join(piece[1:] for piece in pieces[1:]) == "SUMMARY:" + "ü" * 100


def test_a_badge_is_a_picture_of_a_models_result(client: Client, pair: SetPair) -> None:
    SetPair.objects.update(title='<b>&"Demo')
    answer = client.get("/boards/demo/models/demo-contaminated/badge.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    texts = [one.text for one in ElementTree.fromstring(answer.content).iter() if one.text]
    assert '<b>&"Demo' in texts and "65.5% private · overfit" in texts
    assert not re.search(r"<script|style=", answer.content.decode())
    for name in ("late-one", "nobody", "x" * 200):
        assert client.get(f"/boards/demo/models/{name}/badge.svg").status_code == 404
