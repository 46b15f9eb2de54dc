"""Broker between site and evaluator: Celery's settings on both sides of the wall, and transports.

A writer to the broker is not trusted. Our own transports screen each message before kombu and
Celery take it apart: see ``screening``.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.app.amqp import AMQP
from celery.worker import consumer
from kombu.transport import TRANSPORT_ALIASES

from evaluator.broker.folder import POLLING_SECONDS, Channel, Transport

__all__ = [
    "POLLING_SECONDS",
    "Amqp",
    "Channel",
    "Consumer",
    "Transport",
    "Unquoted",
    "celery_settings",
    "quarantined",
]

_log = logging.getLogger(__name__)

_CountByQueue = Callable[[], dict[str, int]]
_QUOTING = ("celery", "kombu", "amqp", "billiard")
"""Libraries that quote messages in what they log."""

# Under the library's own names: Celery's command line reads BROKER_URL from the environment, past
# all settings.
TRANSPORT_ALIASES |= {
    "filesystem": "evaluator.broker:Transport",
    "redis": "evaluator.broker.redis:Transport",
    "rediss": "evaluator.broker.redis:Transport",
}


class Amqp(AMQP):  # type: ignore[misc]
    """Celery's queues without exchanges of their own: a message goes to the queue it names.

    Celery would give each queue an exchange, and every sender the right to bind queues to it: an
    evaluator could then have the reports of all others copied to itself.
    """

    @staticmethod
    def autoexchange(_: str) -> None:
        """Return the exchange of a queue: that of all queues, which has no name."""


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer, but it drops a message that it cannot take apart.

    Celery ends the whole worker over such a body or header, so one message could end every worker.
    """

    def __init__(
        self,
        *args: Any,
        worker_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        # Workers need not know each other: their messages bypass the screen and go to all at once.
        alone = {
            "without_gossip": True,
            "without_mingle": True,
            "without_heartbeat": True,
        }
        worker_options = {**(worker_options or {}), **alone}
        super().__init__(*args, worker_options=worker_options, **options)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return the function that handles each message."""
        receive = super().create_task_handler(*args, **options)

        def guarded(message: Any) -> None:
            try:
                receive(message)
            except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as problem:
                _log.warning("message dropped: %s", type(problem).__name__)
                message.reject_log_error(_log, self.connection_errors)

        return guarded


class Unquoted(logging.Filter):
    """Filter that replaces the text of what Celery's libraries log: they quote whole messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass; those of the libraries without their text."""
        library = record.name.split(".")[0]
        if library in _QUOTING:
            record.msg = f"at {record.module}:{record.lineno}"
            record.args = ()
        return True


def celery_settings(broker_url: str, *, reader: str = "") -> dict[str, Any]:
    """Return Celery's settings on both sides: JSON by name, early acknowledgement, no results.

    ``broker_url`` is ``redis://…``, ``redis+socket://…`` or ``filesystem:///FOLDER``; the folder is
    made where it is missing. In Redis a ``reader`` has records of its unacknowledged messages that
    it shares with no other program.
    """
    settings: dict[str, Any] = {
        "broker_url": broker_url,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_create_missing_queues": True,
        "task_default_exchange": "",
        "worker_consumer": "evaluator.broker:Consumer",
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,  # its replies would show the arguments of tasks
        "worker_send_task_events": False,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {},
    }
    if broker_url.startswith("redis") and reader:
        settings["broker_transport_options"] = {
            "unacked_key": f"unacked.{reader}",
            "unacked_index_key": f"unacked_index.{reader}",
            "unacked_mutex_key": f"unacked_mutex.{reader}",
        }
    if broker_url.startswith("filesystem://"):
        folder = Path(urlsplit(broker_url).path)
        messages = folder / "messages"
        control = folder / "control"
        messages.mkdir(parents=True, exist_ok=True)
        control.mkdir(parents=True, exist_ok=True)
        settings["broker_transport_options"] = {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "polling_interval": POLLING_SECONDS,
        }
    return settings


def quarantined(app: Celery) -> dict[str, int]:
    """Return the number of messages in the broker's quarantine, by queue.

    Raises the broker's error where it cannot be reached.
    """
    with app.connection_for_read() as connection, connection.channel() as channel:
        count: _CountByQueue | None = getattr(channel, "quarantined", None)
        return count() if count else {}
