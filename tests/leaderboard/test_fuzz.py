"""No request brings the site to 5xx, but 503 with Retry-After: every route, every method, four kinds of visitor."""

import itertools
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderboard.accounts import actions
from leaderboard.errors import Refusal, refuse
from tests.leaderboard import routes as table

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
ROUTES = table.routes()
GOOD = {
    "pair": "pair",
    "model": "fuzz",
    "kind": "checkpoint",
    "checkpoint": "honest",
    "open_weights": True,
}
VISITORS = ("anonymous", "author", "maintainer", "token")
PARTS = 4
"""Into how many tests the one of all bodies is split, which takes some minutes."""


@dataclass
class Site:
    """The site with something to find in it, and who asks."""

    clients: dict[str, Client]
    headers: dict[str, dict[str, str]]
    known: dict[str, str]
    failures: list[tuple[Any, ...]] = field(default_factory=list)

    def ask(
        self, who: str, method: str, address: str, body: bytes = b"", kind: str = "", **headers: str
    ) -> int:
        """Send a request and return its status. A 5xx that is no 503 with Retry-After is noted as a failure."""
        sent = self.headers[who] | headers
        response = self.clients[who].generic(method, address, body, kind, headers=sent)
        for _ in getattr(response, "streaming_content", ()):
            pass
        response.close()
        later = response.status_code == 503 and "Retry-After" in response.headers
        if response.status_code >= 500 and not later:
            self.failures.append(
                (who, method, address[:200], body[:200], kind, response.status_code)
            )
        return response.status_code

    def values(self, route: table.Route, **changed: str) -> str:
        """The route's path, each part something that exists where there is such a thing."""
        return route.path(
            {name: self.known.get(name) or self.known[kind] for kind, name in route.parts} | changed
        )


@pytest.fixture
def site(run: Any, user: Any, evaluator: Any, settings: Any) -> Iterator[Site]:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    keeper = actions.enrol(username="keeper")
    actions.set_maintainer(username="keeper", maintains=True)
    keeper.refresh_from_db()
    clients = {who: Client(raise_request_exception=False) for who in VISITORS}
    clients["author"].force_login(user)
    clients["maintainer"].force_login(keeper)
    token = actions.issue_token(user=keeper, name="fuzz")
    headers: dict[str, dict[str, str]] = {who: {} for who in VISITORS}
    headers["token"] = {"Authorization": f"Bearer {token}", "Idempotency-Key": "fuzz"}
    known = {
        "base36": "1", "slug": "pair", "str": "Model-1", "int": "1", "uuid": str(run.pk), "uuidstr": str(run.pk), "path": "statement.json",
        "evaluator": evaluator.name, "chart": "gaps", "submission_id": str(run.submission_id), "run_id": str(run.pk),
    }  # fmt: skip
    logging.disable()
    site = Site(clients, headers, known)
    yield site
    logging.disable(logging.NOTSET)
    assert site.failures == [], f"{len(site.failures)} answers of 5xx"


def test_the_table_is_whole() -> None:
    shown = {str(route) for route in ROUTES}
    assert {
        "/",
        "/models/<name>/",
        "/api/v1/runs/<run_id>",
        "/accounts/sign-up/",
        "/livez",
    } <= shown
    assert len(ROUTES) > 60
    assert {"model", "organisation", "digest"} <= set(table.form_fields())
    assert {"set", "pair", "page"} <= set(table.query_names())


@pytest.mark.slow
def test_every_path(site: Site) -> None:
    ask_every_path(site, ROUTES)


def ask_every_path(site: Site, routes: list[table.Route]) -> None:
    encoded = [quote(text, safe="") for text in table.HOSTILE_TEXT if len(text) < 9_000] + list(
        table.HOSTILE_BYTES
    )
    for route in routes:
        for method in table.METHODS:
            site.ask("anonymous", method, site.values(route))
        for _, name in route.parts:
            for text in encoded:
                site.ask("anonymous", "GET", site.values(route, **{name: text}))
            site.ask("maintainer", "POST", site.values(route, **{name: "%00"}))
        for text in table.HOSTILE_BYTES:
            site.ask("anonymous", "GET", site.values(route) + text)


