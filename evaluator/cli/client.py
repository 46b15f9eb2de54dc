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
from contextlib import suppress
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

    @classmethod
    def of_refusal(cls, refused: HTTPError) -> "Answer":
        """Return an answer whose status is none of success; its body may be a proxy's page."""
        try:
            data = _read(refused)
        except (CommandFailed, HTTPException, OSError):
            data = None
        # Retry-After is a number of seconds, or a date.
        header = refused.headers.get("Retry-After", "")
        wait = None
        if header.strip().isdecimal():
            wait = float(header)
        else:
            with suppress(ValueError):
                moment = parsedate_to_datetime(header)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=UTC)
                wait = max(0.0, (moment - datetime.now(UTC)).total_seconds())
        return cls(refused.code, data, wait)

    def text(self, name: str, default: str) -> str:
        """Return a text of a refusal, for a terminal; ``default`` where it has none."""
        text = self.data.get(name) if isinstance(self.data, dict) else None
        return printable(text)[:1000] if isinstance(text, str) else default

    def refusal(self, address: str) -> CommandFailed:
        """Return the error that the answer is: the site's own words where it has some."""
        if 300 <= self.status < 400:
            return CommandFailed(
                "site_moved",
                "The site is at another address.",
                "Open it in a browser, and use the address that it ends at.",
                detail=address,
            )
        waits = self.retry_after is not None
        again = self.status >= 500 or (self.status in _AGAIN and waits)
        code = self.text("code", "site_failed")
        sentence = self.text("message", f"The site answers with status {self.status}.")
        advice = self.text("advice", "Try again later." if again else "")
        if again and waits:
            advice = f"{advice} The site asks to wait {self.retry_after:.0f} s.".lstrip()
        if self.status == HTTPStatus.UNAUTHORIZED:
            advice = f"Make a token at {address}/accounts/tokens/, then 'holdfast login {address}'."
        if again:
            exit_code = TRY_LATER
        elif self.status == HTTPStatus.UNAUTHORIZED or code == "scope_missing":
            exit_code = NOT_SIGNED_IN
        else:
            exit_code = REFUSED
        return CommandFailed(code, sentence, advice, exit_code=exit_code)


@dataclass(frozen=True)
class Site:
    """Site at ``address``, without a final slash. ``token`` is empty for an anonymous visitor."""

    address: str
    token: str = ""
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str, **query: str | int) -> Any:
        """GET a resource below ``/api/v1``. Raises ``CommandFailed``."""
        chosen = {name: value for name, value in query.items() if value != ""}
        if chosen:
            path += f"?{urlencode(chosen)}"
        return self._ask(path, None, {})

    def post(
        self,
        path: str,
        data: object,
        *,
        key: str = "",
    ) -> Any:
        """POST an object below ``/api/v1``; ``key`` makes repeating it harmless. Raises
        ``CommandFailed``."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        return self._ask(path, json.dumps(data).encode(), headers)

    def put(self, path: str, data: bytes) -> None:
        """PUT bytes below ``/api/v1``. Raises ``CommandFailed``."""
        self._ask(path, data, {"Content-Type": "application/octet-stream"}, "PUT")

    def page(self, path: str) -> str:
        """Return the address of a page, for people."""
        return self.address + path

    def _ask(
        self,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        method: str | None = None,
    ) -> Any:
        answer = self._send(path, body, headers, method)
        wait = answer.retry_after
        is_passing = answer.status in _AGAIN
        if is_passing and wait is not None and wait <= LONGEST_WAIT:
            print(f"The site asks to wait {wait:.0f} s; then it is asked again.", file=sys.stderr)
            self.sleep(wait)
            answer = self._send(path, body, headers, method)
        if 200 <= answer.status < 300:
            return answer.data
        raise answer.refusal(self.address)

    def _send(
        self,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        method: str | None,
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
                return Answer.of_refusal(refused)
        except (URLError, HTTPException, OSError) as failure:
            reason = getattr(failure, "reason", failure)
            raise CommandFailed(
                "site_away",
                "The site does not answer.",
                "Check the address and the network, or try again later.",
                detail=f"{self.address}: {type(reason).__name__}",
                exit_code=TRY_LATER,
            ) from None


def put_signed(signed: Any, data: bytes) -> None:
    """Send bytes to a signed address of a site's object store, without the site's token.

    Raises ``CommandFailed``, to be tried again with another address.
    """
    try:
        url = str(signed["url"])
        headers = {}
        for name, value in signed["headers"].items():
            headers[str(name)] = str(value)
    except (KeyError, TypeError, AttributeError):
        raise unreadable() from None
    if not url.startswith(("https://", "http://")):
        raise unreadable()
    headers["Content-Type"] = "application/octet-stream"
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
