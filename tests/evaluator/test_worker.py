"""The worker as a real process on a real broker."""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.programs import Process
from demo.services import start_redis, stop
from evaluator import jail
from evaluator.contract import (
    EVALUATE_TASK,
    Declined,
    Failed,
    Finished,
    OutOfService,
    Progress,
    Started,
    evaluate_queue,
)
from evaluator.errors import Code
from tests.evaluator.endpoints import Steady
from tests.evaluator.installed import CANARY, install, outcomes
from tests.evaluator.worker_process import Broker, Worker, ended, has_some


@pytest.mark.parametrize("kind", ["redis", "filesystem"])
def test_a_job_is_answered_and_nothing_of_it_is_in_the_log(
    kind: str,
    tmp_path: Path,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
    request: Any,
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.01)
    place = place.allowing(endpoint.url, model="steady", api="completions")
    url = (
        request.getfixturevalue("own_redis")
        if kind == "redis"
        else f"filesystem://{tmp_path}/broker"
    )
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
    assert [one.name for one in worker.announcements()[0].sets] == ["closed", "open"]


def wait_for_folder(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.is_dir():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_hostile_messages_are_refused_unread_and_the_worker_lives(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0)
    place = place.allowing(endpoint.url, model="steady", api="completions")
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
@pytest.mark.slow
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
    assert not [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if mentions(path, str(place.folder))
    ]


def mentions(path: Path, folder: str) -> bool:
    with contextlib.suppress(OSError):
        return folder.encode() in path.read_bytes()
    return False


def test_the_same_message_twice_is_done_once(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0)
    worker = start_worker(
        place.allowing(endpoint.url, model="steady", api="completions"), own_redis
    )
    job = place.job(endpoint.system)
    for _ in range(3):
        worker.broker.send(job)
    reports = worker.wait(
        lambda reports: sum(isinstance(report.body, Failed) for report in reports) == 2
    )
    assert sum(isinstance(report.body, Started) for report in reports) == 1
    assert set(endpoint.received().values()) == {1}
    # What it says of the second and third comes behind the first one's end, in the name of other workers.
    finished = next(
        place for place, report in enumerate(reports) if isinstance(report.body, Finished)
    )
    assert [report.body for report in reports[finished + 1 :]] == [Failed(code=Code.LOST)] * 2
    assert len({report.worker for report in reports}) == 3


def test_a_killed_worker_loses_nothing_that_was_spooled_and_a_new_token_goes_on(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.3)
    worker = start_worker(
        place.allowing(endpoint.url, model="steady", api="completions"), own_redis
    )
    job = place.job(endpoint.system)
    worker.broker.send(job)
    first = worker.wait(has_some)
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    assert_no_children_of_runs()
    worker.start()
    worker.broker.send(job)  # the site sends the job again: that attempt is over
    first = worker.wait(
        lambda reports: any(report.body == Failed(code=Code.LOST) for report in reports)
    )
    done = {name: [i for (own, i) in outcomes(first) if own == name] for name in place.sets}
    again = place.job(endpoint.system, done=done) | {"run": job["run"], "token": 2}
    worker.broker.send(again)
    reports = worker.wait(
        lambda reports: any(isinstance(report.body, Finished) for report in reports)
    )
    assert set(outcomes(reports)) == {(name, i) for name in place.sets for i in range(30)}
    asked = endpoint.received()
    assert (
        sum(asked.values()) <= 60 + 8 + 4
    )  # in flight when it was killed, answered within the last second


def assert_no_children_of_runs() -> None:
    """No gateway outlives its evaluator."""
    end = time.monotonic() + 10
    while mine := [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if is_orphaned_gateway(path)
    ]:
        assert time.monotonic() < end, mine
        time.sleep(0.1)


def is_orphaned_gateway(path: Path) -> bool:
    with contextlib.suppress(OSError):
        parent = path.with_name("stat").read_text().rpartition(")")[2].split()[1]
        return b"evaluator.hosts.gateway" in path.read_bytes() and parent == "1"
    return False


@pytest.mark.slow
def test_a_worker_that_is_to_stop_finishes_the_short_run_and_empties_its_spool(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.8)
    worker = start_worker(
        place.allowing(endpoint.url, model="steady", api="completions"), own_redis
    )
    worker.broker.send(place.job(endpoint.system) | {"lease_seconds": 30.0})
    worker.wait(has_some)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(timeout=30) == 0
    assert isinstance(worker.reports()[-1].body, Finished)
    assert list(place.folder.glob("home/spool/*/*.json")) == []


@pytest.mark.slow
def test_a_worker_that_is_to_stop_ends_a_long_run_within_thirty_seconds(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 2.0)
    worker = start_worker(
        place.allowing(endpoint.url, model="steady", api="completions"), own_redis
    )
    job = place.job(endpoint.system) | {"limits": {"seconds": 600.0, "concurrency": 1}}
    worker.broker.send(job)
    worker.wait(lambda reports: bool(outcomes(reports)))
    worker.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 30
    while worker.process.poll() is None:  # its lease is renewed meanwhile
        worker.reports()
        assert time.monotonic() < end
        time.sleep(0.1)
    assert worker.process.returncode == 0
    reports = worker.reports()
    assert isinstance(reports[-1].body, Failed)
    assert reports[-1].body.code is Code.HANDED_BACK


@pytest.mark.slow
def test_a_drained_worker_finishes_its_run_takes_no_other_and_says_so(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    """By SIGUSR1. It would have handed the run back had it been told to stop."""
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.3)
    worker = start_worker(
        place.allowing(endpoint.url, model="steady", api="completions"), own_redis
    )
    slow = {"limits": {"seconds": 600.0, "concurrency": 4}, "lease_seconds": 3.0}
    worker.broker.send(place.job(endpoint.system) | slow)
    worker.wait(lambda reports: bool(outcomes(reports)))
    worker.process.send_signal(signal.SIGUSR1)
    reports = worker.wait(ended)
    assert isinstance(reports[-1].body, Finished)
    worker.broker.send(place.job(endpoint.system))
    reports = worker.wait(lambda reports: isinstance(reports[-1].body, Declined))
    assert reports[-1].body == Declined(code=Code.OUT_OF_SERVICE)
    assert worker.announcements()[-1].out_of_service is OutOfService.STOPPING
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(timeout=30) == 0


@pytest.fixture
def bereft(
    tmp_path: Path, start_worker: Callable[..., Worker], start_steady: Callable[..., Steady]
) -> tuple[Worker, Steady]:
    """A worker whose broker has died in the middle of a run, and the endpoint that it is asking."""
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.2)
    (tmp_path / "r").mkdir()
    redis, url = start_redis(tmp_path / "r")
    worker = start_worker(place.allowing(endpoint.url, model="steady", api="completions"), url)
    worker.broker.send(place.job(endpoint.system))
    worker.wait(has_some)
    redis.kill()
    redis.wait()
    return worker, endpoint


