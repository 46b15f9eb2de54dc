"""Requests to the API of a site, with a person's token.

- A redirect is not followed: it would carry the token to another address.
- A site that asks to wait is asked once more after that time, if it is a short one.
- Texts of the site are stripped of control characters: they are printed at a terminal.
- No answer, or one that is no JSON, raises ``CommandFailed`` like a refusal.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from evaluator.cli import logins
from evaluator.cli.answers import unreadable
from evaluator.cli.failures import NOT_SIGNED_IN, REFUSED, TRY_LATER, CommandFailed
from evaluator.cli.show import printable

TIMEOUT = 60
"""Seconds without a byte from the site."""
LONGEST_WAIT = 60
"""Seconds that are waited where the site asks for it; after a longer time a person repeats it."""
MOST_BYTES = 64 << 20
_AGAIN = frozenset({429, 502, 503, 504})
_PREFIX = "/api/v1"


class _NoRedirect(HTTPRedirectHandler):
    """Handler that leaves a redirect as the answer."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


_open = build_opener(_NoRedirect).open


@dataclass(frozen=True)
class Answer:
    """Answer of a site: ``data`` is its JSON, ``retry_after`` the seconds that it asks to wait."""

    status: int
    data: Any
    retry_after: float | None = None


@dataclass(frozen=True)
class Site:
    """Site at ``address``, without a final slash. ``token`` is empty for an anonymous visitor."""

    address: str
    token: str = ""
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str, **query: str | int) -> Any:
        """GET a resource below ``/api/v1``. Raises ``CommandFailed``."""
        chosen = {name: value for name, value in query.items() if value != ""}
        return self._ask(path + (f"?{urlencode(chosen)}" if chosen else ""), None, {})

    def post(self, path: str, data: object, *, key: str = "") -> Any:
        """POST an object below ``/api/v1``; ``key`` makes repeating it harmless. Raises
        ``CommandFailed``."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        return self._ask(path, json.dumps(data).encode(), headers)

    def put(self, path: str, data: bytes) -> None:
        """PUT bytes below ``/api/v1``. Raises ``CommandFailed``."""
        self._ask(path, data, {"Content-Type": "application/octet-stream"}, "PUT")

    def page(self, path: str) -> str:
        """Return the address of a page, for people."""
        return self.address + path

    def _ask(
        self, path: str, body: bytes | None, headers: dict[str, str], method: str | None = None
    ) -> Any:
        answer = self._send(path, body, headers, method)
        wait = answer.retry_after
        if answer.status in _AGAIN and wait is not None and wait <= LONGEST_WAIT:
            print(f"The site asks to wait {wait:.0f} s; then it is asked again.", file=sys.stderr)
            self.sleep(wait)
            answer = self._send(path, body, headers, method)
        if 200 <= answer.status < 300:
            return answer.data
        raise _refusal(self.address, answer)

    def _send(
        self, path: str, body: bytes | None, headers: dict[str, str], method: str | None
    ) -> Answer:
        if self.token:
            headers = headers | {"Authorization": f"Bearer {self.token}"}
        address = f"{self.address}{_PREFIX}{quote(path, safe='/?=&%+-._~')}"
        headers = headers | {"Accept": "application/json"}
        # logins.site_address checks the address.
        order = Request(address, body, headers, method=method)  # noqa: S310
        try:
            with _open(order, timeout=TIMEOUT) as response:
                empty = response.status == HTTPStatus.NO_CONTENT
                return Answer(response.status, None if empty else _read(response))
        except HTTPError as refused:
            with refused:
                return _refused(refused)
        except (URLError, HTTPException, OSError) as failure:
            raise _away(self.address, failure) from None


def put_signed(signed: Any, data: bytes) -> None:
    """Send bytes to a signed address of a site's object store, without the site's token.

    Raises ``CommandFailed``, to be tried again with another address.
    """
    try:
        url, headers = str(signed["url"]), {str(k): str(v) for k, v in signed["headers"].items()}
    except (KeyError, TypeError, AttributeError):
        raise unreadable() from None
    if not url.startswith(("https://", "http://")):
        raise unreadable()
    headers |= {"Content-Type": "application/octet-stream"}
    order = Request(url, data, headers, method="PUT")  # noqa: S310 - checked above
    try:
        with _open(order, timeout=TIMEOUT):
            return
    except HTTPError as refused:
        with refused:
            detail = f"status {refused.code}"
    except (URLError, HTTPException, OSError) as failure:
        detail = type(getattr(failure, "reason", failure)).__name__
    raise CommandFailed(
        "store_refuses",
        "The site's store of uploads did not take a chunk.",
        "Try again later: what has come already stays stored.",
        detail=detail,
        exit_code=TRY_LATER,
    )


def _read(response: IO[bytes]) -> Any:
    """Return the JSON of an answer. Raises ``site_unreadable``."""
    body = response.read(MOST_BYTES + 1)
    if len(body) <= MOST_BYTES:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    raise unreadable()


def _refused(refused: HTTPError) -> Answer:
    """Return an answer whose status is none of success; its body may be a proxy's page."""
    try:
        data = _read(refused)
    except (CommandFailed, HTTPException, OSError):
        data = None
    return Answer(refused.code, data, _retry_after(refused.headers.get("Retry-After", "")))


