"""Faults that strike a running fleet, each a function of the fleet and of a run that is under way.

A fault mends what it broke, but for programs that have ended: those are started again by the test.
"""

import contextlib
import os
import random
import resource
import signal
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.evaluator.processes import alive
from tests.faults.failpoints import arm
from tests.faults.fleet import EVALUATORS, IN_FLIGHT, JOB_QUEUES, Fleet, wait_for

Fault = Callable[[Fleet, str], None]


def token_of(fleet: Fleet, run: str) -> int:
    return int(fleet.house.query("SELECT token FROM submissions_run WHERE id = %s", run)[0][0])


# --- workers


def worker_killed(fleet: Fleet, run: str) -> None:
    os.killpg(fleet.pid(fleet.busy()), signal.SIGKILL)


def worker_alone_killed(fleet: Fleet, run: str) -> None:
    os.kill(fleet.pid(fleet.busy()), signal.SIGKILL)


def both_workers_killed(fleet: Fleet, run: str) -> None:
    for name in EVALUATORS:
        os.killpg(fleet.pid(name), signal.SIGKILL)


def worker_paused_past_its_lease(fleet: Fleet, run: str) -> None:
    pid = fleet.pid(fleet.busy())
    token = token_of(fleet, run)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: token_of(fleet, run) > token)
    finally:
        os.kill(pid, signal.SIGCONT)


def worker_paused_shortly(fleet: Fleet, run: str) -> None:
    pid = fleet.pid(fleet.busy())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)


def worker_terminated(fleet: Fleet, run: str) -> None:
    os.kill(fleet.pid(fleet.busy()), signal.SIGTERM)


def worker_terminated_twice(fleet: Fleet, run: str) -> None:
    pid = fleet.pid(fleet.busy())
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    os.kill(pid, signal.SIGTERM)


def worker_quit(fleet: Fleet, run: str) -> None:
    os.kill(fleet.pid(fleet.busy()), signal.SIGQUIT)


def worker_few_descriptors(fleet: Fleet, run: str) -> None:
    """The busy evaluator can open nothing more, until it is started anew."""
    name = fleet.busy()
    pid = fleet.pid(name)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (12, 12))
    time.sleep(3)
    os.killpg(pid, signal.SIGKILL)


def failpoint(name: str) -> Fault:
    """The next program that comes by a failpoint dies there."""

    def dies(fleet: Fleet, run: str) -> None:
        arm(fleet.source, name)

    return dies


