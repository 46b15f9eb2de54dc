"""People, organisations and tokens."""

import re
import socket
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from leaderboard.accounts import actions
from leaderboard.accounts.models import ApiToken, Organisation, User
from leaderboard.errors import Refusal, SiteError

GOOD = {
    "username": "ada",
    "email": "ada@lab.example",
    "organisation": "Analytical",
    "password1": "plugboard 7 rotor",
    "password2": "plugboard 7 rotor",
}


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def link(mail: Any) -> str:
    """The path that a mail asks to open."""
    return re.search(r"http://testserver(/\S+)", mail.body)[1]


def test_joining_and_signing_in_and_out(client: Client, db: None, mailoutbox: list[Any]) -> None:
    joined = client.post("/accounts/sign-up/", GOOD)
    assert joined.headers["Location"] == "/accounts/confirm-email/"
    assert User.objects.get().organisation() == Organisation.objects.get(name="Analytical")
    assert client.get("/mine/").status_code == 302, (
        "nobody is signed in before the address is known"
    )
    assert mailoutbox[0].to == ["ada@lab.example"]
    path = link(mailoutbox[0])
    assert client.get(path).status_code == 200
    assert client.get("/mine/").status_code == 302, "mail scanners open links: a button confirms"
    assert client.post(path).status_code == 302
    client.get("/accounts/sign-in/")
    fields = {"login": "ada", "password": GOOD["password1"]}
    client.post("/accounts/sign-in/", fields)
    assert client.get("/mine/").status_code == 200
    assert client.post("/accounts/sign-out/").status_code == 302
    assert client.get("/mine/").status_code == 302
    for name in ("ada", "ADA", "ada@lab.example"):
        fields = {"login": name, "password": GOOD["password1"]}
        assert Client().post("/accounts/sign-in/", fields).headers["Location"] == "/mine/"


def test_an_address_must_be_confirmed(client: Client, db: None, mailoutbox: list[Any]) -> None:
    client.post("/accounts/sign-up/", GOOD)
    fields = {"login": "ada", "password": GOOD["password1"]}
    answer = Client().post("/accounts/sign-in/", fields)
    assert answer.headers["Location"] == "/accounts/confirm-email/"
    key = link(mailoutbox[0])
    assert Client().post(key[:-4] + "xxx/").status_code in (200, 404)
    assert not EmailAddress.objects.get().verified


def test_a_known_address_is_not_given_away(client: Client, db: None, mailoutbox: list[Any]) -> None:
    actions.sign_up(username="eve", password=None, organisation="E", email="ada@lab.example")
    answer = client.post("/accounts/sign-up/", GOOD)
    assert answer.headers["Location"] == "/accounts/confirm-email/"
    assert User.objects.count() == 1 and not Organisation.objects.filter(name="Analytical").exists()
    assert "already" in mailoutbox[0].body


def test_a_forgotten_password(client: Client, db: None, mailoutbox: list[Any]) -> None:
    actions.sign_up(
        username="ada", password="plugboard 7 rotor", organisation="A", email="ada@lab.example"
    )
    for address in ("ada@lab.example", "nobody@lab.example"):
        answer = client.post("/accounts/password/reset/", {"email": address})
        assert answer.headers["Location"] == "/accounts/password/reset/done/"
    page = client.get(link(mailoutbox[0]), follow=True)
    new = {"password1": "another 9 rotor", "password2": "another 9 rotor"}
    path = page.redirect_chain[-1][0]
    assert client.post(path, new).status_code == 302
    for password, to in (("plugboard 7 rotor", 200), ("another 9 rotor", 302)):
        fields = {"login": "ada", "password": password}
        assert Client().post("/accounts/sign-in/", fields).status_code == to
    again = Client().get(link(mailoutbox[0]), follow=True).content.decode()
    assert "password1" not in again, "the link works once"


def test_a_changed_address_has_to_be_confirmed(
    client: Client, db: None, mailoutbox: list[Any]
) -> None:
    user = actions.sign_up(
        username="ada", password="plugboard 7 rotor", organisation="A", email="ada@lab.example"
    )
    client.force_login(user)
    client.post("/accounts/email/", {"email": "new@lab.example", "action_add": ""})
    assert EmailAddress.objects.get(verified=True).email == "ada@lab.example"
    client.post(link(mailoutbox[0]))
    assert EmailAddress.objects.get().email == "new@lab.example"


