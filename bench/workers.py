"""Real evaluators under load: ``python -m bench.workers [--runs 2000] [--evaluators 8]``.

Starts the site, the recorder, a PostgreSQL, a Redis and the evaluators of one pool, each a program
of its own, and submits runs of an endpoint on loopback through the API. The endpoint computes
nothing and answers at once, so what is measured is everything around a model: the queue, dispatch,
leases, the journal of reveals, reports and their recording. Needs ``redis-server``.

Prints runs a second, the seconds from submission to the end (median, 99th percentile), how the runs
are shared among the evaluators, seconds of a core by program for each run, and the sealed items
that were revealed more than once in one attempt. Exits 1 unless every run ends with a result in its
first attempt and no item is revealed twice in one.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psycopg

from demo import prepare, provider
from demo.problems import private_set, public_set
from demo.programs import Installation, Process, free_port
from demo.services import EmbeddedPostgres, start_redis, stop
from evaluator.contract import unpack_bits

PAIR = "load"
ITEMS = 8
"""Of each of the two sets."""
SUBMITTERS = 4
"""Requests to the API at once; the site has as many threads."""
POLL_SECONDS = 2.0
NO_LIMITS = {
    "HOLDFAST_UNFINISHED_RUNS": "1000000",
    "HOLDFAST_SUBMISSIONS": "1000000",
    "HOLDFAST_API_REQUESTS": "10000000",
    "HOLDFAST_QUOTA_RUNS": "1000000",
}
"""Of one author, who submits everything here."""


@dataclass(frozen=True)
class Programs:
    """The running programs by name, and where they are installed."""

    place: Installation
    running: dict[str, Process]

    def core_seconds(self) -> dict[str, float]:
        """Return the seconds of a core that each program and its children have used."""
        # Each program was started by setsid, so that it leads all of its children.
        ticks: Counter[int] = Counter()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                fields = stat.read_text().rpartition(")")[2].split()
                leader = int(fields[3])
                ticks[leader] += sum(map(int, fields[11:15]))
        a_second = os.sysconf("SC_CLK_TCK")
        used = {}
        for name, process in self.running.items():
            used[name] = ticks[process.pid] / a_second
        return used

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query to the site's database."""
        with psycopg.connect(self.place.database_url) as connection:
            return connection.execute(sql).fetchall()


@contextmanager
def fleet(evaluators: int) -> Iterator[Programs]:
    """Start everything on a folder that is deleted at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hf-")))
        postgres = EmbeddedPostgres(folder / "postgres", throwaway=True)
        database_url = postgres.start()
        stack.callback(postgres.stop)
        broker, broker_url = start_redis(folder / "redis")
        stack.callback(stop, [broker])
        place = Installation(
            folder=folder,
            database_url=database_url,
            broker_url=broker_url,
            port=free_port(),
            # A lease as in production: the machine may be slow where eight evaluators share it.
            lease_seconds=60.0,
            settings=NO_LIMITS | {"HOLDFAST_PRIVATE_ENDPOINTS": "1"},
            evaluators=evaluators,
        )
        # Sets and keys, then what the site registers: the pair and the endpoint.
        prepare.make_keys(place)
        prepare.make_public_set(place, "open", public_set()[:ITEMS])
        one_block = ("--local", "0", "--spare", "0", "--blocks", "1", "--smallest-cell", "1")
        prepare.make_sealed_set(place, "twin", private_set()[:ITEMS], options=one_block)
        prepare.migrate(place)
        prepare.register_evaluator(place)
        prepare.register_benchmark(
            place,
            slug=PAIR,
            title="Load",
            public="open",
            private="twin",
            protocol="demo-0shot",
        )
        prepare.enrol_evaluators(place, "twin", name="load")
        place.allow_endpoints([(_address(place), provider.MODEL)], api="chat")
        running: dict[str, Process] = {}
        for name in ("provider", "site", "recorder", *place.evaluator_names):
            running[name] = place.starts[name]()
            stack.callback(stop, [running[name]])
        yield Programs(place, running)


def _address(place: Installation) -> str:
    return f"http://127.0.0.1:{place.provider_port}/v1"


def submit(programs: Programs, token: str, number: int) -> None:
    """Submit one run of the endpoint."""
    order = {
        "model": f"model-{number}",
        "pair": PAIR,
        "open_weights": False,
        "kind": "endpoint",
        "url": _address(programs.place),
        "served_model": provider.MODEL,
        "api": "chat",
    }
    programs.place.post("/api/v1/submissions", order, token=token, key=f"load-{number}")


def wait(programs: Programs, runs: int, limit: float) -> None:
    """Wait until no run is under way, at most ``limit`` seconds; say how far it is."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        states = dict(programs.query("SELECT state, count(*) FROM submissions_run GROUP BY state"))
        under_way = 0
        for state in ("queued", "leased", "running"):
            under_way += states.get(state, 0)
        print(f"\r{runs - under_way:6,} of {runs:,} have ended", end="", file=sys.stderr)
        if not under_way:
            break
        time.sleep(POLL_SECONDS)
    print(file=sys.stderr)