def new_broker(worker: Worker, tmp_path: Path) -> Process:
    """Another broker at the same place, empty, and the site's side connected to it."""
    redis, url = start_redis(tmp_path / "r")
    worker.broker.connection.close()
    worker.broker.connection = Broker(url).connection
    return redis


@pytest.mark.slow
def test_a_broker_that_dies_in_the_middle_loses_no_report(
    tmp_path: Path, bereft: tuple[Worker, Steady]
) -> None:
    worker, endpoint = bereft
    place = worker.place
    spool = place.folder / "home" / "spool"
    wait_until(lambda: sum(endpoint.received().values()) == 60 and "finished: run=" in worker.log)
    assert list(spool.glob("*/*.json"))
    redis = new_broker(worker, tmp_path)
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


@pytest.mark.slow
def test_left_overs_of_a_worker_without_a_broker_are_published_by_the_next(
    tmp_path: Path, bereft: tuple[Worker, Steady]
) -> None:
    worker, _ = bereft
    wait_until(lambda: "finished: run=" in worker.log)
    worker.process.kill()
    worker.process.wait()
    redis = new_broker(worker, tmp_path)
    worker.start()
    assert len(outcomes(worker.wait(ended))) == 60
    stop([redis])


def test_progress_is_live(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.4)
    worker = start_worker(
        place.allowing(endpoint.url, model="steady", api="completions"), own_redis
    )
    worker.broker.send(place.job(endpoint.system) | {"lease_seconds": 3.0})
    worker.wait(has_some)
    reports = worker.wait(ended)
    steps = [report.body.done for report in reports if isinstance(report.body, Progress)]
    assert len(steps) >= 3
    assert steps == sorted(steps)
