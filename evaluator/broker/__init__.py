"""The broker between site and evaluator: Celery's settings on both sides of the wall, and the transports.

Whoever can write to the broker is not trusted. What a worker reads there is screened by our own transports, before
kombu and Celery take it apart: see ``screening``.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.worker import consumer
from kombu.transport import TRANSPORT_ALIASES

from evaluator.broker.folder import POLLING_SECONDS, Channel, Transport

__all__ = [
    "POLLING_SECONDS",
    "Channel",
    "Consumer",
    "Transport",
    "Unquoted",
    "celery_settings",
    "quarantined",
]

_log = logging.getLogger(__name__)

# Under the library's own names: Celery's command line takes BROKER_URL from the environment, past all settings.
TRANSPORT_ALIASES |= {
    "filesystem": "evaluator.broker:Transport",
    "redis": "evaluator.broker.redis:Transport",
    "rediss": "evaluator.broker.redis:Transport",
}


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer, for which a message in none of its own shapes is one to drop.

    Celery ends the whole worker over a body or headers that it cannot take apart, and whoever can send a message
    could end every worker with it.
    """

    def __init__(
        self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any
    ) -> None:
        # Workers need not know each other: what they would send goes past the screen, to every one of them at once.
        alone = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **alone}, **options)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """What is done with each message."""
        receive = super().create_task_handler(*args, **options)

        def guarded(message: Any) -> None:
            try:
                receive(message)
            except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as problem:
                _log.warning("message dropped: %s", type(problem).__name__)
                message.reject_log_error(_log, self.connection_errors)

        return guarded


class Unquoted(logging.Filter):
    """Leaves of what Celery's libraries log only where it comes from: they quote whole messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes; those of the libraries without their words."""
        if record.name.split(".")[0] in ("celery", "kombu", "amqp", "billiard"):
            record.msg, record.args = f"at {record.module}:{record.lineno}", ()
        return True


def celery_settings(broker_url: str) -> dict[str, Any]:
    """Celery's settings on both sides: JSON by name, early acknowledgement, no results.

    ``broker_url`` is ``redis://…``, ``redis+socket://…`` or ``filesystem:///FOLDER``; the folder is made
    where it is missing.
    """
    settings: dict[str, Any] = {
        "broker_url": broker_url,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_create_missing_queues": True,
        "worker_consumer": "evaluator.broker:Consumer",
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,  # its replies would show the arguments of tasks
        "worker_send_task_events": False,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {},
    }
    if broker_url.startswith("filesystem://"):
        settings["broker_transport_options"] = _folders(Path(urlsplit(broker_url).path))
    return settings


def quarantined(app: Celery) -> dict[str, int]:
    """Return how many messages were set aside at the broker, by queue. Raises the broker's error where it is away."""
    with app.connection_for_read() as connection, connection.channel() as channel:
        count: Callable[[], dict[str, int]] | None = getattr(channel, "quarantined", None)
        return count() if count else {}


def _folders(folder: Path) -> dict[str, Any]:
    messages, control = folder / "messages", folder / "control"
    for each in (messages, control):
        each.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": POLLING_SECONDS,
    }
