"""The board as people meet it: wide and narrow, light and dark, by keyboard, without JavaScript, by a screen reader."""

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page

from leaderboard.board.models import Snapshot
from leaderboard.board.snapshot import METHOD
from leaderboard.evidence.models import AdaptivePart, Adjusted
from tests.browser.conftest import Open, violations
from tests.leaderboard.evidence.test_sentences import row
from tests.leaderboard.sample import make_pair

pytestmark = pytest.mark.usefixtures("board")


def press_tab(page: Page) -> str | None:
    """The name of what the key leads to; None past the last. Fails where the focus cannot be seen."""
    page.keyboard.press("Tab")
    tag, name, outline = page.evaluate(
        "[document.activeElement.tagName, document.activeElement.textContent.trim() || document.activeElement.name, "
        "getComputedStyle(document.activeElement).outlineStyle]"
    )
    if tag == "BODY":
        return None
    assert outline != "none", name
    return str(name)


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.slow), True])
def test_axe_finds_nothing(open_page: Open, dark: bool) -> None:
    with open_page("/boards/demo/", dark=dark) as page:
        assert violations(page) == []
        page.set_viewport_size({"width": 360, "height": 900})
        assert violations(page) == []


@pytest.mark.parametrize("address", ["/boards/demo/?q=nobody", "/nowhere/"])
def test_axe_finds_nothing_where_there_is_nothing(open_page: Open, address: str) -> None:
    with open_page(address, failing=address == "/nowhere/") as page:
        assert violations(page) == []


def test_axe_would_have_found_a_planted_fault(open_page: Open) -> None:
    with open_page("/boards/demo/") as page:
        page.evaluate(
            "document.querySelector('.lead').insertAdjacentHTML('beforeend', '<img src=\"data:,\"><button></button>')"
        )
        assert {line.split(":")[0] for line in violations(page)} >= {"image-alt", "button-name"}


def test_the_page_is_never_wider_than_the_window(open_page: Open) -> None:
    with open_page("/boards/demo/") as page:
        for width in (320, 360, 600, 760, 761, 900, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_gets_low_cards_with_what_decides(open_page: Open) -> None:
    with open_page("/boards/demo/", width=360) as page:
        row = page.locator("tr[data-model=demo-contaminated]")
        shown = row.inner_text()
        for piece in ("demo-contaminated", "65.5", "overfit"):
            assert piece in shown
        box = row.bounding_box()
        assert box is not None and box["width"] <= 360 and box["height"] <= 96
        assert not page.locator(".ranking thead").is_visible()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (360, 800)])
def test_the_first_row_is_above_the_fold(open_page: Open, width: int, height: int) -> None:
    with open_page("/boards/demo/", width=width) as page:
        box = page.locator("tr[data-model]").first.bounding_box()
        assert box is not None and box["y"] + box["height"] <= height
        head = page.locator(".head").bounding_box()
        assert head is not None and head["height"] <= 200


def test_columns_are_chosen_without_a_script(open_page: Open) -> None:
    with open_page("/boards/demo/?cols=chosen,date", java_script_enabled=False) as page:
        assert page.locator("td.date").count() == 5
        assert page.locator("td.public").count() == 0


@pytest.fixture
def panel(board: None) -> None:
    """A board whose words rest on reference models: it has a column more."""
    adjusted = Adjusted(gap=0.021, interval=(-0.05, 0.09), expected=0.3, references=9, by="counts")
    one = row(basis="panel", adjusted=adjusted, evidence="no_evidence", fewest=12)
    Snapshot.objects.write(
        [one], pair=make_pair("panel", twins_by=""), method=METHOD, inputs_hash="a" * 64
    )


def test_the_evidence_is_never_beyond_the_edge(open_page: Open, panel: None) -> None:
    with open_page("/boards/panel/", width=1280) as page:
        assert page.locator("th", has_text="Adjusted, pp").count() == 1
        assert (
            page.locator(".wrap:has(.ranking)").evaluate("one => one.scrollWidth - one.clientWidth")
            <= 0
        )
        page.set_viewport_size({"width": 360, "height": 900})
        assert violations(page) == []


def test_dark_is_dark(open_page: Open) -> None:
    with open_page("/boards/demo/", dark=True) as page:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(20, 22, 26)"


def test_the_keyboard_reaches_everything_in_order_and_is_seen(open_page: Open) -> None:
    with open_page("/boards/demo/") as page:
        seen: list[str] = []
        while (name := press_tab(page)) is not None and len(seen) < 60:
            seen.append(name)
        expected = [
            "Skip to the content",
            "Holdfast",
            "Benchmarks",
            "Ledger",
            "Sign in",
            "Submit a model",
            "Board",
            "Release",
            "q",
        ]
        places = [
            seen.index(name)
            for name in [*expected, "Show", "CSV", "JSON", "replay-strong", "demo-small"]
        ]
        assert places == sorted(places)


