"""Faults of every kind on a running fleet: the score is as without them, and nothing sealed is shown twice.

Identifiers are those of the fault matrix: W workers, E engines, B broker, D database, N network, C clocks and
housekeeping, X users. After each fault every program that has ended is started again, as a supervisor would.
"""

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import pytest

from evaluator.pipeline.plan import Policy
from tests.faults.fleet import EVALUATORS, IN_FLIGHT, LATENCY, TOTAL, Fleet, wait_for

pytestmark = pytest.mark.faults

Fault = Callable[[Fleet, str], None]
QUEUE = "evaluate.default"
LOST = IN_FLIGHT + round(2 * Policy().flush_seconds * IN_FLIGHT / LATENCY)
"""Most questions that a worker takes with it: those in flight, and those whose answer it has not
reported. It reports the latter where it starts again and gets the run; another evaluator cannot.
"""


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
    import resource

    name = fleet.busy()
    pid = fleet.pid(name)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (12, 12))
    time.sleep(3)
    os.killpg(pid, signal.SIGKILL)


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


def broker_flushed(fleet: Fleet, run: str) -> None:
    fleet.redis.flushall()


def messages_twice(fleet: Fleet, run: str) -> None:
    """Each message that waits stands in its queue three times, for a while."""
    until = time.monotonic() + 4
    seen: set[bytes] = set()
    while time.monotonic() < until:
        for queue in (QUEUE, "record"):
            for message in fleet.redis.lrange(queue, 0, -1):
                if message not in seen:
                    seen.add(message)
                    fleet.redis.lpush(queue, message, message)
        time.sleep(0.01)


def reports_reordered(fleet: Fleet, run: str) -> None:
    """Reports are held for three seconds and come back in the opposite order."""
    held = []
    until = time.monotonic() + 3
    while time.monotonic() < until:
        message = fleet.redis.rpop("record")
        if message is not None:
            held.append(message)
        time.sleep(0.005)
    for message in held:
        fleet.redis.rpush("record", message)


def hostile_messages(fleet: Fleet, run: str) -> None:
    for queue in (QUEUE, "record", "housekeeping", "rankings"):
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


@dataclass(frozen=True)
class Case:
    """A fault, when it strikes, and by how many requests more than the items it may cost."""

    id: str
    fault: Fault
    early: bool = False
    """It strikes right after the submission rather than when the run is under way."""
    extra: int = 4 * IN_FLIGHT


CASES = [
    Case("W01-worker-killed-alone", worker_alone_killed, extra=LOST),
    Case("W02-worker-killed-with-children", worker_killed, extra=LOST),
    Case("W02-both-workers-killed", both_workers_killed, extra=LOST),
    Case(
        "W03-worker-paused-past-its-lease",
        worker_paused_past_its_lease,
        extra=LOST,
    ),
    Case("W03-worker-paused-shortly", worker_paused_shortly),
    Case("W04-worker-terminated", worker_terminated),
    Case("W05-worker-terminated-twice", worker_terminated_twice),
    Case("W05-worker-quit", worker_quit, extra=LOST),
    Case("W21-few-descriptors", worker_few_descriptors, extra=LOST),
    Case("E06-model-server-terminated", model_server_terminated),
    Case("E10-model-server-killed", model_server_killed),
    Case("E11-model-server-killed-early", model_server_killed, early=True),
    Case("E12-model-server-hung", model_server_hung),
    Case("B02-broker-killed", broker_killed),
    Case("B02-broker-killed-early", broker_killed, early=True),
    Case("B02-broker-killed-for-long", broker_killed_for_long),
    Case("B03-broker-flushed", broker_flushed),
    Case("B03-broker-flushed-early", broker_flushed, early=True),
    Case("B04-messages-thrice", messages_twice),
    Case("B04-messages-thrice-early", messages_twice, early=True),
    Case("B05-reports-reordered", reports_reordered),
    Case("B10-hostile-messages", hostile_messages),
    Case("B10-hostile-messages-early", hostile_messages, early=True),
    Case("D01-database-restarted", database_restarted),
    Case("D01-database-restarted-early", database_restarted, early=True),
    Case("D02-database-down-for-long", database_down_for_long),
    Case("D03-connections-cut", connections_cut),
    Case("D05-row-locked", row_locked),
    Case("C01-second-recorder", second_recorder),
    Case("C02-recorder-killed", recorder_killed),
    Case("C02-recorder-killed-early", recorder_killed, early=True),
    Case("C02-recorder-away", recorder_away),
    Case("C02-recorder-paused", recorder_paused),
    Case("X01-site-killed", site_killed),
    Case("N01-endpoint-500", endpoint_errors),
    Case("N01-endpoint-429", endpoint_limits),
    Case("N02-endpoint-html", endpoint_html),
    Case("N03-endpoint-drops", endpoint_drops),
    Case("N11-endpoint-restarted", endpoint_restarted),
    Case("N12-endpoint-frozen", endpoint_frozen),
    Case("X02-submitted-fifty-times", submitted_fifty_times, extra=TOTAL + 4 * IN_FLIGHT),
]


