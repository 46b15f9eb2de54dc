"""The worker as a real process on a real broker."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from demo.services import start_redis, stop
from evaluator import jail
from evaluator.config import Config
from evaluator.contract import (
    EVALUATE_TASK,
    RECORD_QUEUE,
    Failed,
    Finished,
    Progress,
    Report,
    Started,
    celery_settings,
    evaluate_queue,
)
from evaluator.errors import Code, EvaluatorError
from evaluator.worker import open_host, sealed_sets, settings
from tests.evaluator.installed import CANARY, Installed, install, outcomes, write_rows

ROOT = Path(__file__).parents[2]
STEADY = ROOT / "tests" / "servers" / "steady.py"
REAL = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}


class Steady:
    """An endpoint that answers every question, slowly if asked to, and counts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.system = {"kind": "endpoint", "url": url, "model": "steady", "api": "completions"}

    def received(self) -> dict[str, int]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/received", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
        return found


@pytest.fixture
def start_steady(tmp_path: Path) -> Iterator[Callable[..., Steady]]:
    with contextlib.ExitStack() as stack:

        def begin(rows: list[dict[str, str]], latency: float) -> Steady:
            write_rows(tmp_path / "gold.jsonl", rows)
            command = [sys.executable, str(STEADY), "--gold", str(tmp_path / "gold.jsonl"), "--latency", str(latency)]
            child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(child.kill)
            assert child.stdout is not None
            return Steady(child.stdout.readline().strip())

        yield begin


class Broker:
    """The site's side of the broker: sends jobs by name, receives reports."""

    def __init__(self, url: str) -> None:
        self.url = url
        about = celery_settings(url)
        self.connection = Connection(about["broker_url"], transport_options=about["broker_transport_options"])
        self.envelopes: list[Any] = []

    def send(self, *args: Any, task: str = EVALUATE_TASK, **kwargs: Any) -> None:
        body = [list(args), kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        headers = {"lang": "py", "task": task, "id": os.urandom(8).hex(), "argsrepr": "", "kwargsrepr": ""}
        with self.connection.Producer() as producer:
            producer.publish(
                body, headers=headers, routing_key=evaluate_queue("default"), declare=[self._queue("default")]
            )

    def _queue(self, pool: str) -> Any:
        from kombu import Queue

        return Queue(evaluate_queue(pool), routing_key=evaluate_queue(pool))

    def drain(self) -> list[Any]:
        queue = self.connection.SimpleQueue(RECORD_QUEUE)
        with contextlib.suppress(queue.Empty):
            while True:
                message = queue.get(block=False)
                self.envelopes.append(message.payload[0][0])
                message.ack()
        queue.close()
        return self.envelopes


class Worker:
    """One worker process and its log."""

    def __init__(self, place: Installed, broker: Broker) -> None:
        self.place, self.broker = place, broker
        self.log_path = place.folder / "worker.log"
        self.process = self.start()

    def start(self, **extra: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "evaluator.worker", "worker", "-Q", "evaluate.default"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--pool", "solo", "-l", "debug"],
                env=REAL | self.place.environ(self.broker.url) | extra,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        return self.process

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def reports(self) -> list[Report]:
        return self.place.reports(self.broker.drain())

    def wait(self, true: Callable[[list[Report]], bool], seconds: float = 40) -> list[Report]:
        end = time.monotonic() + seconds
        while not true(found := self.reports()):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, [type(report.body).__name__ for report in found]
            time.sleep(0.05)
        return found


def ended(reports: list[Report]) -> bool:
    return any(isinstance(report.body, Finished | Failed) for report in reports)


def has_some(reports: list[Report]) -> bool:
    return 10 < len(outcomes(reports)) < 60


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def begin(place: Installed, url: str) -> Worker:
        workers.append(Worker(place, Broker(url)))
        return workers[-1]

    yield begin
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.process.kill()
        worker.process.wait()
        worker.broker.connection.release()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[str]:
    """A broker of this test's own, so that what one test leaves is nothing to another."""
    (tmp_path / "r").mkdir()
    process, url = start_redis(tmp_path / "r")
    yield url
    stop([process])


@pytest.mark.parametrize("kind", ["redis", "filesystem"])
def test_a_job_is_answered_and_nothing_of_it_is_in_the_log(
    kind: str, tmp_path: Path, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady], request: Any
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.01)
    place = place.allowing(endpoint.url)
    url = request.getfixturevalue("own_redis") if kind == "redis" else f"filesystem://{tmp_path}/broker"
    worker = start_worker(place, url)
    if kind == "filesystem":
        wait_for_folder(tmp_path / "broker" / "messages")
    job = place.job(endpoint.system)
    worker.broker.send(job)
    reports = worker.wait(ended)
    assert isinstance(reports[0].body, Started)
    assert isinstance(reports[-1].body, Finished)
    assert set(outcomes(reports)) == {(name, i) for name in ("open", "closed") for i in range(30)}
    assert set(endpoint.received().values()) == {1}
    for word in (CANARY, "boat", endpoint.url, job["grant"], "sets", "I count them"):
        assert word not in worker.log, word
    assert job["run"] in worker.log


def wait_for_folder(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.is_dir():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_hostile_messages_are_refused_unread_and_the_worker_lives(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0)
    place = place.allowing(endpoint.url)
    worker = start_worker(place, own_redis)
    send = worker.broker.send
    send("SECRET-1")
    send()
    send(place.job(endpoint.system), "SECRET-2")
    send(place.job(endpoint.system), surprise="SECRET-3")
    send("SECRET-4", task="os.system")
    send("S" * 10_000_000)
    with worker.broker.connection.Producer() as producer:
        about = {"lang": "py", "task": EVALUATE_TASK, "id": "x"}
        for content_type in ("application/x-python-serialize", "application/x-yaml", "text/plain"):
            producer.publish(
                b"SECRET-5",
                content_type=content_type,
                content_encoding="binary",
                headers=about,
                routing_key=evaluate_queue("default"),
            )
        producer.publish({"SECRET-6": 1}, headers={}, routing_key=evaluate_queue("default"))
        producer.publish("SECRET-7", headers=about, routing_key=evaluate_queue("default"))
    send(place.job(endpoint.system))
    reports = worker.wait(ended)
    assert len({report.run for report in reports}) == 1
    assert isinstance(reports[-1].body, Finished)
    assert "SECRET" not in worker.log
    assert "SSSSS" not in worker.log


@pytest.mark.skipif(not jail.available(), reason="bubblewrap does not work here")
def test_a_checkpoint_is_asked_in_the_jail_and_ends_with_its_run(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], tiny_checkpoint: Path
) -> None:
    place = install(tmp_path / "e", n=4)
    shutil.copytree(tiny_checkpoint, place.folder / "checkpoints" / "tiny")
    worker = start_worker(place, own_redis)
    worker.broker.send(place.job({"kind": "checkpoint", "name": "tiny"}))
    reports = worker.wait(ended, seconds=90)
    assert isinstance(reports[-1].body, Finished)
    assert set(outcomes(reports)) == {(name, i) for name in ("open", "closed") for i in range(4)}
    assert next(beat.body.phase for beat in reports if isinstance(beat.body, Progress)) == "loading"
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if mentions(path, str(place.folder))]


