"""Every page that a person can open: nothing for axe to find, nothing wider than a phone, and a run that can be watched."""

import pytest
from playwright.sync_api import Page, expect

from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.browser.conftest import Open, violations

STRANGERS = ("/accounts/sign-in/", "/accounts/sign-up/", "/sets/", "/sets/demo/", "/ledger/")
SUBMITTERS = ("/", "/submit/", "/mine/", "/accounts/tokens/")


def faults(page: Page, addresses: list[str]) -> list[str]:
    """What is wrong with each page, wide and narrow."""
    found = []
    site = page.url.split("/", 3)
    for address in addresses:
        page.goto("/".join(site[:3]) + address)
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 900})
            found += [f"{address} at {width}: {line}" for line in violations(page)]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{address} at {width}: wider than the window")
    return found


def runs_of(*states: RunState) -> list[str]:
    return [run.get_absolute_url() for state in states for run in Run.objects.filter(state=state)[:1]]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_stranger_meets_no_barrier(open_page: Open, board: None, dark: bool) -> None:
    addresses = [*STRANGERS, *runs_of(RunState.RANKED)]
    with open_page("/", dark=dark) as page:
        assert faults(page, addresses) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_submitter_meets_no_barrier(open_page: Open, session: str, dark: bool) -> None:
    addresses = [*SUBMITTERS, *runs_of(RunState.RUNNING, RunState.FAILED, RunState.RANKED)]
    with open_page("/", dark=dark, session=session) as page:
        assert faults(page, addresses) == []


def test_a_run_is_followed_without_loading_the_page_again(open_page: Open, session: str) -> None:
    (address,) = runs_of(RunState.RUNNING)
    answers = [{"state": "running", "percent": 40}, {"state": "graded", "percent": 100}]
    with open_page(address, session=session) as page:
        page.route("**/api/v1/runs/*", lambda route: route.fulfill(json=answers[0]))
        expect(page.locator("[data-run-percent]")).to_have_text("40%", timeout=10_000)
        expect(page.locator("progress")).to_have_attribute("max", "100")
        assert page.locator("progress").evaluate("bar => bar.value") == 40
        with page.expect_navigation(timeout=10_000):
            page.route("**/api/v1/runs/*", lambda route: route.fulfill(json=answers[1]))


def test_the_api_says_what_the_script_reads(open_page: Open, session: str) -> None:
    (address,) = runs_of(RunState.RUNNING)
    with open_page(address, session=session) as page:
        url = page.locator("[data-run-url]").get_attribute("data-run-url")
        facts = page.request.get("/".join(page.url.split("/", 3)[:3]) + str(url)).json()
        assert facts["state"] == page.locator("[data-run-state]").get_attribute("data-run-state")
        assert isinstance(facts["percent"], int)
