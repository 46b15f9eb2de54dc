"""The board's pages under load: ``python -m bench.web``.

The real site answers from one gunicorn worker of four threads, as the manual starts it, that is
held to one core; PostgreSQL and the eight visitors have another. *First* is the first request for a
page, *again* any later one, *304* one by a visitor who has the page. Each line prints its ratio to
the limit, and the processor time of a request in the site and in PostgreSQL, which other work on
the machine changes less; exits 1 where a limit is broken.
"""

import argparse
import gzip
import os
import random
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.visits import Visits, ask, drive, is_live
from demo.services import EmbeddedPostgres, start, stop, wait_until

FIRST_RATE = 100.0
FIRST_LATE = 0.250
AGAIN_RATE = 600.0
HEAVY = 60_000
"""Limits for 10,000 models: requests a second, seconds (p99), bytes of a first view compressed."""
ROOT = Path(__file__).parents[1]
BOARD = "/boards/pair/"
SECONDS = 2.0
ROWS = 50
"""On a page, as the site has it; it cannot be asked before Django is set up."""
SORTS = (
    "private", "public", "gap", "adjusted", "evidence", "size", "family", "organisation",
    "access", "protocol", "tries", "date", "model",
)  # fmt: skip


Query = Callable[[random.Random], str]
"""Draws the query of one page."""


def kinds(models: int, pages: int) -> dict[str, Query]:
    """Return the kinds of queries by name: each gives the query of one page, another one each time
    as far as there are more."""

    def paged(query: str) -> Query:
        return lambda rng: f"{query}&page={rng.randint(1, min(pages, 40))}"

    sorts = {f"sort={name}": paged(f"sort={name}") for name in SORTS}
    return {
        "any page": lambda rng: f"page={rng.randint(1, pages)}&sort={rng.choice(SORTS)}",
        "deep page": lambda rng: f"page={rng.randint(max(1, pages * 9 // 10), pages)}",
        **sorts,
        "text": lambda rng: f"q={rng.randrange(models // 10):05d}",
        "common text": lambda rng: f"q=instruct&page={rng.randint(1, max(1, pages // 5))}",
        "family": lambda rng: f"family=Family+{rng.randrange(400)}&sort={rng.choice(SORTS)}",
        "access and evidence": lambda rng: (
            f"access=weights&evidence=watch&sort={rng.choice(SORTS)}&page={rng.randint(1, 5)}"
        ),
        "size and date": lambda rng: (
            f"min=7&since=2026-{rng.randint(1, 6):02d}-{rng.randint(1, 28):02d}"
            f"&page={rng.randint(1, 9)}"
        ),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure each size of board."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, nargs="+", default=[10_000])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each line")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    codes = []
    for models in options.models:
        codes.append(one(models, options.seconds, options.seed))
    return max(codes)


def one(models: int, seconds: float, seed: int) -> int:
    """Fill a board in a database and a process of its own, so that Django starts with it."""
    child = os.fork()
    if child == 0:
        os._exit(_measured(models, seconds, seed))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _measured(models: int, seconds: float, seed: int) -> int:
    cores = sorted(os.sched_getaffinity(0))
    site_core = {cores[0]}
    other = {cores[-1]}
    os.sched_setaffinity(0, other)
    with tempfile.TemporaryDirectory(prefix="holdfast-web-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres", throwaway=True)
        environment = {
            "DATABASE_URL": postgres.start(),
            "BROKER_URL": "memory://",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DJANGO_SETTINGS_MODULE": "leaderboard.settings",
            "HOLDFAST_ALLOWED_HOSTS": "localhost",
        }
        os.environ.update(environment)
        try:
            begin = time.perf_counter()
            _fill(models, seed)
            print(f"\n{models:,} models, written in {time.perf_counter() - begin:.0f} s", end="")
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            os.sched_setaffinity(0, site_core)
            command = [sys.executable, "-m", "gunicorn", "leaderboard.wsgi"]
            command += ["--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"]
            site = start(
                command,
                env=os.environ,
                log=Path(folder) / "site",
                folder=ROOT,
            )
            os.sched_setaffinity(0, other)
            wait_until(lambda: is_live(port), seconds=60, what="the site", process=site)
            try:
                (database,) = (Path(folder) / "postgres").rglob("postmaster.pid")
                first_word = database.read_text().split()[0]
                programs = (site.pid, int(first_word))
                rng = random.Random(seed)  # noqa: S311
                good = _report(port, programs, models, seconds, rng)
                return 0 if good else 1
            finally:
                stop([site])
        finally:
            postgres.stop()


