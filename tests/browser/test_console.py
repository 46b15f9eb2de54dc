"""The maintainers' console by keyboard alone: each step is reached by Tab, seen, and carried out."""

import pytest
from django.test import Client
from playwright.sync_api import Locator, Page, expect

from leaderboard.accounts.actions import enrol, set_maintainer, sign_up
from leaderboard.accounts.models import AuditEntry
from leaderboard.submissions.actions import submit
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import QuotaEntry, Run
from leaderboard.submissions.states import RunState
from tests.browser.conftest import Open
from tests.leaderboard import sealed
from tests.leaderboard.conftest import FakeEvaluator

MOST_TABS = 80
LOOK = """one => {
    const {outline, boxShadow, borderColor, backgroundColor, color, textDecoration} = getComputedStyle(one);
    return [outline, boxShadow, borderColor, backgroundColor, color, textDecoration].join(" ");
}"""


@pytest.fixture
def waiting(transactional_db: None) -> Run:
    """A run in the queue of a sealed pair."""
    FakeEvaluator().register()
    pair = sealed.register(sealed.seal())
    author = sign_up(username="ada", password=None, organisation="Analytical")
    ask = Ask(pair=pair.slug, model="Model-1", kind="checkpoint", checkpoint="honest")
    return submit(user=author, key="k1", ask=ask).runs.get()


@pytest.fixture
def keeper(transactional_db: None, client: Client) -> str:
    """A maintainer's session."""
    enrol(username="keeper")
    client.force_login(set_maintainer(username="keeper", maintains=True))
    return client.cookies["sessionid"].value


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until an element has the focus. It has to look otherwise than before."""
    before = target.evaluate(LOOK)
    for _ in range(MOST_TABS):
        page.keyboard.press(key)
        if target.evaluate("one => one === document.activeElement"):
            assert target.is_visible() and target.evaluate(LOOK) != before
            return
    raise AssertionError(f"Tab does not reach {target}")


def fill(page: Page, name: str, words: str) -> None:
    """Type into a field; in a list this chooses the option that begins so."""
    tab_to(page, page.locator(f"#content [name={name}]").first)
    page.keyboard.type(words)


@pytest.mark.slow
def test_a_run_is_cancelled_and_a_quota_is_set_by_keyboard(
    open_page: Open, waiting: Run, keeper: str
) -> None:
    with open_page("/manage/", session=keeper) as page:
        tab_to(page, page.get_by_role("link", name="Runs", exact=True))
        page.keyboard.press("Enter")
        fill(page, "action", "Cancel")
        fill(page, "why", "its author asked by mail")
        tab_to(page, page.locator("tbody input[type=checkbox]"))
        page.keyboard.press("Space")
        tab_to(page, page.get_by_role("button", name="Go"), "Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Cancelled: 1.")).to_be_visible()
        waiting.refresh_from_db()
        assert waiting.state == RunState.CANCELLED
        page.goto(page.url.split("/manage/")[0] + "/manage/submissions/quotaentry/add/")
        fill(page, "pair", waiting.submission.pair.title)
        fill(page, "runs", "5")
        fill(page, "why", "a busy month")
        page.keyboard.press("Enter")
        expect(page.get_by_text("every organisation has 5 runs on")).to_be_visible()
    assert QuotaEntry.objects.filter(kind=QuotaEntry.Kind.LIMIT, runs=5).exists()
    assert AuditEntry.objects.filter(actor="keeper", why="its author asked by mail").exists()
