"""Settings of the site's log and of its metrics."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from leaderboard.environment import text

SHORTEST_TOKEN = 20


def metrics_token() -> str:
    """Return the token that ``/metrics`` asks for; empty where there are no metrics."""
    token = text(
        "HOLDFAST_METRICS_TOKEN",
        about="The bearer token with which Prometheus reads `/metrics`: at least "
        f"{SHORTEST_TOKEN} characters.",
        shown="none: there is no `/metrics`",
    )
    if token and len(token) < SHORTEST_TOKEN:
        raise ImproperlyConfigured(
            f"HOLDFAST_METRICS_TOKEN has fewer than {SHORTEST_TOKEN} characters"
        )
    return token


def backup_stamp() -> str:
    """Return the file that the operator's backup touches when it ends; empty for none."""
    return text(
        "HOLDFAST_BACKUP_STAMP",
        about="A file that your backup touches when it ends: `manage.py doctor` names an old one.",
        shown="none",
    )


# A traceback's last line may hold a row of the database; leaderboard.errors.QuietFormatter leaves
# it out.
LOG_SETTINGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "quiet": {
            "()": "leaderboard.errors.QuietFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    # Celery logs the whole of a message that it does not understand.
    "filters": {"unquoted": {"()": "evaluator.broker.Unquoted"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "quiet", "filters": ["unquoted"]}
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # Django brings handlers of its own (mail to admins, a second console): ours alone speaks.
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "leaderboard": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}
