"""The page of a published table, its CSV and its JSON: one choice of rows, the same in all three."""

import csv
import re
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from leaderboard.published import exports
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from tests.leaderboard.published.fixtures import SOURCE, file_of, gsm1k, imported, line

pytestmark = pytest.mark.django_db


@pytest.fixture
def table(db: None) -> PublishedTable:
    return imported()


def rows(client: Client, query: str = "", slug: str = "small") -> list[str]:
    page = client.get(f"/published/{slug}/{query}")
    assert page.status_code == 200
    return re.findall(r'<tr role="row" id="[^"]*" data-model="([^"]*)"', page.content.decode())


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
        "published-1",
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
    assert f"{count} of 15 shown" in client.get(f"/published/small/{query}").content.decode()


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
            one.model: one.word(basis) for one in snapshot.analysis().lines
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
    assert [data[name] == body[name] for name in ("families", "panel", "likelihood", "order")] == [
        True
    ] * 4
    assert (data["source"], data["inputs_hash"], data["seed"]) == (
        SOURCE,
        snapshot.inputs_hash,
        snapshot.seed,
    )
    page = unescape(client.get("/published/small/").content.decode())
    assert all(one["question"] in page and one["answer"] in page for one in data["findings"])


def test_a_table_without_peers_or_likelihoods(client: Client) -> None:
    imported(file_of(*[line(f"m{i}", f"F{i}", loglik="") for i in range(3)]), equally_hard="")
    page = client.get("/published/small/").content.decode()
    assert "not comparable" in page
    assert "no test possible" in page
    assert 'id="likelihood"' not in page
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
    assert page.count('class="member"') == 63
    assert len(re.findall(r"<circle[^>]*data-model", page)) == 63 + 45
    assert len(rows(client, "?evidence=overfit&basis=peers", "gsm1k")) == 0
