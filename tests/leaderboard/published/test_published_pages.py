"""The page of a published table, its CSV and its JSON: one choice of rows, the same in all three."""

import csv
import re
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from leaderboard.errors import SiteError
from leaderboard.published import exports
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from tests.leaderboard.published.fixtures import SOURCE, file_of, gsm1k, imported, line

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("associated_once")]


@pytest.fixture
def table(db: None) -> PublishedTable:
    return imported()


def rows(client: Client, query: str = "", slug: str = "small") -> list[str]:
    page = client.get(f"/published/{slug}/{query}")
    assert page.status_code == 200
    return re.findall(r'<tr role="row"[^>]*data-model="([^"]*)"', page.content.decode())


def as_csv(client: Client, query: str = "") -> list[dict[str, str]]:
    return list(
        csv.DictReader(StringIO(client.get(f"/published/small.csv{query}").content.decode()))
    )


def as_json(client: Client, query: str = "") -> Any:
    return client.get(f"/api/v1/published/small{query}").json()


def test_the_page_tells_whose_numbers_these_are(client: Client, table: PublishedTable) -> None:
    page = client.get(table.get_absolute_url()).content.decode()
    for piece in (
        SOURCE,
        "https://papers.example/1",
        "We ran none of these models",
        table.digest[:8],
        "published-2",
    ):
        assert piece in unescape(page)
    assert page.count("<h1>") == 1


def test_rows_stand_by_evidence_first(client: Client, table: PublishedTable) -> None:
    assert rows(client)[:2] == ["east-2", "east-1"]


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [
        ("?sort=private", "north-4", 15),
        ("?sort=public", "north-4", 15),
        ("?sort=gap", "east-2", 15),
        ("?sort=model", "alone", 15),
        ("?sort=family", "alone", 15),
        ("?sort=peers", "east-2", 15),
        ("?sort=size", "north-4", 15),
        ("?q=EAST", "east-2", 2),
        ("?family=West&sort=model", "west-1", 4),
        ("?evidence=overfit", "east-2", 2),
        ("?access=open", "east-2", 15),
        (
            "?access=ajar&sort=sideways&family=nobody&evidence=guilty&basis=hope&axis=0",
            "east-2",
            15,
        ),
    ],
)
def test_what_is_shown_is_what_is_exported(
    client: Client, table: PublishedTable, query: str, first: str, count: int
) -> None:
    shown = rows(client, query)
    assert (shown[0], len(shown)) == (first, count)
    assert [row["model"] for row in as_csv(client, query)] == shown
    assert [row["model"] for row in as_json(client, query)["rows"]] == shown
    assert f">{count} of 15<" in client.get(f"/published/small/{query}").content.decode()


def test_links_to_the_data_keep_the_choices(client: Client, table: PublishedTable) -> None:
    page = unescape(client.get("/published/small/?q=east&basis=peers").content.decode())
    assert 'href="/published/small.csv?q=east&basis=peers"' in page
    assert 'href="/api/v1/published/small?q=east&basis=peers"' in page


def test_the_reader_chooses_what_the_words_suppose(client: Client, table: PublishedTable) -> None:
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    for basis in ("raw", "peers"):
        data = as_json(client, f"?basis={basis}")
        assert data["basis"] == basis
        assert {row["model"]: row["evidence"] for row in data["rows"]} == {
            one.model: one.level(basis) for one in snapshot.analysis().lines
        }
    assert as_json(client)["basis"] == "raw"


def test_csv_gives_every_number_back(client: Client, table: PublishedTable) -> None:
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    by_name = {row["model"]: row for row in as_csv(client)}
    assert tuple(by_name["alone"]) == exports.PUBLISHED_COLUMNS
    for one in snapshot.analysis().lines:
        row = by_name[one.model]
        assert (float(row["gap"]), float(row["gap_lo"]), float(row["gap_hi"])) == (
            one.gap,
            *one.interval,
        )
        assert (int(row["public_right"]), int(row["private_n"])) == (
            one.public.right,
            one.private.n,
        )
        assert float(row["p_greater_holm"]) == one.raw.greater.holm
        assert one.peers is not None
        assert float(row["peers_bh"]) == one.peers.greater.benjamini_hochberg
        assert int(row["peers_references"]) == one.peers.references
    assert by_name["alone"]["loglik_per_char"] == ""


