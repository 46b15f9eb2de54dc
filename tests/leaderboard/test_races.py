"""Requests that race for the same name: one of them wins, the others get a refusal, none an error of the database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from leaderboard.accounts import actions as accounts
from leaderboard.accounts.actions import organisations
from leaderboard.accounts.forms import SignUp
from leaderboard.accounts.models import Invitation, Membership, Organisation, User, token_digest
from leaderboard.benchmarks import actions as benchmarks
from leaderboard.errors import Refusal, SiteError, conflicts_refused
from leaderboard.evidence import actions as references
from leaderboard.ledger import actions as ledger
from leaderboard.middleware import database_failure
from leaderboard.submissions import actions as submissions
from leaderboard.submissions.actions import submissions as taking
from leaderboard.submissions.models import Model

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "plugboard 7 rotor"


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at the same moment, each in a thread with a connection of its own; results and exceptions."""
    start = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        try:
            start.wait(30)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        racers = [pool.submit(one, call) for call in calls]
    return [racer.exception() or racer.result() for racer in racers]


def meet_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, parties: int) -> None:
    """Let ``parties`` threads come out of a function together, so that all have seen the same state."""
    met, plain = threading.Barrier(parties), getattr(owner, name)

    def meeting(*args: Any, **options: Any) -> Any:
        result = plain(*args, **options)
        met.wait(30)
        return result

    monkeypatch.setattr(owner, name, meeting)


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr("leaderboard.accounts.throttle._entered", threading.BoundedSemaphore(100))
    monkeypatch.setattr("leaderboard.accounts.throttle._hashing", threading.BoundedSemaphore(100))


