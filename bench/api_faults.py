"""A run against an endpoint that refuses, hangs, and whose asker is killed: ``python -m
bench.api_faults``.

GSM8K's test set, 64 questions at once, as in ``bench.api``. *refused*: one request in five gets 429
with ``Retry-After: 1``, and one socket never answers. *killed*: as well, and the whole run is
killed (SIGKILL) when half of the answers are on disk, and started again. Printed are: lost (items
without an outcome), double (items with two), asked twice (answers given to no avail: at a kill,
about as many as were on their way), early (refused questions that came back too soon), and the wall
time over the ideal ``ceil(N / 64)`` answers in a row; for *killed* over both starts.

*floor* is the same ratio for an asker that takes no time of its own, starts at once and is never
killed: the median over ways in which the refusals may fall. Where an answer takes 0.2 s most of it
is the last questions' waiting.
"""

import argparse
import heapq
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.peers.setting import CONCURRENCY, DATA, N, commands
from tests.evaluator.endpoints import Steady, steady_endpoints

LIMIT = 1.7
REFUSED = 0.2
WAIT = 1.0
HANG = "300"
"""The number of the request that is never answered."""


def floor(latency: float, ways: int = 101) -> float:
    """Return the seconds that the refusals alone cost every asker, the median over ``ways`` in
    which they may fall.

    A place is free again at once where a question is refused, and what was refused goes first.
    """
    simulated = []
    for way in range(ways):
        chance = random.Random(way)  # noqa: S311
        places = [0.0] * CONCURRENCY
        waiting: list[float] = []
        fresh = N
        end = 0.0
        while fresh or waiting:
            now = heapq.heappop(places)
            if waiting and (waiting[0] <= now or not fresh):
                now = max(now, heapq.heappop(waiting))
            else:
                fresh -= 1
            refused = chance.random() < REFUSED
            if refused:
                heapq.heappush(waiting, now + WAIT)
            heapq.heappush(places, now if refused else now + latency)
            end = max(end, now + latency)
        simulated.append(end)
    return statistics.median(simulated)


def start(endpoint: Steady, folder: Path, timeout: float) -> "subprocess.Popen[bytes]":
    """Start our runner; a request times out after ``timeout`` seconds."""
    command, _ = commands()["ours"](endpoint.url, folder)
    errors = (folder / "errors.txt").open("ab")
    with errors:
        return subprocess.Popen(
            [*command, "--timeout", str(timeout)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def indices(folder: Path) -> list[int]:
    """Return the index of each outcome on disk, a torn last line left out."""
    path = folder / "out" / "outcomes.jsonl"
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line)["index"] for line in whole.splitlines()]


def run(latency: float, timeout: float, *, killed: bool) -> bool:
    """One line. Whether nothing was lost or doubled, and it was quick enough."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name, steady_endpoints() as begin:
        folder = Path(name)
        endpoint = begin(DATA / "test.jsonl", latency, "--refuse", str(REFUSED), "--hang", HANG)
        began = time.perf_counter()
        child = start(endpoint, folder, timeout)
        if killed:
            while len(indices(folder)) < N // 2 and child.poll() is None:
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            child.wait()
            child = start(endpoint, folder, timeout)
        code = child.wait()
        wall = time.perf_counter() - began
        found = Counter(indices(folder))
        faults = endpoint.faults()
        if code:
            errors = (folder / "errors.txt").read_text()
            print(errors[-500:], file=sys.stderr)
    ideal = math.ceil(N / CONCURRENCY) * latency
    lost = N - len(found)
    double = sum(found.values()) - len(found)
    answered = faults["answered"]
    twice = sum(answered.values()) - len(answered)
    early = 0 if killed else faults["early"]  # a new process has seen no refusal
    each_once = lost == double == early == 0
    good = code == 0 and each_once and wall <= LIMIT * ideal
    print(
        f"{'killed' if killed else 'refused':8}{latency:8}{lost:6}{double:8}{twice:13}"
        f"{faults['refused']:9}{faults['early']:7}{faults['most_in_hand']:9}"
        f"{wall:8.1f}{wall / ideal:9.2f}"
        f"{floor(latency) / ideal:7.2f}{load:6.1f}"
        f"  {'met' if good else 'NOT MET'}",
        flush=True,
    )
    return good


def main() -> int:
    """Measure and print. Returns 1 where a target was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--latencies", type=float, nargs="*", default=[0.2, 2.0], help="seconds for each answer"
    )
    options = parser.parse_args()
    print(
        f"{N} prompts, {CONCURRENCY} at once, on {os.cpu_count()} cores; "
        f"at most {LIMIT} times the ideal"
    )
    print(
        f"{'':8}{'latency':>8}{'lost':>6}{'double':>8}{'asked twice':>13}"
        f"{'refused':>9}{'early':>7}",
        end="",
    )
    print(f"{'at once':>9}{'wall s':>8}{'/ ideal':>9}{'floor':>7}{'load':>6}")
    met = [
        run(latency, 3 * latency + 1, killed=killed)
        for latency in options.latencies
        for killed in (False, True)
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
