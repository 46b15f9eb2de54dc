"""The board's page as it is cached: never older than it may be, never another person's, and as cheap on a large board."""

import csv
import gzip
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from msgspec.structs import replace
from pytest_django import DjangoAssertNumQueries

from leaderboard import caching
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions, views
from leaderboard.board.lookup import Board
from leaderboard.board.models import MOST_OPTIONS, Snapshot
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import METHOD, decided_by, surest_gaps
from leaderboard.evidence.models import Adjusted, BoardPanel, Judged, PanelMember
from leaderboard.evidence.vocabulary import (
    CORRECTED_LEVELS,
    LARGEST_TRIED,
    LEVELS,
    Evidence,
    Levels,
)
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.board.test_rows import row
from tests.leaderboard.ruled import retract
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db
ADDRESSES = (
    "/boards/demo/",
    "/boards/demo.csv",
    "/api/v1/board?pair=demo",
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


def test_a_person_sees_their_own_page_and_a_visitor_nobody_s(
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


def test_a_build_that_takes_everybody_for_a_visitor_would_have_been_seen(
    client: Client, pair: SetPair, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "is_anonymous", lambda request: True)
    with pytest.raises(AssertionError):
        test_a_person_sees_their_own_page_and_a_visitor_nobody_s(client, pair, user)


def test_a_build_whose_version_leaves_out_who_waits_would_have_been_seen(
    client: Client, pair: SetPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Board, "version", property(lambda board: str(board.snapshot.pk)))
    with pytest.raises(AssertionError):
        test_nothing_new_is_304_and_whatever_is_new_is_seen_at_once(client, pair)


def test_a_cached_page_is_the_page_that_would_be_rendered(client: Client, pair: SetPair) -> None:
    address = "/boards/demo/?sort=gap"
    first = client.get(address, headers={"Accept-Encoding": "gzip"})
    again = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert again.content == first.content
    cache.clear()
    plain = client.get(address)
    assert gzip.decompress(first.content) == plain.content
    assert first.headers["ETag"].startswith("W/")
    assert {"Cookie", "Accept-Encoding", "Authorization"} <= {
        name.strip() for name in plain.headers["Vary"].split(",")
    }


def test_a_page_that_is_asked_again_is_not_rendered_again(
    client: Client, pair: SetPair, settings: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.BOARD_SECONDS = 60
    first = client.get("/boards/demo/")
    with django_assert_num_queries(0):
        assert client.get("/boards/demo/").content == first.content


def test_the_front_page_is_cached_for_visitors_alone_and_as_long_as_a_board(
    client: Client,
    pair: SetPair,
    user: Any,
    settings: Any,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.BOARD_SECONDS = 60
    signed_in = Client()
    signed_in.force_login(user)
    assert "Sign out" in signed_in.get("/").content.decode()
    first = client.get("/")
    SetPair.objects.update(title="Another title")
    with django_assert_num_queries(0):
        again = client.get("/")
    assert again.content == first.content and "Sign in" in again.content.decode()
    assert again.headers["Cache-Control"] == "no-cache" and not again.cookies
    theirs = signed_in.get("/")
    assert "Another title" in theirs.content.decode() and "Sign out" in theirs.content.decode()
    assert "no-store" in theirs.headers["Cache-Control"]
    settings.BOARD_SECONDS = 0
    cache.clear()
    client.get("/")
    SetPair.objects.update(title="A third title")
    assert "A third title" in client.get("/").content.decode()


def setting_a_cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("page of one person")
    response.set_cookie("secret", "theirs")
    return response


def test_a_response_with_a_cookie_is_never_stored(rf: RequestFactory) -> None:
    view = caching.cached_for_visitors(lambda request: 'W/"tag"')(setting_a_cookie)
    request = rf.get("/with-cookie/", HTTP_COOKIE="analytics=1")
    assert view(request).cookies
    plain = caching.cached_for_visitors(lambda request: 'W/"tag"')(lambda r: HttpResponse("new"))
    again = plain(rf.get("/with-cookie/", HTTP_COOKIE="analytics=1"))
    assert again.content == b"new" and not again.cookies


def test_a_response_with_a_cookie_is_never_stored_without_an_etag_either(
    rf: RequestFactory, settings: Any
) -> None:
    settings.BOARD_SECONDS = 60
    request = rf.get("/with-cookie/", HTTP_COOKIE="analytics=1")
    assert caching.cached_for_visitors()(setting_a_cookie)(request).cookies
    plain = caching.cached_for_visitors()(lambda request: HttpResponse("new"))
    again = plain(rf.get("/with-cookie/", HTTP_COOKIE="analytics=1"))
    assert again.content == b"new" and not again.cookies


def test_a_build_without_that_guard_would_have_been_seen(
    rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "patch_cache_control", lambda response, **options: None)
    with pytest.raises(AssertionError):
        test_a_response_with_a_cookie_is_never_stored(rf)


def test_what_was_chosen_is_chosen_in_the_form(client: Client, pair: SetPair) -> None:
    page = client.get(
        '/boards/demo/?q="<x>&access=weights&min=0.5&since=2026-01-01&sort=gap'
    ).content.decode()
    assert (
        'value="&quot;&lt;x&gt;"' in page and 'value="0.5"' in page and 'value="2026-01-01"' in page
    )
    assert re.findall(r'value="([^"]*)" selected', page) == ["weights", "", "gap", "fit", ""]
    assert '<details class="more" open>' in page and 'class="more columns"' in page
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
    client: Client, models: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    large(make_pair(), models)
    client.get("/boards/demo/")
    for address in ("?page=2", "?sort=model&q=model", "?family=F0007"):
        with django_assert_max_num_queries(11):  # as measured for a search
            page = client.get(f"/boards/demo/{address}").content.decode()
        assert page.count('<tr role="row" id=') <= 50
    for address in ("/models/Model-7/", "/families/F0007/"):
        with django_assert_max_num_queries(12):
            assert client.get(address).status_code == 200


@pytest.mark.parametrize("known", [True, False])
def test_there_is_a_column_for_the_adjusted_gap_where_a_row_has_one(
    client: Client, known: bool
) -> None:
    adjusted = Adjusted(gap=0.031, interval=(0.01, 0.05), expected=0.5, references=9, by="counts")
    judged = Judged(
        evidence=Evidence.WATCH, basis="panel", p=0.01, visible=0.04, visible_overfit=0.05,
        adjusted=adjusted if known else None, cut=False, fewest=None, levels=LEVELS,
    )  # fmt: skip
    rows = [row(0, family="F", judged=judged), row(1, family="F")]
    Snapshot.objects.write(rows, pair=make_pair(), method=METHOD, inputs_hash="a" * 64)
    for address in ("/boards/demo/", "/families/F/"):
        page = client.get(address).content.decode()
        table = page[page.index("<table") : page.index("</table>")]
        cells = [part.count("<td") + part.count("<th ") for part in table.split("<tr")[1:]]
        assert cells == [11 if known else 10] * 3, address
        assert ("95% +1.0 to +5.0" in table) == ("Adjusted, pp" in table) == known


def test_what_grows_with_the_board_is_bounded_and_says_so(client: Client) -> None:
    pair = make_pair()
    large(pair, 120)
    for number in range(views.MOST_UNRANKED + 5):
        run = make_run(pair, f"gone-{number:03}", public=300, private=300)
        Run.objects.filter(pk=run.pk).update(state=RunState.RANKED)
        retract(run.pk)
    page = client.get("/boards/demo/").content.decode()
    assert page.count('<tr role="row" id=') == 50 and "page 1 of 3" in page
    assert page.count("gone-") == views.MOST_UNRANKED and "The first 50 of 55 by name" in page
    assert 'list="family-common"' in page and page.count('<option value="F0') == MOST_OPTIONS
    chosen = client.get("/boards/demo/?family=F0007&organisation=O0007").content.decode()
    assert 'name="family" value="F0007"' in chosen and "1 of 120" in chosen


def test_each_page_of_an_order_has_its_own_rows_and_all_have_every_row(client: Client) -> None:
    large(make_pair(), 120)
    for order in ("private", "gap", "family", "model", "size"):
        names = []
        for number in (1, 2, 3, 9):
            page = client.get(f"/boards/demo/?sort={order}&page={number}").content.decode()
            names.append(re.findall(r'data-model="([^"]+)"', page))
        assert names[3] == names[2] and len(names[2]) == 20
        in_order = [*names[0], *names[1], *names[2]]
        file = client.get(f"/boards/demo.csv?sort={order}").content.decode()
        assert in_order == [line.split(",")[4] for line in file.splitlines()[1:]], order


def test_a_row_that_is_not_there_any_more_is_left_out_and_no_error(
    client: Client, pair: SetPair
) -> None:
    Snapshot.objects.latest("pk").rows.filter(position=0).delete()
    assert (
        client.get("/boards/demo/").status_code == 200
        and client.get("/boards/demo.csv").status_code == 200
    )


def judged_by(levels: Levels, method: str, p: float = 0.0002) -> Judged:
    return Judged(
        evidence=Evidence.OVERFIT, basis="twins", p=p, holm=p, benjamini_hochberg=p, visible=0.04,
        visible_overfit=0.05, adjusted=None, cut=False, fewest=None, levels=levels, method=method,
    )  # fmt: skip


def written(rows: list[Row], pair: SetPair) -> Snapshot:
    return Snapshot.objects.write(
        rows, pair=pair, method=METHOD, inputs_hash="a" * 64,
        decided=[one.to_dict() for one in decided_by(rows)],
        surest=[one.to_dict() for one in surest_gaps(rows)],
    )  # fmt: skip


def test_the_page_states_the_levels_of_each_cohort_that_has_a_row(client: Client) -> None:
    now = replace(LEVELS, overfit=0.002, watch=0.03)
    rows = [row(0, judged=judged_by(CORRECTED_LEVELS, "evidence-2"))]
    rows += [row(number, judged=judged_by(now, "evidence-3")) for number in (1, 2)]
    written(rows, make_pair())
    page = client.get("/boards/demo/").content.decode()
    for piece in (
        "For the 2 models decided by method evidence-3:",
        "of 1,000 models that are not overfitted to the public set, about 2 get this level",
        "about 30 get this level or “overfit”",
        "none of the 2 tested models were overfitted, chance would on average call at most 0.004",
        "For the 1 model decided by method evidence-2:",
        "in at most 5% of cases",
    ):
        assert piece in page
    assert page.count('class="badge hot">overfit</span> ') >= 2


@pytest.mark.parametrize(
    ("models", "chance"),
    [
        (1, "If the one tested model is not"),
        (500, "500 tested models were overfitted, chance would on average call at most 0.5"),
    ],
)
def test_the_page_states_how_many_levels_chance_gives(
    client: Client, models: int, chance: str
) -> None:
    rows = [row(number, judged=judged_by(LEVELS, "evidence-3", p=0.5)) for number in range(models)]
    written(rows, make_pair())
    page = client.get("/boards/demo/").content.decode()
    assert chance in page and "decided by method" not in page
    text = re.sub(r"<[^>]*>", " ", page)
    assert not re.search(r"Holm|Hochberg", text)


def test_the_surest_gaps_are_shrunken(client: Client) -> None:
    gaps = (0.3, 0.02, 0.01, 0.0, -0.01, 0.03)
    rows = [
        row(
            number, judged=judged_by(LEVELS, "evidence-3"), gap=gap, interval=(gap - 0.1, gap + 0.1)
        )
        for number, gap in enumerate(gaps)
    ]
    snapshot = written(rows, make_pair())
    first = snapshot.surest_gaps()[0]
    assert first.model == "Model-0" and 0.15 < first.gap < 0.3
    page = client.get("/boards/demo/").content.decode()
    assert f">Model-0</a> +{100 * first.gap:.1f} pp" in page
    assert surest_gaps(rows[:3]) == ()


def test_corrected_p_values_stand_in_the_files_only(client: Client, pair: SetPair) -> None:
    rows = client.get("/api/v1/board?pair=demo").json()["rows"]
    tested = [one for one in rows if one["judged"]["p"] is not None]
    assert len(tested) == 4
    smallest = min(tested, key=lambda one: one["judged"]["p"])
    assert smallest["holm"] == pytest.approx(4 * smallest["judged"]["p"])
    heading, *lines = csv.reader(client.get("/boards/demo.csv").content.decode().splitlines())
    assert {"p", "p_holm", "q_bh", "method", "first_run"} <= set(heading)
    assert {len(line) for line in lines} == {len(heading)}
    by_model = {line[heading.index("model")]: line for line in lines}
    assert float(by_model[smallest["model"]][heading.index("p_holm")]) == smallest["holm"]


def test_the_panel_is_said_to_be_that_of_the_last_close_and_what_is_not_computed(
    client: Client,
) -> None:
    """Of several closes each had its own references, and a large close has no fragility."""
    panel = BoardPanel(
        basis="panel",
        references=tuple(
            PanelMember(model=f"r{i}", run=f"run{i}", why="older", put_aside=False)
            for i in range(9)
        ),
    )
    Snapshot.objects.write(
        [row(0)], pair=make_pair(twins_by=""), method=METHOD, inputs_hash="a" * 64,
        panel=panel.to_dict(),
    )  # fmt: skip
    page = " ".join(client.get("/boards/demo/").content.decode().split())
    assert "Each model of the last close was compared with 9 reference models" in page
    assert f"(not computed in a close of more than {LARGEST_TRIED} runs)" in page
    assert "when the board is closed, from the first run" in page
