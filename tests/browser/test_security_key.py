"""A security key as a maintainer's second factor: added, asked for after the password, and enough."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from leaderboard.accounts.actions import set_maintainer, sign_up
from tests.browser.conftest import Open, violations

PASSWORD = "plugboard 7 rotor"
KEY = {
    "protocol": "ctap2",
    "transport": "usb",
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
"""A key that is touched as soon as it is asked."""


@pytest.fixture
def keeper(transactional_db: None, settings: Any) -> None:
    """A maintainer without a second factor."""
    settings.MAINTAINERS_SECOND_FACTOR = True
    sign_up(username="keeper", password=PASSWORD, organisation="Keepers", email="k@lab.example")
    set_maintainer(username="keeper", maintains=True)


def site_of(page: Page) -> str:
    return "/".join(page.url.split("/")[:3])


def sign_in(page: Page) -> None:
    page.goto(f"{site_of(page)}/accounts/sign-in/")
    page.locator("[name=login]").fill("keeper")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main form button").first.click()


@pytest.mark.slow
@pytest.mark.usefixtures("keeper")
def test_a_maintainer_signs_in_with_a_security_key(open_page: Open) -> None:
    with open_page("/", failing=True) as page:  # the console is not there yet: 403
        key = page.context.new_cdp_session(page)
        key.send("WebAuthn.enable")
        key.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})
        sign_in(page)
        page.goto(f"{site_of(page)}/accounts/2fa/webauthn/add/")
        if page.locator("[name=password]").count():
            page.locator("[name=password]").fill(PASSWORD)
            page.locator("main form button").first.click()
        page.locator("[name=name]").fill("desk")
        assert violations(page) == []
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_text("recovery codes").first).to_be_visible()
        kinds = Authenticator.objects.order_by("type").values_list("type", flat=True)
        assert list(kinds) == ["recovery_codes", "webauthn"]
        page.context.clear_cookies()
        sign_in(page)
        page.goto(f"{site_of(page)}/manage/")
        assert "/accounts/" in page.url, "the password alone opens nothing"
        page.goto(f"{site_of(page)}/accounts/2fa/authenticate/")
        assert violations(page) == []
        page.get_by_role("button", name="Use a security key").click()
        page.wait_for_url(lambda address: "/2fa/" not in address)
        page.goto(f"{site_of(page)}/manage/")
        expect(page.get_by_role("heading", name="Queue, evaluators")).to_be_visible()