def worker_out_of_memory(fleet: Fleet, run: str) -> None:
    """The kernel ends the busy evaluator's main process: it may have no page of memory more."""
    pid = fleet.pid(fleet.busy())
    groups = Path("/sys/fs/cgroup/memory")
    limit = "memory.limit_in_bytes"
    if not groups.is_dir():
        groups, limit = Path("/sys/fs/cgroup"), "memory.max"
    group = groups / f"holdfast-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / limit).write_text("0")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as refused:
        pytest.skip(f"no control group for memory may be made here: {refused}")
    wait_for(lambda: not alive(pid))
    wait_for(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def namesake(fleet: Fleet, run: str) -> None:
    """A second process with the name, the keys and the folder of the busy evaluator."""
    second = fleet.start(fleet.busy())
    time.sleep(4)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()


def disk_filled(fleet: Fleet, run: str) -> None:
    """The busy evaluator's disk has no room for nine seconds."""
    home = fleet.house.place.home_of(fleet.busy())
    if not os.path.ismount(home):
        pytest.skip("no tmpfs may be mounted here")
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    time.sleep(9)
    filler.unlink()


# --- model servers


def model_server_killed(fleet: Fleet, run: str) -> None:
    for pid in fleet.servers(fleet.busy()):
        os.kill(pid, signal.SIGKILL)


def model_server_terminated(fleet: Fleet, run: str) -> None:
    for pid in fleet.servers(fleet.busy()):
        os.kill(pid, signal.SIGTERM)


def model_server_hung(fleet: Fleet, run: str) -> None:
    for pid in fleet.servers(fleet.busy()):
        os.kill(pid, signal.SIGSTOP)


# --- broker


def broker_killed(fleet: Fleet, run: str) -> None:
    fleet.broker.kill()
    fleet.broker.wait()
    time.sleep(1)
    fleet.restart_broker()


def broker_killed_for_long(fleet: Fleet, run: str) -> None:
    """Longer than a lease: the attempt has to stop, and another one goes on."""
    fleet.broker.kill()
    fleet.broker.wait()
    time.sleep(9)
    fleet.restart_broker()


def broker_drops_connections(fleet: Fleet, run: str) -> None:
    """The broker accepts each connection and ends it one to three seconds later."""
    chance = random.Random(run)
    end = time.monotonic() + 15
    while time.monotonic() < end:
        time.sleep(chance.uniform(1, 3))
        fleet.redis.client_kill_filter(skipme=True)


def broker_slow(fleet: Fleet, run: str) -> None:
    """Four times the broker answers no command for five seconds."""
    for _ in range(4):
        fleet.redis.client_pause(5000)
        fleet.redis.ping()  # answered when the pause is over


def broker_flushed(fleet: Fleet, run: str) -> None:
    fleet.redis.flushall()


def messages_thrice(fleet: Fleet, run: str) -> None:
    """A job and the reports that wait stand in their queues three times.

    Their readers are held meanwhile, for less than a lease. The job is of a run of its own.
    """
    with fleet.held(*EVALUATORS):
        fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
        tripled = eventually(lambda: triple(fleet, *JOB_QUEUES), seconds=2.5)
    with fleet.held("recorder"):
        tripled += eventually(lambda: triple(fleet, "record"), seconds=2.5)
    assert tripled, "no message was there to be delivered again"


def triple(fleet: Fleet, *queues: str) -> int:
    """Add each message that waits to its queue twice more. Returns how many there were."""
    found = 0
    for queue in queues:
        for message in fleet.redis.lrange(queue, 0, -1):
            fleet.redis.lpush(queue, message, message)
            found += 1
    return found


def reports_reordered(fleet: Fleet, run: str) -> None:
    """Reports wait for up to three seconds, and come out in the opposite order."""
    with fleet.held("recorder"):
        eventually(lambda: fleet.redis.llen("record") > 2, seconds=3)
        waiting = fleet.redis.llen("record")
        oldest_first = [fleet.redis.rpop("record") for _ in range(waiting)]
        if oldest_first:
            fleet.redis.rpush("record", *oldest_first)  # the newest is read first


def eventually(happens: Callable[[], int], *, seconds: float) -> int:
    """Return what a function returns once that is not 0, at the latest after some seconds."""
    end = time.monotonic() + seconds
    while not (found := happens()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def hostile_messages(fleet: Fleet, run: str) -> None:
    for queue in (*JOB_QUEUES, "record", "housekeeping", "rankings"):
        fleet.redis.lpush(
            queue, b"x", b"[]", b"{}", b"\x80\x04", b"null", b"9" * 100_000, b'{"body": 1}'
        )
        fleet.redis.lpush(queue, b'{"properties": 3, "body": "e30=", "headers": []}', b"[" * 50_000)


# --- database


def database_restarted(fleet: Fleet, run: str) -> None:
    fleet.stop_database()
    time.sleep(1)
    fleet.start_database()


def database_down_for_long(fleet: Fleet, run: str) -> None:
    fleet.stop_database()
    time.sleep(12)
    fleet.start_database()


def log_disk_full(fleet: Fleet, run: str) -> None:
    """The disk of PostgreSQL's write-ahead log has no room for nine seconds: it stops."""
    disk = (fleet.postgres.folder / "pg_wal").resolve()
    if not os.path.ismount(disk):
        pytest.skip("no tmpfs may be mounted here")
    pid = fleet.database_pid()
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * (1 << 20))
    end = time.monotonic() + 9
    while time.monotonic() < end:
        with contextlib.suppress(psycopg.Error):
            fleet.house.query("SELECT pg_switch_wal()")  # a new file is needed sooner or later
        time.sleep(0.2)
    log = (fleet.postgres.folder / "log").read_text()
    filler.unlink()
    assert "No space left on device" in log
    if not alive(pid):
        fleet.start_database()


def lagging_replica(fleet: Fleet, run: str) -> None:
    """The database is lost, and its replica lacks the newest outcomes and log lines."""
    before = fleet.house.run(run)["done"]
    copy = fleet.copy_database()
    wait_for(lambda: fleet.house.run(run)["done"] > before + IN_FLIGHT)
    fleet.fail_over(copy)


def connections_cut(fleet: Fleet, run: str) -> None:
    url = fleet.house.place.database_url
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(40):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'postgres'"
            )
            time.sleep(0.1)


