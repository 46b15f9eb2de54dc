"""The account of the demo: made on a page with a form and a cookie, as a browser makes it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

from demo.account import sign_up
from demo.services import ServiceFailed

FACTS = {"username": "demo", "password": "secret-7", "organisation": "Demo authors"}


class Site(BaseHTTPRequestHandler):
    """A sign-up page; a name that is taken is answered with 422, as the site does."""

    page = b'<input type="hidden" name="csrfmiddlewaretoken" value="t0ken">'
    received: dict[str, list[str]]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", "csrftoken=c00kie; Path=/")
        self.end_headers()
        self.wfile.write(self.page)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.headers["Cookie"] == "csrftoken=c00kie"
        type(self).received = parse_qs(body)
        self.send_response(422 if "username=taken" in body else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_form_is_sent_with_its_token_and_cookie(address: str) -> None:
    sign_up(address, **FACTS)
    assert Site.received == {
        "csrfmiddlewaretoken": ["t0ken"],
        "username": ["demo"],
        "organisation": ["Demo authors"],
        "password1": ["secret-7"],
        "password2": ["secret-7"],
    }


def test_a_refusal_is_a_failure_that_names_the_account(address: str) -> None:
    with pytest.raises(ServiceFailed, match=r"no account named taken \(status 422\)"):
        sign_up(address, **FACTS | {"username": "taken"})


def test_a_page_without_a_form_is_a_failure(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Site, "page", b"nothing here")
    with pytest.raises(ServiceFailed, match="has no form"):
        sign_up(address, **FACTS)
