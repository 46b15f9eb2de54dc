"""Faults of every kind on a running fleet: the score is as without them, and nothing sealed is shown twice.

Identifiers are those of the fault matrix: W workers, E engines, B broker, D database, N network, C clocks and
housekeeping, X users. After each fault every program that has ended is started again, as a supervisor would.

``HOLDFAST_FAULT_SEEDS=5`` lets each fault strike at five moments of its run, drawn by seeds 0 to 4.
"""

import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from evaluator.pipeline.plan import Policy
from tests.faults.fleet import (
    ENDPOINT_RUNS,
    EVALUATORS,
    IN_FLIGHT,
    LATENCY,
    REDISPATCH_SECONDS,
    TOTAL,
    Fleet,
)
from tests.faults.results import FIGURES
from tests.faults.strikes import (
    Fault,
    both_workers_killed,
    broker_drops_connections,
    broker_flushed,
    broker_killed,
    broker_killed_for_long,
    broker_slow,
    column_added,
    connections_cut,
    connections_used_up,
    database_down_for_long,
    database_restarted,
    disk_filled,
    endpoint_drops,
    endpoint_errors,
    endpoint_frozen,
    endpoint_html,
    endpoint_limits,
    endpoint_restarted,
    failpoint,
    hostile_messages,
    lagging_replica,
    log_disk_full,
    messages_thrice,
    model_server_hung,
    model_server_killed,
    model_server_terminated,
    namesake,
    recorder_away,
    recorder_killed,
    recorder_paused,
    reports_reordered,
    row_locked,
    second_recorder,
    site_killed,
    submitted_fifty_times,
    token_of,
    worker_alone_killed,
    worker_few_descriptors,
    worker_killed,
    worker_out_of_memory,
    worker_paused_past_its_lease,
    worker_paused_shortly,
    worker_quit,
    worker_terminated,
    worker_terminated_twice,
)

pytestmark = pytest.mark.faults

LOST = IN_FLIGHT + round(2 * Policy().flush_seconds * IN_FLIGHT / LATENCY)
"""Most questions that a worker takes with it: those in flight, and those whose answer it has not
reported. It reports the latter where it starts again and gets the run; another evaluator cannot.
"""
FIRST, LAST = 10, TOTAL // 2
"""Outcomes, from and to, after which a fault may strike. Those that are left take some seconds."""


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
    Case("W07-worker-out-of-memory", worker_out_of_memory, extra=LOST),
    Case("W08-dies-before-the-exposure", failpoint("W08"), early=True),
    Case("W09-dies-after-the-exposure", failpoint("W09"), early=True),
    Case("W10-dies-before-it-reports-outcomes", failpoint("W10"), extra=LOST),
    Case("W11-recorder-dies-before-it-acknowledges", failpoint("W11"), extra=LOST),
    Case("W12-a-before-the-cohort-is-decided", failpoint("W12-a"), extra=LOST),
    Case("W12-b-before-runs-are-ranked", failpoint("W12-b"), extra=LOST),
    Case("W12-c-before-the-close-is-marked", failpoint("W12-c"), extra=LOST),
    Case("W12-d-before-the-ranking", failpoint("W12-d"), extra=LOST),
    Case("W12-e-before-a-run-is-graded", failpoint("W12-e"), extra=LOST),
    Case("W12-f-after-a-run-is-graded", failpoint("W12-f"), extra=LOST),
    Case("W13-namesake", namesake),
    Case("W20-disk-full", disk_filled, extra=LOST),
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
    Case("B04-messages-thrice", messages_thrice, extra=TOTAL + LOST),
    Case("B04-messages-thrice-early", messages_thrice, early=True, extra=TOTAL + LOST),
    Case("B05-reports-reordered", reports_reordered),
    Case("B08-connections-dropped", broker_drops_connections, extra=LOST),
    Case("B09-broker-slow", broker_slow, extra=LOST),
    Case("B10-hostile-messages", hostile_messages),
    Case("B10-hostile-messages-early", hostile_messages, early=True),
    Case("D01-database-restarted", database_restarted),
    Case("D01-database-restarted-early", database_restarted, early=True),
    Case("D02-database-down-for-long", database_down_for_long),
    Case("D03-connections-cut", connections_cut),
    Case("D05-row-locked", row_locked),
    Case("D06-log-disk-full", log_disk_full, extra=LOST),
    Case("D07-lagging-replica", lagging_replica, extra=TOTAL),
    Case("D08-connections-used-up", connections_used_up, extra=LOST),
    Case("D09-column-added", column_added),
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


def requests_in(fleet: Fleet, before: int) -> int:
    return fleet.received().total() - before


def strikes_after(case: Case, seed: int) -> int:
    """Return the outcomes after which a fault strikes a run that is under way."""
    return FIRST if seed == 0 else random.Random(f"{seed} {case.id}").randrange(FIRST, LAST)


