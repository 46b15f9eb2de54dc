"""Settings of mail, from one URL, and of webhooks."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from leaderboard.environment import flag, text


def mail_settings(url: str) -> dict[str, Any]:
    """Return Django's mail settings for a URL. It is not quoted: it may hold a password."""
    parts = urlsplit(url)
    backend = "django.core.mail.backends"
    if parts.scheme == "file" and parts.path.startswith("/"):
        return {
            "EMAIL_BACKEND": f"{backend}.filebased.EmailBackend",
            "EMAIL_FILE_PATH": unquote(parts.path),
        }
    ports = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
    try:
        port = parts.port or ports[parts.scheme]
    except (ValueError, KeyError):
        port = 0
    if not port or not parts.hostname:
        raise ImproperlyConfigured(
            "HOLDFAST_MAIL is smtp://host, smtps://host, smtp+plain://host or file:///folder"
        )
    return {
        "EMAIL_BACKEND": f"{backend}.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }


def private_webhooks() -> bool:
    """Return True where webhooks may lead to private addresses."""
    return flag(
        "HOLDFAST_PRIVATE_WEBHOOKS",
        about="Call webhooks on private addresses and without TLS. Link-local and metadata "
        "addresses are never called.",
    )


def site_address(*, secure: bool, hosts: Sequence[str]) -> str:
    """Return the site's address without a final slash."""
    return text(
        "HOLDFAST_URL",
        f"{'https' if secure else 'http'}://{next(iter(hosts), 'localhost')}",
        about="The site's address, as mails and webhooks link to it.",
        shown="the first of the allowed hosts",
    ).rstrip("/")
