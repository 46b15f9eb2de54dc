"""Sign-in with GitHub and Hugging Face: the real client, against a provider of ours on loopback."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialToken
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from django.test import Client

from leaderboard.accounts import actions
from leaderboard.accounts.models import User
from leaderboard.sign_in import Client as Registration
from leaderboard.sign_in import provider_settings
from tests.servers.openid import CLIENT, SECRET, Provider

pytestmark = pytest.mark.django_db
HUGGING_FACE, GITHUB = "/accounts/oidc/huggingface/login/", "/accounts/github/login/"
both = pytest.mark.parametrize("where", [HUGGING_FACE, GITHUB])


@pytest.fixture
def provider(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider() as started:
        registration = Registration(CLIENT, SECRET)
        made = provider_settings(github=registration, huggingface=registration, issuer=started.url)
        settings.SOCIALACCOUNT_PROVIDERS = made.settings
        settings.SIGN_IN_PROVIDERS = made.targets
        for name, path in {
            "access_token_url": "/token",
            "authorize_url": "/authorize",
            "profile_url": "/user",
            "emails_url": "/user/emails",
        }.items():
            monkeypatch.setattr(GitHubOAuth2Adapter, name, started.url + path)
        yield started


def sent_to(client: Client, where: str, process: str = "login") -> str:
    answer = client.post(f"{where}?process={process}")
    assert answer.status_code == 302, answer.content
    return str(answer.headers["Location"])


def sign_in(client: Client, provider: Provider, where: str, process: str = "login") -> Any:
    """Sign in at the provider and come back. The page on which that ends."""
    return client.get(provider.consent(sent_to(client, where, process)), follow=True)


def sign_up(client: Client, provider: Provider, where: str, **fields: str) -> Any:
    sign_in(client, provider, where)
    form = {"username": "ada", "email": "ada@lab.example", "organisation": "Ada's"} | fields
    form["organisation"] = fields.get("organisation", "Ada Lab")
    return client.post("/accounts/providers/sign-up/", form, follow=True)


@both
def test_a_person_signs_up_and_in(provider: Provider, where: str, mailoutbox: list[Any]) -> None:
    client = Client()
    page = sign_in(client, provider, where)
    assert page.redirect_chain[-1][0] == "/accounts/providers/sign-up/"
    assert 'value="ada@lab.example"' in page.content.decode()
    assert not User.objects.exists(), "nothing is stored before the form is sent"
    sign_up(client, provider, where)
    user = User.objects.get()
    address = EmailAddress.objects.get()
    assert (user.username, address.email, address.verified) == ("ada", "ada@lab.example", True)
    assert user.organisation().name == "Ada Lab" and not user.has_usable_password()
    assert not SocialToken.objects.exists(), "the provider's token is not stored"
    again = Client()
    sign_in(again, provider, where)
    assert again.get("/mine/").status_code == 200 and User.objects.count() == 1


@both
def test_an_unverified_address_is_confirmed_by_a_mail(
    provider: Provider, where: str, mailoutbox: list[Any]
) -> None:
    provider.person["email_verified"] = False
    client = Client()
    sign_up(client, provider, where)
    assert client.get("/mine/").status_code == 302, "not signed in yet"
    assert not EmailAddress.objects.get().verified and len(mailoutbox) == 1


@both
@pytest.mark.parametrize("verified", [True, False])
def test_no_account_is_taken_over_by_an_address(
    provider: Provider, where: str, verified: bool, mailoutbox: list[Any]
) -> None:
    provider.person["email_verified"] = verified
    victim = User.objects.create_user("victim", email="ada@lab.example", password="plugboard 7")
    EmailAddress.objects.create(user=victim, email=victim.email, verified=True, primary=True)
    client = Client()
    sign_up(client, provider, where)
    assert client.get("/mine/").status_code == 302
    assert not SocialAccount.objects.exists() and User.objects.count() == 1


@both
def test_an_owner_connects_the_two(provider: Provider, where: str) -> None:
    user = actions.enrol(username="ada")
    EmailAddress.objects.create(user=user, email="ada@lab.example", verified=True, primary=True)
    client = Client()
    client.force_login(user)
    sign_in(client, provider, where, "connect")
    assert SocialAccount.objects.get().user == user
    page = client.get("/accounts/providers/").content.decode()
    assert "4711" in page
    other = Client()
    sign_in(other, provider, where)
    assert other.get("/mine/").status_code == 200
    # A second account cannot take the connection.
    thief = Client()
    thief.force_login(actions.enrol(username="eve"))
    sign_in(thief, provider, where, "connect")
    assert SocialAccount.objects.get().user == user


@both
def test_a_wrong_state_opens_nothing(provider: Provider, where: str) -> None:
    client = Client()
    back = provider.consent(sent_to(client, where))
    code = parse_qs(urlsplit(back).query)["code"][0]
    path = urlsplit(back).path
    for query in (f"code={code}&state=made-up", f"code={code}"):
        assert client.get(f"{path}?{query}").status_code == 401
    # Nor does another browser's: the attacker's answer in the victim's session.
    assert Client().get(back).status_code == 401
    assert not SocialAccount.objects.exists() and provider.refused == []


@both
def test_a_code_of_another_browser_opens_nothing(provider: Provider, where: str) -> None:
    stolen = parse_qs(urlsplit(provider.consent(sent_to(Client(), where))).query)["code"][0]
    client = Client()
    own = provider.consent(sent_to(client, where))
    state = parse_qs(urlsplit(own).query)["state"][0]
    answer = client.get(f"{urlsplit(own).path}?code={stolen}&state={state}")
    assert answer.status_code == 401 and provider.refused == ["token"], "PKCE refuses it"


@pytest.mark.parametrize("fault", ["audience", "issuer"])
def test_a_token_for_another_site_opens_nothing(provider: Provider, fault: str) -> None:
    provider.faults = {fault}
    page = sign_in(Client(), provider, HUGGING_FACE)
    assert page.status_code == 401 and not SocialAccount.objects.exists()


def test_a_provider_that_is_down_is_503(provider: Provider) -> None:
    provider.faults = {"down"}
    client = Client()
    answer = client.post(HUGGING_FACE)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert Client().post(GITHUB).status_code == 302, "its address is not asked for"


def test_the_second_factor_is_asked_for(provider: Provider, settings: Any) -> None:
    settings.MAINTAINERS_SECOND_FACTOR = True
    client = Client()
    sign_up(client, provider, HUGGING_FACE)
    actions.set_maintainer(username="ada", maintains=True)
    page = client.get("/manage/", follow=True)
    assert page.redirect_chain[-1][0] == "/accounts/2fa/", "a provider is no second factor"
    Authenticator.objects.create(user=User.objects.get(), type="totp", data={"secret": "x"})
    page = sign_in(Client(), provider, HUGGING_FACE)
    assert page.redirect_chain[-1][0].startswith("/accounts/2fa/authenticate/")


def test_nothing_is_there_unless_configured(db: None) -> None:
    client = Client()
    for where in (HUGGING_FACE, GITHUB):
        assert client.get(where).status_code == client.post(where).status_code == 404
        assert client.get(f"{where}callback/?code=x&state=y").status_code == 404
    page = client.get("/accounts/sign-in/")
    assert "Continue with" not in page.content.decode()
    assert "form-action 'self';" in page.headers["Content-Security-Policy"]


def test_the_page_leads_there(provider: Provider) -> None:
    page = Client().get("/accounts/sign-in/")
    text = page.content.decode()
    assert "Continue with Hugging Face" in text and "Continue with GitHub" in text
    policy = page.headers["Content-Security-Policy"]
    assert f"form-action 'self' https://github.com {provider.url};" in policy
    assert "https://github.com" not in Client().get("/sets/").headers["Content-Security-Policy"]
