"""The board's page as it is kept: never older than it may be, never another's, and as cheap on a large board."""

import re
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from leaderboard import kept
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions, lines, pages
from leaderboard.board import models as boards
from leaderboard.board.current import Board
from leaderboard.board.models import Snapshot
from leaderboard.board.snapshot import METHOD
from leaderboard.evidence.models import Adjusted, Judged
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.board.test_columns import row
from tests.leaderboard.ruled import retract
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db
ADDRESSES = (
    "/boards/demo/",
    "/boards/demo.csv",
    "/api/v1/board",
    "/boards/demo/?sort=gap&q=demo&page=1",
)


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    make_board(made)
    actions.close_cohort(pair=made)
    return made


def tags(client: Client) -> list[str]:
    return [client.get(address).headers["ETag"] for address in ADDRESSES]


def changed(client: Client, before: list[str]) -> bool:
    """Whether all tags are new; some alone would be a fault."""
    after = tags(client)
    new = [one != other for one, other in zip(before, after, strict=True)]
    assert all(new) or not any(new)
    return all(new)


def test_nothing_new_is_304_and_whatever_is_new_is_seen_at_once(
    client: Client, pair: SetPair
) -> None:
    before = tags(client)
    assert not changed(client, before)
    for address, tag in zip(ADDRESSES, before, strict=True):
        again = client.get(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    waiting = Run.objects.get(submission__model__name="late-one")
    for change in (
        lambda: make_run(pair, "newcomer", state=RunState.QUEUED, left_open=400),
        lambda: SetPair.objects.update(title="Another title"),
        lambda: Run.objects.filter(pk=waiting.pk).update(
            state=RunState.CANCELLED, lease_expires=None, ended_at=Now()
        ),
        lambda: (
            make_run(pair, "ranked-now", public=300, private=300)
            and actions.close_cohort(pair=pair)
        ),
    ):
        change()
        assert changed(client, before)
        before = tags(client)
    page = client.get("/boards/demo/").content.decode()
    assert (
        "Another title" in page
        and "ranked-now" in page
        and "1 waiting" in page
        and "newcomer" not in page
    )


def test_a_board_may_be_as_old_as_it_may_be_and_no_older(
    client: Client, pair: SetPair, settings: Any
) -> None:
    settings.BOARD_SECONDS = 60
    before = tags(client)
    SetPair.objects.update(title="Another title")
    assert not changed(client, before)
    settings.BOARD_SECONDS = 0
    assert changed(client, before)


def test_a_person_sees_himself_and_a_stranger_nobody(
    client: Client, pair: SetPair, user: Any
) -> None:
    signed_in = Client()
    signed_in.force_login(user)
    for _ in range(2):
        mine, theirs = signed_in.get("/boards/demo/"), client.get("/boards/demo/")
        assert (
            "Sign out" in mine.content.decode() and "csrfmiddlewaretoken" in mine.content.decode()
        )
        assert "no-store" in mine.headers["Cache-Control"] and "ETag" not in mine.headers
        assert (
            "Sign in" in theirs.content.decode()
            and "csrfmiddlewaretoken" not in theirs.content.decode()
        )
        assert not theirs.cookies


def test_a_build_that_takes_everybody_for_a_stranger_would_have_been_seen(
    client: Client, pair: SetPair, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "stranger", lambda request: True)
    with pytest.raises(AssertionError):
        test_a_person_sees_himself_and_a_stranger_nobody(client, pair, user)


def test_a_build_whose_version_leaves_out_who_waits_would_have_been_seen(
    client: Client, pair: SetPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Board, "version", property(lambda board: str(board.snapshot.pk)))
    with pytest.raises(AssertionError):
        test_nothing_new_is_304_and_whatever_is_new_is_seen_at_once(client, pair)


def test_it_is_the_page_that_would_be_made_anew(client: Client, pair: SetPair) -> None:
    first = client.get("/boards/demo/?sort=gap", headers={"Accept-Encoding": "gzip"})
    kept.shelf.clear()
    pages._frames.clear()
    plain = client.get("/boards/demo/?sort=gap")
    assert kept.gzip.decompress(first.content) == plain.content
    assert first.headers["ETag"] != plain.headers["ETag"]


def test_what_was_chosen_is_chosen_in_the_form(client: Client, pair: SetPair) -> None:
    page = client.get(
        '/boards/demo/?q="<x>&access=weights&min=0.5&since=2026-01-01&sort=gap'
    ).content.decode()
    assert (
        'value="&quot;&lt;x&gt;"' in page and 'value="0.5"' in page and 'value="2026-01-01"' in page
    )
    assert re.findall(r'value="([^"]*)" selected', page) == ["weights", "gap", "fit"]
    assert '<details class="more" open>' in page
    assert (
        "/boards/demo.csv?q=%22%3Cx%3E&amp;access=weights&amp;min=0.5&amp;since=2026-01-01&amp;sort=gap"
        in page
    )


def large(pair: SetPair, models: int) -> Snapshot:
    rows = [
        row(number, family=f"F{number:04}", organisation=f"O{number:04}")
        for number in range(models)
    ]
    return Snapshot.objects.write(rows, pair=pair, method=METHOD, inputs_hash="a" * 64)


@pytest.mark.parametrize("models", [60, 600])
def test_a_page_costs_the_same_on_a_large_board(
    client: Client,
    models: int,
    django_assert_num_queries: DjangoAssertNumQueries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large(make_pair(), models)
    monkeypatch.setattr(pages, "recent", lines.Recent(0))
    client.get("/boards/demo/")
    read: list[str] = []
    monkeypatch.setattr(
        boards, "_row", lambda body, decode=boards._row: read.append(body) or decode(body)
    )
    for address in (
        "/boards/demo/?page=2",
        "/boards/demo/?sort=model&q=model",
        "/boards/demo/?family=F0007",
    ):
        read.clear()
        with django_assert_num_queries(4):
            assert client.get(address).status_code == 200
        assert len(read) <= 50
    for address in ("/models/Model-7/", "/families/F0007/"):
        read.clear()
        assert client.get(address).status_code == 200
        assert len(read) <= 61


def test_a_row_that_was_printed_is_not_read_again(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    snapshot, recent = large(make_pair(), 60), lines.Recent(50)
    with django_assert_num_queries(1):
        first = recent.of(snapshot, range(30))
    with django_assert_num_queries(1):
        both = recent.of(snapshot, [50, 20, 0])
    assert both[1:] == [first[20], first[0]] and recent.of(snapshot, []) == []
    recent.of(snapshot, range(10, 60))
    with django_assert_num_queries(0):
        recent.of(snapshot, range(10, 60))
    with django_assert_num_queries(1):
        assert recent.of(snapshot, [0]) == first[:1]


@pytest.mark.parametrize("known", [True, False])
def test_there_is_a_column_for_the_adjusted_gap_where_a_row_has_one(
    client: Client, known: bool
) -> None:
    adjusted = Adjusted(gap=0.031, interval=(0.01, 0.05), expected=0.5, references=9, by="counts")
    judged = Judged(
        word="watch", basis="panel", p=0.01, holm=0.1, benjamini_hochberg=0.04, visible=0.04,
        adjusted=adjusted if known else None, cut=False, fewest=None,
    )  # fmt: skip
    rows = [row(0, family="F", judged=judged), row(1, family="F")]
    Snapshot.objects.write(rows, pair=make_pair(), method=METHOD, inputs_hash="a" * 64)
    for address in ("/boards/demo/", "/families/F/"):
        page = client.get(address).content.decode()
        table = page[page.index("<table") : page.index("</table>")]
        cells = [part.count("<td") + part.count("<th ") for part in table.split("<tr ")[1:]]
        assert cells == [9 if known else 8] * 3, address
        assert ("+3.1<small>+1.0 to +5.0</small>" in table) == ("Adjusted, pp" in table) == known


def test_what_grows_with_the_board_is_bounded_and_says_so(client: Client) -> None:
    pair = make_pair()
    large(pair, 120)
    for number in range(pages.MOST_WAITING + 5):
        run = make_run(pair, f"gone-{number:03}", public=300, private=300)
        Run.objects.filter(pk=run.pk).update(state=RunState.RANKED)
        retract(run.pk)
    page = client.get("/boards/demo/").content.decode()
    assert page.count("<tr role=") == 51 and "page 1 of 3" in page
    assert page.count("gone-") == pages.MOST_WAITING and "The first 50 of 55 by name" in page
    assert 'list="family-common"' in page and page.count('<option value="F0') == pages.MOST_OPTIONS
    chosen = client.get("/boards/demo/?family=F0007&organisation=O0007").content.decode()
    assert 'name="family" value="F0007"' in chosen and "1 of 120" in chosen


def test_a_row_that_is_not_there_any_more_is_left_out_and_no_error(
    client: Client, pair: SetPair
) -> None:
    Snapshot.objects.latest("pk").rows.filter(position=0).delete()
    assert (
        client.get("/boards/demo/").status_code == 200
        and client.get("/boards/demo.csv").status_code == 200
    )
