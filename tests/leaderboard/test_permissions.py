"""Who may ask what: every route and method of the URL table, by every kind of visitor.

``permissions.txt`` has one line for each route and method, with one character for each visitor: ``+`` is answered, ``.``
is kept out (sent to the sign-in, or 401, 403, 404, or refused on the next page), ``-`` is a method that the route has not.
A route without a line fails, and so does a line without a route. ``owner`` owns the author's organisation, and has
submitted nothing; ``author`` has founded it. Where nothing is there in the first place, all are kept out.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.messages import get_messages
from django.db import transaction
from django.test import Client
from django.utils import timezone

from leaderboard.accounts import actions
from leaderboard.accounts.admin import ConsoleSite
from leaderboard.accounts.models import Membership, Organisation, Role, User
from leaderboard.submissions.models import Probe, Upload, UploadFile
from tests.leaderboard import routes as table

VISITORS = ("anonymous", "author", "other", "owner", "maintainer")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
LINES = Path(__file__).with_name("permissions.txt")
KEPT_OUT = ("/accounts/sign-in/", "/manage/login/")
BODIES = {
    "/api/v1/runs/<run_id>/retraction": {"reason": "wrong_setup"},
    "/api/v1/runs/<run_id>/rescorings": {"grader": "numeric-2"},
    "/api/v1/sets/<slug>/withdrawal": {"reason": "wrong_protocol"},
    "/api/v1/runs/<run_id>/reply": {"text": "as we said"},
    "/api/v1/runs/<run_id>/reply/hidden": {"why": "off topic"},
    "/api/v1/closes": {"pair": "pair", "at": f"{datetime.now(UTC) + timedelta(days=9):%FT%TZ}"},
    "/api/v1/watches/<watch>/end": {"why": "enough"},
    "/api/v1/watches": {"model": "Model-1", "pair": "pair", "day": 9},
    "/api/v1/uploads/<upload_id>/files/<name>/addresses": {"numbers": [0]},
    "/api/v1/overlaps": {"corpus": "Pile", "report": {}},
    "/api/v1/quotas": {"runs": 9, "reason": "as agreed"},
    "/api/v1/organisations": {"name": "Another"},
    "/api/v1/organisations/<name>/webhooks": {"url": "https://hooks.example.org/x"},
    "/api/v1/models/<name>/name": {"name": "Model-2"},
    "/api/v1/models/<name>/transfer": {"to": "other"},
    "/api/v1/organisations/<name>/invitations": {"email": "x@lab.example"},
    "/api/v1/organisations/<name>/members/<username>": {"role": "owner"},
}
FORMS = {
    "/models/<name>/rename/": "name=Model-2",
    "/models/<name>/transfer/": "to=other",
    "/organisations/<name>/invite/": "email=x@lab.example&role=member",
    "/organisations/<name>/members/<username>/": "to=owner",
}
"""What is sent where only a good body comes as far as the question who sends it."""


def expected() -> dict[tuple[str, str], str]:
    """The lines, by route and method. PUT, PATCH and DELETE are no method of any route that says nothing of them."""
    lines: dict[tuple[str, str], str] = {}
    for line in LINES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            marks, method, route = line.split(maxsplit=2)
            assert (route, method) not in lines, f"two lines for {method} {route}"
            lines[route, method] = marks
    return lines


class Visits:
    """The site as each kind of visitor finds it: a session, and a token for the API."""

    def __init__(self, users: dict[str, User | None], known: dict[str, str]) -> None:
        self.known = known
        self.clients: dict[str, Client] = {}
        self.headers: dict[str, dict[str, str]] = {}
        for name, user in users.items():
            client = Client(raise_request_exception=False)
            self.headers[name] = {}
            if user is not None:
                client.force_login(user)
                token = actions.issue_token(user=user, name="matrix")
                self.headers[name] = {"Authorization": f"Bearer {token}"}
            self.clients[name] = client

    def mark(self, visitor: str, method: str, route: table.Route) -> str:
        """Ask, and undo what came of it."""
        path = route.path(
            {name: self.known.get(name) or self.known[kind] for kind, name in route.parts}
        )
        client = self.clients[visitor]
        cookies = client.cookies.copy()
        with transaction.atomic():
            if path.startswith("/api/"):
                body = json.dumps(BODIES.get(str(route), {}))
                answer = client.generic(
                    method, path, body, "application/json", headers=self.headers[visitor]
                )
            else:
                form = FORMS.get(str(route), "")
                kind = "application/x-www-form-urlencoded"
                answer = client.generic(method, path, form, kind)
            transaction.set_rollback(True)
        client.cookies = cookies
        # ``close`` would also end the request, and with it the database's connection.
        for close in answer._resource_closers:
            close()
        assert answer.status_code < 500, (visitor, method, path, answer.status_code)
        if answer.status_code == 405:
            return "-"
        away = answer.headers.get("Location", "").startswith(KEPT_OUT)
        refused = any(one.level_tag == "error" for one in get_messages(answer.wsgi_request))
        return "." if away or refused or answer.status_code in (401, 403, 404) else "+"

    def marks(self, method: str, route: table.Route) -> str:
        return "".join(self.mark(one, method, route) for one in VISITORS)


@pytest.fixture
def visits(run: Any, user: Any, evaluator: Any, settings: Any, tmp_path: Path) -> Visits:
    people = {name: actions.enrol(username=name) for name in ("other", "owner", "keeper")}
    for name, one in (people | {"ada": user}).items():
        EmailAddress.objects.create(
            user=one, email=f"{name}@lab.example", verified=True, primary=True
        )
    theirs = Organisation.objects.get(name="Analytical")
    Membership.objects.create(user=people["owner"], organisation=theirs, role=Role.OWNER)
    actions.set_maintainer(username="keeper", maintains=True)
    settings.UPLOADS = tmp_path
    upload = Upload.objects.create(
        organisation=theirs, created_by=user, fingerprint="a" * 64, size=1
    )
    UploadFile.objects.create(upload=upload, name="config.json", size=1, digest="b" * 64)
    probe = Probe.objects.create(
        organisation=theirs,
        by=user,
        pair=run.submission.pair,
        protocol="demo-0shot",
        url="https://api.lab.example/v1",
        served_model="m",
        api="chat",
        items=1,
        deadline=timezone.now(),
    )
    users = {
        "anonymous": None,
        "author": user,
        "other": people["other"],
        "owner": people["owner"],
        "maintainer": User.objects.get(username="keeper"),
    }
    known = {
        "slug": "pair", "str": "Model-1", "int": "1", "uuid": str(run.pk), "path": "statement.json", "object_id": "1",
        "base36": "1", "evaluator": evaluator.name, "chart": "gaps", "submission_id": str(run.submission_id),
        "run_id": str(run.pk), "app_label": "accounts", "content_type_id": "1", "url": "x", "username": "owner",
        "secret": "none", "upload_id": str(upload.pk), "key": "none",
        "probe_id": str(probe.pk),
    }  # fmt: skip
    return Visits(users, known)


def seen(visits: Visits) -> Iterator[tuple[str, str, str]]:
    """Every visitor's mark for each route and method."""
    for route in table.routes():
        named = dict(visits.known)
        if str(route).startswith(("/organisations/", "/api/v1/organisations/")):
            visits.known["name"] = "Analytical"
        if str(route).startswith("/api/v1/uploads/"):
            visits.known["name"] = "config.json"
        for method in METHODS:
            yield str(route), method, visits.marks(method, route)
        visits.known = named


def test_every_route_has_a_line() -> None:
    assert {route for route, _ in expected()} == {str(route) for route in table.routes()}


@pytest.mark.slow
def test_everybody_may_what_the_table_says(visits: Visits) -> None:
    lines = expected()
    found = {(route, method): marks for route, method, marks in seen(visits)}
    said = {
        (route, method): marks
        for (route, method), marks in found.items()
        if method in ("GET", "POST") or (route, method) in lines or set(marks) - set("-.")
    }
    differ = set(lines.items() | said.items()) - (lines.items() & said.items())
    assert not differ, "\n".join(f"{marks} {key[1]:6} {key[0]}" for key, marks in sorted(differ))


def test_a_door_left_open_is_found(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleSite, "has_permission", lambda *_: True)
    route = next(one for one in table.routes() if str(one) == "/manage/")
    assert visits.marks("GET", route) != expected()["/manage/", "GET"]
