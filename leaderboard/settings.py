"""Django's settings: read once from the environment, typed, and loud when something is wrong.

The site refuses to start where it could see a key of the evaluator: whoever takes over the site must
not find one there.
"""

import os
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

ENDPOINT_KEYS = "HOLDFAST_ENDPOINT_KEY_"
"""Variables of the evaluators that hold the maintainers' keys for listed endpoints begin so."""
EVALUATOR_ONLY = ("HOLDFAST_KEYS", "HOLDFAST_HOME", "HOLDFAST_RECIPIENTS", "HOLDFAST_API_KEY")
"""Variables of the evaluator. Each names a private key, or the folder that holds one."""


def refuse_secrets(environ: Mapping[str, str]) -> None:
    """Raise where the environment of an evaluator has reached the site. Names the variable, never its value."""
    seen = [name for name in environ if name in EVALUATOR_ONLY or name.startswith(ENDPOINT_KEYS)]
    if seen:
        raise ImproperlyConfigured(f"{', '.join(seen)} belongs to the evaluator; the site does not start beside it")


def database(url: str) -> dict[str, Any]:
    """Django's database settings for a PostgreSQL URL; a Unix socket is given as ``?host=/folder``."""
    if not url:
        return {}
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ImproperlyConfigured("DATABASE_URL is not a PostgreSQL URL") from None
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    settings: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "CONN_HEALTH_CHECKS": True}
    settings |= {upper: parts.pop(lower) for lower, upper in names.items() if lower in parts}
    settings["CONN_MAX_AGE"] = 60
    settings["OPTIONS"] = {"connect_timeout": 5, **parts}
    return settings


def number(name: str, default: float, *, least: float) -> float:
    """The number in an environment variable, at least ``least``."""
    text = os.environ.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a number") from None
    if not least <= value < float("inf"):
        raise ImproperlyConfigured(f"{name} must be at least {least:g}")
    return value


def flag(name: str) -> bool:
    """The truth in an environment variable: ``1`` or ``0``, absent is ``0``."""
    text = os.environ.get(name, "0")
    if text not in ("0", "1"):
        raise ImproperlyConfigured(f"{name} must be 0 or 1")
    return text == "1"


def require_complete() -> None:
    """Raise unless every setting that a running program needs is there. Tools such as mypy need none."""
    missing = [name for name in ("SECRET_KEY", "DATABASE_URL", "BROKER_URL") if not os.environ.get(name)]
    if missing:
        raise ImproperlyConfigured(f"set {', '.join(missing)}")


refuse_secrets(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
DEBUG = flag("HOLDFAST_DEBUG")
SECRET_KEY = os.environ.get("SECRET_KEY", "")
ALLOWED_HOSTS = [host for host in os.environ.get("HOLDFAST_ALLOWED_HOSTS", "").split(",") if host]
DATABASES = {"default": settings} if (settings := database(os.environ.get("DATABASE_URL", ""))) else {}
BROKER_URL = os.environ.get("BROKER_URL", "")

LEASE_SECONDS = number("HOLDFAST_LEASE_SECONDS", 60, least=0.5)
RUN_SECONDS = number("HOLDFAST_RUN_SECONDS", 6 * 3600, least=1)
QUEUE_SECONDS = number("HOLDFAST_QUEUE_SECONDS", 7 * 86400, least=1)
COHORT_SECONDS = number("HOLDFAST_COHORT_SECONDS", 0, least=0)
"""How long a cohort stays open after its first run has ended; 0 where maintainers close it by ``close_cohort``."""
RING_SECONDS = number("HOLDFAST_RING_SECONDS", max(60, 4 * LEASE_SECONDS), least=1)
MAX_ATTEMPTS = int(number("HOLDFAST_MAX_ATTEMPTS", 5, least=1))
CONCURRENCY = int(number("HOLDFAST_CONCURRENCY", 32, least=1))
POOL = os.environ.get("HOLDFAST_POOL", "default")
BOARD_SECONDS = number("HOLDFAST_BOARD_SECONDS", 1, least=0)
"""How old a board may be that is shown to somebody."""
KEPT_BYTES = int(number("HOLDFAST_KEPT_BYTES", 64_000_000, least=0))
"""Room in each process for pages that are kept as they were sent."""
KEY_GRACE_SECONDS = number("HOLDFAST_KEY_GRACE_SECONDS", 259_200, least=0)
"""Seconds for which the sealed API key of a failed run stays, so that its author can continue it."""
MAX_CONTINUES = int(number("HOLDFAST_MAX_CONTINUES", 3, least=0))
"""Times that an author may continue one run."""
PRIVATE_ENDPOINTS = flag("HOLDFAST_PRIVATE_ENDPOINTS")
"""Whether an endpoint may stand on a private address. The evaluator's own list decides for itself."""

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "ninja",
    "leaderboard.accounts",
    "leaderboard.benchmarks",
    "leaderboard.ledger",
    "leaderboard.submissions",
    "leaderboard.rankings",
]
MIDDLEWARE = [
    "leaderboard.middleware.Headers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "leaderboard.middleware.DatabaseAway",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "leaderboard.urls"
WSGI_APPLICATION = "leaderboard.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
CSRF_FAILURE_VIEW = "leaderboard.accounts.views.forbidden"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "mine"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
# Plotly's own bundle, for the pages that load it on demand; the version in the address lets browsers keep it.
PLOTLY = f"plotly-{version('plotly')}"
STATICFILES_DIRS = [BASE_DIR / "static", (PLOTLY, str(files("plotly") / "package_data"))]
RELEASES = Path(os.environ.get("HOLDFAST_RELEASES", "") or BASE_DIR / ".releases")
# The finders are asked when the site starts, so that no command has to be run before the first page.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_IMMUTABLE_FILE_TEST = rf"^/static/{PLOTLY}/"

SECURE = flag("HOLDFAST_HTTPS")
"""Whether the site is reached by https only, as it is anywhere but on one machine."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
DATA_UPLOAD_MAX_NUMBER_FILES = 5

# A traceback's last line may hold a row of the database; leaderboard.errors.QuietFormatter leaves it out.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "quiet": {"()": "leaderboard.errors.QuietFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    # Celery logs the whole of a message that it does not understand.
    "filters": {"unquoted": {"()": "evaluator.broker.Unquoted"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "quiet", "filters": ["unquoted"]}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # Django brings handlers of its own (mail to admins, a second console): ours alone speaks.
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "leaderboard": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}