def sign_up(username: str, organisation: str) -> Callable[[], int]:
    fields = {
        "username": username,
        "email": f"{username.lower()}@lab.example",
        "organisation": organisation,
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    client = Client(raise_request_exception=False)
    return lambda: (
        client.post(
            "/accounts/sign-up/", fields, REMOTE_ADDR=f"10.0.0.{id(client) % 250}"
        ).status_code
    )


@pytest.mark.parametrize("number", range(5))
def test_equal_sign_ups(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    meet_before(monkeypatch, SignUp, "is_valid", 8)
    statuses = at_once(*(sign_up("ada", "Analytical") for _ in range(8)))
    assert sorted(statuses) == [302] + [409] * 7
    assert (User.objects.count(), Organisation.objects.count()) == (1, 1)


def test_names_that_differ_in_case_only(monkeypatch: pytest.MonkeyPatch) -> None:
    meet_before(monkeypatch, SignUp, "is_valid", 4)
    people = [("ada", "One"), ("ADA", "Two"), ("bob", "three"), ("carol", "THREE")]
    assert sorted(at_once(*(sign_up(*one) for one in people))) == [302, 302, 409, 409]
    assert (User.objects.count(), Organisation.objects.count(), Membership.objects.count()) == (
        2,
        2,
        2,
    )


def test_an_invitation_that_two_accounts_take_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four connections of two accounts with the address have all seen it unused: one joins."""
    owner = accounts.sign_up(username="ada", password=None, organisation="Analytical")
    people = [User.objects.create_user(username=name) for name in ("bob", "bert")]
    for user, address in zip(people, ("bob@lab.example", "Bob@lab.example"), strict=True):
        EmailAddress.objects.create(user=user, email=address, verified=True)
    Invitation.objects.create(
        organisation=owner.organisation(),
        email="bob@lab.example",
        digest=token_digest("secret"),
        invited_by=owner,
        expires=timezone.now() + timedelta(days=1),
    )
    meet_before(monkeypatch, organisations, "invitation", 4)
    results = at_once(
        *(
            lambda user=user: accounts.accept_invitation(secret="secret", by=user)
            for user in (*people, *people)
        )
    )
    refused = [one for one in results if isinstance(one, Exception)]
    assert len(results) - len(refused) == 1
    assert [getattr(one, "code", one) for one in refused] == [Refusal.INVITATION_USED] * 3
    assert Membership.objects.filter(user__in=people).count() == 1


def members(*names: str) -> list[User]:
    """Six people in each organisation."""
    found = []
    for name in names:
        first = accounts.sign_up(username=f"{name}-0", password=None, organisation=name)
        found.append(first)
        for number in range(1, 6):
            user = User.objects.create_user(username=f"{name}-{number}")
            Membership.objects.create(user=user, organisation=first.organisation())
            found.append(user)
    return found


def test_the_same_new_model_by_two_organisations(
    pair: Any, bell: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members of one organisation go one after the other: one of each meet, six times."""
    people = members("one", "two")
    meet_before(monkeypatch, taking, "decide", 2)
    names = ["Case-Model", "case-model", "CASE-MODEL"]
    results = at_once(
        *(
            lambda user=user, name=names[number % 3]: submissions.submit(
                user=user, key="k", ask=ask(model=name)
            )
            for number, user in enumerate(people)
        )
    )
    assert Model.objects.count() == 1
    failures = [one for one in results if isinstance(one, Exception)]
    assert {one.code for one in failures if isinstance(one, SiteError)} <= {
        Refusal.MODEL_TAKEN,
        Refusal.MODEL_DIFFERS,
    }
    assert all(isinstance(one, SiteError) for one in failures)
    assert 1 <= len(results) - len(failures) <= 2
    winner = Model.objects.get()
    mine = [
        one
        for user, one in zip(people, results, strict=True)
        if user.organisation() == winner.organisation
    ]
    assert all(not isinstance(one, SiteError) or one.code is Refusal.MODEL_DIFFERS for one in mine)


def test_the_same_model_with_other_facts(
    pair: Any, bell: Any, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = members("one")
    meet_before(monkeypatch, taking.throttle, "charge_submission", 6)
    orders = [ask(open_weights=bool(number % 2)) for number in range(6)]
    results = at_once(
        *(
            lambda user=user, order=order: submissions.submit(user=user, key="k", ask=order)
            for user, order in zip(people, orders, strict=True)
        )
    )
    codes = [getattr(one, "code", None) for one in results]
    assert sorted(map(str, codes)) == [str(None)] * 3 + [str(Refusal.MODEL_DIFFERS)] * 3


IDENTITY = {"name": "evaluator-9", "host_pub": "1" * 64, "report_pub": "2" * 64}


def creates(pair: Any, user: User, keeper: User) -> dict[str, Callable[[int], Any]]:
    """Every write that makes something under a name; the number tells the racers apart where they may differ."""
    facts = {"name": "open-2", "n": 5, "digest": "b" * 64, "sealed": False}
    return {
        "enrol": lambda n: accounts.enrol(username="newcomer"),
        "token": lambda n: accounts.issue_token(user=user, name="laptop"),
        "evaluator": lambda n: ledger.register_evaluator(identity=IDENTITY, pool="default"),
        "evaluator with other keys": lambda n: ledger.register_evaluator(
            identity=IDENTITY | {"host_pub": f"{n % 2}" * 64}, pool="default"
        ),
        "party": lambda n: ledger.register_party(
            recipient="a.example", name=f"A {n}", kind="provider", tier="T1"
        ),
        "lineage": lambda n: submissions.register_lineage(name="family", parents=[]),
        "commitment": lambda n: submissions.commit_weights(user=user, digest="c" * 64),
        "set": lambda n: benchmarks.register_set(data=facts, sealed=False),
        "other set of the name": lambda n: benchmarks.register_set(
            data=facts | {"n": 5 + n % 2}, sealed=False
        ),
        "pair": lambda n: benchmarks.register_pair(
            slug="two",
            title="T",
            public="public",
            private="private",
            protocol="demo-0shot",
            grader="numeric-1",
        ),
        "other pair of the name": lambda n: benchmarks.register_pair(
            slug="three",
            title=f"T{n % 2}",
            public="public",
            private="private",
            protocol="demo-0shot",
            grader="numeric-1",
        ),
        "reference": lambda n: references.name_reference(
            pair=pair, model="Model-1", why=f"known {n}", by=keeper
        ),
        "successor": lambda n: benchmarks.name_successor(slug="pair", successor="heir"),
        "submission": lambda n: submissions.submit(user=user, key="same", ask=_ask("Model-2")),
        "other submission": lambda n: submissions.submit(
            user=user, key="other", ask=_ask(f"Model-{3 + n % 2}")
        ),
    }


def _ask(model: str) -> Any:
    return submissions.submissions.Ask(
        pair="pair", model=model, kind="checkpoint", checkpoint="honest"
    )


def test_every_create_at_once(pair: Any, run: Any, user: User) -> None:
    keeper = accounts.set_maintainer(
        username=accounts.enrol(username="keeper").username, maintains=True
    )
    for name, create in creates(pair, user, keeper).items():
        results = at_once(*(lambda n=n: create(n) for n in range(6)))  # noqa: B023 - called at once
        failures = [one for one in results if isinstance(one, Exception)]
        assert all(isinstance(one, SiteError) for one in failures), (name, failures)
        assert all(400 <= one.status < 500 for one in failures), (name, failures)
        if name not in ("successor",):
            assert len(failures) < len(results), name


# --- a violation that no action expected is the loser's all the same


def test_a_race_that_nothing_else_caught(rf: Any, user: User) -> None:
    with pytest.raises(IntegrityError) as lost:
        User.objects.create_user(username="ADA")
    answer = database_failure(rf.get("/api/v1/x"), lost.value)
    assert (
        answer.status_code == 409
        and b'"name_taken"' in answer.content
        and b"ADA" not in answer.content
    )
    assert database_failure(rf.get("/x"), lost.value).status_code == 409
    with pytest.raises(IntegrityError) as vanished:
        Membership.objects.create(user=user, organisation_id=10**6)
    assert database_failure(rf.get("/api/v1/x"), vanished.value).status_code == 409


def test_a_row_that_the_database_refuses_is_no_race(rf: Any, user: User) -> None:
    with pytest.raises(IntegrityError) as refused, conflicts_refused():
        Organisation.objects.create(name="<b>")
    assert database_failure(rf.get("/api/v1/x"), refused.value).status_code == 500


# --- time-outs of the database


@pytest.mark.parametrize("path", ["/sets/", "/api/v1/sets"])
@pytest.mark.parametrize(
    "sql", ["SELECT pg_sleep(5)", "SELECT 1 FROM benchmarks_setpair FOR UPDATE"]
)
def test_what_takes_too_long_is_given_up(
    pair: Any, monkeypatch: pytest.MonkeyPatch, path: str, sql: str
) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    monkeypatch.setattr("leaderboard.benchmarks.api.SetPair.objects.select_related", slow)
    locked, leave = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM benchmarks_setpair FOR UPDATE")
            locked.set()
            leave.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(30)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 300")
        cursor.execute("SET lock_timeout = 100")
    try:
        answer = Client().get(path)
    finally:
        leave.set()
        holder.join()
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
            cursor.execute("RESET lock_timeout")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    if path.startswith("/api/"):
        assert answer.json()["code"] == "busy"