@pytest.mark.parametrize("seed", range(int(os.environ.get("HOLDFAST_FAULT_SEEDS", "1"))))
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_fault(
    fleet: Fleet, case: Case, seed: int, record_property: Callable[[str, object], None]
) -> None:
    if case.early and seed:
        pytest.skip("it strikes right after the submission")
    fleet.begin_all()
    fleet.settle()
    before = fleet.received().total()
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    began = time.monotonic()
    if not case.early:
        fleet.under_way(run, done=strikes_after(case, seed))
    case.fault(fleet, run)
    end = fleet.ends(run)
    if case.fault is endpoint_restarted:
        before = 0
    figures = {
        "fault": case.id,
        "seed": seed,
        "state": end["state"],
        "code": end.get("code") or "",
        "attempts": token_of(fleet, run),
        "longest s": round(time.monotonic() - began, 1),
        "requests": requests_in(fleet, before),
        "revealed": fleet.revealed(run),
        "shown twice": fleet.shown_twice(run),
        "equal": fleet.outcomes(run) == fleet.undisturbed,
    }
    record_property(FIGURES, figures)
    assert fleet.shown_twice(run) == 0
    assert end["state"] == "ranked"
    assert fleet.outcomes(run) == fleet.undisturbed
    assert requests_in(fleet, before) <= TOTAL + case.extra


def test_w16_a_poisoned_item_ends_its_run(fleet: Fleet) -> None:
    """W16: an item on which the endpoint hangs up each time costs its run, after few attempts, and no other run."""
    fleet.endpoint.post("/poison?question=7")
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    end = fleet.ends(run, seconds=240)
    fleet.endpoint.post("/poison?question=0")
    assert end["state"] == "failed"
    assert token_of(fleet, run) <= 5
    other = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    assert fleet.ends(other)["state"] == "ranked"


def test_b01_broker_restarted_while_idle(fleet: Fleet) -> None:
    """Nobody has sent anything for a while, and the next run goes as if nothing had happened."""
    fleet.begin_all()
    fleet.settle()
    fleet.broker.kill()
    fleet.broker.wait()
    fleet.restart_broker()
    before = fleet.received().total()
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    assert fleet.ends(run)["state"] == "ranked"
    assert fleet.outcomes(run) == fleet.undisturbed
    assert (token_of(fleet, run), requests_in(fleet, before)) == (1, TOTAL)


def is_away(state: dict[str, Any]) -> bool:
    return (state["held_up"] or {}).get("code") == "evaluator_away"


def test_o01_evaluators_without_their_keys(fleet: Fleet) -> None:
    """Runs wait, with the reason on their pages, and begin once the keys are there again."""
    fleet.begin_all()
    fleet.settle()
    place = fleet.house.place
    keys = [place.keys_of(name) / "host.key" for name in EVALUATORS]
    for name, key in zip(EVALUATORS, keys, strict=True):
        fleet.house.kill(name)
        key.rename(key.with_suffix(".away"))
    try:
        for name in EVALUATORS:
            assert fleet.start(name).wait(60) == 2
            assert "key_unreadable" in (place.folder / "logs" / f"{name}.log").read_text()
        run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
        fleet.house.wait(run, is_away)
    finally:
        for key in keys:
            key.with_suffix(".away").rename(key)
    assert fleet.ends(run)["state"] == "ranked"
    assert fleet.outcomes(run) == fleet.undisturbed
    assert token_of(fleet, run) == 1


def test_w17_an_item_slower_than_ten_leases(fleet: Fleet) -> None:
    """An evaluator that waits for an endpoint keeps its run: nobody else begins it."""
    fleet.begin_all()
    run = fleet.submit(f"f-{uuid.uuid4().hex[:8]}")
    fleet.under_way(run)
    seconds = round(10 * fleet.house.place.lease_seconds) + 2
    fleet.endpoint.post(f"/fail?seconds={seconds}&kind=freeze")
    assert fleet.ends(run, seconds=seconds + 120)["state"] == "ranked"
    assert fleet.outcomes(run) == fleet.undisturbed
    assert token_of(fleet, run) == 1


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
    """Eight runs for four places wait longer than a message lasts: none is begun by two evaluators.

    A machine that is busy may let a lease lapse. Such a run has one attempt more, which may ask
    again what the lost one had in flight or had not reported, and no other item.
    """
    fleet.begin_all()
    before = fleet.received().total()
    runs = [fleet.submit(f"f-{uuid.uuid4().hex[:8]}") for _ in range(2 * ENDPOINT_RUNS * 2)]
    for run in runs:
        end = fleet.ends(run, seconds=240)
        assert end["state"] == "ranked", end
    time.sleep(REDISPATCH_SECONDS + 2)
    again = requests_in(fleet, before) - len(runs) * TOTAL
    lost = sum(token_of(fleet, run) - 1 for run in runs)
    assert 0 <= again <= LOST * lost
    assert [fleet.shown_twice(run) for run in runs] == [0] * len(runs)
    assert all(fleet.outcomes(run) == fleet.undisturbed for run in runs)


def cancel(fleet: Fleet, run: str) -> None:
    fleet.house.place.post(f"/api/v1/runs/{run}/cancel", {}, token=fleet.house.token)