def test_json_holds_what_the_page_says(client: Client, table: PublishedTable) -> None:
    data = as_json(client)
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    body = snapshot.body
    assert all(data[name] == body[name] for name in ("panel", "likelihood", "order"))
    assert [one["family"] for one in data["families"]] == [
        one["family"] for one in body["families"]
    ]
    assert (data["source"], data["inputs_hash"], data["seed"]) == (
        SOURCE,
        snapshot.inputs_hash,
        snapshot.seed,
    )
    page = unescape(client.get("/published/small/").content.decode())
    assert all(one["question"] in page and one["answer"] in page for one in data["summary"])


def test_a_table_without_peers_or_likelihoods(client: Client) -> None:
    imported(file_of(*[line(f"m{i}", f"F{i}", loglik="") for i in range(3)]), equally_hard="")
    page = client.get("/published/small/").content.decode()
    assert page.count('<td role="cell" class="num adjusted">–</td>') == 3
    assert "no test possible" in page and "charts/likelihood/" not in page
    assert "not compared" in client.get("/published/small/models/m0/").content.decode()
    assert as_csv(client)[0]["peers_p"] == ""


def test_nothing_matches(client: Client, table: PublishedTable) -> None:
    assert rows(client, "?q=nobody") == []
    assert "No model matches." in client.get("/published/small/?q=nobody").content.decode()
    assert as_csv(client, "?q=nobody") == as_json(client, "?q=nobody")["rows"] == []


def test_names_from_a_table_are_text(client: Client) -> None:
    imported(file_of(line("<script>alert(1)</script>", "=F<b>"), line("=1+1")))
    page = client.get("/published/small/").content.decode()
    assert "<script>alert" not in page
    assert "<b>" not in page.split('id="families"')[1].split("=F")[1][:5]
    assert {row["model"] for row in as_csv(client)} == {"<script>alert(1)</script>", "'=1+1"}
    assert {row["family"] for row in as_csv(client)} == {"'=F<b>", "North"}


@pytest.mark.parametrize(
    "address", ["/published/none/", "/published/none.csv", "/api/v1/published/none"]
)
def test_no_such_table(client: Client, address: str) -> None:
    assert client.get(address).status_code == 404


def test_the_list_of_tables(client: Client) -> None:
    assert "No table has been imported yet" in client.get("/published/").content.decode()
    table = imported()
    assert table.get_absolute_url() in client.get("/published/").content.decode()
    assert client.get("/api/v1/published").json() == [
        {"table": "small", "title": "Open and shut", "source": SOURCE}
    ]
    assert 'href="/published/"' in client.get("/").content.decode()


def test_the_page_asks_little_of_the_database(
    client: Client, table: PublishedTable, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):
        client.get("/published/small/")


def test_a_published_table_is_no_board(client: Client, table: PublishedTable) -> None:
    assert client.get("/boards/small/").status_code == 404
    assert "east-1" not in client.get("/").content.decode()


@pytest.mark.data
def test_gsm1k(client: Client, data_dir: Path) -> None:
    gsm1k(data_dir)
    shown = rows(client, slug="gsm1k")
    assert len(shown) == 63
    assert set(shown[:6]) == {
        "Yi-6B-Chat", "math-shepherd-mistral-7b-rl", "Xwin-Math-13B-V1.0", "command", "phi-2", "Meta-Llama-3-8B-Instruct",
    }  # fmt: skip
    assert rows(client, "?sort=private", "gsm1k")[0] == "gpt-4o"
    page = client.get("/published/gsm1k/").content.decode()
    assert page.count(" 7v14") == 63
    assert len(rows(client, "?evidence=overfit&basis=peers", "gsm1k")) == 0


def test_a_visitor_chooses_the_columns(client: Client, table: PublishedTable) -> None:
    def headings(query: str = "") -> list[str]:
        page = client.get(f"/published/small/{query}").content.decode()
        found = re.findall(r'<th role="columnheader"[^>]*>(.*?)</th>', page)
        return [re.sub("<svg.*</svg>|<[^>]+>", "", heading) for heading in found]

    assert {"Family", "Size", "Gap, pp"} < set(headings()) and "Organisation" not in headings()
    always = ["Rank", "Model", "Private, %", "Evidence"]
    assert headings("?cols=none") == always
    for query in ("?cols=chosen&cols=organisation&cols=gap", "?cols=organisation,gap,nonsense"):
        assert headings(query) == [
            "Rank",
            "Model",
            "Organisation",
            "Private, %",
            "Gap, pp",
            "Evidence",
        ]
    page = client.get("/published/small/?cols=gap&q=east").content.decode()
    assert page.count(" checked") == 1 and 'href="?cols=gap&amp;q=east&amp;sort=model"' in page


def main_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode().partition("<main")[2]


