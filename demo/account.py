"""The demo's account, made on the site's sign-up page as any visitor makes one."""

import re
import secrets
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import (
    HTTPCookieProcessor,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from demo.programs import Installation
from demo.services import ServiceFailed

USER = "demo"
EMAIL = "demo@holdfast.example"
_CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_CONFIRM = re.compile(r"https?://[^/\s]+(/accounts/confirm-email/\S+)")


def password(place: Installation) -> str:
    """Return the password of the demo's account, drawn the first time."""
    return place.secret("password", secrets.token_urlsafe(9))


def make(place: Installation) -> None:
    """Make the demo's account, and confirm its address by the mail."""
    sign_up(
        place.address,
        place.mails,
        username=USER,
        email=EMAIL,
        password=password(place),
        organisation="Demo authors",
    )


def sign_up(
    address: str,
    mails: Path,
    *,
    username: str,
    email: str,
    password: str,
    organisation: str,
) -> None:
    """Make an account that submits for an organisation of its own, and confirm its address.

    Raises :class:`ServiceFailed` where the site refuses it, as one whose name is taken.
    """
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
    form = {
        "username": username,
        "email": email,
        "organisation": organisation,
        "password1": password,
        "password2": password,
    }
    try:
        _send(browser, f"{address}/accounts/sign-up/", form)
        _send(browser, address + confirmation(mails, email), {})
    except HTTPError as refusal:
        raise ServiceFailed(
            f"the site made no account named {username} (status {refusal.code})"
        ) from None


def confirmation(mails: Path, email: str) -> str:
    """Return the path of the newest link that confirms ``email``. Raises :class:`ServiceFailed`."""
    newest_first = sorted(
        mails.glob("*.log"),
        key=lambda file: file.stat().st_mtime,
        reverse=True,
    )
    for mail in newest_first:
        text = mail.read_text(encoding="utf-8")
        link = _CONFIRM.search(text)
        if link and f"To: {email}\n" in text:
            return link[1]
    raise ServiceFailed(f"no mail to {email} in {mails}")


def _send(
    browser: OpenerDirector,
    page: str,
    form: dict[str, str],
) -> None:
    """Fill in the form of a page, as a browser does."""
    with browser.open(page, timeout=30) as answer:
        field = _CSRF_FIELD.search(answer.read().decode())
    if field is None:
        raise ServiceFailed(f"{page} has no form")
    data = urlencode(form | {"csrfmiddlewaretoken": field[1]}).encode()
    browser.open(Request(page, data=data), timeout=30).close()
