"""A watched endpoint in a browser: on its model's page for all, in the console for maintainers."""

from datetime import UTC, date, datetime

import pytest
from playwright.sync_api import expect

from leaderboard.accounts.models import User
from leaderboard.submissions.models import Occasion, Submission, Watch
from tests.browser.conftest import Open
from tests.browser.test_pages import PHONE, faults, looks

ADDRESS = "/models/replay-strong/"


@pytest.fixture
def watch(board: None) -> Watch:
    """A watch with a first time, one with drift, one that was missed and one under way."""
    source = Submission.objects.get(model__name="replay-strong")
    watch = Watch.objects.create(
        model=source.model,
        pair=source.pair,
        source=source,
        day=5,
        seed="0" * 32,
        controls=50,
        added_by=User.objects.get(username="submitter"),
    )
    moment = datetime(2026, 1, 9, tzinfo=UTC)
    same = {"n": 50, "right": 49, "gained": 0, "lost": 0, "p": 1.0}
    whole = {"n": 400, "right": 398, "gained": 0, "lost": 0, "p": 1.0}
    drift = {"n": 50, "right": 43, "gained": 1, "lost": 7, "p": 0.0703125}
    worse = {"n": 400, "right": 351, "gained": 2, "lost": 49, "p": 1e-11}
    for month, result, code in (
        (1, {"during": same, "controls": same, "public": whole}, ""),
        (2, {"during": drift, "controls": same, "public": worse}, ""),
        (3, None, "endpoint_unauthorized"),
    ):
        day = date(2026, month, 5)
        Occasion.objects.create(watch=watch, day=day, ended_at=moment, result=result, code=code)
    Occasion.objects.create(watch=watch, day=date(2026, 4, 5))
    return watch


@looks
def test_drift_is_read_by_all(open_page: Open, watch: Watch, dark: bool, width: int) -> None:
    with open_page("/", dark=dark) as page:
        assert faults(page, [ADDRESS], width) == []


def test_drift_is_read_on_a_phone_without_javascript(open_page: Open, watch: Watch) -> None:
    with open_page(ADDRESS, width=PHONE, java_script_enabled=False) as page:
        expect(page.get_by_role("heading", name="Watched since")).to_be_visible()
        expect(page.get_by_text("49 lost, 2 gained (p < .001)")).to_be_visible()
        expect(page.get_by_text("It is being asked.")).to_be_visible()