def test_one_address_is_sent_few_mails(client: Client, db: None, mailoutbox: list[Any]) -> None:
    actions.sign_up(username="ada", password="x", organisation="A", email="ada@lab.example")
    statuses = []
    for number in range(14):
        cache.clear()  # another process, which knows nothing of django-allauth's own limits
        fields = {"email": "ADA@lab.example"}
        answer = client.post("/accounts/password/reset/", fields, REMOTE_ADDR=f"192.0.2.{number}")
        statuses.append(answer.status_code)
    assert statuses == [302] * 10 + [429] * 4 and len(mailoutbox) == 10


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A mail server that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_silent_mail_server_costs_a_bounded_time(
    client: Client, db: None, settings: Any, silent_server: int
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", silent_server
    settings.EMAIL_TIMEOUT = 0.3
    begun = time.monotonic()
    answer = client.post("/accounts/sign-up/", GOOD)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert time.monotonic() - begun < 5
    assert (User.objects.count(), Organisation.objects.count()) == (0, 0), "nothing is half made"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert client.post("/accounts/sign-up/", GOOD).status_code == 302


@pytest.mark.parametrize(
    "changes",
    [
        {"username": "ADA2", "organisation": "analytical"},
        {"username": "Taken"},
        {"username": "a\u043ea"},
        {"username": "a\u202eb"},
        {"username": "a\0b"},
        {"username": "a" * 41},
        {"organisation": "<b>x</b>"},
        {"username": "ada@lab"},
        {"email": ""},
        {"email": "no address"},
        {"email": "a@b.example\nBcc: c@d.example"},
        {"organisation": "=1+1"},
        {"password1": "12345678", "password2": "12345678"},
        {"password2": "another 7 rotor"},
        {"password1": "short 7 rot", "password2": "short 7 rot"},
        {"password1": "8371926450172839", "password2": "8371926450172839"},
        {"password1": "x" * 1_000_000},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_joining_with_bad_facts(client: Client, db: None, changes: dict[str, str]) -> None:
    actions.sign_up(
        username="taken",
        password=None,
        organisation="Analytical" if "ADA2" in str(changes) else "Other",
    )
    response = client.post("/accounts/sign-up/", GOOD | changes)
    assert response.status_code in (400, 413, 422)
    assert User.objects.count() == 1
    assert "<b>x</b>" not in response.content.decode()


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "/\\evil.example", "javascript:alert(1)", "https://evil.example/"],
)
def test_signing_in_leads_nowhere_else(client: Client, db: None, following: str) -> None:
    actions.sign_up(
        username="ada", password="plugboard 7 rotor", organisation="A", email="a@lab.example"
    )
    fields = {"login": "ada", "password": "plugboard 7 rotor", "next": following}
    assert client.post("/accounts/sign-in/", fields).headers["Location"] == "/mine/"


def test_names_are_unique_without_case_in_the_database_too(db: None) -> None:
    actions.sign_up(username="ada", password=None, organisation="Analytical")
    for username, organisation in (("ADA", "Other"), ("bob", "ANALYTICAL")):
        with pytest.raises(SiteError) as refused:
            actions.sign_up(username=username, password=None, organisation=organisation)
        assert refused.value.code is Refusal.NAME_TAKEN
    with pytest.raises(IntegrityError), transaction.atomic():
        actions.sign_up(username="eve", password=None, organisation="a<b>")
    assert (User.objects.count(), Organisation.objects.count()) == (1, 1)


def test_a_token_is_shown_once_and_kept_as_a_digest(client: Client, user: Any) -> None:
    client.force_login(user)
    page = client.post(
        "/accounts/tokens/", {"name": "laptop", "scope": "submit", "days": "90"}
    ).content.decode()
    secret = page.split("only once: <code>")[1].split("</code>")[0]
    assert secret.startswith("hft_")
    token = ApiToken.objects.get()
    assert secret not in str(vars(token)) and len(token.digest) == 64
    assert ApiToken.objects.holder(secret) == user
    again = client.get("/accounts/tokens/").content.decode()
    assert "laptop" in again and secret not in again
    client.post(f"/accounts/tokens/{token.pk}/revoke/")
    assert ApiToken.objects.holder(secret) is None


def test_nobody_ends_the_token_of_another(client: Client, user: Any) -> None:
    secret = actions.issue_token(user=user, name="laptop")
    client.force_login(actions.enrol(username="eve"))
    client.post(f"/accounts/tokens/{ApiToken.objects.get().pk}/revoke/")
    assert ApiToken.objects.holder(secret) == user


@pytest.mark.parametrize("secret", ["", "x", "hft_", "a\0b", "\ud800", "x" * 1_000_000])
def test_secrets_that_are_none(db: None, secret: str) -> None:
    assert ApiToken.objects.holder(secret) is None


def test_the_command_enrols_and_prints_a_token(db: None) -> None:
    secrets = []
    for _ in range(2):
        out = StringIO()
        call_command("create_token", "demo", stdout=out)
        secrets.append(out.getvalue().strip())
    holders = {ApiToken.objects.holder(secret) for secret in secrets}
    assert holders == {User.objects.get(username="demo")}
    assert secrets[0] != secrets[1]
    assert not User.objects.get().has_usable_password()
    with pytest.raises(CommandError):
        call_command("create_token", "a b")