def mentions(path: Path, folder: str) -> bool:
    with contextlib.suppress(OSError):
        return folder.encode() in path.read_bytes()
    return False


def test_the_same_message_twice_is_done_once(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0)
    worker = start_worker(place.allowing(endpoint.url), own_redis)
    job = place.job(endpoint.system)
    for _ in range(3):
        worker.broker.send(job)
    worker.wait(lambda reports: worker.log.count("was claimed before") == 2)
    assert sum(isinstance(report.body, Started) for report in worker.reports()) == 1
    assert set(endpoint.received().values()) == {1}


def test_a_killed_worker_loses_nothing_that_was_spooled_and_a_new_token_goes_on(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.3)
    worker = start_worker(place.allowing(endpoint.url), own_redis)
    job = place.job(endpoint.system)
    worker.broker.send(job)
    first = worker.wait(has_some)
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    assert_no_children_of_runs()
    worker.start()
    worker.broker.send(job)  # the site rings again: dropped
    time.sleep(0.5)
    first = worker.wait(lambda reports: "was claimed before" in worker.log)
    done = {name: [i for (own, i) in outcomes(first) if own == name] for name in place.sets}
    again = place.job(endpoint.system, done=done) | {"run": job["run"], "token": 2}
    worker.broker.send(again)
    reports = worker.wait(ended)
    assert isinstance(reports[-1].body, Finished)
    assert set(outcomes(reports)) == {(name, i) for name in place.sets for i in range(30)}
    asked = endpoint.received()
    assert sum(asked.values()) <= 60 + 8 + 4  # in flight when it was killed, answered within the last second


def assert_no_children_of_runs() -> None:
    """No gateway outlives its evaluator."""
    end = time.monotonic() + 10
    while mine := [path for path in Path("/proc").glob("[0-9]*/cmdline") if is_gateway_of_nobody(path)]:
        assert time.monotonic() < end, mine
        time.sleep(0.1)


def is_gateway_of_nobody(path: Path) -> bool:
    with contextlib.suppress(OSError):
        parent = path.with_name("stat").read_text().rpartition(")")[2].split()[1]
        return b"evaluator.hosts.gateway" in path.read_bytes() and parent == "1"
    return False


def test_a_worker_told_to_stop_finishes_the_short_run_and_empties_its_spool(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.2)
    worker = start_worker(place.allowing(endpoint.url), own_redis)
    worker.broker.send(place.job(endpoint.system))
    worker.wait(has_some)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(timeout=30) == 0
    assert isinstance(worker.reports()[-1].body, Finished)
    assert list(place.folder.glob("home/spool/*/*.json")) == []


@pytest.mark.slow
def test_a_worker_told_to_stop_gives_a_long_run_up_within_thirty_seconds(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 2.0)
    worker = start_worker(place.allowing(endpoint.url), own_redis)
    job = place.job(endpoint.system) | {"limits": {"seconds": 600.0, "concurrency": 1}}
    worker.broker.send(job)
    worker.wait(lambda reports: bool(outcomes(reports)))
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(timeout=30) == 0
    reports = worker.reports()
    assert isinstance(reports[-1].body, Failed)
    assert reports[-1].body.code is Code.LOST