def revealed_twice(programs: Programs) -> int:
    """Return how often a sealed item was revealed again in one attempt."""
    lines = programs.query("SELECT line FROM ledger_entry WHERE kind = 'exposure'")
    seen: set[tuple[str, int, int]] = set()
    again = 0
    for (line,) in lines:
        for index in unpack_bits(line["items"], ITEMS):
            reveal = (line["run"], line["token"], index)
            again += reveal in seen
            seen.add(reveal)
    return again


def report(
    programs: Programs,
    wall: float,
    cores: dict[str, float],
) -> tuple[int, int]:
    """Print the figures; return how many runs ended at once, and how many reveals came again."""
    rows = programs.query(
        "SELECT state, attempts, evaluator_id,"
        " extract(epoch FROM ended_at - queued_at) FROM submissions_run"
    )
    runs_of: Counter[str] = Counter()
    waits = []
    for state, attempts, evaluator, seconds in rows:
        runs_of[evaluator] += 1
        if state in ("graded", "ranked") and attempts == 1:
            waits.append(float(seconds))
    again = revealed_twice(programs)
    print(f"{len(rows):,} runs in {wall:.0f} s: {len(rows) / wall:.1f} a second")
    print(f"  ended with a result in their first attempt: {len(waits):,}")
    if len(waits) > 1:
        last = quantiles(waits, n=100)[98]
        print(f"  from submission to the end: median {median(waits):.0f} s, 99% {last:.0f} s")
    shares = runs_of.values()
    print(f"  evaluators that took a part: {len(shares)}; runs each {min(shares)} to {max(shares)}")
    print(f"  sealed items revealed again in one attempt: {again}")
    used = dict(cores)
    of_evaluators = sum(used.pop(name) for name in programs.place.evaluator_names)
    for name, seconds in {**used, "evaluators": of_evaluators}.items():
        print(f"  {name}: {1000 * seconds / len(rows):.0f} ms of a core a run")
    return len(waits), again


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; exit 1 where a run did not end in its first attempt."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--evaluators", type=int, default=8)
    parser.add_argument("--limit", type=float, default=7_200, help="seconds (%(default)s)")
    options = parser.parse_args(arguments)
    with fleet(options.evaluators) as programs:
        token = programs.place.manage("create_token", "author", "--scope", "manage")
        token = token.strip().splitlines()[-1]
        before = programs.core_seconds()
        began = time.monotonic()
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            submissions = pool.map(partial(submit, programs, token), range(options.runs))
            list(submissions)
        print(f"submitted in {time.monotonic() - began:.0f} s", flush=True)
        wait(programs, options.runs, options.limit)
        wall = time.monotonic() - began
        cores = {}
        for name, used in programs.core_seconds().items():
            cores[name] = used - before[name]
        first, again = report(programs, wall, cores)
    return 0 if first == options.runs and not again else 1


if __name__ == "__main__":
    sys.exit(main())
