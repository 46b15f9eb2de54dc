"""Pages of one chart: the same numbers as a table and as Plotly's figure, for the choices of the address."""

import csv
import gzip
import json
import re
from hashlib import sha256
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board.models import Snapshot
from leaderboard.charts import chart_pages, points
from leaderboard.middleware import POLICY
from leaderboard.published.models import PublishedTable
from leaderboard.submissions.models import Model, Run
from tests.leaderboard.published.fixtures import file_of, imported, line
from tests.leaderboard.sample import make_board, make_pair

pytestmark = pytest.mark.django_db
BUNDLE_DIGEST = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
"""SHA-256 of plotly-basic.min.js in plotly.js-basic-dist-min 4.1.1 of the npm registry."""
EACH = ("scatter", "families", "rank-changes", "likelihood", "peers")


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    make_board(made)
    actions.close_cohort(pair=made)
    return made


@pytest.fixture
def table() -> PublishedTable:
    return imported()


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def figure(text: str) -> Any:
    found = re.search(
        r'<script id="figure" type="application/json">(.*?)</script>', text, re.DOTALL
    )
    assert found is not None
    return json.loads(found[1])


def names(text: str) -> list[str]:
    return re.findall(r'<tr><th scope="row">(.*?)</th>', text)


def marks(text: str) -> int:
    """How many models the figure holds; lines have no texts, and a gap in one none either."""
    return sum(bool(text) for trace in figure(text)["data"] for text in trace.get("text", ()))


def test_the_figure_holds_the_numbers_of_the_snapshot(client: Client, pair: SetPair) -> None:
    snapshot = Snapshot.objects.current(pair)
    assert snapshot is not None
    traces = figure(page(client, "/boards/demo/charts/scatter/"))["data"]
    drawn = {
        told.partition("<br>")[0]: (x, y)
        for trace in traces
        if "text" in trace
        for told, x, y in zip(trace["text"], trace["x"], trace["y"], strict=True)
    }
    expected = {
        row.model: (round(100 * row.public.accuracy, 2), round(100 * row.private.accuracy, 2))
        for row in snapshot.ranking()
    }
    assert drawn == expected


def test_each_chart_of_a_table_is_one_figure_and_its_data(
    client: Client, table: PublishedTable
) -> None:
    for chart in EACH:
        text = page(client, f"/published/small/charts/{chart}/")
        assert text.count("<h1>") == 1
        assert "<svg" not in text
        assert len(names(text)) >= 5
        assert figure(text)["data"]
        assert "style=" not in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [("q=replay", {"replay-strong", "replay-cut"}), ("evidence=overfit", {"demo-contaminated"})],
)
def test_the_choices_of_the_board_hold(
    client: Client, pair: SetPair, query: str, shown: set[str]
) -> None:
    for chart in ("scatter", "rank-changes", "peers"):
        text = page(client, f"/boards/demo/charts/{chart}/?{query}&page=7")
        assert set(names(text)) <= shown
        assert chart == "peers" or set(names(text)) == shown
        assert f'href="/boards/demo/?{query}"' in text.replace("&amp;", "&")


def test_pages_lead_to_their_pictures_with_the_choices_made(
    client: Client, pair: SetPair, table: PublishedTable
) -> None:
    assert "/boards/demo/charts/scatter/?q=demo&amp;sort=gap" in page(
        client, "/boards/demo/?q=demo&sort=gap"
    )
    assert "/boards/demo/charts/peers/?model=replay-strong" in page(
        client, "/models/replay-strong/"
    )
    for chart in EACH[:-1]:
        assert f"/published/small/charts/{chart}/?basis=peers" in page(
            client, "/published/small/?basis=peers"
        )
    assert "/published/small/charts/peers/?model=east-2&amp;basis=raw" in page(
        client, "/published/small/models/east-2/"
    )


def test_peers_are_those_with_a_similar_public_score(client: Client, table: PublishedTable) -> None:
    text = page(client, "/published/small/charts/peers/?model=east-2")
    assert set(names(text)) == {"east-2", "north-3", "south-3", "west-3", "alone"}
    sizes = [size for trace in figure(text)["data"] for size in trace["marker"]["size"]]
    assert sizes.count(15) == 1


def test_the_words_of_a_table_are_those_of_the_supposition(
    client: Client, table: PublishedTable
) -> None:
    for basis in ("raw", "peers"):
        text = page(client, f"/published/small/charts/scatter/?basis={basis}&evidence=overfit")
        rows = client.get(f"/api/v1/published/small?basis={basis}&evidence=overfit").json()["rows"]
        assert set(names(text)) == {row["model"] for row in rows}