def _retry_after(header: str) -> float | None:
    """Return the seconds that a header asks to wait: a number, or a date."""
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _away(address: str, failure: Exception) -> CommandFailed:
    reason = getattr(failure, "reason", failure)
    return CommandFailed(
        "site_away",
        "The site does not answer.",
        "Check the address and the network, or try again later.",
        detail=f"{address}: {type(reason).__name__}",
        exit_code=TRY_LATER,
    )


def _refusal(address: str, answer: Answer) -> CommandFailed:
    """Return the error that an answer is: the site's own words where it has some."""
    if 300 <= answer.status < 400:
        return CommandFailed(
            "site_moved",
            "The site is at another address.",
            "Open it in a browser, and use the address that it ends at.",
            detail=address,
        )
    waits = answer.retry_after is not None
    again = answer.status >= 500 or (answer.status in _AGAIN and waits)
    code = _words(answer, "code", "site_failed")
    sentence = _words(answer, "message", f"The site answers with status {answer.status}.")
    advice = _words(answer, "advice", "Try again later." if again else "")
    if again and waits:
        advice = f"{advice} The site asks to wait {answer.retry_after:.0f} s.".lstrip()
    if answer.status == 401:
        advice = f"Make a token at {address}/accounts/tokens/, then 'holdfast login {address}'."
    exit_code = NOT_SIGNED_IN if _needs_other_token(answer.status, code) else REFUSED
    return CommandFailed(code, sentence, advice, exit_code=TRY_LATER if again else exit_code)


def _words(answer: Answer, name: str, default: str) -> str:
    """Return a text of a refusal, for a terminal; ``default`` where it has none."""
    text = answer.data.get(name) if isinstance(answer.data, dict) else None
    return printable(text)[:1000] if isinstance(text, str) else default


def _needs_other_token(status: int, code: str) -> bool:
    return status == 401 or code == "scope_missing"


def add_site(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that talks to a site."""
    command.add_argument(
        "--site",
        default="",
        help="the site's address, as https://host (default: HOLDFAST_SITE, or the site of the last"
        " login)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")


def site_of(args: argparse.Namespace, *, token: bool = True) -> Site:
    """Return the site that a command talks to.

    Raises ``CommandFailed`` where none is named, and with ``token`` where there is none for it.
    """
    address = logins.chosen_address(args.site)
    secret = logins.token_for(address)
    if token and not secret:
        raise missing_token(address)
    return Site(address, secret)


def missing_token(address: str) -> CommandFailed:
    """Return the error of a command that needs a token."""
    return CommandFailed(
        "token_missing",
        "There is no token for this site.",
        f"Make one at {address}/accounts/tokens/, then 'holdfast login {address}', or set"
        f" {logins.TOKEN}.",
        exit_code=NOT_SIGNED_IN,
    )
