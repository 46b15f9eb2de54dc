"""A published table as people meet it: wide and narrow, light and dark, without JavaScript."""

import pytest

from tests.browser.conftest import Open, violations
from tests.leaderboard.rankings.published import imported


@pytest.fixture(autouse=True)
def table(transactional_db: None) -> None:
    imported()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(open_page: Open, dark: bool) -> None:
    with open_page("/published/small/", dark=dark) as page:
        page.locator("details").last.evaluate("one => one.open = true")
        assert violations(page) == []
        page.set_viewport_size({"width": 360, "height": 900})
        assert violations(page) == []
        page.goto(page.url.replace("small/", ""))
        assert violations(page) == []


def test_the_page_is_never_wider_than_the_window(open_page: Open) -> None:
    with open_page("/published/small/") as page:
        for width in (320, 360, 600, 760, 761, 900, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_gets_cards_and_loses_no_number(open_page: Open) -> None:
    with open_page("/published/small/", width=360) as page:
        row = page.locator("tr[data-model=east-2]")
        shown = row.inner_text()
        for piece in ("east-2", "58.5", "234/400", "75.0", "300/400", "+16.5", "overfit", "Holm p < .001", "rank"):
            assert piece in shown
        assert row.bounding_box()["width"] <= 360  # type: ignore[index]


def test_without_javascript_a_reader_can_choose(open_page: Open) -> None:
    with open_page("/published/small/", java_script_enabled=False) as page:
        page.get_by_label("Family", exact=True).select_option("West")
        page.get_by_label("What the words suppose").select_option("peers")
        page.get_by_role("button", name="Show").click()
        assert page.locator("tr[data-model]").count() == 4
        assert "4 of 15 shown" in page.locator("form.filters").inner_text()


def test_a_model_lights_up_in_both_pictures(open_page: Open) -> None:
    with open_page("/published/small/") as page:
        page.locator("tr[data-model=east-2]").hover()
        assert page.locator("circle.lit").count() == 2