def test_a_picture_is_bounded_and_says_what_it_left_out(
    client: Client, table: PublishedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "MOST_POINTS", 4)
    text = page(client, "/published/small/charts/scatter/?sort=model")
    assert "4 of 15, spread evenly over their order" in " ".join(text.split())
    assert (len(names(text)), marks(text)) == (4, 4)
    assert names(text)[0] == "alone"


def test_lists_are_bounded_too(
    client: Client, table: PublishedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_pages, "MOST_ROWS", 2)
    nearest = page(client, "/published/small/charts/peers/?model=east-2")
    assert "2 of 5, those nearest in public score" in " ".join(nearest.split())
    assert "east-2" in names(nearest)
    assert names(page(client, "/published/small/charts/families/"))[0] == "East"


def test_what_is_not_there(client: Client, pair: SetPair, table: PublishedTable) -> None:
    for address in (
        "/boards/none/charts/scatter/",
        "/boards/demo/charts/none/",
        "/boards/demo/charts/peers/?model=nobody",
        "/published/none/charts/scatter/",
        "/published/small/charts/none/",
    ):
        assert client.get(address).status_code == 404, address


def test_nothing_to_draw_is_a_page_that_says_so(client: Client, pair: SetPair) -> None:
    for address in ("/boards/demo/charts/likelihood/", "/boards/demo/charts/scatter/?q=nobody"):
        text = page(client, address)
        assert "There is nothing to draw here" in text
        assert "plotly" not in text


def test_an_unranked_pair_has_nothing_to_draw(client: Client) -> None:
    make_pair()
    assert "There is nothing to draw here" in page(client, "/boards/demo/charts/scatter/")


def test_a_name_breaks_out_of_nothing(client: Client) -> None:
    nasty = "</script><script>alert(1)</script>"
    imported(file_of(line(nasty, "<b>Fam</b>"), line("plain")))
    for chart in EACH:
        text = page(client, f"/published/small/charts/{chart}/")
        assert "<script>alert" not in text
        assert "alert(1)" in json.dumps(figure(text)) or chart == "families"
        assert "</script>" not in json.dumps(figure(text))
        assert "<b>Fam" not in json.dumps(figure(text))


def test_names_that_look_like_numbers_stay_names(client: Client) -> None:
    imported(file_of(line("7", "2024-01-01", public=220), line("13", "1e3", public=210)))
    peers = figure(page(client, "/published/small/charts/peers/"))
    families = figure(page(client, "/published/small/charts/families/"))
    assert peers["layout"]["yaxis"]["type"] == families["layout"]["yaxis"]["type"] == "category"
    assert set(peers["layout"]["yaxis"]["categoryarray"]) == {"7", "13"}


def test_the_bundle_is_ours_and_asked_for_by_these_pages_only(
    client: Client, pair: SetPair
) -> None:
    answer = client.get("/boards/demo/charts/scatter/")
    text = answer.content.decode()
    assert f'<script src="/static/{settings.PLOTLY}" defer></script>' in text
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "plotly" not in page(client, "/boards/demo/")
    assert (
        len([one for one in re.findall(r"<script[^>]*>", text) if "src=" not in one]) == 1
    )  # the data


def test_the_bundle_is_the_published_one_and_is_sent_compressed(client: Client) -> None:
    address = f"/static/{settings.PLOTLY}"
    whole = client.get(address)
    assert whole.status_code == 200
    assert whole.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in whole.headers["Cache-Control"]
    bundle = whole.getvalue()
    packed = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    compressed = packed.getvalue()
    assert len(compressed) < 400_000 and gzip.decompress(compressed) == bundle
    assert sha256(bundle).hexdigest() == BUNDLE_DIGEST


def test_the_bundle_looks_for_its_style_element_before_it_makes_one() -> None:
    """The page has that element, since the content policy forbids the one that it would make."""
    bundle = (settings.BASE_DIR / "static" / settings.PLOTLY).read_text()
    template = (settings.BASE_DIR / "templates" / "charts" / "chart.html").read_text()
    assert 'id="plotly.js-style-global"' in template and '"plotly.js-style-"' in bundle


