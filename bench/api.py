"""Cost of a run besides the model's own time, side by side with others: ``python -m bench.api``.

GSM8K's test set, five shots, against an endpoint on this machine that takes so many seconds for
each answer, 64 questions at once. The least that it can take is ``ceil(N / 64)`` answers in a row.
Runners: *ours* (``python -m evaluator run``, with its gateway), *lm-eval* and *inspect* (each in
its own environment, pinned), *bare*, a loop that asks and grades and does nothing else, as the
limit. Each is a fresh process, timed from its start to its end; CPU is of all processes that it
started. Every runner is checked to have asked every question once. With ``--latencies 10 --repeats
1`` it takes a quarter of an hour.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.setting import CONCURRENCY, DATA, N, Start, bench_folder, commands, prepare
from tests.evaluator.endpoints import steady_endpoints

Commands = dict[str, Callable[[str, Path], Start]]
AT_LEAST = {"lm-eval": 5.0, "inspect": 8.0}
"""Ratio to our time, where an answer takes 0.2 s."""
MOST_CPU = 2.5e-3
"""Seconds of CPU an item."""


@dataclass(frozen=True)
class Reading:
    """One run of one runner: seconds of wall and CPU time, and the load average when it began."""

    wall: float
    cpu: float
    load: float


def measure(
    command: Sequence[str],
    environ: dict[str, str],
    folder: Path,
) -> Reading:
    """Run it to its end. Raises SystemExit with its last words where it fails."""
    load = os.getloadavg()[0]
    output = folder / "out.txt"
    with output.open("wb") as out:
        begin = time.perf_counter()
        child = subprocess.Popen(
            command,
            env=os.environ | environ,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[:4]} failed:\n{output.read_text()[-2000:]}")
    return Reading(wall, usage.ru_utime + usage.ru_stime, load)


def run_once(name: str, known: Commands, latency: float) -> Reading:
    """One run against a fresh endpoint. Raises SystemExit unless every question was asked once."""
    with tempfile.TemporaryDirectory() as folder, steady_endpoints() as begin:
        endpoint = begin(DATA / "test.jsonl", latency)
        command, environ = known[name](endpoint.url, Path(folder))
        reading = measure(command, environ, Path(folder))
        received = endpoint.received()
    if len(received) != N or sum(received.values()) != N:
        raise SystemExit(
            f"{name} asked {sum(received.values())} times for {len(received)} of {N} questions"
        )
    return reading


def verdict(*, met: bool) -> str:
    """Result of a target."""
    return "met" if met else "NOT MET"


def show(latency: float, found: dict[str, list[Reading]]) -> bool:
    """Print the table of one latency and the targets; return True if all were met."""
    ideal = math.ceil(N / CONCURRENCY) * latency
    median = {}
    for name, readings in found.items():
        median[name] = Reading(
            wall=statistics.median(reading.wall for reading in readings),
            cpu=statistics.median(reading.cpu for reading in readings),
            load=statistics.median(reading.load for reading in readings),
        )
    ours = median["ours"]
    print(
        f"\n{latency} s an answer, ideal {ideal:.1f} s, medians of {len(found['ours'])}", flush=True
    )
    print(
        f"{'':9}{'wall s':>8}{'/ ideal':>9}{'/ ours':>8}"
        f"{'CPU s':>8}{'/ ours':>8}{'ms/item':>9}{'load':>6}"
    )
    for name, one in median.items():
        print(
            f"{name:9}{one.wall:8.1f}{one.wall / ideal:9.2f}{one.wall / ours.wall:8.1f}"
            f"{one.cpu:8.1f}{one.cpu / ours.cpu:8.1f}{one.cpu / N * 1000:9.2f}{one.load:6.1f}"
        )
    limit = 1.15 * ideal + 1
    targets = {
        f"ours takes at most {limit:.1f} s": ours.wall <= limit,
        f"ours takes at most {MOST_CPU * 1000} ms of CPU an item": ours.cpu / N <= MOST_CPU,
    }
    for name, times in AT_LEAST.items():
        if name in median and latency == 0.2:
            target = f"{name} takes at least {times:.0f} times as long"
            targets[target] = median[name].wall >= times * ours.wall
    for target, met in targets.items():
        print(f"  {target}: {verdict(met=met)}")
    return all(targets.values())


def main() -> int:
    """Measure and print. Returns 1 where a target was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--latencies", type=float, nargs="*", default=[0.2, 2.0], help="seconds for each answer"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, in alternating order")
    runners = ["ours", "lm-eval", "inspect", "bare"]
    parser.add_argument("--runners", nargs="*", default=runners)
    options = parser.parse_args()
    prepare(options.runners)
    known = commands()
    print(
        f"{N} prompts, {CONCURRENCY} at once, on {os.cpu_count()} cores; "
        f"peers under {bench_folder().name}/"
    )
    met = True
    for latency in options.latencies:
        found: dict[str, list[Reading]] = {name: [] for name in options.runners}
        for repeat in range(options.repeats):
            order = options.runners if repeat % 2 == 0 else reversed(options.runners)
            for name in order:
                reading = run_once(name, known, latency)
                found[name].append(reading)
                print(f"  {name} {reading.wall:.1f} s", end="", file=sys.stderr, flush=True)
        met &= show(latency, found)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
