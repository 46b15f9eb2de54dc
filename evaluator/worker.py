"""The evaluator's worker: one attempt at one run at a time.

Start it with ``celery -A evaluator.worker worker -Q evaluate.POOL --pool solo``. The broker is a bell: a
message is acknowledged before the work begins, a second one for the same attempt is dropped, and whatever
becomes of an attempt, the worker stays alive. Nothing here logs a prompt, a completion or a message's
arguments: only codes, counts and ids.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery
from celery.signals import celeryd_after_setup, setup_logging, worker_init, worker_shutdown
from celery.worker import state

from evaluator import jail
from evaluator.broker import celery_settings
from evaluator.config import Config
from evaluator.contract import (
    EVALUATE_TASK,
    NO_RUN,
    RECORD_QUEUE,
    RECORD_TASK,
    RESCORE_TASK,
    SHIP_TASK,
    Announcement,
    Report,
    Ship,
    journal_queue,
    lease_queue,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.jail import dump_no_core
from evaluator.ledger.envelopes import seal_report
from evaluator.pipeline.attempt import run_job
from evaluator.pipeline.context import Context
from evaluator.pipeline.disk import disk_errors
from evaluator.pipeline.leases import AnsweredLeases, Claims, LeaseQueue, Leases, take_slot
from evaluator.pipeline.plan import folder_inside
from evaluator.pipeline.presence import Announcer, Inventory, Presence
from evaluator.pipeline.rescore import handle_order
from evaluator.pipeline.spool import Shipped, Spool
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.exposure import Journal
from evaluator.sealing.formats import MANIFEST
from evaluator.sealing.keys import Keys, load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import Vault, check_set

_log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""How long a stopping worker tries to empty its spool; what is left goes out when it starts again."""

Publish = Callable[[dict[str, Any]], None]
_T = TypeVar("_T")


