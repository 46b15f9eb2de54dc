"""A whole installation with two evaluators in one pool, and the figures that a fault may not change."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation, Process, free_port
from demo.services import EmbeddedPostgres, start_redis, stop
from tests.acceptance.conftest import ONE_BLOCK, PAIR, UNBOUNDED, Endpoint, House
from tests.evaluator.processes import alive, cmdline, descendants

ROWS = (public_set()[:60], private_set()[:60])
TOTAL = 120
IN_FLIGHT = 4
LATENCY = 0.2
EVALUATORS = ("evaluator", "second")


@dataclass(frozen=True)
class Reveal:
    """Line of an evaluator's journal: the sealed items that were revealed for an attempt."""

    evaluator: str
    run: str
    token: int
    items: frozenset[int]


@dataclass
class Fleet:
    """Site, recorder, two evaluators, PostgreSQL, Redis and one steady endpoint, each a real program."""

    folder: Path
    postgres: EmbeddedPostgres
    house: House
    broker: Process
    endpoint: Endpoint
    gold: Path
    undisturbed: dict[str, bytes] = field(default_factory=dict)

    # --- programs

    def begin_all(self) -> None:
        """Start each program that does not run."""
        for name in ("recorder", *EVALUATORS, "site"):
            process = self.house.processes.get(name)
            if process is None or process.poll() is not None:
                self.house.processes[name] = self.start(name)

    def start(self, name: str) -> Process:
        place = self.house.place
        if name in EVALUATORS:
            return place.start_evaluator(name)
        return place.starts[name]()

    def pid(self, name: str) -> int:
        return self.house.processes[name].pid

    def busy(self) -> str:
        """The evaluator that has a model server running."""
        return wait_for(lambda: next((name for name in EVALUATORS if self.servers(name)), None))

    def servers(self, name: str) -> list[int]:
        """The processes of model servers below an evaluator."""
        children = descendants(self.pid(name))
        return [pid for pid, _ in children if "evaluator.hosts" in cmdline(pid) and alive(pid)]

    def restart_broker(self) -> None:
        self.broker, _ = start_redis(self.folder / "redis")

    @property
    def redis(self) -> "redis.Redis":
        return redis.Redis(unix_socket_path=str((self.folder / "redis" / "redis.sock").resolve()))

    def stop_database(self) -> None:
        """Stop PostgreSQL as its ``immediate`` mode does: no checkpoint, every connection is cut."""
        pid = int((self.postgres.folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_for(lambda: not alive(pid))

    def start_database(self) -> None:
        self.postgres.start()

    def start_endpoint(self) -> None:
        port = self.endpoint.url.split(":")[2].split("/")[0]
        self.endpoint = start_endpoint(self.gold, port=port)

    # --- runs

    def submit(self, name: str, **order: Any) -> str:
        return self.house.submit_endpoint(name, self.endpoint, **order)

    def under_way(self, run: str, *, done: int = 10) -> None:
        self.house.wait(
            run, lambda state: state["state"] == "running" and state["done"] >= done, seconds=60
        )

    def ends(self, run: str, *, seconds: float = 120) -> dict[str, Any]:
        """The state in which a run rests: ranked, failed or cancelled.

        Programs that end meanwhile are started again, as systemd does. That happens in this thread:
        a program ends with the thread that started it.
        """

        def rests(state: dict[str, Any]) -> bool:
            self.begin_all()
            return state["state"] in ("ranked", "failed", "cancelled")

        self.begin_all()
        return self.house.wait(run, rests, seconds=seconds)

    def received(self) -> Counter[str]:
        return Counter(self.endpoint.received())

    # --- what may not change

    def settle(self) -> None:
        """Wait until nothing is left of the runs before: a fault may have delayed one past its test."""
        sql = "SELECT count(*) FROM submissions_run WHERE state IN ('queued', 'leased', 'running', 'graded')"
        wait_for(lambda: self.house.query(sql)[0][0] == 0, seconds=180)

    def outcomes(self, run: str) -> dict[str, bytes]:
        """The packed outcomes of a run by set."""
        sql = (
            "SELECT s.name, o.packed FROM submissions_runoutcomes o JOIN benchmarks_itemset s ON s.id = o.item_set_id"
            " WHERE o.run_id = %s"
        )
        return {name: bytes(packed) for name, packed in self.house.query(sql, run)}

    def exposures(self, run: str | None = None) -> list[Reveal]:
        """Each reveal to an endpoint, for one run or for all, from the evaluators' own journals."""
        reveals = []
        for name in EVALUATORS:
            journal = self.house.place.folder / name / "home" / "journal.jsonl"
            for line in journal.read_text().splitlines() if journal.exists() else []:
                entry = json.loads(line)
                if entry["kind"] == "exposure" and run in (None, entry["run"]):
                    reveals.append(Reveal(name, entry["run"], entry["token"], bits(entry["items"])))
        return reveals

    def shown_twice(self, run: str | None = None) -> int:
        """How many sealed items were revealed more than once for one attempt, of one run or of all."""
        counts: Counter[tuple[str, int, int]] = Counter()
        for reveal in self.exposures(run):
            counts.update((reveal.run, reveal.token, item) for item in reveal.items)
        return sum(count - 1 for count in counts.values())

    def revealed(self, run: str) -> int:
        return sum(len(reveal.items) for reveal in self.exposures(run))


def bits(bitmap: str) -> frozenset[int]:
    raw = base64.b64decode(bitmap)
    return frozenset(i for i in range(8 * len(raw)) if raw[i // 8] >> (i % 8) & 1)


def wait_for(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return value


def start_endpoint(gold: Path, *, port: str = "0") -> Endpoint:
    script = str(ROOT / "tests" / "servers" / "steady.py")
    command = [
        sys.executable,
        script,
        "--gold",
        str(gold),
        "--latency",
        str(LATENCY),
        "--port",
        port,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout:
        return Endpoint(process.stdout.readline().decode().strip(), process)


@contextmanager
def open_fleet(folder: Path, *, source: Path = ROOT) -> Iterator[Fleet]:
    """A fleet with everything running, and one run on it that met no fault."""
    postgres = EmbeddedPostgres(folder / "postgres")
    url = postgres.start()
    broker, broker_url = start_redis(folder / "redis")
    place = Installation(
        folder=folder / "house",
        database_url=url,
        broker_url=broker_url,
        port=free_port(),
        source=source,
        settings=UNBOUNDED
        | {
            "HOLDFAST_PRIVATE_ENDPOINTS": "1",
            "HOLDFAST_COHORT_SECONDS": "0.001",
            "HOLDFAST_CONCURRENCY": str(IN_FLIGHT),
            "HOLDFAST_REDISPATCH_SECONDS": "6",
        },
    )
    gold = folder / "gold.jsonl"
    prepare.write_rows(gold, [row for rows in ROWS for row in rows])
    prepare_place(place)
    endpoint = start_endpoint(gold)
    place.allow_endpoints([(endpoint.url, "steady")])
    fleet = Fleet(folder, postgres, House(place), broker, endpoint, gold)
    try:
        fleet.begin_all()
        run = fleet.submit("undisturbed")
        fleet.house.ranked(run)
        fleet.undisturbed = fleet.outcomes(run)
        yield fleet
    finally:
        fleet.house.end()
        stop([fleet.broker, fleet.endpoint.process])
        postgres.stop()


def prepare_place(place: Installation) -> None:
    """Keys of both evaluators, both sets, and what the site knows of them."""
    prepare.make_keys(place, name="first")
    prepare.make_public_set(place, "open", ROWS[0])
    prepare.make_sealed_set(place, "twin", ROWS[1], options=ONE_BLOCK)
    prepare.migrate(place)
    prepare.register_evaluator(place)
    prepare.register_benchmark(
        place, slug=PAIR, title="Twins", public="open", private="twin", protocol="demo-0shot"
    )
    keys = place.folder / "second" / "keys"
    place.engine("keygen", str(keys), "--name", "second")
    home = place.folder / "evaluator" / "home"
    home.mkdir(parents=True, exist_ok=True)
    options = ["--set", str(place.sets / "twin"), "--keys", str(place.keys), "--home", str(home)]
    place.engine("enrol", str(keys / "identity.json"), *options)
    place.manage("register_evaluator", str(keys / "identity.json"))
