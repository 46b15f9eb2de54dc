"""The demo's account, made on the site's sign-up page as any visitor makes one."""

import re
import secrets
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from demo.programs import Installation
from demo.services import ServiceFailed

USER = "demo"
_CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def password(place: Installation) -> str:
    """Return the password of the demo's account, drawn the first time."""
    return place.secret("password", secrets.token_urlsafe(9))


def make(place: Installation) -> None:
    """Make the demo's account."""
    organisation = "Demo authors"
    sign_up(place.address, username=USER, password=password(place), organisation=organisation)


def sign_up(address: str, *, username: str, password: str, organisation: str) -> None:
    """Make an account that submits for an organisation of its own.

    Raises :class:`ServiceFailed` where the site refuses it, as one whose name is taken.
    """
    page = f"{address}/accounts/sign-up/"
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
    with browser.open(page, timeout=30) as answer:
        field = _CSRF_FIELD.search(answer.read().decode())
    if field is None:
        raise ServiceFailed(f"{page} has no form")
    form = {
        "csrfmiddlewaretoken": field[1],
        "username": username,
        "organisation": organisation,
        "password1": password,
        "password2": password,
    }
    try:
        browser.open(Request(page, data=urlencode(form).encode()), timeout=30).close()
    except HTTPError as refusal:
        raise ServiceFailed(
            f"the site made no account named {username} (status {refusal.code})"
        ) from None