def row_locked(fleet: Fleet, run: str) -> None:
    """A stranger to the programs holds the run's row for longer than a lease."""
    with psycopg.connect(fleet.house.place.database_url) as connection:
        connection.execute("SELECT 1 FROM submissions_run WHERE id = %s FOR UPDATE", [run])
        time.sleep(7)


def connections_used_up(fleet: Fleet, run: str) -> None:
    """Someone takes every connection that PostgreSQL has, for six seconds."""
    held = []
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            held.append(psycopg.connect(fleet.house.place.database_url))
    time.sleep(6)
    for connection in held:
        connection.close()


def column_added(fleet: Fleet, run: str) -> None:
    """A migration adds a column and an index to the table of runs while they are written."""
    with psycopg.connect(fleet.house.place.database_url, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE submissions_run ADD COLUMN IF NOT EXISTS newer int DEFAULT 0"
        )
        connection.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS newer_index ON submissions_run (newer)"
        )


# --- recorder and site


def recorder_killed(fleet: Fleet, run: str) -> None:
    fleet.house.kill("recorder")


def recorder_away(fleet: Fleet, run: str) -> None:
    """No recorder for longer than a lease."""
    fleet.house.kill("recorder")
    time.sleep(9)


def recorder_paused(fleet: Fleet, run: str) -> None:
    os.killpg(fleet.pid("recorder"), signal.SIGSTOP)
    time.sleep(8)
    os.killpg(fleet.pid("recorder"), signal.SIGCONT)


def site_killed(fleet: Fleet, run: str) -> None:
    fleet.house.kill("site")


def second_recorder(fleet: Fleet, run: str) -> None:
    second = fleet.house.place.start_recorder()
    time.sleep(4)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()


# --- endpoints


def endpoint_errors(fleet: Fleet, run: str) -> None:
    fleet.endpoint.post("/fail?seconds=3&kind=500")


def endpoint_limits(fleet: Fleet, run: str) -> None:
    fleet.endpoint.post("/fail?seconds=3&kind=429")


def endpoint_html(fleet: Fleet, run: str) -> None:
    fleet.endpoint.post("/fail?seconds=2&kind=html")


def endpoint_drops(fleet: Fleet, run: str) -> None:
    fleet.endpoint.post("/fail?seconds=3&kind=drop")


def endpoint_frozen(fleet: Fleet, run: str) -> None:
    fleet.endpoint.post("/fail?seconds=10&kind=freeze")


def endpoint_restarted(fleet: Fleet, run: str) -> None:
    """The endpoint is away for twenty seconds, as a vLLM that is started anew."""
    fleet.endpoint.process.kill()
    fleet.endpoint.process.wait()
    time.sleep(20)
    fleet.start_endpoint()


# --- users


def submitted_fifty_times(fleet: Fleet, run: str) -> None:
    place = fleet.house.place
    order = {"model": f"many-{uuid.uuid4().hex[:6]}", "pair": "twins", "open_weights": False}
    order |= {
        "kind": "endpoint",
        "url": fleet.endpoint.url,
        "served_model": "steady",
        "api": "completions",
    }
    token, key = fleet.house.token, str(uuid.uuid4())
    with ThreadPoolExecutor(16) as pool:
        posts = [
            pool.submit(place.post, "/api/v1/submissions", order, token=token, key=key)
            for _ in range(50)
        ]
        runs = {post.result()["run"] for post in posts}
    assert len(runs) == 1
    assert fleet.ends(runs.pop())["state"] == "ranked"
