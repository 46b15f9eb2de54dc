"""Variables of the environment that the site reads: typed, and listed for the manual."""

import os
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict


@dataclass(frozen=True)
class Setting:
    """One variable of the environment, as ``docs/operations.md`` lists it."""

    default: str
    about: str


KNOWN: dict[str, Setting] = {}
"""Every variable that the site reads, by name; ``manage.py settings_table`` writes them into the
manual."""


def _read(name: str, default: object, about: str, shown: str) -> str:
    KNOWN.setdefault(name, Setting(shown or str(default), about))
    return os.environ.get(name, str(default))


def number(
    name: str,
    default: float,
    *,
    least: float,
    about: str = "",
    shown: str = "",
) -> float:
    """Return the number in an environment variable, at least ``least``.

    ``shown`` is the default in words, for the manual.
    """
    written = f"{default:g}" if default < 1e6 else f"{default:.0f}"
    text = _read(name, written, about, shown)
    try:
        value = float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a number") from None
    if not least <= value < float("inf"):
        raise ImproperlyConfigured(f"{name} must be at least {least:g}")
    return value


def flag(
    name: str,
    *,
    default: bool = False,
    about: str = "",
    shown: str = "",
) -> bool:
    """The truth in an environment variable: ``1`` or ``0``."""
    text = _read(name, int(default), about, shown)
    if text not in ("0", "1"):
        raise ImproperlyConfigured(f"{name} must be 0 or 1")
    return text == "1"


def text(
    name: str,
    default: str = "",
    *,
    about: str = "",
    shown: str = "",
) -> str:
    """The text in an environment variable; an empty one is the default."""
    return _read(name, default, about, shown) or default


def names(
    name: str,
    default: str = "",
    *,
    about: str = "",
    shown: str = "",
) -> list[str]:
    """The names in an environment variable, separated by commas."""
    separated = text(name, default, about=about, shown=shown)
    parts = [part.strip() for part in separated.split(",")]
    return [part for part in parts if part]


def database(url: str) -> dict[str, Any]:
    """Return Django's database settings for a PostgreSQL URL.

    A Unix socket is given as ``?host=/folder``.
    """
    if not url:
        return {}
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ImproperlyConfigured("DATABASE_URL is not a PostgreSQL URL") from None
    names = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    settings: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_HEALTH_CHECKS": True,
    }
    for lower, upper in names.items():
        if lower in parts:
            settings[upper] = parts.pop(lower)
    settings["CONN_MAX_AGE"] = 60
    settings["OPTIONS"] = {"connect_timeout": 5, **parts}
    return settings


def limited(options: str, **seconds: float) -> str:
    """Append time-outs to the start options for PostgreSQL that the address gives."""
    parts = [options] if options else []
    for name, most in seconds.items():
        milliseconds = round(1000 * most)
        parts.append(f"-c {name}={milliseconds}")
    return " ".join(parts)