def _fill(models: int, seed: int) -> None:
    # Django is set up by now.
    import django  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415

    django.setup()
    from bench import boards  # noqa: PLC0415

    call_command("migrate", run_syncdb=True, verbosity=0)
    boards.fill(models, seed)
    from django.db import connection  # noqa: PLC0415

    with connection.cursor() as cursor:
        # What autovacuum does by itself, a minute after a snapshot was written.
        cursor.execute("VACUUM ANALYZE")
    connection.close()


def _report(
    port: int,
    programs: tuple[int, int],
    models: int,
    seconds: float,
    rng: random.Random,
) -> bool:
    """Print the lines of one board; return True if all limits hold.

    ``programs`` are the process ids of the site and of PostgreSQL.
    """

    def line(
        way: str,
        name: str,
        paths: list[str],
        *,
        tag: str = "",
        once: bool = False,
    ) -> bool:
        before = [_processor_seconds(pid) for pid in programs]
        visits = drive(port, paths, seconds=seconds, tag=tag, once=once)
        used = []
        for pid, seconds_before in zip(programs, before, strict=True):
            seconds_used = _processor_seconds(pid) - seconds_before
            used.append(seconds_used / visits.requests)
        return print_line(way, name, visits, used)

    print(f"; load {os.getloadavg()[0]:.1f}")
    begin = time.perf_counter()
    front = ask(port, BOARD)
    print(f"the very first page of a process: {time.perf_counter() - begin:.3f} s")
    # The bytes of a first view, each part compressed.
    parts = {"page": len(front.body)}
    for name in ("holdfast.css", "holdfast.js", "holdfast.svg"):
        file = ask(port, f"/static/{name}")
        parts[name] = len(gzip.compress(file.text.encode()))
    weight = sum(parts.values())
    print(f"first view: {weight:,} bytes compressed ({parts}), limit {HEAVY:,}")
    good = weight <= HEAVY
    tag = front.headers["etag"]
    good &= line("again", "first page", [BOARD])
    good &= line("304", "first page", [BOARD], tag=tag)
    asked: set[str] = set()
    pages = -(-models // ROWS)
    draws = int(seconds * 400)
    for name, query in kinds(models, pages).items():
        drawn = dict.fromkeys(query(rng) for _ in range(draws))
        queries = [one for one in drawn if one not in asked]
        asked.update(queries)
        paths = [f"{BOARD}?{one}" for one in queries]
        good &= line("first", name, paths, once=True)
        drive(port, paths[:50], seconds=60, once=True)
        good &= line("again", name, paths[:50])
    return good


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, by ``/proc``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        stat = Path(f"/proc/{one}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def print_line(
    way: str,
    name: str,
    found: Visits,
    used: Sequence[float],
) -> bool:
    """Print one line with its ratios to the limits; return True if they hold.

    ``used`` are the processor seconds of one request in the site and in PostgreSQL.
    """
    statuses = ",".join(map(str, sorted(found.statuses)))
    needed = FIRST_RATE if way == "first" else AGAIN_RATE
    in_time = way != "first" or found.p99 <= FIRST_LATE
    good = found.per_second >= needed and in_time
    print(
        f"{name:20} {way:6} {found.per_second:7.0f}/s "
        f"({found.per_second / needed:4.1f} x the limit)"
        f"  p50 {1000 * found.median:6.1f}  p99 {1000 * found.p99:6.1f} ms"
        f"  processor {1000 * used[0]:5.2f} + {1000 * used[1]:5.2f} ms"
        f"  {found.bytes:7,} B  {statuses}{'' if good else '  MISSES'}",
        flush=True,
    )
    return good


if __name__ == "__main__":
    sys.exit(main())
