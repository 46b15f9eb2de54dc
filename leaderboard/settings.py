"""Django's settings: read once from the environment, typed, and loud when something is wrong.

The site refuses to start where it could see a key of the evaluator, so that an attacker who takes
over the site finds none.
"""

import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.core.checks.security.base import (
    SECRET_KEY_INSECURE_PREFIX,
    SECRET_KEY_MIN_LENGTH,
    SECRET_KEY_MIN_UNIQUE_CHARACTERS,
)
from django.core.exceptions import ImproperlyConfigured

from leaderboard.environment import database, flag, limited, names, number, text
from leaderboard.limits import *  # noqa: F403 - each of them is a setting
from leaderboard.mail import mail_settings, private_webhooks, site_address
from leaderboard.monitoring import LOG_SETTINGS, backup_stamp, metrics_token
from leaderboard.sign_in import Client, provider_settings, sign_in_settings
from leaderboard.upload_settings import bucket, upload_folder

ENDPOINT_KEYS = "HOLDFAST_ENDPOINT_KEY_"
"""Variables of the evaluators that hold the maintainers' keys for listed endpoints begin so."""
EVALUATOR_ONLY = ("HOLDFAST_KEYS", "HOLDFAST_HOME", "HOLDFAST_RECIPIENTS", "HOLDFAST_API_KEY")
"""Variables of the evaluator. Each names a private key, or the folder that holds one."""


def refuse_secrets(environ: Mapping[str, str]) -> None:
    """Raise where the environment of an evaluator has reached the site. Names the variable, never
    its value."""
    seen = [name for name in environ if name in EVALUATOR_ONLY or name.startswith(ENDPOINT_KEYS)]
    if seen:
        raise ImproperlyConfigured(
            f"{', '.join(seen)} belongs to the evaluator; the site does not start with it"
        )


def proxies(listed: Sequence[str]) -> list[str]:
    """The proxies whose ``X-Forwarded-For`` counts: networks, and ``unix`` for a Unix socket;
    ``none`` stands alone."""
    for one in listed:
        try:
            if one not in ("unix", "none"):
                ip_network(one)
        except ValueError:
            raise ImproperlyConfigured(
                "HOLDFAST_PROXIES lists addresses, networks as 10.0.0.0/8, 'unix', or only 'none'"
            ) from None
    return [one for one in listed if one != "none"]


def is_loopback(host: str) -> bool:
    """Return if a host of ``HOLDFAST_ALLOWED_HOSTS`` is this machine only."""
    return host in LOOPBACK or host.startswith("127.")