def test_the_first_key_leads_past_the_navigation(open_page: Open) -> None:
    with open_page("/boards/demo/") as page:
        page.keyboard.press("Tab")
        assert page.locator(".skip").is_visible()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_without_javascript_a_reader_can_still_choose(open_page: Open) -> None:
    with open_page("/boards/demo/", java_script_enabled=False) as page:
        page.fill("[name=q]", "contaminated")
        page.select_option("[name=axis]", "whole")
        page.get_by_role("button", name="Show").click()
        assert page.locator(".ranking tbody tr").count() == 1
        assert page.locator("[name=q]").input_value() == "contaminated"
        assert "axis=whole" in page.url


def test_typing_narrows_the_rows_at_once(open_page: Open) -> None:
    with open_page("/boards/demo/") as page:
        page.fill("[name=q]", "replay")
        assert page.locator(".ranking tbody tr:visible").count() == 2
        assert page.locator("[data-count]").inner_text() == "2 of 5"
        page.fill("[name=q]", "")
        assert page.locator(".ranking tbody tr:visible").count() == 5


def test_the_red_row_is_counted_on_the_first_screen_and_named_in_the_drawer(
    open_page: Open,
) -> None:
    with open_page("/boards/demo/") as page:
        assert page.locator(".facts .hot").inner_text().split() == ["1", "overfit"]
        page.locator(".how summary").click()
        assert page.locator(".how a", has_text="demo-contaminated").is_visible()


def test_evidence_does_not_hang_on_colour_alone(open_page: Open) -> None:
    style = "(name) => { const s = getComputedStyle(document.querySelector(name)); return [s.fontWeight, s.borderStyle]; }"
    with open_page("/boards/demo/") as page:
        words = [page.evaluate(style, f"td .badge.{tone}") for tone in ("hot", "open", "cool")]
        assert len({tuple(word) for word in words}) == 3


@pytest.fixture
def adaptive(board: None) -> None:
    """A board with a row that was asked a part of its items, next to one that was asked all."""
    part = AdaptivePart(asked=105, planned=300, look=4, looks=4)
    adjusted = Adjusted(gap=0.21, interval=(0.09, 0.36), expected=0.3, references=9, by="items")
    judged = {"basis": "panel", "adjusted": adjusted}
    asked = replace(row(**judged), model="asked-a-part", adaptive=part)
    rows = [asked, replace(row(**judged), model="asked-all")]
    pair = make_pair("adaptive", twins_by="")
    Snapshot.objects.write(rows, pair=pair, method=METHOD, inputs_hash="a" * 64)


@pytest.mark.parametrize("width", [1440, 360])
def test_the_mark_of_an_adaptive_row_is_seen(open_page: Open, adaptive: None, width: int) -> None:
    with open_page("/boards/adaptive/", width=width) as page:
        mark = page.locator("tr[data-model=asked-a-part] .mark")
        assert mark.inner_text() == "adaptive"
        assert mark.is_visible()
        box = mark.bounding_box()
        row_box = page.locator("tr[data-model=asked-a-part]").bounding_box()
        assert box and row_box
        assert box["x"] + box["width"] <= row_box["x"] + row_box["width"] <= width
        assert box["y"] + box["height"] <= row_box["y"] + row_box["height"]
        assert page.locator("tr[data-model=asked-all] .mark").count() == 0
        assert page.locator("tr[data-model=asked-a-part] .private").inner_text().startswith("≈")
        assert violations(page) == []


@pytest.mark.parametrize("width", [1440, 360])
def test_marks_leave_room_for_the_name(open_page: Open, adaptive: None, width: int) -> None:
    disclosing = replace(row(), model="discloses-its-set", trained_on_public=True)
    both = replace(
        row(), model="has-both-marks", trained_on_public=True,
        adaptive=AdaptivePart(asked=105, planned=300, look=4, looks=4),
    )  # fmt: skip
    pair = make_pair("disclosing")
    Snapshot.objects.write([disclosing, both], pair=pair, method=METHOD, inputs_hash="b" * 64)
    with open_page("/boards/disclosing/", width=width) as page:
        for name, marks in (("discloses-its-set", 1), ("has-both-marks", 2)):
            found = page.locator(f"tr[data-model={name}]")
            row_box = found.bounding_box()
            assert row_box and row_box["height"] <= 96
            cell = found.locator("th.name")
            assert cell.evaluate("it => it.scrollWidth <= it.clientWidth"), "the name is cut off"
            assert found.locator(".mark").count() == marks
            for mark in found.locator(".mark").all():
                box = mark.bounding_box()
                assert box and box["y"] + box["height"] <= row_box["y"] + row_box["height"]
                assert box["x"] + box["width"] <= row_box["x"] + row_box["width"] <= width
