"""Pages of one chart: drawn by Plotly under the policy of every page; a table without scripts."""

import time

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open, violations
from tests.leaderboard.published.fixtures import imported

SCATTER = "/published/small/charts/scatter/"


@pytest.fixture(autouse=True)
def table(transactional_db: None) -> None:
    imported()


def drawn(page: Page) -> Page:
    """The page, once Plotly is done; it fails at the end of ``open_page`` if the policy stopped anything."""
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=20_000)
    return page


@pytest.mark.slow
def test_plotly_draws_every_model_and_axe_finds_nothing(open_page: Open) -> None:
    with open_page(SCATTER, width=360) as page:
        assert drawn(page).locator(".scatterlayer .point").count() == 15
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_model_under_the_pointer_is_named(open_page: Open) -> None:
    with open_page(SCATTER) as page:
        drawn(page).locator(".scatterlayer .trace").last.locator(".point").first.hover(force=True)
        expect(page.locator(".hoverlayer")).to_contain_text("east-")


@pytest.mark.slow
def test_colours_follow_the_reader_s_choice_of_light_or_dark(open_page: Open) -> None:
    """A reader may change it while the page is open."""
    ink = "getComputedStyle(document.querySelector('.legendtext')).fill"
    with open_page(SCATTER) as page:
        light = drawn(page).evaluate(ink)
        page.emulate_media(color_scheme="dark")
        # Not by a function in the page, which the content policy would not let it make of a string.
        until = time.monotonic() + 10
        while page.evaluate(ink) == light:
            assert time.monotonic() < until


def test_without_javascript_the_data_are_there_and_nothing_is_drawn(open_page: Open) -> None:
    with open_page(SCATTER, java_script_enabled=False, width=360) as page:
        assert "The chart needs JavaScript" in page.locator("figure").inner_text()
        assert page.locator("tbody tr").count() == 15 and page.locator("svg").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_a_bundle_that_wrote_its_own_styles_would_be_stopped_and_seen(open_page: Open) -> None:
    """The same page without the sheet that Plotly takes for its own."""
    said: list[str] = []

    def naive(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(
            response=answer, body=answer.text().replace(' id="plotly.js-style-global"', "")
        )

    with open_page("/published/small/", failing=True) as page:
        page.on("console", lambda one: said.append(one.text))
        page.route("**/charts/scatter/", naive)
        page.goto(page.url + "charts/scatter/")
        drawn(page)
    assert any("strict CSP" in text for text in said), said


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("chart", ["scatter", "families", "rank-changes", "likelihood", "peers"])
def test_each_picture(open_page: Open, chart: str, dark: bool) -> None:
    with open_page(SCATTER.replace("scatter", chart), dark=dark) as page:
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 900})
            assert violations(drawn(page)) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
