"""``make demo``: every program of Holdfast on one machine, from nothing to two boards.

- Starts a PostgreSQL, a broker and the site, and prints the site's address, an account and three
  things to try.
- Seals two private sets, imports the published tables meanwhile, and registers both benchmarks.
- Starts the recorder and the evaluators, and submits the checkpoints of ``demo/checkpoints``
  through the API as any author would.
- Shows their progress, closes and prints the boards, and serves them until Ctrl-C. With ``--once``
  it ends there.

With ``--systems`` there is a third benchmark, whose answers are programs: a writer is asked for its
likeliest program, and a verifier chooses among 48. It takes some minutes more.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from demo import account, benchmarks, output, prepare
from demo.benchmarks import BENCHMARKS, LONG, PROGRAMS, SHORT, Benchmark
from demo.programs import CORES, ROOT, Installation, Process, free_port, has_bubblewrap
from demo.progress import display, narrator
from demo.services import (
    EmbeddedPostgres,
    ServiceFailed,
    filesystem_broker,
    has_redis,
    start_redis,
    stop,
)

COHORT_SECONDS = "600"
"""Time after which the clock closes a cohort: longer than the demo's own runs take."""
SERVING_COHORT_SECONDS = "60"
"""The same while the demo serves: what visitors submit is ranked a minute after its result."""
MOST_EVALUATORS = 8
POLL_SECONDS = 0.5


