"""The board's page and file: what they say, how they fail, and that they compute nothing."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions, exports
from leaderboard.board.models import Snapshot
from leaderboard.board.snapshot import METHOD
from tests.leaderboard.board.test_rows import row
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    make_board(made)
    actions.close_cohort(pair=made)
    return made


class Page(HTMLParser):
    """Text of every element, tags balanced or not, and attributes seen."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def get(client: Client, address: str = "/boards/demo/") -> Page:
    answer = client.get(address)
    assert answer.status_code == 200
    return Page(answer.content.decode())


def test_the_page_shows_each_model_with_its_scores_gap_and_evidence(
    client: Client, pair: SetPair
) -> None:
    words = get(client).words()
    for piece in ("demo-contaminated", "65.5", "99.2", "+33.8", "overfit", "cannot tell"):
        assert piece in words
    assert "5 models ranked" in words and "3.0% truncated" in words
    page = client.get("/boards/demo/").content.decode()
    for title in ("262/400, 95% 60.7–70.0", "397/400, rank ", "95% +29.0 to +38.6"):
        assert f'title="{title}' in page
    assert "&amp;lt;" not in page and "&amp;#" not in page


def test_the_seal_is_in_sight(client: Client, pair: SetPair) -> None:
    words = get(client).words()
    assert "sealed 400 items, commitment 9f2c…41ab" in words


def test_the_page_says_what_a_gap_is_and_accuses_nobody(client: Client, pair: SetPair) -> None:
    words = get(client).words()
    assert "whatever the cause" in words
    assert "Newcombe" in words
    assert not {"clean", "cheating", "cheater"} & set(words.lower().split())


def test_models_without_a_score_are_in_a_block_of_their_own(client: Client, pair: SetPair) -> None:
    words = get(client).words()
    assert words.index("demo-small") < words.index("Not ranked yet") < words.index("1 being asked")
    assert "theirs-broken" not in words and "late-one" not in words


def test_each_benchmark_has_an_address_of_its_own(client: Client, pair: SetPair) -> None:
    make_pair("newer")
    assert "No model has been ranked yet" in get(client, "/boards/newer/").words()
    assert "demo-honest" in get(client, "/boards/demo/").words()


@pytest.mark.parametrize("address", ["/boards/none/", "/boards/none.csv", "/boards/../etc/"])
def test_an_unknown_pair_is_a_page_that_says_so(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "There is no page here" in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=HONEST", {"demo-honest"}),
        ("q=replay", {"replay-strong", "replay-cut"}),
        ("access=endpoint", {"replay-strong", "replay-cut"}),
        (
            "access=nonsense&axis=nonsense&q=",
            {"demo-honest", "demo-contaminated", "demo-small", "replay-strong", "replay-cut"},
        ),
        ("q=nobody", set()),
    ],
)
def test_a_reader_may_narrow_the_rows(
    client: Client, pair: SetPair, query: str, shown: set[str]
) -> None:
    page = get(client, f"/boards/demo/?{query}")
    assert {
        value
        for name, value in page.attributes
        if name == "id" and value and value.startswith("model-")
    } == {f"model-{name}" for name in shown}
    assert shown or "No model matches" in page.words()


def table_of(page: str) -> str:
    return page[page.index("<table") : page.index("</table>")]


def test_the_axis_may_be_the_whole_range(client: Client, pair: SetPair) -> None:
    make_run(pair, "x", public=399, private=399)
    narrow = client.get("/boards/demo/?q=strong&axis=fit").content.decode()
    whole = client.get("/boards/demo/?q=strong&axis=whole").content.decode()
    assert ">25</text>" not in table_of(narrow)
    assert ">25</text>" in table_of(whole)


@pytest.mark.parametrize(
    "query", ["q=" + "x" * 5000, "q=%ff", "access[]=1", "q=<script>alert(1)</script>"]
)
def test_hostile_queries_do_no_harm(client: Client, pair: SetPair, query: str) -> None:
    answer = client.get(f"/boards/demo/?{query}")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()


def test_a_ranking_escapes_every_text_of_a_row(client: Client) -> None:
    hostile = '"><script>alert(1)</script>&'
    text = row(0, family=hostile, organisation=hostile, access="endpoint")
    Snapshot.objects.write([text], pair=make_pair(), method=METHOD, inputs_hash="a" * 64)
    columns = "family,organisation,size,access,public,scores,gap,interval,adjusted,date"
    page = client.get(f"/boards/demo/?cols={columns}&sort=gap").content.decode()
    ranking = table_of(page)
    assert "<script>" not in page and "&lt;script&gt;" in ranking
    assert ranking.count("<tr") == 2 and ranking.count("<td") == 12
    assert "/families/%22%3E%3Cscript%3E" in ranking


def test_no_inline_style_or_script_and_every_id_once(client: Client, pair: SetPair) -> None:
    page = get(client)
    assert not [name for name, _ in page.attributes if name == "style" or name.startswith("on")]
    assert len(page.ids) == len(set(page.ids))
    assert "<script>" not in client.get("/boards/demo/").content.decode()


def test_a_board_costs_the_same_few_queries_however_long_it_is(
    client: Client, pair: SetPair, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def visit() -> None:
        client.get("/boards/demo/")  # draws the figures of the snapshot, which are cached then
        with django_assert_num_queries(13):  # with the order of the rows
            client.get("/boards/demo/?sort=gap")
        with django_assert_num_queries(12):  # the order is in the cache
            client.get("/boards/demo/?sort=gap&axis=whole")
        with django_assert_num_queries(13):  # the rows that match are ordered and counted at once
            client.get("/boards/demo/?q=demo")
        with django_assert_num_queries(8):  # the same page again is in the cache
            client.get("/boards/demo/?sort=gap")

    visit()
    for number in range(30):
        make_run(pair, f"more-{number}", public=200, private=number)
    actions.close_cohort(pair=pair)
    visit()


def test_a_cached_order_is_that_of_its_snapshot_only(client: Client, pair: SetPair) -> None:
    assert 'id="model-newer"' not in client.get("/boards/demo/?sort=gap").content.decode()
    make_run(pair, "newer", public=200, private=20)
    actions.close_cohort(pair=pair)
    assert 'id="model-newer"' in client.get("/boards/demo/?sort=gap").content.decode()


def test_the_csv_holds_the_ranking(client: Client, pair: SetPair) -> None:
    answer = client.get("/boards/demo.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = answer.content.decode().splitlines()
    assert lines[0] == ",".join(exports.COLUMNS)
    assert len(lines) == 6


def test_the_csv_of_an_unranked_pair_is_its_heading(client: Client) -> None:
    make_pair("empty")
    assert client.get("/boards/empty.csv").content.decode().splitlines() == [
        ",".join(exports.COLUMNS)
    ]


@pytest.mark.parametrize("address", ["/boards/demo/", "/boards/demo.csv"])
def test_pages_are_only_read(client: Client, pair: SetPair, address: str) -> None:
    assert client.post(address).status_code == 405
    assert client.head(address).status_code == 200


def test_views_and_api_load_no_statistics() -> None:
    code = (
        "import django; django.setup(); import leaderboard.board.views, leaderboard.board.api, sys;"
        "print([name for name in sys.modules if name.startswith(('scipy', 'leaderboard.evidence.statistics'))])"
    )
    environment = {
        "DJANGO_SETTINGS_MODULE": "leaderboard.settings",
        "SECRET_KEY": "x",
        "PATH": "/usr/bin",
    }
    environment |= {"DATABASE_URL": "postgresql:///none", "BROKER_URL": "memory://"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
