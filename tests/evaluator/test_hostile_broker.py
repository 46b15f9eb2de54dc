"""One message that cannot be decoded ends neither evaluator nor recorder, is set aside and counted, and is not logged."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import Connection

from evaluator.broker import celery_settings, quarantined, screening
from evaluator.broker.quarantine import MOST
from evaluator.broker.screening import MAX_MESSAGE_BYTES, Undecodable, screen
from evaluator.contract import EVALUATE_TASK, RECORD_QUEUE, RECORD_TASK, Finished, evaluate_queue
from tests.evaluator.hostile_messages import RAW, broken, envelope
from tests.evaluator.installed import install
from tests.evaluator.worker_process import ROOT, Worker, ended

POOL_QUEUE = evaluate_queue("default")


def client(url: str) -> "redis.Redis[Any]":
    return redis.Redis.from_url(url.replace("redis+socket://", "unix://"))


def wait(
    true: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path, seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < end, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)


# --- what is let through


def test_a_message_of_celerys_own_is_let_through(tmp_path: Path) -> None:
    app = Celery("test")
    app.conf.update(celery_settings(f"filesystem://{tmp_path}/broker"))
    app.send_task(EVALUATE_TASK, args=[{"é": 1}], queue=POOL_QUEUE, expires=30, countdown=2)
    [path] = (tmp_path / "broker" / "messages").glob("*.msg")
    message = screen(path.read_bytes())
    assert json.loads(base64.b64decode(message["body"]))[0] == [{"é": 1}]
    assert message["headers"]["task"] == EVALUATE_TASK
    assert message["headers"]["expires"]


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW.keys())
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        screen(raw)


def test_a_broken_envelope_is_refused_or_rebuilt() -> None:
    refused = 0
    for _, raw in broken(EVALUATE_TASK):
        try:
            message = screen(raw)
        except Undecodable:
            refused += 1
        else:
            assert message["headers"].keys() <= set(screening._Headers.__struct_fields__)
            assert "compression" not in message["headers"]
    assert refused > 150


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary(max_size=300) | _values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(Undecodable):
        screen(raw)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["body", "content-type", "headers", "properties"]),
    _values,
    st.sampled_from(
        [
            "task",
            "id",
            "delivery_tag",
            "delivery_info",
            "eta",
            "retries",
            "priority",
            "body_encoding",
        ]
    ),
    _values,
)
def test_no_envelope_raises_anything_else(field: str, value: Any, inner: str, changed: Any) -> None:
    whole = envelope(EVALUATE_TASK, [])
    for part in ("headers", "properties"):
        for message in (whole | {field: value}, whole | {part: whole[part] | {inner: changed}}):
            try:
                screen(json.dumps(message).encode())
            except Undecodable:
                continue


def test_arguments_may_be_as_large_as_a_message() -> None:
    whole = envelope(EVALUATE_TASK, ["x" * (MAX_MESSAGE_BYTES // 2)])
    assert screen(json.dumps(whole).encode())


# --- the workers


def push_all(url: str, queue: str, task: str) -> int:
    pipe = client(url).pipeline()
    messages = [*RAW.values(), *(raw for _, raw in broken(task))]
    for raw in messages:
        pipe.lpush(queue, raw)
    pipe.execute()
    return len(messages)


def test_the_evaluator_outlives_every_message_on_redis(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Any],
) -> None:
    place = install(tmp_path / "e", n=4)
    endpoint = start_steady(place.all_rows(), 0)
    place = place.allowing(endpoint.url, model="steady", api="completions")
    worker = start_worker(place, own_redis)
    broker = client(own_redis)
    broker.hset("unacked", "bad", b"x")
    broker.zadd("unacked_index", {"bad": 1})
    push_all(own_redis, POOL_QUEUE, EVALUATE_TASK)
    worker.broker.send(place.job(endpoint.system))
    reports = worker.wait(ended)
    assert isinstance(reports[-1].body, Finished)
    assert not broker.llen(POOL_QUEUE)
    count = int(broker.hget("holdfast.quarantine.counts", POOL_QUEUE) or 0)
    assert count > 150
    assert broker.llen("holdfast.quarantine") == MOST
    assert worker.log.count("message quarantined: queue=evaluate.default") == count
    for text in ("11111", "SSSSS", "[[[[[", "an argument"):
        assert text not in worker.log
    app = Celery("test")
    app.conf.update(celery_settings(own_redis))
    assert quarantined(app)[POOL_QUEUE] == count


def test_a_queue_that_is_no_list_is_moved_away(
    tmp_path: Path,
    own_redis: str,
    start_worker: Callable[..., Worker],
    start_steady: Callable[..., Any],
) -> None:
    place = install(tmp_path / "e", n=4)
    endpoint = start_steady(place.all_rows(), 0)
    place = place.allowing(endpoint.url, model="steady", api="completions")
    client(own_redis).set(POOL_QUEUE, "x")
    worker = start_worker(place, own_redis)
    wait(lambda: not client(own_redis).exists(POOL_QUEUE), worker.process, worker.log_path)
    worker.broker.send(place.job(endpoint.system))
    assert isinstance(worker.wait(ended)[-1].body, Finished)


def test_the_evaluator_outlives_every_message_in_a_folder(
    tmp_path: Path, start_worker: Callable[..., Worker], start_steady: Callable[..., Any]
) -> None:
    place = install(tmp_path / "e", n=4)
    endpoint = start_steady(place.all_rows(), 0)
    place = place.allowing(endpoint.url, model="steady", api="completions")
    worker = start_worker(place, f"filesystem://{tmp_path}/broker")
    folder = tmp_path / "broker" / "messages"
    wait(folder.is_dir, worker.process, worker.log_path)
    messages = [*RAW.values(), *(raw for _, raw in broken(EVALUATE_TASK))]
    for number, raw in enumerate(messages):
        (folder / f".{number}").write_bytes(raw)
        (folder / f".{number}").rename(folder / f"0{number:04d}.{POOL_QUEUE}.msg")
    (folder / f"1.{POOL_QUEUE}.msg").mkdir()
    (folder / f"2.{POOL_QUEUE}.msg").symlink_to("/dev/zero")
    os.mkfifo(folder / f"3.{POOL_QUEUE}.msg")
    worker.broker.send(place.job(endpoint.system))
    assert isinstance(worker.wait(ended)[-1].body, Finished)
    count = int((tmp_path / "broker" / "quarantine" / f"{POOL_QUEUE}.count").read_text())
    assert count > 150
    assert len(list((tmp_path / "broker" / "quarantine").glob("*.bad"))) <= MOST
    assert worker.log.count("message quarantined: queue=evaluate.default") == count
    assert "an argument" not in worker.log


def test_a_table_of_queues_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    about = celery_settings(f"filesystem://{tmp_path}/broker")
    (tmp_path / "broker" / "control" / "celery.exchange").write_text("x")
    with Connection(
        about["broker_url"], transport_options=about["broker_transport_options"]
    ) as connection:
        connection.channel()._queue_bind("celery", "celery", "", "celery")
        assert [row.queue for row in connection.channel().get_table("celery")] == ["celery"]


def test_a_long_message_is_not_read_into_memory(own_redis: str, tmp_path: Path) -> None:
    """A hundred MiB on the queue: what comes back is its beginning, and the connection goes on in step."""
    broker = client(own_redis)
    broker.lpush("q", b"S" * (100 << 20))
    broker.lpush("q", json.dumps(envelope("t", [])).encode())
    script = (
        "import resource,sys\nfrom kombu import Connection\nfrom evaluator.broker import celery_settings\n"
        "c = Connection(celery_settings(sys.argv[1])['broker_url']).channel()\nc.client.ping()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert c._get('q')['headers']['task'] == 't'\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, c.quarantined())\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, own_redis],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    grown, counts = done.stdout.split(" ", 1)
    assert int(grown) < 40_000, done.stdout  # KiB
    assert counts.strip() == "{'q': 1}"


def test_the_recorder_outlives_every_message(
    tmp_path: Path, own_redis: str, postgres_url: str
) -> None:
    log = tmp_path / "recorder.log"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "leaderboard.celery",
        "worker",
        "-Q",
        RECORD_QUEUE,
        "--pool",
        "solo",
    ]
    env = {
        **os.environ,
        "BROKER_URL": own_redis,
        "DATABASE_URL": postgres_url,
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "-l", "info"], env=env, cwd=ROOT, stdout=file, stderr=file
        )
    try:
        push_all(own_redis, RECORD_QUEUE, RECORD_TASK)
        last = json.dumps(
            envelope(RECORD_TASK, [1, 2], headers={"task": RECORD_TASK, "id": "the-last"})
        )
        client(own_redis).lpush(RECORD_QUEUE, last)
        wait(lambda: not client(own_redis).llen(RECORD_QUEUE), process, log)
        wait(lambda: "refused a report: arguments" in log.read_text(errors="replace"), process, log)
        assert int(client(own_redis).hget("holdfast.quarantine.counts", RECORD_QUEUE) or 0) > 150
        assert "an argument" not in log.read_text(errors="replace")
    finally:
        process.kill()
        process.wait()
