"""The account of the demo: made on a page with a form and a cookie, as a browser makes it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from demo.account import sign_up
from demo.services import ServiceFailed

FACTS = {
    "username": "demo",
    "email": "demo@x.example",
    "password": "secret-7",
    "organisation": "Demo authors",
}


class Site(BaseHTTPRequestHandler):
    """A sign-up page; a name that is taken is answered with 422, as the site does."""

    page = b'<input type="hidden" name="csrfmiddlewaretoken" value="t0ken">'
    received: ClassVar[dict[str, dict[str, list[str]]]] = {}

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", "csrftoken=c00kie; Path=/")
        self.end_headers()
        self.wfile.write(self.page)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.headers["Cookie"] == "csrftoken=c00kie"
        type(self).received[self.path] = parse_qs(body)
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


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    for name, to, key in (("1", "demo@x.example", "k3y"), ("2", "other@x.example", "other")):
        text = f"To: {to}\n\nOpen:\n\nhttp://localhost/accounts/confirm-email/{key}/\n"
        (tmp_path / f"{name}.log").write_text(text)
    return tmp_path


def test_the_form_is_sent_with_its_token_and_cookie(address: str, mails: Path) -> None:
    sign_up(address, mails, **FACTS)
    assert Site.received["/accounts/confirm-email/k3y/"] == {"csrfmiddlewaretoken": ["t0ken"]}
    assert Site.received["/accounts/sign-up/"] == {
        "csrfmiddlewaretoken": ["t0ken"],
        "email": ["demo@x.example"],
        "username": ["demo"],
        "organisation": ["Demo authors"],
        "password1": ["secret-7"],
        "password2": ["secret-7"],
    }


def test_a_refusal_is_a_failure_that_names_the_account(address: str, mails: Path) -> None:
    with pytest.raises(ServiceFailed, match=r"no account named taken \(status 422\)"):
        sign_up(address, mails, **FACTS | {"username": "taken"})


def test_a_page_without_a_form_is_a_failure(
    address: str, mails: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Site, "page", b"nothing here")
    with pytest.raises(ServiceFailed, match="has no form"):
        sign_up(address, mails, **FACTS)


def test_a_mail_that_did_not_come_is_a_failure(address: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match=r"no mail to demo@x\.example"):
        sign_up(address, tmp_path, **FACTS)
