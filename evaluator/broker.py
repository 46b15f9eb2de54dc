"""The bell between site and evaluator: Celery's settings on both sides of the wall, and a folder as broker.

Celery's own filesystem transport writes a message into the file that readers look for. A reader that is
quick finds half of it and ends its whole worker; with twenty looks a second that happens. Here a message
is written aside and then renamed, so that a reader finds all of it or nothing.
"""

import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery.worker import consumer
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

_log = logging.getLogger(__name__)

POLLING_SECONDS = 0.05
"""Celery's default of a second makes every hand-over take one."""

# Under the library's own name: Celery's command line takes BROKER_URL from the environment, past all settings.
TRANSPORT_ALIASES["filesystem"] = "evaluator.broker:Transport"


class Channel(filesystem.Channel):  # type: ignore[misc]
    """The filesystem channel, with messages and tables that are whole whenever they are seen."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        draft = Path(self.data_folder_out, f".{name}")
        draft.write_text(dumps(payload), encoding="utf-8")
        draft.rename(draft.with_name(name))

    def get_table(self, exchange: str) -> list[Any]:
        """The queues of an exchange. Its file is empty for a moment after it was made: then look again."""
        for _ in range(20):
            try:
                return list(super().get_table(exchange))
            except ValueError:
                time.sleep(POLLING_SECONDS)
        return list(super().get_table(exchange))


class Transport(filesystem.Transport):  # type: ignore[misc]
    """A folder as broker."""

    Channel = Channel


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer, for which a message in none of its own shapes is one to drop.

    Celery ends the whole worker over a body or headers that it cannot take apart, and whoever can send a message
    could end every worker with it.
    """

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """What is done with each message."""
        receive = super().create_task_handler(*args, **options)

        def guarded(message: Any) -> None:
            try:
                receive(message)
            except (TypeError, ValueError, LookupError, AttributeError) as problem:
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
        "worker_send_task_events": False,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {},
    }
    if broker_url.startswith("filesystem://"):
        settings["broker_transport_options"] = _folders(Path(urlsplit(broker_url).path))
    return settings


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