def refuse_weak_secret(secret: str) -> None:
    """Raise for a ``SECRET_KEY`` that Django's own check (security.W009) would warn of, or that
    repeats a shorter text. It is not quoted."""
    long_enough = len(secret) >= SECRET_KEY_MIN_LENGTH
    varied = len(set(secret)) >= SECRET_KEY_MIN_UNIQUE_CHARACTERS
    repeats = secret in (secret + secret)[1:-1]
    insecure = repeats or secret.startswith(SECRET_KEY_INSECURE_PREFIX)
    if insecure or not (long_enough and varied):
        raise ImproperlyConfigured(
            f"SECRET_KEY is too weak: it needs {SECRET_KEY_MIN_LENGTH} characters of at least "
            f"{SECRET_KEY_MIN_UNIQUE_CHARACTERS} kinds, in no pattern. Make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )


def require_complete() -> None:
    """Raise unless every setting that a running program needs is there. Tools such as mypy need
    none."""
    missing = [
        name for name in ("SECRET_KEY", "DATABASE_URL", "BROKER_URL") if not os.environ.get(name)
    ]
    if missing:
        raise ImproperlyConfigured(f"set {', '.join(missing)}")
    refuse_weak_secret(SECRET_KEY)
    if SECURE and PROGRAM == "site" and not LISTED_PROXIES:
        raise ImproperlyConfigured(
            "set HOLDFAST_PROXIES: https ends at a proxy, the only source of a visitor's address "
            "('none' if there is none)"
        )
    if SECURE and PROGRAM == "site" and not MAIL_URL:
        raise ImproperlyConfigured(
            "set HOLDFAST_MAIL: people confirm their addresses and reset passwords by mail"
        )


LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
refuse_secrets(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
PROGRAM = text(
    "HOLDFAST_PROGRAM",
    "command",
    about="`site`, `recorder`, `command` or `migration`: whose database time-outs count. "
    "Each program sets it itself.",
    shown="by program",
)
DEBUG = flag(
    "HOLDFAST_DEBUG",
    about="Django's debug mode: shows tracebacks. Never where others can reach the site.",
)
SECRET_KEY = text(
    "SECRET_KEY", about="Signs sessions and forms: at least 50 characters.", shown="must be set"
)
ALLOWED_HOSTS = names(
    "HOLDFAST_ALLOWED_HOSTS",
    ",".join(LOOPBACK),
    about="The host names that the site answers to, separated by commas.",
)
BROKER_URL = text("BROKER_URL", about="The broker, as `redis://host/0`.", shown="must be set")
TIMEOUTS = {
    "site": (10, 5, 30),
    "recorder": (600, 60, 900),
    "command": (3600, 300, 3600),
    "migration": (0, 0, 0),
}
"""Of the database, by program, in seconds: a statement, waiting for a lock, a transaction that does
nothing."""
_STATEMENT, _LOCK, _IDLE = TIMEOUTS.get(PROGRAM, TIMEOUTS["command"])
STATEMENT_SECONDS = number(
    "HOLDFAST_STATEMENT_SECONDS",
    _STATEMENT,
    least=0,
    about="The database ends a statement after this time; the visitor gets 503 and Retry-After. "
    "0 is never.",
    shown="10, recorder 600, commands 3600, migrations 0",
)
LOCK_SECONDS = number(
    "HOLDFAST_LOCK_SECONDS",
    _LOCK,
    least=0,
    about="It stops waiting for a lock after this time.",
    shown="5, recorder 60, commands 300, migrations 0",
)
IDLE_TRANSACTION_SECONDS = number(
    "HOLDFAST_IDLE_TRANSACTION_SECONDS",
    _IDLE,
    least=0,
    about="It ends a connection whose transaction does nothing for so long.",
    shown="30, recorder 900, commands 3600, migrations 0",
)
DATABASE_URL = text(
    "DATABASE_URL",
    about="The site's PostgreSQL, as `postgresql://user@host/name`.",
    shown="must be set",
)
DATABASES = {"default": settings} if (settings := database(DATABASE_URL)) else {}
if DATABASES:
    DATABASES["default"]["OPTIONS"]["options"] = limited(
        DATABASES["default"]["OPTIONS"].get("options", ""),
        statement_timeout=STATEMENT_SECONDS,
        lock_timeout=LOCK_SECONDS,
        idle_in_transaction_session_timeout=IDLE_TRANSACTION_SECONDS,
    )

LEASE_SECONDS = number(
    "HOLDFAST_LEASE_SECONDS",
    60,
    least=0.5,
    about="A run goes to the next attempt after so long without a report.",
)
RUN_SECONDS = number(
    "HOLDFAST_RUN_SECONDS", 6 * 3600, least=1, about="How long one attempt at a run may take."
)
QUEUE_SECONDS = number(
    "HOLDFAST_QUEUE_SECONDS", 7 * 86400, least=1, about="How long a run may wait for an evaluator."
)
COHORT_SECONDS = number(
    "HOLDFAST_COHORT_SECONDS",
    7 * 86400,
    least=0,
    about="How long a cohort without a planned close stays open after its first run has ended; "
    "0 where maintainers close it.",
)
REDISPATCH_SECONDS = number(
    "HOLDFAST_REDISPATCH_SECONDS",
    max(60, 4 * LEASE_SECONDS),
    least=1,
    about="How long until a waiting run is sent to the evaluators again.",
    shown="4 leases, at least 60",
)
MAX_ATTEMPTS = int(
    number("HOLDFAST_MAX_ATTEMPTS", 5, least=1, about="How many attempts a run has.")
)
CONCURRENCY = int(
    number(
        "HOLDFAST_CONCURRENCY",
        32,
        least=1,
        about="How many items of a run an evaluator asks at the same time.",
    )
)
RETENTION_DAYS = number(
    "HOLDFAST_RETENTION_DAYS",
    90,
    least=1,
    about="How long receipts and job specifications of ended runs, "
    "and counts of refused reports, are stored.",
)
POOL = text("HOLDFAST_POOL", "default", about="The pool of evaluators that new runs are for.")
BOARD_SECONDS = number(
    "HOLDFAST_BOARD_SECONDS", 1, least=0, about="How old a board may be that a visitor sees."
)
PAGE_CACHE_SECONDS = number(
    "HOLDFAST_PAGE_CACHE_SECONDS",
    3600,
    least=0,
    about="How long a page for anonymous visitors stays in the cache while nothing on it changes.",
)
CACHE_URL = text(
    "HOLDFAST_CACHE_URL",
    "memory",
    about="Redis for pages that all processes share (redis://...), or memory of each process.",
)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
    }
    if CACHE_URL != "memory"
    else {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 2000},
    }
}
SIGN_INS = int(
    number(
        "HOLDFAST_SIGN_INS",
        30,
        least=1,
        about="Attempts to sign in that one address has in ten minutes, for all accounts together.",
    )
)
SIGN_INS_ACCOUNT = int(
    number(
        "HOLDFAST_SIGN_INS_ACCOUNT",
        10,
        least=1,
        about="Attempts to sign in that one address has in five minutes for one account; "
        "a success resets them.",
    )
)
SIGN_UPS = int(
    number(
        "HOLDFAST_SIGN_UPS",
        30,
        least=1,
        about="Attempts to make an account that one address has in an hour.",
    )
)
MAILS = int(
    number(
        "HOLDFAST_MAILS",
        10,
        least=1,
        about="Mails that one address is sent in an hour.",
    )
)
SUBMISSIONS = int(
    number(
        "HOLDFAST_SUBMISSIONS",
        60,
        least=1,
        about="Submissions and checks of models that one account sends in an hour, refused ones "
        "included.",
    )
)
API_REQUESTS = int(
    number(
        "HOLDFAST_API_REQUESTS",
        1200,
        least=1,
        about="Requests with a token that one account sends to the API in a minute. For anonymous "
        "visitors the proxy has limits.",
    )
)
MAIL_URL = text(
    "HOLDFAST_MAIL",
    about="Where mail goes: `smtp://user:password@host:587` (with STARTTLS), `smtps://…:465` "
    "(TLS), `smtp+plain://host:25` (no TLS, for a relay on this machine) or `file:///folder`.",
    shown="the folder `.mail` in the source tree; must be set where HTTPS is on",
)
globals().update(mail_settings(MAIL_URL or f"file://{BASE_DIR / '.mail'}"))
EMAIL_TIMEOUT = number(
    "HOLDFAST_MAIL_SECONDS",
    5,
    least=0.1,
    about="How long the site waits for each answer of the mail server; then the visitor gets 503.",
)
DEFAULT_FROM_EMAIL = text(
    "HOLDFAST_MAIL_FROM",
    "Holdfast <holdfast@localhost>",
    about="The sender of the site's mail.",
)
MAINTAINERS_SECOND_FACTOR = flag(
    "HOLDFAST_MAINTAINER_MFA",
    default=True,
    about="A maintainer's session acts as one only with a second factor set up.",
)
LISTED_PROXIES = names(
    "HOLDFAST_PROXIES",
    about="The proxies whose `X-Forwarded-For` counts: addresses, networks, `unix` for a Unix "
    "socket, or `none`.",
    shown="none; must be set where HTTPS is on",
)
PROXIES = proxies(LISTED_PROXIES)
KEY_GRACE_SECONDS = number(
    "HOLDFAST_KEY_GRACE_SECONDS",
    259_200,
    least=0,
    about="How long the sealed API key of a failed run stays, so that its author can continue it.",
)
MAX_CONTINUES = int(
    number("HOLDFAST_MAX_CONTINUES", 3, least=0, about="How often an author may continue one run.")
)
PRIVATE_ENDPOINTS = flag(
    "HOLDFAST_PRIVATE_ENDPOINTS",
    about="Accept endpoints on private addresses. The evaluator's own list decides for itself.",
)

