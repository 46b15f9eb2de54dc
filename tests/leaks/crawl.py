"""Every URL of the site, taken from Django's own resolver and the API's own description, as one visitor sees it.

A route that nobody told this module how to fill in is an error, so that a new page cannot be forgotten.
"""

import hashlib
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import requests

from demo.account import confirmation

PASS_PHRASE = "a long enough pass phrase 7"
_PLACE = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>")
_LINK = re.compile(r'(?:href|src|action|hx-get)="(/[^"#]*)"')
FORMATS = ("text/html", "application/json", "text/csv", "application/xml;q=0.9, */*;q=0.1")


class UnknownRoute(AssertionError):
    """A route has a part that no value is known for: add one, so that it is crawled."""


def routes() -> list[str]:
    """Every route of the site, as its URL configuration spells it."""
    from django.urls import URLPattern, get_resolver

    def below(patterns: Sequence[object], prefix: str) -> Iterator[str]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)  # type: ignore[attr-defined]
            if isinstance(pattern, URLPattern):
                yield "/" + route
            else:
                yield from below(pattern.url_patterns, route)  # type: ignore[attr-defined]

    return sorted(set(below(get_resolver().url_patterns, "")))


def parts(route: str) -> list[str]:
    """Names of a route's parts."""
    return [match["name"] for match in _PLACE.finditer(route)]


def paths(route: str, values: Mapping[str, Sequence[object]]) -> list[str]:
    """A route filled in with every value of each of its parts. Raises :class:`UnknownRoute`."""
    match = _PLACE.search(route)
    if match is None:
        return [route]
    known = values.get(f"{match['kind']}:{match['name']}", values.get(match["name"], ()))
    if not known:
        raise UnknownRoute(f"{route}: no value for {match[0]}")
    return [
        path
        for value in known
        for path in paths(route[: match.start()] + quote(str(value)) + route[match.end() :], values)
    ]


@dataclass
class Crawl:
    """What one visitor was answered. ``seen`` holds each different answer, headers and body, once, by where it was."""

    address: str
    name: str = "stranger"
    token: str = ""
    session: requests.Session = field(default_factory=requests.Session)
    seen: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    kept: list[str] = field(default_factory=list)
    count: int = 0
    _known: set[bytes] = field(default_factory=set)

    def ask(
        self, method: str, path: str, *, quiet: bool = False, **more: object
    ) -> requests.Response:
        """One request, and what came back of it. An answer of 500 or more is an error unless it is ``quiet``."""
        answer = self.session.request(
            method, self.address + path, timeout=30, allow_redirects=False, **more
        )  # type: ignore[arg-type]
        self.count += 1
        assert quiet or answer.status_code < 500, (
            method,
            path,
            answer.status_code,
            answer.text[:300],
        )
        content = repr(sorted(answer.headers.items())).encode() + b"\n" + answer.content
        digest = hashlib.sha256(content).digest()
        if digest not in self._known:
            self._known.add(digest)
            self.seen[f"{method} {path} {more.get('headers', '')}"] = content
        private = bool(self.session.cookies.get("sessionid")) and not path.startswith("/static/")
        if private and "no-store" not in answer.headers.get("Cache-Control", ""):
            self.kept.append(f"{method} {path}")
        return answer

    def read(self, route: str, *, token: str) -> None:
        """Ask a route without parts that wants a token of its own."""
        answer = self.ask("GET", route, headers={"Authorization": f"Bearer {token}"})
        self.statuses[route].add(answer.status_code)

    def sign_up(self, mails: Path) -> None:
        """Make an account of this visitor's name, confirm its address, and stay signed in."""
        email = f"{self.name.replace(' ', '-')}@lab.example"
        form = {"username": self.name, "email": email, "organisation": f"Lab of {self.name}"}
        answer = self.send(
            "/accounts/sign-up/", form | {"password1": PASS_PHRASE, "password2": PASS_PHRASE}
        )
        assert answer.status_code == 302, "the sign-up was refused"
        confirmed = self.send(confirmation(mails, email), {})
        assert confirmed.status_code == 302, "the address was not confirmed"

    def send(
        self, path: str, form: Mapping[str, str], *, page: str = "", quiet: bool = False
    ) -> requests.Response:
        """Send a form from its ``page``, as a browser would."""
        shown = self.ask("GET", page or path).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown)
        data = {
            **form,
            "csrfmiddlewaretoken": token[1] if token else self.session.cookies.get("csrftoken", ""),
        }
        return self.ask(
            "POST", path, quiet=quiet, data=data, headers={"Referer": self.address + path}
        )

    def every_route(self, values: Mapping[str, Sequence[object]]) -> None:
        """Ask every route with every method that changes nothing, in every format; then whatever pages link to."""
        waiting = []
        for route in routes():
            for path in paths(route, values):
                answers = [self.ask(method, path) for method in ("GET", "HEAD", "OPTIONS")]
                self.statuses[route] |= {answer.status_code for answer in answers[:2]}
                waiting.append(path)
        for path in self._described(values):
            for kind in FORMATS:
                self.ask("GET", path, headers={"Accept": kind})
            if self.token:
                self.ask("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        self._follow(waiting)

    def _described(self, values: Mapping[str, Sequence[object]]) -> list[str]:
        """Every path that the API's own description names, and every one that it answers to GET."""
        description = json.loads(self.ask("GET", "/api/v1/openapi.json").content)
        found = []
        for path, methods in description["paths"].items():
            route = re.sub(r"\{(?:(\w+):)?(\w+)\}", r"<\2>", path)
            if "get" in methods:
                found += paths(route, values)
        return found

    def _follow(self, asked: Sequence[str]) -> None:
        done = set(asked)
        waiting = [link for answer in list(self.seen.values()) for link in _links(answer)]
        while waiting:
            path = waiting.pop()
            if path in done or "sign-out" in path or "/cancel/" in path:
                continue
            done.add(path)
            before = len(self.seen)
            answer = self.ask("GET", path)
            if len(self.seen) > before and not path.startswith("/static/"):
                waiting += _links(answer.content)


def _links(answer: bytes) -> list[str]:
    return [html.unescape(link) for link in _LINK.findall(answer.decode("utf-8", "replace"))]