def token_of(fleet: Fleet, run: str) -> int:
    return int(fleet.house.query("SELECT token FROM submissions_run WHERE id = %s", run)[0][0])


def requests_in(fleet: Fleet, before: int) -> int:
    return fleet.received().total() - before


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_fault(fleet: Fleet, case: Case, record_property: Callable[[str, object], None]) -> None:
    fleet.begin_all()
    fleet.settle()
    before = fleet.received().total()
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    began = time.monotonic()
    if not case.early:
        fleet.under_way(run)
    case.fault(fleet, run)
    end = fleet.ends(run)
    if case.fault is endpoint_restarted:
        before = 0
    figures = {
        "fault": case.id,
        "state": end["state"],
        "code": end.get("code") or "",
        "attempts": token_of(fleet, run),
        "seconds": round(time.monotonic() - began, 1),
        "requests": requests_in(fleet, before),
        "revealed": fleet.revealed(run),
        "shown twice": fleet.shown_twice(run),
        "equal": fleet.outcomes(run) == fleet.undisturbed,
    }
    record_property("said", json.dumps(figures))
    assert fleet.shown_twice(run) == 0
    assert end["state"] == "ranked"
    assert fleet.outcomes(run) == fleet.undisturbed
    assert requests_in(fleet, before) <= TOTAL + case.extra


def test_cancelled_while_running(fleet: Fleet) -> None:
    """After the cancellation at most the questions on their way are asked, and nothing sealed is revealed."""
    fleet.begin_all()
    before = fleet.received().total()
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    fleet.under_way(run)
    cancel(fleet, run)
    time.sleep(1)
    asked, revealed = requests_in(fleet, before), fleet.revealed(run)
    time.sleep(6)
    assert requests_in(fleet, before) - asked <= IN_FLIGHT
    assert fleet.revealed(run) == revealed
    assert requests_in(fleet, before) < TOTAL
    assert fleet.house.run(run)["state"] == "cancelled"


def test_cancelled_while_queued(fleet: Fleet) -> None:
    """A message that comes after its run was cancelled starts nothing."""
    fleet.begin_all()
    for name in EVALUATORS:
        os.killpg(fleet.pid(name), signal.SIGSTOP)
    before = fleet.received().total()
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    time.sleep(1)
    cancel(fleet, run)
    for name in EVALUATORS:
        os.killpg(fleet.pid(name), signal.SIGCONT)
    time.sleep(10)
    assert requests_in(fleet, before) == 0
    assert fleet.exposures(run) == []


def test_a_queue_longer_than_its_messages_last(fleet: Fleet) -> None:
    """Eight runs for two evaluators take longer than a message lasts: each item is asked once."""
    fleet.begin_all()
    before = fleet.received().total()
    runs = [fleet.submit(f"f-{uuid.uuid4().hex[:8]}") for _ in range(8)]
    for run in runs:
        assert fleet.ends(run, seconds=240)["state"] == "ranked"
    time.sleep(8)
    assert requests_in(fleet, before) == 8 * TOTAL
    assert [fleet.shown_twice(run) for run in runs] == [0] * 8
    assert all(fleet.outcomes(run) == fleet.undisturbed for run in runs)


def cancel(fleet: Fleet, run: str) -> None:
    fleet.house.place.post(f"/api/v1/runs/{run}/cancel", {}, token=fleet.house.token)
