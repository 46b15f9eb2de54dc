"""People, organisations and tokens."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from leaderboard.accounts import actions
from leaderboard.accounts.models import ApiToken, Organisation, User
from leaderboard.errors import Refusal, SiteError

GOOD = {
    "username": "ada",
    "organisation": "Analytical",
    "password1": "plugboard 7 rotor",
    "password2": "plugboard 7 rotor",
}


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def test_joining_and_signing_in_and_out(client: Client, db: None) -> None:
    assert client.post("/accounts/sign-up/", GOOD).headers["Location"] == "/mine/"
    assert User.objects.get().organisation() == Organisation.objects.get(name="Analytical")
    assert client.get("/mine/").status_code == 200
    assert client.post("/accounts/sign-out/").status_code == 302
    assert client.get("/mine/").status_code == 302
    fields = {"username": "ada", "password": GOOD["password1"]}
    assert client.post("/accounts/sign-in/", fields).headers["Location"] == "/mine/"


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
        {"organisation": ""},
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
    assert response.status_code in (400, 422)
    assert User.objects.count() == 1
    assert "<b>x</b>" not in response.content.decode()


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "/\\evil.example", "javascript:alert(1)", "https://evil.example/"],
)
def test_signing_in_leads_nowhere_else(client: Client, db: None, following: str) -> None:
    actions.sign_up(username="ada", password="plugboard 7 rotor", organisation="A")
    fields = {"username": "ada", "password": "plugboard 7 rotor", "next": following}
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
    page = client.post("/accounts/tokens/", {"name": "laptop"}).content.decode()
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