def open_context(
    config: Config, publish: Publish, *, leases: Leases, stopping: Callable[[], bool]
) -> tuple[Context, Spool]:
    """Open everything the evaluator holds: keys, sets, journal, spool. The spool is not started.

    Raises ``misconfigured``, ``key_unreadable``, ``key_permissions``, ``journal_broken``, ``disk_full`` and
    ``out_unwritable``.
    """
    with disk_errors(config.home):
        for folder in ("completions", "work"):
            (config.home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = load_keys(config.keys)
    journal = Journal(config.home / "journal.jsonl", keys.name, keys.report)
    recipients = Recipients.from_dict(config.recipients)
    recipients.check_keys()
    spool = Spool(config.home / "spool", publish)
    context = Context(
        evaluator=keys.name,
        sets=config.sets,
        checkpoints=config.checkpoints,
        work=config.home / "work",
        trusted=config.trusted,
        recipients=recipients,
        vault=Vault(keys, partial(sealed_set, config.sets), journal, recipients, leases),
        entries=journal.entries,
        tree_head=journal.tree_head,
        shipped=Shipped(config.home / "journal.shipped"),
        completions=CompletionStore(config.home / "completions", keys.completions),
        rescored=config.home / "rescored",
        claims=Claims(config.home / "claims"),
        presence=Presence(
            home=config.home,
            pool=config.pool,
            inventory=Inventory(config.sets, partial(sealed_digest, keys), manifest=MANIFEST),
            stopping=stopping,
        ),
        leases=leases,
        seal=lambda report: _seal(report, keys.report),
        put=spool.put,
        publish=publish,
        stopping=stopping,
        patience={"outage_seconds": config.outage_seconds, "start_seconds": config.start_seconds},
    )
    return context, spool


def sealed_set(sets: Path, name: str) -> Path | None:
    """The folder of a sealed set below ``sets``, also of one that came after this worker had started."""
    folder = folder_inside(sets, name)
    return folder if folder and (folder / MANIFEST).is_file() else None


def sealed_digest(keys: Keys, folder: Path) -> str:
    """Return the root of a sealed set that is whole and that these keys open. Raises as :func:`check_set`."""
    return check_set(folder, keys).root


def _seal(report: Report, key: Any) -> dict[str, Any]:
    return seal_report(report, key).to_dict()


# --- the Celery side


def settings(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Celery's settings for this worker. Ends the process with a sentence where one is missing."""
    url = _or_exit(lambda: Config.from_env(environ)).broker_url
    return celery_settings(url) | {
        "worker_pool": "solo",
        "worker_concurrency": 1,
        "worker_redirect_stdouts": False,
    }


app = Celery("holdfast.evaluator")
app.add_defaults(settings)


class _Process:
    """What this process holds, once it is a worker."""

    context: Context | None = None
    spool: Spool | None = None
    announcer: Announcer | None = None
    lease_queue: LeaseQueue | None = None


@app.task(name=EVALUATE_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def evaluate(*args: object, **kwargs: object) -> None:
    """Do one attempt. Takes whatever was sent: what does not fit is refused inside, without an exception."""
    assert _Process.context is not None, "not a worker"  # noqa: S101
    run_job(args[0] if len(args) == 1 and not kwargs else None, _Process.context)


@app.task(name=SHIP_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def ship(*args: object, **kwargs: object) -> None:
    """Tell the site the log again, from where its copy ends. Whatever else was sent is dropped."""
    assert _Process.context is not None, "not a worker"  # noqa: S101
    ship_log(args[0] if len(args) == 1 and not kwargs else None, _Process.context)


@app.task(name=RESCORE_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def rescore(*args: object, **kwargs: object) -> None:
    """Grade again what a run answered. Takes whatever was sent, as above."""
    assert _Process.context is not None, "not a worker"  # noqa: S101
    handle_order(args[0] if len(args) == 1 and not kwargs else None, _Process.context)


def ship_log(data: object, context: Context) -> None:
    """Do what a ``Ship`` asks for. Never raises an ``EvaluatorError``: the site asks again."""
    try:
        context.ship_again(Ship.from_dict(data).after)
    except EvaluatorError as failure:
        _log.warning("log not shipped: code=%s", failure.code)


def publish_report(envelope: dict[str, Any]) -> None:
    """Send one report to the recorder. Raises whatever the broker's client raises; tries once."""
    app.send_task(
        RECORD_TASK,
        args=[envelope],
        queue=RECORD_QUEUE,
        ignore_result=True,
        retry=False,
        argsrepr="(report)",
    )


def publish_announcement(context: Context, announcement: Announcement) -> None:
    """Send an announcement past the spool; it expires when the next two are due."""
    reporter = context.reporter(NO_RUN, 1)
    app.send_task(
        RECORD_TASK,
        args=[reporter.sealed(announcement)],
        queue=RECORD_QUEUE,
        ignore_result=True,
        retry=False,
        expires=3 * announcement.seconds,
        argsrepr="(announcement)",
    )


def is_stopping() -> bool:
    """Whether Celery was told to stop, warm or cold."""
    return any(
        flag is not None and flag is not False
        for flag in (state.should_stop, state.should_terminate)
    )


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _listen(instance: Any, **_: object) -> None:
    """Listen to this evaluator's own queue besides its pool's."""
    name = _or_exit(lambda: load_keys(Config.from_env(os.environ).keys).name)
    instance.app.amqp.queues.select_add(journal_queue(name))


@worker_init.connect  # type: ignore[untyped-decorator]
def _start(sender: Any, **_: object) -> None:
    def start() -> None:
        if "solo" not in str(sender.pool_cls):
            raise error(
                Code.MISCONFIGURED, "--pool must be solo: one attempt at a time, in the main thread"
            )
        dump_no_core()
        config = Config.from_env(os.environ)
        for lack in jail.missing():
            _log.warning("jail: %s", lack)
        leases = AnsweredLeases(take_slot(config.home / "slots"))
        context, spool = open_context(config, publish_report, leases=leases, stopping=is_stopping)
        _Process.lease_queue = LeaseQueue(
            app.connection_for_read, lease_queue(context.evaluator, leases.slot), leases.deliver
        )
        _Process.lease_queue.start()
        _Process.context, _Process.spool = context, spool
        context.ship_lines()
        spool.start()
        _Process.announcer = Announcer(
            context.presence,
            partial(publish_announcement, context),
            seconds=config.announce_seconds,
        )
        _Process.announcer.start()

    _or_exit(start)


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop(**_: object) -> None:
    if _Process.announcer is not None:
        _Process.announcer.close(seconds=1.0)
    if _Process.lease_queue is not None:
        _Process.lease_queue.close(seconds=1.0)
    if _Process.spool is not None:
        _Process.spool.close(seconds=CLOSE_SECONDS)


def _or_exit(action: Callable[[], _T]) -> _T:
    try:
        return action()
    except EvaluatorError as failure:
        print(f"error: {failure}", file=sys.stderr)
        raise SystemExit(2) from None


class _Discreet(logging.Formatter):
    """Shows our own messages, and of everybody else's only where they come from.

    Libraries log what they hold: Celery whole message bodies, an HTTP client addresses, an exception its
    arguments. Our messages hold codes, counts and ids, and never an exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line: time, level, logger, and the message where it is ours."""
        ours = record.name.split(".")[0] == "evaluator"
        text = record.getMessage() if ours else f"at {record.module}:{record.lineno}"
        return f"{self.formatTime(record)} {record.levelname} {record.name} {text}"


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_discreetly(loglevel: Any = None, **_: object) -> None:
    """Celery leaves logging alone where somebody listens to this signal."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet())
    logging.basicConfig(level=loglevel or logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("evaluator").setLevel(logging.INFO)
