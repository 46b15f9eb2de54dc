"""A whole installation with two evaluators in one pool, and the figures that a fault may not change."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation, Process, free_port
from demo.services import EmbeddedPostgres, start_redis, stop
from evaluator.contract import endpoint_queue, evaluate_queue
from tests.acceptance.conftest import ONE_BLOCK, PAIR, UNBOUNDED, Endpoint, House, run_client
from tests.evaluator.processes import alive, cmdline, descendants
from tests.faults import audit
from tests.faults.failpoints import copy_source
from tests.planting import Fault

ROWS = (public_set()[:60], private_set()[:60])
TOTAL = 120
IN_FLIGHT = 4
LATENCY = 0.2
EVALUATORS = ("evaluator", "second")
REDISPATCH_SECONDS = 6
ENDPOINT_RUNS = 2
"""Endpoints that an evaluator carries at once: few, so that runs have to wait for a place."""
JOB_QUEUES = (evaluate_queue("default"), endpoint_queue("first"), endpoint_queue("second"))
"""Queues to the evaluators: weights of the pool, and the endpoints of each."""


UNDER_WAY = ("queued", "leased", "running")


class NobodyBusy(Exception):
    """A fault was to strike a busy evaluator, and every run has ended meanwhile."""


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
    source: Path
    temporary: Path
    """Folder of the programs' temporary files, which is theirs alone."""
    undisturbed: dict[str, bytes] = field(default_factory=dict)
    undisturbed_run: str = ""

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
        """The evaluator that has a model server running.

        Raises `NobodyBusy` where no run is under way.
        """

        def found() -> str | None:
            if name := next((name for name in EVALUATORS if self.servers(name)), None):
                return name
            if not self.house.query(f"SELECT 1 FROM submissions_run WHERE state IN {UNDER_WAY}"):
                raise NobodyBusy
            return None

        return wait_for(found)

    def servers(self, name: str) -> list[int]:
        """The processes of model servers below an evaluator."""
        children = descendants(self.pid(name))
        return [pid for pid, _ in children if "evaluator.hosts" in cmdline(pid) and alive(pid)]

    @contextmanager
    def held(self, *names: str) -> Iterator[None]:
        """Hold programs while a block runs: messages to them wait in their queues."""
        pids = [self.pid(name) for name in names]
        for pid in pids:
            os.killpg(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.killpg(pid, signal.SIGCONT)

    def restart_broker(self) -> None:
        self.broker, _ = start_redis(self.folder / "redis")

    @property
    def redis(self) -> "redis.Redis":
        return redis.Redis(unix_socket_path=str((self.folder / "redis" / "redis.sock").resolve()))

    def stop_database(self) -> None:
        """Stop PostgreSQL as its ``immediate`` mode does: no checkpoint, every connection is cut."""
        pid = self.database_pid()
        os.kill(pid, signal.SIGQUIT)
        wait_for(lambda: not alive(pid))

    def database_pid(self) -> int:
        return int((self.postgres.folder / "postmaster.pid").read_text().split()[0])

    def start_database(self) -> None:
        self.postgres.start()

    def copy_database(self) -> Path:
        """Return a physical copy of the database's folder, as a replica has it at this moment."""
        copy = self.folder / f"replica-{uuid.uuid4().hex[:8]}"
        command = ["pg_basebackup", "--dbname", self.postgres.url, "--pgdata", str(copy)]
        run_client(*command, "--wal-method=stream", "--checkpoint=fast")
        for lock in copy.glob(".s.PGSQL.*"):  # it names a process that is about to end
            lock.unlink()
        owner = self.postgres.folder.stat()
        for path in (copy, *copy.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        return copy

    def fail_over(self, copy: Path) -> None:
        """Lose the database's folder, and start what was copied in its place."""
        self.stop_database()
        shutil.rmtree(self.postgres.folder)
        copy.rename(self.postgres.folder)
        self.start_database()

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
def open_fleet(folder: Path, *faults: Fault) -> Iterator[Fleet]:
    """A fleet with everything running, and one run on it that met no fault.

    Its source has failpoints, and ``faults`` where a build is to be broken on purpose.
    """
    source = copy_source(folder / "source", *faults)
    # A socket's path may have 107 characters, and the folder of a test has many.
    temporary = Path(tempfile.mkdtemp(prefix="hf-"))
    os.environ["TMPDIR"] = str(temporary)
    postgres = EmbeddedPostgres(folder / "postgres")
    postgres.settings |= {"max_wal_size": "'96MB'"}
    postgres.start()
    postgres.stop()
    mounts = small_log_disk(postgres)
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
            "HOLDFAST_REDISPATCH_SECONDS": str(REDISPATCH_SECONDS),
            "HOLDFAST_ENDPOINT_RUNS": str(ENDPOINT_RUNS),
        },
    )
    gold = folder / "gold.jsonl"
    prepare.write_rows(gold, [row for rows in ROWS for row in rows])
    mounts += small_disks(place)
    prepare_place(place)
    with psycopg.connect(url, autocommit=True) as connection:
        audit.install(connection.execute)  # type: ignore[arg-type]
    endpoint = start_endpoint(gold)
    place.allow_endpoints([(endpoint.url, "steady")])
    fleet = Fleet(folder, postgres, House(place), broker, endpoint, gold, source, temporary)
    try:
        fleet.begin_all()
        run = fleet.submit("undisturbed")
        fleet.house.ranked(run)
        fleet.undisturbed = fleet.outcomes(run)
        fleet.undisturbed_run = run
        yield fleet
    finally:
        fleet.house.end()
        stop([fleet.broker, fleet.endpoint.process])
        postgres.stop()
        for disk in mounts:
            subprocess.run(["umount", "--lazy", str(disk)], check=False)
        del os.environ["TMPDIR"]
        shutil.rmtree(temporary, ignore_errors=True)


def small_disks(place: Installation) -> list[Path]:
    """Give each evaluator a disk of its own for its state, where this machine lets us; return them."""
    return [home for home in map(place.home_of, EVALUATORS) if mount_small(home, "64m")]


def mount_small(folder: Path, size: str) -> bool:
    """Mount a disk of this size; False where this machine does not let us."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def small_log_disk(postgres: EmbeddedPostgres) -> list[Path]:
    """Give a PostgreSQL that is stopped a small disk for its write-ahead log; return it."""
    disk, log = postgres.folder.parent / "wal", postgres.folder / "pg_wal"
    if not mount_small(disk, "192m"):
        return []
    subprocess.run(["cp", "-a", f"{log}/.", str(disk)], check=True)
    owner = postgres.folder.stat()
    os.chown(disk, owner.st_uid, owner.st_gid)
    shutil.rmtree(log)
    log.symlink_to(disk)
    return [disk]


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
