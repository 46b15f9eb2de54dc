"""Every page that a person can open: nothing for axe to find, nothing wider than a phone, and a run that can be watched."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.browser.conftest import Open, violations, violations_without_javascript
from tests.leaderboard import sealed
from tests.leaderboard.submissions.test_likelihoods import BOTH
from tests.leaderboard.submissions.test_run_summary import RECORD, VOTES

LIKELIHOOD = BOTH[0]
STRANGERS = (
    "/accounts/sign-in/",
    "/accounts/sign-up/",
    "/accounts/password/reset/",
    "/accounts/confirm-email/",
    "/organisations/Holdfast%20demo/",
    "/sets/",
    "/sets/demo/",
    "/ledger/",
    "/methodology/",
    "/models/demo-small/",
    "/families/demo/",
    "/boards/demo/compare/?a=demo-honest&b=demo-contaminated",
)
STAGES = (
    "/sets/twins/",
    "/sets/typo/",
    "/sets/twins/release/",
    "/sets/proposed/release/",
    "/sets/released/",
    "/sets/released/release/",
    "/ledger/?set=twin",
)
STAFF = (
    "/sets/",
    "/sets/register/",
    "/sets/register/pair/?private=fresh",
    "/sets/proposed/registered/",
    "/sets/twins/withdraw/",
    "/sets/twins/exposure/",
    "/sets/twins/graders/",
    "/sets/twins/release/",
    "/sets/proposed/release/",
    "/commitments/",
)
SUBMITTERS = (
    "/",
    "/submit/",
    "/mine/",
    "/quotas/",
    "/accounts/tokens/",
    "/accounts/email/",
    "/accounts/password/set/",
    "/accounts/2fa/",
    "/organisations/",
    "/commitments/",
)


WIDE, PHONE = 1280, 360
looks = pytest.mark.parametrize(
    ("dark", "width"),
    [
        pytest.param(False, WIDE, id="light-wide", marks=pytest.mark.slow),
        pytest.param(True, PHONE, id="dark-phone"),
        pytest.param(False, PHONE, id="light-phone", marks=pytest.mark.slow),
        pytest.param(True, WIDE, id="dark-wide", marks=pytest.mark.slow),
    ],
)
"""Colours and widths in which every page is looked at."""


def faults(page: Page, addresses: list[str], width: int) -> list[str]:
    """Return what is wrong with each page, all details open."""
    found = []
    site = page.url.split("/", 3)
    page.set_viewport_size({"width": width, "height": 900})
    for address in addresses:
        page.goto("/".join(site[:3]) + address)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        found += [f"{address}: {line}" for line in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{address}: wider than the window")
    return found


def runs_of(*states: RunState) -> list[str]:
    return [
        run.get_absolute_url() for state in states for run in Run.objects.filter(state=state)[:1]
    ]


@looks
def test_a_stranger_meets_no_barrier(open_page: Open, board: None, dark: bool, width: int) -> None:
    addresses = [*STRANGERS, *runs_of(RunState.RANKED)]
    # With a title of this length a badge is wider than a phone.
    SetPair.objects.update(title="Word problems of three and four steps")
    with open_page("/", dark=dark) as page:
        assert faults(page, addresses, width) == []


@looks
def test_what_a_run_tells_of_its_samples_and_its_record(
    open_page: Open, board: None, dark: bool, width: int
) -> None:
    run = Run.objects.filter(state=RunState.RANKED)[0]
    run.outcomes.update(votes=VOTES.to_dict(), likelihood=LIKELIHOOD.to_dict())
    run.change(record=RECORD.to_dict(), likelihood_failed="prompt_too_long")
    with open_page("/", dark=dark) as page:
        assert faults(page, [run.get_absolute_url()], width) == []
        expect(page.get_by_text("-0.5123")).to_have_count(2)
        expect(page.get_by_text("m-2024-08-06")).to_be_visible()
        expect(page.locator(".calibration circle")).to_have_count(2 * len(VOTES.bins))


@looks
def test_a_submitter_meets_no_barrier(
    open_page: Open, session: str, dark: bool, width: int
) -> None:
    addresses = [*SUBMITTERS, *runs_of(RunState.RUNNING, RunState.FAILED, RunState.RANKED)]
    with open_page("/", dark=dark, session=session) as page:
        assert faults(page, addresses, width) == []


@looks
def test_every_stage_of_a_set_is_open_to_all(
    open_page: Open, maintainer: str, dark: bool, width: int
) -> None:
    with open_page("/", dark=dark) as page:
        assert faults(page, list(STAGES), width) == []


@looks
def test_a_maintainer_meets_no_barrier(
    open_page: Open, maintainer: str, dark: bool, width: int
) -> None:
    with open_page("/", dark=dark, session=maintainer) as page:
        assert faults(page, list(STAFF), width) == []


def test_a_maintainer_proposes_by_keyboard_and_without_javascript(
    open_page: Open, maintainer: str
) -> None:
    with open_page(
        "/sets/proposed/release/", session=maintainer, java_script_enabled=False
    ) as page:
        for does, says in (
            ("Withdraw the proposal", "The proposal is withdrawn."),
            ("Propose the release", "The release is proposed."),
        ):
            page.get_by_role("button", name=does).focus()
            page.keyboard.press("Enter")
            expect(page.get_by_role("status")).to_have_text(says)
        expect(page.locator("[aria-current=step] b")).to_have_text("Proposed")


def test_a_set_is_registered_from_its_files(
    open_page: Open, maintainer: str, tmp_path: Path
) -> None:
    new = sealed.seal("newest")
    (tmp_path / "manifest.json").write_text(json.dumps(new.manifest.to_dict()))
    (tmp_path / "head.txt").write_text(new.head)
    with open_page("/sets/register/", session=maintainer, java_script_enabled=False) as page:
        page.get_by_label("Manifest").set_input_files(tmp_path / "manifest.json")
        page.get_by_label("Signed tree head").set_input_files(tmp_path / "head.txt")
        page.get_by_role("button", name="Register the set").click()
        assert new.manifest.root in page.inner_text("main")
        page.get_by_label("Short name").fill("newest-pair")
        page.get_by_label("Title").fill("The newest")
        page.get_by_label("Public set").select_option("twins-public")
        page.get_by_role("button", name="Continue").click()
        assert page.locator("h1").inner_text() == "Check the pair before you register it"
        assert violations_without_javascript(page) == []
        page.get_by_label("I know that none of this can be changed").check()
        page.get_by_role("button", name="Register the pair").click()
        assert page.locator("h1").inner_text() == "The newest is registered"
        assert "Known models would meet the release rule at once." in page.inner_text("main")


def test_the_blocks_of_a_set_are_told_apart_without_colour(
    open_page: Open, maintainer: str
) -> None:
    style = "(e) => { const s = getComputedStyle(e); return [s.stroke, s.strokeDasharray, s.fill, s.fillOpacity].join(); }"
    with open_page("/sets/twins/", session=maintainer) as page:
        drawn = [
            page.locator(f".strip .{kind}").first.evaluate(style)
            for kind in ("exposed", "local", "spare")
        ]
        assert len(set(drawn)) == 3
        assert page.locator(".strip .gone + .stroke").count() == 1
        assert page.locator(".strip title").count() == 10


def test_a_run_is_followed_without_loading_the_page_again(open_page: Open, session: str) -> None:
    (address,) = runs_of(RunState.RUNNING)
    run = Run.objects.get(pk=address.split("/")[2])
    with open_page(address, session=session) as page:
        page.evaluate("window.loadedOnce = true")
        run.change(done=run.total * 4 // 10)
        expect(page.locator("[data-run-percent]")).to_have_text("40%", timeout=10_000)
        assert page.locator("progress").evaluate("bar => bar.value") == 40
        run.move(RunState.GRADED)
        expect(page.locator("section.card b").first).to_have_text("Graded.", timeout=10_000)
        assert page.get_by_role("button", name="Cancel the run").count() == 0
        assert page.evaluate("window.loadedOnce"), "the page was loaded again"
        assert violations(page) == []


def test_a_hidden_page_asks_for_no_news(open_page: Open, session: str) -> None:
    (address,) = runs_of(RunState.RUNNING)
    with open_page(address, session=session) as page:
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true})"
        )
        asked: list[str] = []
        # Only what scripts ask for: the browser itself may ask for the icon of the page late.
        page.on(
            "request", lambda request: request.resource_type == "xhr" and asked.append(request.url)
        )
        page.wait_for_timeout(4500)
        assert asked == []
        page.evaluate("delete document.hidden")
        page.wait_for_timeout(4500)
        assert asked, "the page did not ask for news when it was shown again"
