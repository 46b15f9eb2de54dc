"""Before Django stands what it answered strangers a moment ago: the same bytes, to strangers only, and no longer."""

import gzip
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from leaderboard import kept
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import current
from leaderboard.kept import AtOnce
from tests.leaderboard.sample import make_board, make_pair

pytestmark = pytest.mark.django_db


class Asked:
    """A server before the site, which counts how often Django is reached."""

    def __init__(self) -> None:
        self.reached = 0
        django = get_wsgi_application()

        def counted(environ: Any, start: Any) -> Any:
            self.reached += 1
            return django(environ, start)

        self.application = AtOnce(counted)

    def __call__(
        self, path: str = "/", method: str = "GET", **more: str
    ) -> tuple[str, dict[str, str], bytes]:
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "testserver", "SERVER_PORT": "80",
            "HTTP_HOST": "testserver", "HTTP_ACCEPT_ENCODING": "gzip", "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(), "wsgi.errors": BytesIO(), **more,
        }  # fmt: skip
        heard: list[Any] = []
        response = self.application(
            environ, lambda status, headers, *_: heard.append((status, headers)) or print
        )
        body = b"".join(response)
        if hasattr(response, "close"):
            response.close()
        ((status, headers),) = heard
        return status, dict(headers), body


@pytest.fixture
def asked(settings: Any, db: None) -> Iterator[Asked]:
    settings.BOARD_SECONDS = 60
    make_board(make_pair())
    kept.shelf.clear()
    current._read.clear()
    # As Django's own test client does: the test's transaction lives in this connection.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield Asked()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    current._read.clear()


def test_who_asks_the_same_is_told_the_same_without_django(asked: Asked) -> None:
    first = asked()
    assert first[0] == "200 OK" and b"</html>" in gzip.decompress(first[2])
    assert "Content-Security-Policy" in first[1] and first[1]["Content-Length"] == str(
        len(first[2])
    )
    assert (asked(), asked.reached) == (first, 1)
    tag = first[1]["ETag"]
    has = asked(HTTP_IF_NONE_MATCH=tag)
    assert has[0].startswith("304") and has[2] == b""
    assert (asked(HTTP_IF_NONE_MATCH=tag), asked(), asked.reached) == (has, first, 2)


@pytest.mark.parametrize(
    "other",
    [
        {"QUERY_STRING": "sort=gap"}, {"path": "/boards/demo.csv"}, {"method": "HEAD"}, {"HTTP_ACCEPT_ENCODING": ""},
        {"HTTP_HOST": "elsewhere"}, {"wsgi.url_scheme": "https"}, {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_COOKIE": "sessionid=x"}, {"HTTP_AUTHORIZATION": "Bearer x"}, {"method": "POST"},
    ],
    ids=lambda other: next(iter(other.items())).__str__(),
)  # fmt: skip
def test_who_asks_anything_else_asks_django(asked: Asked, other: dict[str, str]) -> None:
    first = asked()
    found = asked(**other)  # type: ignore[arg-type]
    assert first[0] == "200 OK" and asked.reached == 2
    if other.get("HTTP_HOST"):
        assert found[0].startswith("400")
    assert asked() == first


@pytest.mark.parametrize(
    "who", [{"HTTP_COOKIE": "sessionid=x"}, {"HTTP_AUTHORIZATION": "Bearer x"}]
)
def test_nothing_that_one_person_saw_is_said_to_another(asked: Asked, who: dict[str, str]) -> None:
    assert asked(**who)[1]["Cache-Control"] == "private, no-store"
    assert asked()[1]["Cache-Control"] == "no-cache"
    asked(**who)
    assert asked.reached == 3


def test_an_answer_with_a_cookie_is_meant_for_one(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_cookie(*given: Any, until: float = 0.0, **named: Any) -> Any:
        response = plainly(*given, until=until, **named)
        response.set_cookie("seen", "yes")
        return response

    plainly = kept.answer
    monkeypatch.setattr(kept, "answer", with_cookie)
    assert "Set-Cookie" in asked()[1] and "Set-Cookie" in asked()[1]
    assert asked.reached == 2


def test_it_is_no_longer_said_than_the_board_may_be_old(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = kept.monotonic()
    first = asked()
    SetPair.objects.update(title="Another title")
    monkeypatch.setattr(kept, "monotonic", lambda: now + 59)
    assert (asked(), asked.reached) == (first, 1)
    monkeypatch.setattr(kept, "monotonic", lambda: now + 61)
    asked()
    assert asked.reached == 2


@pytest.mark.parametrize("path", ["/methodology/", "/accounts/login/", "/nothing/"])
def test_what_is_made_for_each_request_is_not_kept(asked: Asked, path: str) -> None:
    asked(path)
    asked(path)
    assert asked.reached == 2


def test_only_so_many_are_at_hand_and_no_large_ones(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "AT_ONCE", 2)
    for page in (1, 2, 3, 3, 2):
        asked(QUERY_STRING=f"page={page}")
    assert asked.reached == 3
    asked(QUERY_STRING="page=1")
    assert asked.reached == 4
    monkeypatch.setattr(kept, "LARGEST_AT_ONCE", 1000)
    asked(QUERY_STRING="page=4")
    asked(QUERY_STRING="page=4")
    assert asked.reached == 6
