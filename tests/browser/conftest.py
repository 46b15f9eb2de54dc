"""A site with a small board, served on loopback, and a real browser to look at it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from demo.screenshot import chromium, find_chromium
from leaderboard.accounts.models import User
from leaderboard.benchmarks.actions import post_notices, register_pair, register_set
from leaderboard.board import actions
from leaderboard.submissions.actions import (
    assign_lineage,
    commit_weights,
    propose,
    register_lineage,
    withdraw_pair,
)
from tests.leaderboard import sealed
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sample import make_board, make_pair


class Open(Protocol):
    def __call__(self, address: str, **options: Any) -> AbstractContextManager[Page]: ...


@pytest.fixture
def board(transactional_db: None) -> None:
    """A small board whose cohort is closed."""
    pair = make_pair()
    make_board(pair)
    register_lineage(name="demo", parents=[])
    for model in ("demo-honest", "demo-contaminated", "demo-small"):
        assign_lineage(model=model, lineage="demo")
    actions.close_cohort(pair=pair)


@pytest.fixture
def session(board: None, client: Client) -> str:
    """The session of the person who submitted the models of the board."""
    client.force_login(User.objects.get(username="submitter"))
    return client.cookies["sessionid"].value


@pytest.fixture
def maintainer(board: None, client: Client, settings: Any, tmp_path: Path) -> str:
    """A maintainer's session, and sealed sets at every stage: in use, with a release proposed, released, unpaired."""
    settings.RELEASES = tmp_path
    evaluator = FakeEvaluator()
    evaluator.register()
    user = User.objects.create_user("maintainer", is_staff=True)
    in_use = sealed.seal()
    pair = sealed.register(in_use)
    sealed.count_run(
        pair, evaluator, "north-with-a-name-that-is-rather-long-1", right=118, lineage="north"
    )
    sealed.count_run(pair, evaluator, "west-1", right=101, lineage="west")
    sealed.show(pair, evaluator, list(range(104)))
    for number in range(8):
        sealed.show(
            pair,
            evaluator,
            list(range(60, 70)),
            recipient=f"endpoint-{number}.example:8443",
            tier="T2",
        )
    sealed.show(pair, evaluator, [100, 110], recipient="odd.example", tier="T1")
    first = in_use.notice(None, kind="retire_block", block=2, reason="spent")
    second = in_use.notice(first, kind="erratum", item=45, reason="wrong_gold")
    post_notices(data=[first.to_dict(), second.to_dict()])
    for name in ("proposed", "released"):
        ready = sealed.seal(name)
        pair = sealed.register(ready, slug=name)
        sealed.meet(pair, evaluator)
        sealed.heir(pair)
        proposed = propose(slug=name, by=user)
    sealed.released(proposed, ready, user)
    fresh = sealed.seal("fresh")
    register_set(data=fresh.manifest.to_dict(), sealed=True, head=fresh.head)
    register_pair(
        slug="typo", title="The twins again", public="twins-public", private="twin", protocol="demo-0shot",
        grader="numeric-1",
    )  # fmt: skip
    withdraw_pair(slug="typo", reason="duplicate", by=user)
    commit_weights(user=user, digest="ab" * 32)
    client.force_login(user)
    return client.cookies["sessionid"].value


def violations(page: Page) -> list[str]:
    """What axe finds on a page, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


def violations_without_javascript(page: Page) -> list[str]:
    """What axe finds on a page that runs no scripts, looked for in a copy of it that does.

    Axe waits for timers, and where scripts are disabled none has to fire.
    """
    browser = page.context.browser
    assert browser is not None
    state = page.context.storage_state()
    html = page.content()
    with browser.new_context(storage_state=state, viewport=page.viewport_size) as context:
        copy = context.new_page()
        copy.route(page.url, lambda route: route.fulfill(body=html, content_type="text/html"))
        copy.goto(page.url)
        return violations(copy)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a module. Its loop runs in this thread, where Django would refuse to work."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed: run `sh tests/install-tools.sh`")
    with pytest.MonkeyPatch.context() as patch, chromium() as started:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield started


@pytest.fixture
def open_page(live_server: LiveServer, browser: Browser) -> Open:
    """Open an address of the site in a browser; fails at the end if the page complained or called anybody else."""

    @contextmanager
    def opened(
        address: str,
        *,
        width: int = 1280,
        dark: bool = False,
        failing: bool = False,
        session: str = "",
        **options: Any,
    ) -> Iterator[Page]:
        said: list[str] = []
        options |= {
            "viewport": {"width": width, "height": 900},
            "color_scheme": "dark" if dark else "light",
        }
        with browser.new_context(**options) as context:
            if session:
                context.add_cookies(
                    [{"name": "sessionid", "value": session, "url": live_server.url}]
                )
            page = context.new_page()
            page.on(
                "console",
                lambda one: said.append(one.text) if one.type in ("error", "warning") else None,
            )
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on(
                "request",
                lambda one: (
                    None if one.url.startswith((live_server.url, "data:")) else said.append(one.url)
                ),
            )
            page.goto(live_server.url + address)
            yield page
        assert failing or said == []

    return opened
