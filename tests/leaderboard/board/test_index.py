"""The list of benchmarks, and what leads from one page of a benchmark to the others."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db
TABS = {
    "Set": "/sets/demo/",
    "Exposure": "/ledger/?set=demo-private&amp;kind=exposure",
    "Release": "/sets/demo/release/",
    "Method": "/boards/demo/method/",
}


@pytest.fixture
def pair() -> SetPair:
    return make_pair()


def main_of(client: Client, address: str) -> str:
    return client.get(address).content.decode().partition("<main")[2]


@pytest.mark.parametrize("tab", TABS)
def test_each_page_of_a_benchmark_has_its_name_and_the_way_to_the_others(
    client: Client, pair: SetPair, tab: str
) -> None:
    page = main_of(client, TABS[tab].replace("&amp;", "&"))
    assert f"<h1>{pair.title}</h1>" in page
    links = re.findall(r'<a href="([^"]+)"( aria-current="page")?>(\w+)</a>', page)
    tabs = {name: (address, bool(current)) for address, current, name in links if name in TABS}
    assert tabs == {name: (address, name == tab) for name, address in TABS.items()}
    assert '<a href="/boards/demo/">Board</a>' in page


def test_maintainers_find_the_whole_exposure_behind_its_tab(client: Client, pair: SetPair) -> None:
    client.force_login(User.objects.create_user("maintainer", is_staff=True))
    page = main_of(client, "/sets/demo/exposure/")
    assert '<a href="/sets/demo/exposure/" aria-current="page">Exposure</a>' in page


def test_the_method_of_a_benchmark_names_its_own_protocol_only(
    client: Client, pair: SetPair
) -> None:
    page = main_of(client, "/boards/demo/method/")
    assert "Protocol demo-0shot" in page and "Protocol gsm1k-5shot" not in page
    assert "numeric-1" in page and "one generator" in page
    assert client.get("/boards/nowhere/method/").status_code == 404


def closed(slug: str) -> SetPair:
    pair = make_pair(slug)
    SetPair.objects.filter(pk=pair.pk).update(title=f"Benchmark {slug}")
    make_board(pair)
    actions.close_cohort(pair=pair)
    return pair


def test_the_front_page_lists_benchmarks_with_state_closes_and_leader(
    client: Client, pair: SetPair
) -> None:
    closed("full")
    page = " ".join(re.sub(r"<[^>]+>", " ", main_of(client, "/")).split())
    full, empty = page.split("Demo arithmetic")
    assert "Benchmark full Protocol demo-0shot" in full and "Sealed · 400 private items" in full
    assert "Ranked models 5 Leader replay-strong , 99.2% private" in full
    assert "Last close none yet" not in full and "Next results by the maintainers" in full
    assert "Ranked models 0 Leader none yet Last close none yet" in empty


def test_an_empty_site_says_so(client: Client) -> None:
    page = main_of(client, "/")
    assert "No benchmark is registered yet." in page and "Published tables" not in page


def test_page_route_and_command_list_the_same(
    client: Client, pair: SetPair, capsys: pytest.CaptureFixture[str]
) -> None:
    closed("full")
    listed = client.get("/api/v1/benchmarks").json()
    assert [(entry["pair"], entry["models"]) for entry in listed] == [("full", 5), ("demo", 0)]
    assert listed[0]["leader"] == {"model": "replay-strong", "private_accuracy": 0.9925}
    assert listed[0]["state"] == "sealed" and listed[1]["last_close"] is None
    call_command("board", "--list", "--json")
    assert json.loads(capsys.readouterr().out) == listed
    call_command("board", "--list")
    table = capsys.readouterr().out
    assert "replay-strong" in table and "by the maintainers" in table


def test_the_clock_says_when_results_that_wait_are_published(
    client: Client, pair: SetPair, settings: Any
) -> None:
    settings.COHORT_SECONDS = 7 * 86400
    (entry,) = client.get("/api/v1/benchmarks").json()
    assert (entry["next_close"], entry["close_rule"]) == (None, "1 week after the next result")
    run = make_run(pair, "model", public=10, private=10)
    (entry,) = client.get("/api/v1/benchmarks").json()
    assert datetime.fromisoformat(entry["next_close"]) == run.ended_at + timedelta(days=7)
    SetPair.objects.update(
        withdrawn_at=run.ended_at, withdrawn_why="duplicate", withdrawn_by=User.objects.first()
    )
    (entry,) = client.get("/api/v1/benchmarks").json()
    assert (entry["state"], entry["next_close"]) == ("withdrawn", None)
    assert entry["close_rule"] == "never, withdrawn"


def test_the_cost_does_not_grow_with_the_benchmarks(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    closed("first")
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/").status_code == 200
    closed("second")
    make_pair()
    with django_assert_num_queries(len(queries)):
        assert client.get("/").status_code == 200