PRIVATE_WEBHOOKS = private_webhooks()
HUB_ENDPOINT = text(
    "HF_ENDPOINT",
    about="The hub of models, as `https://host`; the evaluators need the same. It may stand in a "
    "private network; its redirects to other hosts may not.",
    shown="the client's: the public hub",
).rstrip("/")
_HUB_GIB = number(
    "HOLDFAST_HUB_GIB", 1000, least=0.001, about="The most GiB that a model on the hub may have."
)
HUB_BYTES = int(_HUB_GIB * 2**30)
HUB_SECONDS = number(
    "HOLDFAST_HUB_SECONDS", 20, least=1, about="How long the site waits for a hub's facts."
)
_LOOKS = "How many models on the hub one process of the site looks at at the same time."
HUB_LOOKS = int(number("HOLDFAST_HUB_LOOKS", 4, least=1, about=_LOOKS))
UPLOADS = upload_folder(BASE_DIR)
UPLOADS_BUCKET = bucket()
UPLOAD_FILES = int(
    number("HOLDFAST_UPLOAD_FILES", 500, least=3, about="The most files of an uploaded model.")
)
_UPLOAD_GIB = number(
    "HOLDFAST_UPLOAD_GIB", 200, least=0.001, about="The most GiB of an uploaded model."
)
UPLOAD_BYTES = int(_UPLOAD_GIB * 2**30)
_ORGANISATION_GIB = number(
    "HOLDFAST_UPLOADS_ORGANISATION_GIB",
    400,
    least=0.001,
    about="The most GiB of all stored uploads of one organisation.",
)
UPLOADS_ORGANISATION_BYTES = int(_ORGANISATION_GIB * 2**30)
_UPLOADS_GIB = number(
    "HOLDFAST_UPLOADS_GIB", 2000, least=0.001, about="The most GiB of all stored uploads."
)
UPLOADS_BYTES = int(_UPLOADS_GIB * 2**30)
UPLOAD_HOURS = number(
    "HOLDFAST_UPLOAD_HOURS",
    48,
    least=0.001,
    about="An upload that is not complete is deleted after so long without a chunk.",
)
UPLOAD_DAYS = number(
    "HOLDFAST_UPLOAD_DAYS",
    30,
    least=0.001,
    about="The files of a complete upload are deleted after so long, unless a run waits for them.",
)

INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "ninja",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.openid_connect",
    "leaderboard.accounts",
    "leaderboard.benchmarks",
    "leaderboard.ledger",
    "leaderboard.submissions",
    "leaderboard.evidence",
    "leaderboard.board",
    "leaderboard.published",
]
MIDDLEWARE = [
    "leaderboard.middleware.Headers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "leaderboard.middleware.PlainAddresses",
    "leaderboard.middleware.Refusals",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "leaderboard.accounts.middleware.Audit",
    "allauth.account.middleware.AccountMiddleware",
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
    },
    # Rankings alone: their many cells take Django's engine eight times as long.
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [BASE_DIR / "templates" / "jinja2"],
    },
]
ROOT_URLCONF = "leaderboard.urls"
WSGI_APPLICATION = "leaderboard.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Any account may be made a maintainer's later, when its password cannot be read any more.
AUTH_PASSWORD_VALIDATORS += [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    }
]
CSRF_FAILURE_VIEW = "leaderboard.views.forbidden"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "mine"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "leaderboard.formats"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Plotly's basic bundle, for the pages of charts; WhiteNoise sends its .gz file.
PLOTLY = "vendor/plotly-basic-4.1.1.min.js"
HTMX = "vendor/htmx-2.0.11.min.js"
RELEASES = Path(
    text(
        "HOLDFAST_RELEASES",
        str(BASE_DIR / ".releases"),
        about="The folder of the bundles of released sets.",
        shown="`.releases` in the source tree",
    )
)
# The finders are asked when the site starts, so that no command has to be run before the first
# page.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/vendor/"

SECURE = flag(
    "HOLDFAST_HTTPS",
    default=not DEBUG and not all(map(is_loopback, ALLOWED_HOSTS)),
    about="The site is reached by https only: cookies and redirects say so, and HSTS for a year.",
    shown="1, but 0 in debug mode and where all allowed hosts are loopback",
)
SITE_URL = site_address(secure=SECURE, hosts=ALLOWED_HOSTS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = SECURE
globals().update(sign_in_settings(secure=SECURE))
SIGN_IN = provider_settings(
    github=Client(
        text(
            "HOLDFAST_GITHUB_CLIENT",
            shown="no sign-in with GitHub",
            about="Client id of an OAuth app on GitHub, whose callback is "
            "`/accounts/github/login/callback/`.",
        ),
        text("HOLDFAST_GITHUB_SECRET", shown="none", about="Its client secret."),
    ),
    huggingface=Client(
        text(
            "HOLDFAST_HUGGINGFACE_CLIENT",
            shown="no sign-in with Hugging Face",
            about="Client id of an OAuth app on Hugging Face with the scopes openid, profile "
            "and email, whose callback is `/accounts/oidc/huggingface/login/callback/`.",
        ),
        text("HOLDFAST_HUGGINGFACE_SECRET", shown="none", about="Its client secret."),
    ),
    issuer=text(
        "HOLDFAST_HUGGINGFACE_ISSUER",
        "https://huggingface.co",
        about="OpenID issuer of that app: another one for a hub of your own.",
    ),
)
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = SIGN_IN.settings
SIGN_IN_PROVIDERS: dict[str, str] = SIGN_IN.targets
# A load balancer that asks without TLS gets an answer, not a redirect.
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz)$"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SILENCED_SYSTEM_CHECKS = [
    # leaderboard.middleware.Headers sets X-Frame-Options and frame-ancestors on every response
    "security.W002",
    "security.W005",  # other hosts of the domain are not this site's to force to https
    "security.W021",  # nor is a browser's preload list: leaving it takes months
]
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
DATA_UPLOAD_MAX_NUMBER_FILES = 5

LOGGING = LOG_SETTINGS
METRICS_TOKEN = metrics_token()
BACKUP_STAMP = backup_stamp()
