"""Worker of the evaluator: one run of weights at a time, and several of endpoints.

Start it with ``celery -A evaluator.worker worker -Q evaluate.POOL --pool solo``.

- The broker only notifies, the site's database is the queue: a message is acknowledged before the
  work begins, and a second one for the same attempt is dropped.
- Weights have the main thread, each run of an endpoint a thread of its own (``endpoint_runs``).
- The worker stays alive however an attempt ends.
- SIGTERM stops it: attempts under way end within a third of their leases, finished or handed back.
  SIGUSR1 drains it: it takes no more runs, and attempts under way may take their time.
- Only codes, counts and ids are logged: no prompt, no completion, no argument of a message.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from celery import Celery
from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    worker_init,
    worker_ready,
    worker_shutdown,
)
from celery.worker import state

from evaluator import jail
from evaluator.backends import ModelStore
from evaluator.backends.hardware import host_facts, host_state
from evaluator.backends.self_test import failures, run_tests
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
    Endpoint,
    JobSpec,
    Ship,
    endpoint_queue,
    journal_queue,
    lease_queue,
)
from evaluator.contract.announcements import EngineFailure
from evaluator.contract.probes import probe_queue
from evaluator.errors import Code, EvaluatorError, error
from evaluator.jail import dump_no_core
from evaluator.ledger.envelopes import pack_envelopes, seal_report
from evaluator.pipeline.attempt import GRACE_SECONDS, run_job
from evaluator.pipeline.context import Context
from evaluator.pipeline.disk import disk_errors
from evaluator.pipeline.endpoint_runs import EndpointRuns, HostRequests
from evaluator.pipeline.interrupted import Upkeep, close_interrupted
from evaluator.pipeline.leases import AnsweredLeases, Claims, Leases, MessageQueue, take_slot
from evaluator.pipeline.plan import folder_inside
from evaluator.pipeline.presence import Announcer, Inventory, Presence
from evaluator.pipeline.probe import handle_probe
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
"""Seconds in which a stopping worker tries to empty its spool; the next start sends the rest."""

Publish = Callable[[Sequence[dict[str, Any]]], None]
"""Sends the reports of one message to the recorder, in one try."""
_T = TypeVar("_T")


def open_context(
    config: Config,
    publish: Publish,
    *,
    leases: Leases,
    stopping: Callable[[], bool],
    draining: Callable[[], bool] = lambda: False,
    failing: Sequence[EngineFailure] = (),
) -> tuple[Context, Spool]:
    """Open everything the evaluator holds: keys, sets, journal, spool. The spool is not started.

    ``stopping`` and ``draining`` are those of the context. ``failing`` engines get no runs.

    Raises ``misconfigured``, ``key_unreadable``, ``key_permissions``, ``journal_broken``,
    ``disk_full`` and ``out_unwritable``.
    """
    with disk_errors(config.home):
        for name in ("completions", "work"):
            folder = config.home / name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = load_keys(config.keys)
    journal = Journal(config.home / "journal.jsonl", keys.name, keys.report)
    recipients = Recipients.from_dict(config.recipients)
    recipients.check_keys()
    find = partial(sealed_set, config.sets)
    vault = Vault(keys, find, journal, recipients, leases)
    spool = Spool(config.home / "spool", publish, accepted=leases.accepted)
    context = Context(
        evaluator=keys.name,
        sets=config.sets,
        checkpoints=config.checkpoints,
        store=ModelStore(
            folder=config.store,
            most=config.store_bytes,
            endpoint=config.hub,
            site=config.site,
            uploads=config.uploads,
        ),
        work=config.home / "work",
        trusted=config.trusted,
        recipients=recipients,
        vault=vault,
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
            stopping=lambda: stopping() or draining(),
            host=host_facts(failing),
            state=partial(host_state, config.home, config.store),
            endpoints=recipients.published(),
            endpoint_runs=config.endpoint_runs,
        ),
        requests=HostRequests(config.requests_per_host),
        leases=leases,
        seal=lambda report: seal_report(report, keys.report).to_dict(),
        put=spool.put,
        publish=lambda envelope: publish([envelope]),
        stopping=stopping,
        draining=draining,
        failing=frozenset(one.name for one in failing),
        patience={"outage_seconds": config.outage_seconds, "start_seconds": config.start_seconds},
    )
    return context, spool


def failing_engines(config: Config) -> tuple[EngineFailure, ...]:
    """Test the engines, unless the settings skip that, and return those that get no runs.

    Raises ``misconfigured``, ``disk_full`` and ``out_unwritable``.
    """
    if not config.self_test:
        return ()
    with disk_errors(config.home):
        config.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        tests = run_tests(config.home)
    for test in tests:
        if test.code is not None:
            _log.warning("self-test: engine=%s code=%s", test.engine, test.code)
    return failures(tests)


def sealed_set(sets: Path, name: str) -> Path | None:
    """Return the folder of a sealed set below ``sets``; None where there is none.

    The folder is looked up each time, so a set may be installed after this worker has started.
    """
    folder = folder_inside(sets, name)
    return folder if folder and (folder / MANIFEST).is_file() else None


def sealed_digest(keys: Keys, folder: Path) -> str:
    """Return the root of a sealed set that is whole and that these keys open.

    Raises as :func:`check_set`.
    """
    return check_set(folder, keys).root


# --- the Celery side


def settings(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return Celery's settings for this worker. Ends the process where one is missing."""
    config = _or_exit(lambda: Config.from_env(environ))
    name = _or_exit(lambda: load_keys(config.keys).name)
    return celery_settings(config.broker_url, reader=name) | {
        "worker_pool": "solo",
        "worker_concurrency": 1,
        "worker_redirect_stdouts": False,
    }