def main() -> int:
    """Run the demo. Exit status 0 after the table or Ctrl-C, 1 if a part did not come up or a run
    failed."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="Every program of Holdfast on one machine."
    )
    parser.add_argument(
        "--once", action="store_true", help="end after the table instead of serving"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the first board's rows as one JSON object, last"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the site's port (default: 8000, or a free one)"
    )
    parser.add_argument(
        "--evaluators",
        type=int,
        choices=range(1, MOST_EVALUATORS + 1),
        default=min(2, CORES),
        metavar="N",
        help="evaluators that serve the same pool, each with its own keys"
        f" (1 to {MOST_EVALUATORS}; default: 2, on one core 1)",
    )
    parser.add_argument(
        "--systems",
        action="store_true",
        help="also evaluate a writer of programs, alone and with a verifier (some minutes more)",
    )
    parser.add_argument(
        "--engine",
        choices=["auto", "vllm", "transformers"],
        default="auto",
        help="what serves the checkpoints (%(default)s: vLLM where it and a GPU are there)",
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="folder of the demo's state"
    )
    options = parser.parse_args()
    # A shell starts background jobs with SIGINT ignored.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        try:
            return _story(options, stack)
        except KeyboardInterrupt:
            print("\nEnding every program.", file=sys.stderr)
            return 0
        except ServiceFailed as failure:
            print(f"The demo could not go on: {failure}", file=sys.stderr)
            return 1


def _story(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    report = narrator()
    place, broker = _installation(options, stack)
    programs = Programs(place, stack)
    with ThreadPoolExecutor(max_workers=1) as alongside:
        sealed = alongside.submit(_once, place, "sealed", benchmarks.seal)
        prepare.migrate(place)
        programs.start("hub", "provider", "site")
        _once(place, "account", account.make)
        print(output.greeting(place), flush=True)
        report(broker)
        report("Making keys, two public sets and their sealed twins")
        _once(place, "tables", benchmarks.import_tables)
        printed = place.manage("create_token", account.USER)
        token = printed.strip().splitlines()[-1]
        sealed.result()
    _once(place, "registered", benchmarks.register)
    _once(place, "listed", benchmarks.list_endpoint)
    shown: tuple[Benchmark, ...] = BENCHMARKS
    if options.systems and has_bubblewrap():
        _once(place, "programs", benchmarks.add_programs)
        shown = (*BENCHMARKS, PROGRAMS)
    elif options.systems:
        report("bubblewrap is missing: no program can be executed, so there is no system")
    for benchmark in shown:
        prepare.enrol_evaluators(place, benchmark.private)
    number = "an evaluator" if place.evaluators == 1 else f"{place.evaluators} evaluators"
    report(f"Starting the recorder and {number}")
    programs.start("recorder", *place.evaluator_names)
    if not has_bubblewrap():
        report("bubblewrap is missing: checkpoints run without a jail, so only shipped ones do")
    runs = _evaluate(place, programs, shown, token, report)
    print(output.results(place, shown, runs))
    print(output.engines(runs))
    if options.json:
        print(json.dumps(place.get(f"/api/v1/board?pair={SHORT.slug}")), flush=True)
    if {run["state"] for run in runs} != {"ranked"}:
        return 1
    if not options.once:
        programs.restart(serving(place), "site", "recorder")
        programs.start("notifications")
        _once(place, "practice", benchmarks.add_practice)
        # One more model, which waits for the clock to close its board.
        benchmarks.submit(place, LONG, "small", token)
        print(
            "demo-small now answers the problems of three and four steps. The clock closes a board"
            f" {SERVING_COHORT_SECONDS} seconds after a result.\n"
            "Practise with your own model, or with demo-org/demo-honest:"
            f" {place.address}/practice/\n"
            "Serving until Ctrl-C.",
            flush=True,
        )
        signal.pause()
    return 0


class Programs:
    """The programs that were started. They end with the stack."""

    def __init__(self, place: Installation, stack: contextlib.ExitStack) -> None:
        self._place = place
        self._stack = stack
        self._running: dict[str, Process] = {}

    def start(self, *names: str) -> None:
        """Start programs, the last named first to end."""
        for name in names:
            self._running[name] = self._place.starts[name]()
            self._stack.callback(stop, [self._running[name]])

    def restart(self, place: Installation, *names: str) -> None:
        """Stop programs, and start them as those of ``place``."""
        stop([self._running[name] for name in names])
        self._place = place
        self.start(*names)

    def check(self) -> None:
        """Raise :class:`ServiceFailed` where a program has ended: nothing would go on then."""
        for name, program in self._running.items():
            if program.poll() is not None:
                raise ServiceFailed(f"the {name} has ended (log: {self._place.log(name)})")


# --- before the runs


def _installation(
    options: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[Installation, str]:
    """Return the installation, its services started, and a sentence about its broker."""
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "prepared").exists():
        raise ServiceFailed(
            f"{folder} holds the state of an earlier version: `make clean` removes .demo"
        )
    database_url = os.environ.get("DATABASE_URL")
    if not database_url:
        server = EmbeddedPostgres(folder / "postgres")
        database_url = server.start()
        stack.callback(server.stop)
    broker_url = os.environ.get("BROKER_URL")
    broker = "The broker is the one that BROKER_URL names"
    if not broker_url and has_redis():
        process, broker_url = start_redis(folder / "redis")
        stack.callback(stop, [process])
        broker = "The broker is a Redis (BROKER_URL would name another)"
    elif not broker_url:
        broker_url = filesystem_broker(folder / "broker")
        broker = "No Redis here: the broker is a folder (BROKER_URL would name another)"
    port = options.port
    if not port:
        port = 8000
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                port = free_port()
    place = Installation(
        folder=folder,
        database_url=database_url,
        broker_url=broker_url,
        port=port,
        evaluators=options.evaluators,
        serving=options.engine,
        hub_port=free_port(),
        settings={"HOLDFAST_COHORT_SECONDS": COHORT_SECONDS, "HOLDFAST_PRIVATE_ENDPOINTS": "1"},
    )
    return place, broker


def _once(
    place: Installation,
    step: str,
    work: Callable[[Installation], None],
) -> None:
    prepare.once(place.folder / step, partial(work, place))


# --- the runs and their results


def _evaluate(
    place: Installation,
    programs: Programs,
    shown: Sequence[Benchmark],
    token: str,
    report: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Submit the models, show their progress, close the boards; return the runs."""
    runs = benchmarks.submit_all(place, shown, token)
    waiting = dict(runs)
    with contextlib.ExitStack() as stack:
        bars = display(runs, stack, report)
        while waiting:
            for name, run in list(waiting.items()):
                now = place.get(f"/api/v1/runs/{run}", token=token)
                bars.show(name, now)
                if now["final"] or now["state"] == "graded":
                    del waiting[name]
            programs.check()
            time.sleep(POLL_SECONDS)
    for benchmark in shown:
        report(f"Closing the board: {place.manage('close_cohort', benchmark.slug).strip()}")
    return [place.get(f"/api/v1/runs/{run}", token=token) for run in runs.values()]


def serving(place: Installation) -> Installation:
    """Return the installation as visitors use it: with boards that close soon."""
    closing = {"HOLDFAST_COHORT_SECONDS": SERVING_COHORT_SECONDS}
    return replace(place, settings={**place.settings, **closing})


if __name__ == "__main__":
    sys.exit(main())
