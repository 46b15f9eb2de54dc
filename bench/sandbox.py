"""Cost of a program in the sandbox: ``python -m bench.sandbox [--programs N]``.

Recorded TinyGSM programs (``HOLDFAST_DATA``; a small one without it) are executed over and over,
and next to that a few hundred of them with one Python process for each, bare and in a jail of its
own. Printed are milliseconds of computing time a program, of all processes together, wall time, and
the memory of the sandbox's processes after a tenth of the programs and after all. Exit code 1 above
4 ms.
"""

import argparse
import contextlib
import gzip
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from evaluator import jail
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Job, Program, UnitTested
from evaluator.sandbox.limits import Limits

MOST = 4.0
"""Milliseconds of computing time a program."""
_LIMITS = Limits(seconds=30.0, cpu_seconds=3.0)
_SMALL = "def simple_math_problem() -> int:\n    clips = 48\n    return clips + clips // 2\n"
_TESTED = UnitTested("def f(x): return x * x", "assert f(2) == 4\nassert f(3) == 9", "f")


def sources() -> list[str]:
    """Return the recorded programs that end by themselves."""
    data = os.environ.get("HOLDFAST_DATA")
    if not data:
        return [_SMALL]
    [path] = (Path(data) / "outputs/tinygsm_eval").glob("*.jsonl.gz")
    lines = gzip.decompress(path.read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["extracted_code"] for row in rows if row["status"] == "CORRECT"]


def measured(
    name: str,
    count: int,
    work: Callable[[], float],
) -> float:
    """Print what some programs took. Returns milliseconds a program of what ``work`` returns."""
    begin = time.perf_counter()
    each = work() / count * 1e3
    wall = (time.perf_counter() - begin) / count * 1e3
    print(f"{name:28} {count:6} programs  {each:7.2f} ms of a core  {wall:7.2f} ms wall each")
    return each


def in_sandbox(jobs: Iterable[Job], count: int, workers: int) -> float:
    """Execute programs in the sandbox. Returns seconds of computing, of all its processes."""
    before = _computing()
    with Sandbox(_LIMITS, workers=workers) as sandbox:
        done = sandbox.run(itertools.islice(jobs, count))
        for number, _ in enumerate(done, start=1):
            if number in (count // 10, count):
                memory = sum(map(_memory_of, _family(os.getpid())))
                print(f"  memory after {number}: {memory / 1e6:.1f} MB in all its processes")
        return _computing() - before


def in_processes(
    programs: Sequence[str],
    count: int,
    *,
    jailed: bool,
) -> float:
    """Execute programs in a Python process each, one after the other. Returns seconds.

    They are seconds of computing, but wall time with jails: bubblewrap does not count its child's.
    """
    before = _computing()
    begin = time.perf_counter()
    for source in itertools.islice(itertools.cycle(programs), count):
        command = [sys.executable, "-I", "-S", "-c", source]
        if jailed:
            command = jail.wrap(command, readable=[], writable=[])
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60, check=False)
    return time.perf_counter() - begin if jailed else _computing() - before


def in_inspect(programs: Sequence[str], count: int, python: str) -> float:
    """Execute programs by Inspect's local sandbox, which shuts nothing in. Returns seconds."""
    script = Path(__file__).parent / "peers" / "inspect_local.py"
    chosen = list(itertools.islice(itertools.cycle(programs), count))
    done = subprocess.run(
        [python, script],
        input=json.dumps(chosen).encode(),
        capture_output=True,
        check=True,
    )
    return float(done.stdout)


def main() -> int:
    """Print the table. Returns 1 where a program costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=60_000)
    parser.add_argument("--others", type=int, default=300, help="programs of the other ways")
    parser.add_argument("--inspect", metavar="PYTHON", help="one that has bench/peers/inspect.txt")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    programs = sources()
    others = args.others
    workers = args.workers
    jobs = map(Program, itertools.cycle(programs))
    tests = itertools.repeat(_TESTED)
    count = args.programs
    own = measured("sandbox", count, lambda: in_sandbox(jobs, count, workers))
    tested = measured(
        "sandbox, with unit tests", others, lambda: in_sandbox(tests, others, workers)
    )
    bare = measured("a process each", others, lambda: in_processes(programs, others, jailed=False))
    jailed = measured("a jail each", others, lambda: in_processes(programs, others, jailed=True))
    if args.inspect:
        measured(
            "Inspect's local sandbox", others, lambda: in_inspect(programs, others, args.inspect)
        )
    print(
        f"sandbox over a process each: {own / bare:.2f}, over a jail each: {own / jailed:.2f};"
        f" unit tests over a value: {tested / own:.2f}; limit {MOST} ms: {own / MOST:.2f}"
    )
    return int(own > MOST)


def _computing() -> float:
    """Return the seconds of this process, its descendants, and all that they have waited for."""
    ticks = 0
    for process in _family(os.getpid()):
        with contextlib.suppress(OSError):  # it has ended: its parent has its ticks
            stat = Path(f"/proc/{process}/stat").read_text()
            fields = stat.rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(parent: int) -> Iterator[int]:
    """Return a process and its descendants; programs end while they are listed."""
    yield parent
    children: list[str] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{parent}/task").iterdir():
            children += (thread / "children").read_text().split()
    for child in children:
        yield from _family(int(child))


def _memory_of(process: int) -> int:
    """Return the bytes of a process, its share of the pages that it shares."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    kilobytes = 0
    for line in lines:
        if line.startswith("Pss:"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024


if __name__ == "__main__":
    raise SystemExit(main())