@pytest.mark.slow
def test_a_site_without_its_guards_is_found_out(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if not one.endswith("PlainAddresses")]
    monkeypatch.setattr("leaderboard.middleware.refusal_of", lambda _: refuse(Refusal.INTERNAL))
    site.clients = {who: Client(raise_request_exception=False) for who in VISITORS}
    sets = [
        route for route in ROUTES if str(route).startswith(("/api/v1/sets/", "/api/v1/published/"))
    ]
    ask_every_path(site, sets)
    assert {address for _, _, address, *_ in site.failures} >= {
        "/api/v1/published/%00",
        "/api/v1/sets/%00",
    }
    site.failures.clear()


@pytest.mark.slow
def test_every_query(site: Site) -> None:
    names = table.query_names()
    long = itertools.cycle(names)
    for route in ROUTES:
        for text in table.HOSTILE_TEXT:
            site.ask(
                "anonymous", "GET", f"{site.values(route)}?{urlencode(dict.fromkeys(names, text))}"
            )
        site.ask("anonymous", "GET", f"{site.values(route)}?{next(long)}={'x' * 1_000_000}")
        for text in table.HOSTILE_BYTES:
            site.ask(
                "maintainer",
                "GET",
                f"{site.values(route)}?{'&'.join(f'{name}={text}' for name in names)}",
            )


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_every_body(site: Site, part: int) -> None:
    """Routes that refuse the method, before they read a body, get one of each kind only."""
    fields = table.form_fields()
    for route in ROUTES[part::PARTS]:
        path = site.values(route)
        takes = site.ask("maintainer", "POST", path, b"", table.CONTENT_TYPES[0]) != 405
        for kind, body in table.typed_bodies(route) if takes else table.LAST_BODIES:
            site.ask("maintainer", "POST", path, body, kind)
        for text in table.HOSTILE_TEXT if takes else table.HOSTILE_TEXT[:1]:
            form = urlencode(dict.fromkeys(fields, text)).encode()
            for who in ("anonymous", "author", "maintainer"):
                site.ask(who, "POST", path, form, table.CONTENT_TYPES[0])


@pytest.mark.slow
def test_every_field_of_the_api(site: Site) -> None:
    good = dict.fromkeys(table.json_fields(), "x") | GOOD
    for body in table.hostile_orders(good):
        site.ask("token", "POST", "/api/v1/submissions", body, "application/json")
    for number, body in enumerate(
        table.hostile_orders(GOOD | {"parameters": 1, "max_cost": 1.0, "max_tokens": 5})
    ):
        key = {"Idempotency-Key": f"fuzz-{number}"}
        site.ask("token", "POST", "/api/v1/submissions", body, "application/json", **key)


def requests() -> st.SearchStrategy[tuple[Any, ...]]:
    text = st.one_of(st.sampled_from(table.HOSTILE_TEXT), st.text(max_size=40))
    encoded = st.one_of(
        text.map(lambda one: quote(one.encode("utf-8", "surrogatepass"))),
        st.sampled_from(table.HOSTILE_BYTES),
    )
    encoded = st.one_of(encoded, st.binary(max_size=12).map(quote))
    data = st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=20),
            st.sampled_from(table.HOSTILE_JSON),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    )
    orders = st.dictionaries(st.sampled_from(table.json_fields()), data, max_size=8).map(
        lambda one: json.dumps(GOOD | one).encode()
    )
    forms = st.dictionaries(st.sampled_from(table.form_fields()), encoded, max_size=8).map(
        lambda one: "&".join(f"{name}={value}" for name, value in one.items()).encode()
    )
    bodies = st.one_of(st.sampled_from(table.HOSTILE_BODIES), orders, forms, st.binary(max_size=50))
    queries = st.dictionaries(st.sampled_from(table.query_names()), encoded, max_size=5)
    return st.tuples(
        st.sampled_from(ROUTES), st.sampled_from(VISITORS), st.sampled_from(table.METHODS),
        st.one_of(st.none(), encoded), queries, bodies, st.sampled_from(table.CONTENT_TYPES),
    )  # fmt: skip


def fuzz(site: Site, examples: int) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def ask(drawn: tuple[Any, ...]) -> None:
        route, who, method, part, query, body, kind = drawn
        changed = {} if part is None else {name: part for _, name in route.parts}
        address = (
            site.values(route, **changed)
            + "?"
            + "&".join(f"{name}={value}" for name, value in query.items())
        )
        site.ask(who, method, address, body, kind)

    ask()


def test_drawn_requests(site: Site) -> None:
    fuzz(site, 400)


@pytest.mark.slow
@pytest.mark.long
def test_many_drawn_requests(site: Site) -> None:
    fuzz(site, 6_000)
