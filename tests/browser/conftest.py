"""A site with a small board, served on loopback, and a real browser to look at it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from demo.screenshot import chromium, find_chromium
from leaderboard.accounts.models import User
from leaderboard.rankings import actions
from tests.leaderboard.rankings.sample import make_board, make_pair


class Open(Protocol):
    def __call__(self, address: str, **options: Any) -> AbstractContextManager[Page]: ...


@pytest.fixture
def board(transactional_db: None) -> None:
    """Everything that is in the database is put there before the browser starts: Django and its loop do not mix."""
    pair = make_pair()
    make_board(pair)
    actions.rebuild(pair=pair)


@pytest.fixture
def session(board: None, client: Client) -> str:
    """The session of the person who submitted the models of the board."""
    client.force_login(User.objects.get(username="submitter"))
    return client.cookies["sessionid"].value


def violations(page: Page) -> list[str]:
    """What axe finds on a page, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


@pytest.fixture
def open_page(live_server: LiveServer) -> Open:
    """Open an address of the site in a browser; fails at the end if the page complained or called anybody else."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed")

    @contextmanager
    def opened(
        address: str, *, width: int = 1280, dark: bool = False, failing: bool = False, session: str = "", **options: Any
    ) -> Iterator[Page]:
        said: list[str] = []
        options |= {"viewport": {"width": width, "height": 900}, "color_scheme": "dark" if dark else "light"}
        with chromium() as browser:
            context = browser.new_context(**options)
            if session:
                context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
            page = context.new_page()
            page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on(
                "request", lambda one: None if one.url.startswith((live_server.url, "data:")) else said.append(one.url)
            )
            page.goto(live_server.url + address)
            yield page
        assert failing or said == []

    return opened
