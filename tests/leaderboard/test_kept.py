"""Pages that are kept: for strangers only, as old as the version says, and told to nobody who has them already."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from leaderboard import kept
from leaderboard.kept import Shelf, answer

asked = RequestFactory().get


@pytest.fixture(autouse=True)
def empty_shelf() -> None:
    kept.shelf.clear()


@pytest.fixture
def ask() -> Callable[..., HttpResponse]:
    made = []

    def ask(request: HttpRequest, version: str = "1", text: str = "page") -> HttpResponse:
        def make() -> str:
            made.append(text)
            return text

        response = answer(request, make, what="/?q=é", version=version)
        response.made = len(made)  # type: ignore[attr-defined]
        return response

    return ask


def test_a_page_is_made_once_for_each_version(ask: Callable[..., Any]) -> None:
    first, second = ask(asked("/"), text="one"), ask(asked("/"), text="two")
    assert (first.content, second.content, second.made) == (b"one", b"one", 1)
    third = ask(asked("/"), version="2", text="two")
    assert (third.content, third.made) == (b"two", 2)
    assert first.headers["ETag"] == second.headers["ETag"] != third.headers["ETag"]


def test_who_has_it_is_told_so_before_anything_is_made(ask: Callable[..., Any]) -> None:
    tag = ask(asked("/")).headers["ETag"]
    kept.shelf.clear()
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = ask(asked("/", headers={"If-None-Match": known}))
        assert (again.status_code, again.content, again.made) == (304, b"", 1)
        assert again.headers["ETag"] == tag and again.headers["Cache-Control"] == "no-cache"
    assert ask(asked("/", headers={"If-None-Match": tag}), version="2").status_code == 200
    assert ask(asked("/", headers={"If-None-Match": 'other"'})).status_code == 200


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("br", False),
        ("", False),
    ],
)
def test_it_is_compressed_for_who_can_read_it(
    ask: Callable[..., Any], accepts: str, packed: bool
) -> None:
    response = ask(asked("/", headers={"Accept-Encoding": accepts}), text="long " * 100)
    assert (response.headers.get("Content-Encoding") == "gzip") is packed
    content = gzip.decompress(response.content) if packed else response.content
    assert content == b"long " * 100 and int(response.headers["Content-Length"]) == len(
        response.content
    )
    assert response.headers["ETag"].endswith('-gzip"') is packed
    assert response.headers["Vary"] == "Accept-Encoding, Cookie, Authorization"


def test_a_head_has_the_headers_and_no_body(ask: Callable[..., Any]) -> None:
    whole, head = ask(asked("/")), ask(RequestFactory().head("/"))
    assert head.content == b"" and dict(head.headers) == dict(whole.headers)


@pytest.mark.parametrize("cookie", ["sessionid", "messages"])
def test_who_may_be_somebody_gets_one_of_his_own(ask: Callable[..., Any], cookie: str) -> None:
    known = asked("/")
    known.COOKIES[cookie] = "x"
    for request in (known, asked("/", headers={"Authorization": "Bearer x"})):
        mine = ask(request, text="mine")
        assert (mine.content, mine.headers["Cache-Control"]) == (b"mine", "private, no-store")
        assert "ETag" not in mine.headers
        assert ask(asked("/"), text="everybody's").content == b"everybody's"
        assert ask(request, text="mine again").content == b"mine again"


def test_a_session_of_nobody_is_no_reason_to_show_a_strangers_page(client: Client) -> None:
    assert not kept.stranger(asked("/", headers={"Cookie": "sessionid=x"}))
    assert kept.stranger(asked("/", headers={"Cookie": "csrftoken=x"}))


def test_the_shelf_holds_so_many_bytes_and_the_oldest_go() -> None:
    shelf = Shelf(160)
    for name in "abcdefghijklmnopqrst":
        shelf.put(name, b"x" * 10)
        shelf.get("a")
    assert shelf.bytes == 160 and shelf.get("a") and shelf.get("b") is None and shelf.get("t")
    shelf.put("a", b"y" * 5)
    assert shelf.bytes == 155 and shelf.get("a") == b"y" * 5
    shelf.put("large", b"x" * 11)
    assert shelf.get("large") is None
    shelf.clear()
    assert shelf.bytes == 0 and shelf.get("a") is None