def test_score_against_parameters_with_the_efficient_frontier(client: Client) -> None:
    """An endpoint has no known size: it is counted, and stands at no place of the axis."""
    pair = make_pair()
    make_board(pair)
    sizes = {"demo-honest": 400_000, "demo-contaminated": 400_000, "demo-small": 60_000}
    for name, parameters in sizes.items():
        Model.objects.filter(name=name).update(parameters=parameters)
    actions.close_cohort(pair=pair)
    text = page(client, "/boards/demo/charts/efficiency/")
    stairs, *traces = figure(text)["data"]
    assert (stairs["x"], stairs["y"]) == ([60_000, 400_000], [22.75, 82.0])
    drawn = {
        told.partition("<br>")[0]: (x, y)
        for trace in traces
        for told, x, y in zip(trace["text"], trace["x"], trace["y"], strict=True)
    }
    assert drawn == {
        "demo-honest": (400_000, 82.0),
        "demo-contaminated": (400_000, 65.5),
        "demo-small": (60_000, 22.75),
    }
    layout = figure(text)["layout"]["xaxis"]
    assert layout["type"] == "log" and min(layout["tickvals"]) > 0
    assert "2 of the models are not drawn: their number of parameters is not known" in text
    assert names(text) == ["demo-small", "demo-honest", "demo-contaminated"]
    rows = {row["model"]: row for row in client.get("/api/v1/board?pair=demo").json()["rows"]}
    assert {name: row["efficient"] for name, row in rows.items()} == {
        "demo-honest": True,
        "demo-contaminated": False,
        "demo-small": True,
        "replay-strong": None,
        "replay-cut": None,
    }
    lines = csv.DictReader(StringIO(client.get("/boards/demo.csv").content.decode()))
    assert {line["model"]: line["efficient"] for line in lines} == {
        "demo-honest": "True",
        "demo-contaminated": "False",
        "demo-small": "True",
        "replay-strong": "",
        "replay-cut": "",
    }
    one = page(client, "/boards/demo/charts/efficiency/?q=contaminated")
    assert names(one) == ["demo-contaminated"], "its frontier is still that of the whole board"
    assert figure(one)["data"][0]["x"] == [60_000, 400_000]


def test_score_against_tokens_stands_a_link_away(client: Client) -> None:
    pair = make_pair()
    make_board(pair)
    Model.objects.filter(name="demo-small").update(parameters=60_000)
    tokens = {"demo-honest": 75.5, "demo-small": 40.0, "replay-strong": 3000.25}
    for name, used in tokens.items():
        Run.objects.filter(submission__model__name=name).update(tokens_per_item=used)
    actions.close_cohort(pair=pair)
    board = page(client, "/boards/demo/")
    assert "charts/efficiency/" in board and "charts/token-efficiency/" in board
    text = page(client, "/boards/demo/charts/efficiency/?sort=gap")
    assert '<a href="../token-efficiency/?sort=gap">Tokens an item</a>' in text
    text = page(client, "/boards/demo/charts/token-efficiency/")
    assert '<a href="../token-efficiency/" aria-current="page">' in text
    stairs = figure(text)["data"][0]
    assert (stairs["x"], stairs["y"]) == ([40.0, 75.5, 3000.25], [22.75, 82.0, 99.25])
    assert figure(text)["layout"]["xaxis"]["title"]["text"] == "tokens an item"
    assert names(text) == ["demo-small", "demo-honest", "replay-strong"]
    assert "2 of the models are not drawn: their tokens are not known" in text
    rows = {row["model"]: row for row in client.get("/api/v1/board?pair=demo").json()["rows"]}
    lines = csv.DictReader(StringIO(client.get("/boards/demo.csv").content.decode()))
    assert {line["model"]: line["tokens"] for line in lines} == {
        name: str(rows[name]["tokens"] or "") for name in rows
    }
    assert {name: row["efficient_in_tokens"] for name, row in rows.items()} == {
        "demo-honest": True,
        "demo-contaminated": None,
        "demo-small": True,
        "replay-strong": True,
        "replay-cut": None,
    }


def test_a_board_without_known_sizes_has_no_such_chart(client: Client, pair: SetPair) -> None:
    assert "charts/efficiency/" not in page(client, "/boards/demo/")
    assert "has the data of this chart" in page(client, "/boards/demo/charts/efficiency/")


def test_efficient_models_are_drawn_where_not_all_fit(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair()
    make_board(pair)
    Model.objects.filter(name="demo-contaminated").update(parameters=50_000)
    Model.objects.exclude(name="demo-contaminated").update(parameters=900_000)
    actions.close_cohort(pair=pair)
    monkeypatch.setattr("leaderboard.board.chart_views.MOST_POINTS", 2)
    monkeypatch.setattr(points, "MOST_POINTS", 2)
    text = page(client, "/boards/demo/charts/efficiency/")
    assert {"demo-contaminated", "replay-strong"} <= set(names(text))
    assert len(names(text)) < 5


def test_a_published_table_has_the_efficient_frontier_too(
    client: Client, table: PublishedTable
) -> None:
    text = page(client, f"/published/{table.slug}/charts/efficiency/")
    rows = client.get(f"/api/v1/published/{table.slug}").json()["rows"]
    known = {row["model"]: row["efficient"] for row in rows if row["parameters"]}
    assert set(names(text)) == set(known)
    assert text.count('label="On the frontier">yes<') == sum(known.values()) > 0
    assert all(row["efficient"] is None for row in rows if not row["parameters"])