def test_a_broker_that_dies_in_the_middle_loses_no_report(
    tmp_path: Path, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.2)
    (tmp_path / "r").mkdir()
    redis, url = start_redis(tmp_path / "r")
    worker = start_worker(place.allowing(endpoint.url), url)
    worker.broker.send(place.job(endpoint.system))
    worker.wait(has_some)
    redis.kill()
    redis.wait()
    spool = place.folder / "home" / "spool"
    wait_until(lambda: sum(endpoint.received().values()) == 60 and "finished: run=" in worker.log)
    assert list(spool.glob("*/*.json"))
    redis, url = start_redis(tmp_path / "r")
    worker.broker.connection.close()
    worker.broker.connection = Broker(url).connection
    reports = worker.wait(ended)
    assert isinstance(reports[-1].body, Finished)
    assert len(outcomes(reports)) == 60
    assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))
    worker.broker.send(place.job(endpoint.system))  # and it takes work again
    worker.wait(lambda reports: sum(isinstance(report.body, Finished) for report in reports) == 2)
    stop([redis])


def wait_until(true: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_left_overs_of_a_worker_without_a_broker_are_published_by_the_next(
    tmp_path: Path, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.2)
    (tmp_path / "r").mkdir()
    redis, url = start_redis(tmp_path / "r")
    worker = start_worker(place.allowing(endpoint.url), url)
    worker.broker.send(place.job(endpoint.system))
    worker.wait(has_some)
    redis.kill()
    redis.wait()
    wait_until(lambda: "finished: run=" in worker.log)
    worker.process.kill()
    worker.process.wait()
    redis, url = start_redis(tmp_path / "r")
    worker.broker.connection.close()
    worker.broker.connection = Broker(url).connection
    worker.start()
    assert len(outcomes(worker.wait(ended))) == 60
    stop([redis])


@pytest.mark.parametrize("name", ["DATABASE_URL", "DJANGO_SETTINGS_MODULE"])
def test_it_refuses_to_start_beside_the_sites_settings(name: str, tmp_path: Path) -> None:
    place = install(tmp_path / "e")
    assert_refuses(place.environ("memory://") | {name: "SECRET-VALUE"}, name)


@pytest.mark.parametrize("name", ["BROKER_URL", "HOLDFAST_HOME", "HOLDFAST_KEYS", "HOLDFAST_SETS"])
def test_it_refuses_to_start_without_a_setting(name: str, tmp_path: Path) -> None:
    environ = install(tmp_path / "e").environ("memory://")
    del environ[name]
    assert_refuses(environ, name)


def test_it_refuses_another_pool(tmp_path: Path) -> None:
    """Prefork is Celery's default, and yields to our setting by itself."""
    assert_refuses(install(tmp_path / "e").environ("memory://"), "--pool must be solo", pool="threads")


def test_it_refuses_a_journal_that_does_not_verify(tmp_path: Path) -> None:
    place = install(tmp_path / "e")
    (place.folder / "home").mkdir()
    (place.folder / "home" / "journal.jsonl").write_text('{"SECRET-VALUE": 1}\n')
    assert_refuses(place.environ("memory://"), "journal_broken")


def assert_refuses(environ: dict[str, str], why: str, *, pool: str = "solo") -> None:
    command = [sys.executable, "-m", "celery", "-A", "evaluator.worker", "worker", "--pool", pool, "-Q", "evaluate.x"]
    ended = subprocess.run(
        command, env=REAL | environ, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "SECRET-VALUE" not in ended.stderr + ended.stdout


def test_sealed_sets_are_found_by_their_manifest(tmp_path: Path) -> None:
    place = install(tmp_path)
    assert sealed_sets(place.folder / "sets") == {"closed": place.folder / "sets" / "closed"}


def test_settings_make_the_folders_of_a_filesystem_broker(tmp_path: Path) -> None:
    made = settings(install(tmp_path / "e").environ(f"filesystem://{tmp_path}/broker"))
    assert (tmp_path / "broker" / "messages").is_dir()
    assert (tmp_path / "broker" / "control").is_dir()
    assert made["worker_pool"] == "solo"
    assert made["task_acks_late"] is False


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    place = install(tmp_path)
    (place.folder / "keys" / "host.key").chmod(0o444)
    with pytest.raises(EvaluatorError) as refused:
        open_host(Config.from_env(place.environ("memory://")), print, stopping=lambda: False)
    assert refused.value.code is Code.KEY_PERMISSIONS


def test_progress_is_live(
    tmp_path: Path, own_redis: str, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.4)
    worker = start_worker(place.allowing(endpoint.url), own_redis)
    worker.broker.send(place.job(endpoint.system) | {"lease_seconds": 3.0})
    worker.wait(has_some)
    reports = worker.wait(ended)
    steps = [report.body.done for report in reports if isinstance(report.body, Progress)]
    assert len(steps) >= 3
    assert steps == sorted(steps)