def test_each_model_has_a_page_that_holds_its_row_and_more(
    client: Client, table: PublishedTable
) -> None:
    assert 'href="/published/small/models/east-2/"' in main_of(client, "/published/small/")
    page = unescape(main_of(client, "/published/small/models/east-2/"))
    for piece in ("<h1>east-2</h1>", "234/400", "300/400", "+16.5 pp", "p < .001 (Holm)", SOURCE):
        assert piece in page
    assert 'href="/published/small/families/East/"' in page
    data = client.get("/api/v1/published/small/models/east-2").json()
    row = as_json(client, "?q=east-2")["rows"][0]
    assert data == {"table": "small", "basis": "raw", **row}
    peers = client.get("/api/v1/published/small/models/east-2?basis=peers").json()
    assert peers["evidence"] == as_json(client, "?q=east-2&basis=peers")["rows"][0]["evidence"]
    assert client.get("/published/small/models/nobody/").status_code == 404
    assert client.get("/api/v1/published/small/models/nobody").json()["code"] == "not_found"


def test_each_family_has_a_page_with_its_models_and_their_mean(
    client: Client, table: PublishedTable
) -> None:
    page = main_of(client, "/published/small/families/North/")
    assert re.findall(r'data-model="([^"]*)"', page) == ["north-4", "north-3", "north-2", "north-1"]
    assert "Mean gap" in page and "sign test, p = 0.125" in page
    data = client.get("/api/v1/published/small/families/North").json()
    assert (data["members"], data["p_sign"], len(data["models"])) == (4, 0.125, 4)
    assert client.get("/published/small/families/nobody/").status_code == 404
    assert client.get("/api/v1/published/small/families/nobody").status_code == 404


def test_a_family_of_fewer_than_three_has_no_test(client: Client, table: PublishedTable) -> None:
    rendered = main_of(client, "/published/small/families/East/")
    before, _, models = rendered.partition('<div class="wrap ranking-wrap"')
    assert "A family of fewer than 3 models has no test." in before
    assert "p =" not in before and "word" not in before and "east-1" in models
    forest = main_of(client, "/published/small/").partition('id="families"')[2]
    (row,) = re.findall(r'<tr><th scope="row"><a[^>]*>East</a>.*?</tr>', forest, re.DOTALL)
    assert '<td class="num" data-label="sign test, p">–</td>' in row and "gb forest cool" in row
    data = client.get("/api/v1/published/small/families/East").json()
    assert data["p_sign"] is None and data["raw"]["interval"] is None


@pytest.mark.parametrize("address", ["", "models/east-2/", "families/North/", "charts/scatter/"])
def test_nothing_is_escaped_twice(client: Client, table: PublishedTable, address: str) -> None:
    page = main_of(client, f"/published/small/{address}")
    assert not re.search(r"&amp;(lt|gt|amp|quot|#x27|nbsp);", page)
    assert address in ("families/North/", "charts/scatter/") or "p &lt; .001" in page


def test_a_name_of_any_characters_has_a_page(client: Client) -> None:
    imported(file_of(line("org/name & <b>?", "A/B & C")))
    page = main_of(client, "/published/small/")
    links = re.findall(r'href="(/published/small/(?:models|families)/[^"]+)"', page)
    assert len(set(links)) == 2
    for address in links:
        assert "<b>?" not in main_of(client, unescape(address))


def test_where_both_sets_have_the_same_problems_no_page_tests_a_gap(client: Client) -> None:
    table = imported(equally_hard="", same_problems=True)
    page = client.get("/published/small/").content.decode()
    assert "<b>15</b> <span>cannot tell</span>" in page
    assert "same problems, judged differently" in page
    for place in ("", "models/east-2/", "families/East/"):
        page = client.get(table.get_absolute_url() + place).content.decode()
        assert not re.search("p-value|p = |p < |p ≤ |assum", page, re.IGNORECASE)
    assert {row["evidence"] for row in as_csv(client)} == {"cannot_tell"}
    assert {row["p_greater"] + row["visible_gap"] + row["peers_p"] for row in as_csv(client)} == {
        ""
    }
    data = as_json(client)
    assert data["same_problems"] and data["panel"] is None
    assert {row["raw"] for row in data["rows"]} == {None}
    for chart in ("scatter", "rank-changes"):
        assert client.get(f"/published/small/charts/{chart}/").status_code == 200


def test_sets_of_the_same_problems_are_not_equally_hard() -> None:
    with pytest.raises(SiteError, match="invalid_field"):
        imported(same_problems=True)
    assert not PublishedTable.objects.exists()