app = Celery("holdfast.evaluator", amqp="evaluator.broker:Amqp")
app.add_defaults(settings)


class _Process:
    """Parts of this process, once it is a worker."""

    context: Context | None = None
    spool: Spool | None = None
    announcer: Announcer | None = None
    lease_queue: MessageQueue | None = None
    probe_queue: MessageQueue | None = None
    endpoint_runs: EndpointRuns | None = None
    upkeep: Upkeep | None = None
    drained_by_signal = False


@app.task(name=EVALUATE_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def evaluate(*args: object, **kwargs: object) -> None:
    """Make one attempt. A message of another form is refused inside, without an exception."""
    run_job(_only_argument(args, kwargs), _context())


@app.task(name=SHIP_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def ship(*args: object, **kwargs: object) -> None:
    """Report the log again, from where the site's copy ends. Any other message is dropped."""
    ship_log(_only_argument(args, kwargs), _context())


@app.task(name=RESCORE_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def rescore(*args: object, **kwargs: object) -> None:
    """Grade the answers of a run again. A message of another form is refused inside."""
    handle_order(_only_argument(args, kwargs), _context())


def _context() -> Context:
    assert _Process.context is not None, "not a worker"  # noqa: S101
    return _Process.context


def _only_argument(args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """Return the argument of a task that has one; None, which no task accepts, of any other."""
    return args[0] if len(args) == 1 and not kwargs else None


def run_endpoint(data: object, context: Context) -> None:
    """Make one attempt at a run of an endpoint. A job of weights has another queue: it is dropped.

    Never raises an ``EvaluatorError``.
    """
    with suppress(EvaluatorError):
        if not isinstance(JobSpec.from_dict(data).system, Endpoint):
            _log.warning("dropped: weights among the endpoints")
            return
    run_job(data, context)


def ship_log(data: object, context: Context) -> None:
    """Carry out a ``Ship``. Never raises an ``EvaluatorError``: the site asks again."""
    try:
        context.ship_again(Ship.from_dict(data).after)
    except EvaluatorError as failure:
        _log.warning("log not shipped: code=%s", failure.code)


def publish_reports(envelopes: Sequence[dict[str, Any]]) -> None:
    """Send one message to the recorder, in one try. Raises any error of the broker's client."""
    app.send_task(
        RECORD_TASK,
        args=[pack_envelopes(envelopes)],
        queue=RECORD_QUEUE,
        ignore_result=True,
        retry=False,
        argsrepr="(reports)",
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
    """Return True once Celery is to stop, warm or cold. Its flags may hold an exit code, also 0."""
    flags = (state.should_stop, state.should_terminate)
    return any(flag is not None and flag is not False for flag in flags)


def is_draining() -> bool:
    """Return True once this worker takes no more runs: by SIGUSR1, or since it is to stop."""
    return _Process.drained_by_signal or is_stopping()


def _drain(_number: int, _frame: object) -> None:
    _Process.drained_by_signal = True


@worker_ready.connect  # type: ignore[untyped-decorator]
def _listen_to_signals(**_: object) -> None:
    """Drain at SIGUSR1, in place of Celery's own handler, which prints the stacks of threads."""
    signal.signal(signal.SIGUSR1, _drain)


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _listen(instance: Any, **_: object) -> None:
    """Listen to this evaluator's own queue in addition to its pool's."""
    name = _or_exit(lambda: load_keys(Config.from_env(os.environ).keys).name)
    instance.app.amqp.queues.select_add(journal_queue(name))


@worker_init.connect  # type: ignore[untyped-decorator]
def _start(sender: Any, **_: object) -> None:
    def start() -> None:
        if "solo" not in str(sender.pool_cls):
            raise error(
                Code.MISCONFIGURED,
                "--pool must be solo: one run of weights at a time, in the main thread",
            )
        dump_no_core()
        config = Config.from_env(os.environ)
        for lack in jail.missing():
            _log.warning("jail: %s", lack)
        leases = AnsweredLeases(take_slot(config.home / "slots"))
        context, spool = open_context(
            config,
            publish_reports,
            leases=leases,
            stopping=is_stopping,
            draining=is_draining,
            failing=failing_engines(config),
        )
        _Process.lease_queue = MessageQueue(
            app.connection_for_read,
            lease_queue(context.evaluator, leases.slot),
            leases.deliver,
        )
        _Process.lease_queue.start()
        _Process.probe_queue = MessageQueue(
            app.connection_for_read,
            probe_queue(context.evaluator),
            lambda data: handle_probe(data, context),
        )
        _Process.probe_queue.start()
        _Process.context = context
        _Process.spool = spool
        close_interrupted(context)
        context.ship_lines()
        spool.start()
        _Process.upkeep = Upkeep(context, spool.take_over)
        _Process.upkeep.start()
        if config.endpoint_runs:
            _Process.endpoint_runs = EndpointRuns(
                app.connection_for_read,
                endpoint_queue(context.evaluator),
                lambda data: run_endpoint(data, context),
                places=config.endpoint_runs,
            )
            _Process.endpoint_runs.start()
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
    if _Process.endpoint_runs is not None:
        _Process.endpoint_runs.close(seconds=GRACE_SECONDS + CLOSE_SECONDS)
    for thread in (_Process.lease_queue, _Process.probe_queue, _Process.upkeep):
        if thread is not None:
            thread.close(seconds=1.0)
    if _Process.spool is not None:
        _Process.spool.close(seconds=CLOSE_SECONDS)


def _or_exit(action: Callable[[], _T]) -> _T:
    try:
        return action()
    except EvaluatorError as failure:
        print(f"error: {failure}", file=sys.stderr)
        raise SystemExit(2) from None


class _Discreet(logging.Formatter):
    """Formatter that shows our own messages, and of a library's only their place in the code.

    Libraries log their data: Celery whole message bodies, an HTTP client addresses, an exception
    its arguments. Our messages hold codes, counts and ids, and never an exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line: time, level, logger, and the message where it is ours."""
        ours = record.name.split(".")[0] == "evaluator"
        text = record.getMessage() if ours else f"at {record.module}:{record.lineno}"
        return f"{self.formatTime(record)} {record.levelname} {record.name} {text}"


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_discreetly(loglevel: Any = None, **_: object) -> None:
    """Set logging up. Celery leaves it alone where this signal has a receiver."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet())
    logging.basicConfig(level=loglevel or logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("evaluator").setLevel(logging.INFO)
