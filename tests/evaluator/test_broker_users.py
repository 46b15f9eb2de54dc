"""Users of the broker in ``deploy/redis``: each program works as its own, and reads no other's queue."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Queue

from demo.services import has_redis, start_redis, stop
from evaluator.broker import celery_settings, quarantined
from evaluator.contract import (
    EVALUATE_TASK,
    RECORD_QUEUE,
    RECORD_TASK,
    endpoint_queue,
    evaluate_queue,
    journal_queue,
    lease_queue,
)
from evaluator.contract.probes import probe_queue
from tests.evaluator.endpoints import Steady
from tests.evaluator.installed import install
from tests.evaluator.worker_process import ROOT, Broker, Worker, ended

USERS = ROOT / "deploy" / "redis" / "users.acl"
EVALUATOR = "evaluator-1"
POOL = evaluate_queue("default")
OWN = (lease_queue(EVALUATOR, 0), probe_queue(EVALUATOR), endpoint_queue(EVALUATOR))
QUEUES = ("record", "rankings", "housekeeping", "notifications")


class Guarded:
    """Redis with the users of ``deploy/``; each has its own name as password."""

    def __init__(self, folder: Path) -> None:
        lines = []
        for line in USERS.read_text().splitlines():
            _, user, *rules = line.split()
            password = [f">{user}"] if "on" in rules else []
            lines.append(" ".join(["user", user, *password, *rules]))
        acl = folder / "users.acl"
        acl.write_text("\n".join(lines) + "\n")
        self.process, self._url = start_redis(folder, "--aclfile", str(acl))

    def url(self, user: str) -> str:
        return self._url.replace("://", f"://{user}:{user}@")

    def client(self, user: str) -> "redis.Redis[Any]":
        return redis.Redis.from_url(self.url(user).replace("redis+socket", "unix"))

    def denied(self) -> list[Any]:
        """What any user was refused so far."""
        return list(self.client("operator").acl_log())


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if not has_redis():
        pytest.skip("redis-server is not installed: run `sh tests/install-tools.sh`")
    guarded = Guarded(tmp_path_factory.mktemp("guarded"))
    yield guarded
    stop([guarded.process])


@pytest.fixture
def guarded(broker: Guarded) -> Guarded:
    """The same broker, with an empty list of what was denied."""
    broker.client("operator").acl_log_reset()
    return broker


def app_of(url: str, reader: str = "") -> Celery:
    app = Celery("test", amqp="evaluator.broker:Amqp")
    app.conf.update(celery_settings(url, reader=reader))
    return app


def allowed(client: "redis.Redis[Any]", user: str, *command: str) -> bool:
    return client.execute_command("ACL", "DRYRUN", user, *command) == b"OK"


@pytest.mark.slow
def test_a_worker_does_a_run_as_its_own_user(
    guarded: Guarded,
    tmp_path: Path,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Steady],
) -> None:
    place = install(tmp_path / "e")
    endpoint = start_steady(place.all_rows(), 0.01)
    place = place.allowing(endpoint.url, model="steady", api="completions")
    worker = start_worker(place, guarded.url(EVALUATOR))
    worker.broker = Broker(guarded.url("recorder"))
    guarded.client("operator").lpush(journal_queue(EVALUATOR), "no message")
    worker.broker.send(place.job(endpoint.system), queue=endpoint_queue(EVALUATOR))
    worker.wait(ended)
    worker.broker.send(job := place.job(endpoint.system))
    worker.wait(lambda reports: ended([one for one in reports if one.run == job["run"]]))
    worker.process.terminate()
    worker.process.wait(20)
    assert guarded.denied() == []
    assert quarantined(app_of(guarded.url("site"))) == {journal_queue(EVALUATOR): 1}


def test_the_site_sends_and_the_recorder_reads(guarded: Guarded) -> None:
    site = app_of(guarded.url("site"))
    for queue in (*QUEUES, POOL, *OWN):
        site.send_task(RECORD_TASK, args=[queue], queue=queue, expires=60, retry=False)
    recorder = app_of(guarded.url("recorder"))
    recorder.send_task(EVALUATE_TASK, args=[1], queue=journal_queue(EVALUATOR), retry=False)
    taken = []
    with recorder.connection_for_read() as connection:
        queues = [Queue(name, routing_key=name) for name in QUEUES]
        with connection.Consumer(queues, callbacks=[lambda body, message: taken.append(message)]):
            while len(taken) < len(QUEUES):
                connection.drain_events(timeout=10)
            taken.pop().ack()
            taken.pop().requeue()
    assert guarded.denied() == []


def test_an_evaluator_reads_only_what_is_sent_to_it(guarded: Guarded) -> None:
    client = guarded.client("operator")
    others = (*QUEUES, journal_queue("evaluator-10"), lease_queue("evaluator-10", 0), "unacked")
    for key in (*others, "unacked.evaluator-10", "_kombu.binding.record"):
        for command in (("BRPOP", key, "0"), ("RPOP", key), ("DEL", key), ("HGET", key, "a")):
            assert not allowed(client, EVALUATOR, *command), command
        assert not allowed(client, EVALUATOR, "RENAME", key, POOL)
    assert not allowed(client, EVALUATOR, "SADD", "_kombu.binding.record", POOL)
    assert not allowed(client, EVALUATOR, "LPUSH", journal_queue("evaluator-10"), "a")
    for command in (("KEYS", "*"), ("MONITOR",), ("FLUSHALL",), ("ACL", "LIST"), ("SCAN", "0")):
        for user in (EVALUATOR, "site", "recorder"):
            assert not allowed(client, user, *command), (user, command)
    assert allowed(client, EVALUATOR, "LPUSH", RECORD_QUEUE, "a")
    assert allowed(client, EVALUATOR, "BRPOP", journal_queue(EVALUATOR), POOL, "0")


def test_the_site_reads_no_queue_and_the_recorder_none_of_an_evaluator(guarded: Guarded) -> None:
    client = guarded.client("operator")
    for key in (RECORD_QUEUE, POOL, "unacked", journal_queue(EVALUATOR)):
        assert not allowed(client, "site", "BRPOP", key, "0")
    for key in (POOL, journal_queue(EVALUATOR), f"unacked.{EVALUATOR}"):
        assert not allowed(client, "recorder", "BRPOP", key, "0")
        assert not allowed(client, "recorder", "HGET", key, "a")


def test_nobody_is_let_in_before_a_password_is_set() -> None:
    for line in USERS.read_text().splitlines():
        assert "nopass" not in line and " >" not in line and " #" not in line
    assert USERS.read_text().startswith("user default off\n")


def test_doctor_reads_the_brokers_clock(guarded: Guarded) -> None:
    with Connection(guarded.url(EVALUATOR)) as connection:
        assert connection.default_channel.client.time()
    assert guarded.denied() == []
