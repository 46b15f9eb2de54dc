"""Second factors, and maintainers who need one."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from leaderboard.accounts import actions
from leaderboard.accounts.models import User

PASSWORD = "plugboard 7 rotor"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.MAINTAINERS_SECOND_FACTOR = True


@pytest.fixture
def keeper(db: None) -> User:
    actions.sign_up(
        username="keeper", password=PASSWORD, organisation="Keepers", email="keeper@lab.example"
    )
    return actions.set_maintainer(username="keeper", maintains=True)


def sign_in(client: Client) -> Any:
    return client.post("/accounts/sign-in/", {"login": "keeper", "password": PASSWORD})


def code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def activate(client: Client) -> str:
    """Set a code generator up on its page, which asks for the password once more. Its secret."""
    assert client.get("/accounts/2fa/totp/activate/").status_code == 302
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    secret = re.search(r'value="([A-Z2-7]{32})"', page)[1]
    assert client.post("/accounts/2fa/totp/activate/", {"code": code(secret)}).status_code == 302
    return secret


def test_a_maintainer_without_a_second_factor_is_none(keeper: User) -> None:
    client = Client()
    sign_in(client)
    page = client.get("/sets/register/", follow=True)
    assert page.redirect_chain[-1][0] == "/accounts/2fa/"
    assert "Maintainers need a second factor" in page.content.decode()
    assert "maintainer" not in client.get("/status/").content.decode().lower()
    activate(client)
    assert client.get("/sets/register/").status_code == 200


def test_changing_the_password_ends_no_maintainer(keeper: User) -> None:
    client = Client()
    sign_in(client)
    fields = {
        "oldpassword": PASSWORD,
        "password1": "another 9 rotor",
        "password2": "another 9 rotor",
    }
    assert client.post("/accounts/password/change/", fields).status_code == 302
    keeper.refresh_from_db()
    assert keeper.is_staff and keeper.check_password("another 9 rotor")


def test_the_code_is_asked_for_after_the_password(
    keeper: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    sign_in(client)
    secret = activate(client)
    stored = Authenticator.objects.get(type="totp").data["secret"]
    assert secret not in stored and get_adapter().decrypt(stored) == secret
    codes = client.get("/accounts/2fa/recovery-codes/").content.decode()
    recovery = re.findall(r"\b[0-9]{8}\b", codes)
    assert len(recovery) == 10
    again = Client()
    assert sign_in(again).headers["Location"] == "/accounts/2fa/authenticate/"
    assert again.get("/mine/").status_code == 302
    assert again.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert again.post("/accounts/2fa/authenticate/", {"code": recovery[0]}).status_code == 302
    assert again.get("/mine/").status_code == 200
    third = Client()
    sign_in(third)
    assert third.post("/accounts/2fa/authenticate/", {"code": recovery[0]}).status_code == 200, (
        "a recovery code works once"
    )


def test_codes_cannot_be_guessed(keeper: User) -> None:
    client = Client()
    sign_in(client)
    activate(client)
    guesser = Client()
    sign_in(guesser)
    statuses = []
    for number in range(40):
        cache.clear()  # each guess at another process
        fields = {"code": f"{number:06}"}
        statuses.append(guesser.post("/accounts/2fa/authenticate/", fields).status_code)
    assert statuses == [200] * 30 + [429] * 10


def test_a_lost_second_factor_is_reset(keeper: User) -> None:
    client = Client()
    sign_in(client)
    activate(client)
    for wrong in (["keeper"], ["keeper", "--by", "nobody"], ["nobody", "--by", "keeper"]):
        with pytest.raises(CommandError):
            call_command("reset_second_factor", *wrong)
    call_command("reset_second_factor", "keeper", "--by", "keeper")
    assert not Authenticator.objects.exists()
    assert sign_in(Client()).headers["Location"] == "/mine/"
