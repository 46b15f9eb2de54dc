"""A practice run in a browser: its result, prompts and answers, and the way to the official run."""

import pytest
from django.test import Client
from playwright.sync_api import expect

from leaderboard.accounts.models import Membership, Organisation, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Run
from tests.browser.conftest import Open
from tests.browser.test_pages import faults, looks
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.practising import practice_pair, run_through


@pytest.fixture
def practised(session: str) -> Run:
    """A graded practice run of the person whose session it is."""
    evaluator = FakeEvaluator()
    evaluator.register()
    user = User.objects.get(username="submitter")
    owner = Organisation.objects.get(name="Holdfast demo")
    Membership.objects.create(user=user, organisation=owner, role="owner")
    pair = SetPair.objects.get()
    practice_pair(pair)
    ask = Ask(pair="warm-up", model="demo-new", kind="checkpoint", checkpoint="honest")
    run = actions.submit(user=user, key="practice", ask=ask).runs.get()
    run_through(evaluator, run, names=(pair.public.name, "warm-up"))
    return run


@looks
def test_practice_is_read_by_all(
    open_page: Open, practised: Run, session: str, dark: bool, width: int
) -> None:
    addresses = [
        "/practice/",
        practised.get_absolute_url(),
        "/mine/",
        f"/submit/?run={practised.pk}",
    ]
    with open_page("/", dark=dark, session=session) as page:
        assert faults(page, addresses, width) == []


@pytest.mark.slow
def test_hostile_answers_are_text_and_the_official_run_is_one_click_away(
    open_page: Open, practised: Run, session: str
) -> None:
    with open_page(practised.get_absolute_url(), session=session) as page:
        expect(page.get_by_text("<script>alert(1)</script> What is").first).to_be_visible()
        page.get_by_role("link", name="Run officially").click()
        expect(page.get_by_label("Model name", exact=True)).to_have_value("demo-new")
        expect(page.get_by_label("Benchmark", exact=True)).to_have_value("demo")


def test_an_anonymous_visitor_finds_the_practice_pairs(
    open_page: Open, practised: Run, client: Client
) -> None:
    with open_page("/practice/") as page:
        expect(page.get_by_role("heading", name="Warm-up")).to_be_visible()
