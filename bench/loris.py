"""Visitors that drip headers and guess passwords, against two starts of the site: ``python -m
bench.loris``.

*Plain* is gunicorn with four threads, as ``docs/operations.md`` starts it on one machine; *proxied*
is ``deploy/``: nginx before gunicorn. Probes ask ``/livez`` and ``/sets/`` from another address
than the attackers', with a time-out of 5 s. Exits 1 where a probe of the proxied start is not
answered.
"""

import argparse
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlencode

from bench.visits import is_live
from demo.programs import Installation, Process, free_port
from demo.services import EmbeddedPostgres, start, stop, wait_until

ROOT = Path(__file__).parents[1]
DRIPS = (6, 60, 300)
LOOPS = 8
TIME_OUT = 5.0
ATTACKER = "127.0.0.66"
VISITOR = "127.0.0.1"


@dataclass
class Probes:
    """Seconds that each probe took; ``lost`` were not answered within the time-out."""

    seconds: list[float] = field(default_factory=list)
    lost: int = 0

    def __str__(self) -> str:
        count = len(self.seconds)
        median = self.at(0.5) * 1000
        p99 = self.at(0.99) * 1000
        return f"median {median:6.1f} ms  p99 {p99:6.1f} ms  lost {self.lost}/{count}"

    def at(self, share: float) -> float:
        """Return the seconds of the probe at this share of all, the fastest first.

        A probe that was lost took the time-out.
        """
        count = len(self.seconds)
        place = min(count - 1, int(share * count))
        return sorted(self.seconds)[place]


def request(
    port: int,
    path: str,
    source: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> int:
    """Send one request from an address of the loopback network and return its status."""
    visit = HTTPConnection("127.0.0.1", port, timeout=TIME_OUT, source_address=(source, 0))
    with contextlib.closing(visit):
        method = "POST" if body else "GET"
        visit.request(method, path, body or None, headers or {})
        answer = visit.getresponse()
        answer.read()
        return answer.status


def probe(port: int, path: str, seconds: float) -> Probes:
    """Ask for a page again and again, four times a second at most."""
    found = Probes()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            answered = request(port, path, VISITOR) == 200
        except (OSError, HTTPException):
            answered = False
        took = time.monotonic() - begun
        found.seconds.append(took if answered else max(took, TIME_OUT))
        found.lost += not answered
        time.sleep(max(0.0, 0.25 - took))
    return found


@contextlib.contextmanager
def dripping(port: int, connections: int) -> Iterator[None]:
    """Hold connections whose header comes byte by byte, one a second; one that is closed is made
    again."""
    held: list[socket.socket | None] = [None] * connections
    full = Event()
    leave = Event()

    def drop(number: int) -> None:
        connection = held[number]
        if connection is not None:
            connection.close()
        held[number] = None

    def drip(number: int) -> None:
        try:
            connection = held[number]
            if connection is None:
                connection = socket.create_connection(
                    ("127.0.0.1", port),
                    timeout=1,
                    source_address=(ATTACKER, 0),
                )
                held[number] = connection
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Drip: ")
            connection.sendall(b"x")
        except OSError:
            drop(number)

    def attack() -> None:
        while not leave.is_set():
            for number in range(connections):
                drip(number)
            full.set()
            leave.wait(1)
        for number in range(connections):
            drop(number)

    thread = Thread(target=attack)
    thread.start()
    full.wait()
    try:
        yield
    finally:
        leave.set()
        thread.join()


@contextlib.contextmanager
def guessing(port: int, loops: int) -> Iterator[list[int]]:
    """Sign in with wrong passwords in loops. Yields the statuses of the answers so far."""
    token = "a" * 32
    headers = {"Cookie": f"csrftoken={token}", "Content-Type": "application/x-www-form-urlencoded"}
    statuses: list[int] = []
    leave = Event()

    def loop(number: int) -> None:
        guess = 0
        while not leave.is_set():
            guess += 1
            fields = {
                "csrfmiddlewaretoken": token,
                "login": f"name-{number}",
                "password": f"guess {guess}",
            }
            with contextlib.suppress(OSError, HTTPException):
                body = urlencode(fields).encode()
                statuses.append(
                    request(port, "/accounts/sign-in/", ATTACKER, body=body, headers=headers)
                )

    threads = []
    for number in range(loops):
        thread = Thread(target=loop, args=(number,))
        threads.append(thread)
        thread.start()
    try:
        yield statuses
    finally:
        leave.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def plain(place: Installation) -> Iterator[int]:
    """The site by gunicorn alone; yields its port."""
    process = place.start_site()
    try:
        yield place.port
    finally:
        stop([process])


@contextlib.contextmanager
def proxied(place: Installation) -> Iterator[int]:
    """The site as ``deploy/`` starts it, nginx listening on a free port without TLS; yields that
    port."""
    folder = place.folder / "proxied"
    folder.mkdir(parents=True)
    site = folder / "site.sock"
    programs: list[Process] = []
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        str(ROOT / "deploy" / "gunicorn.conf.py"),
        "leaderboard.wsgi",
    ]
    environment = place.site_environment() | {"HOLDFAST_PROXIES": "unix"}
    try:
        gunicorn = start(
            [*command, "--bind", f"unix:{site}"],
            env=environment,
            log=folder / "site.log",
            folder=place.source,
        )
        programs.append(gunicorn)
        wait_until(site.exists, seconds=60, what="the site", process=gunicorn)
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(nginx_config(folder, site, port))
        nginx = start(
            ["nginx", "-c", str(config)],
            env=os.environ,
            log=folder / "nginx.log",
        )
        programs.append(nginx)
        wait_until(lambda: is_live(port), seconds=60, what="nginx", process=nginx)
        yield port
    finally:
        stop(programs)


def nginx_config(folder: Path, site: Path, port: int) -> str:
    """A main file around the shipped ``limits.conf`` and ``site.conf``, for this machine's
    loopback."""
    shipped = ROOT / "deploy" / "nginx"
    temporary = "".join(
        f"    {name}_temp_path {folder / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}daemon off;
worker_processes 2;
pid {folder / "nginx.pid"};
error_log {folder / "error.log"};
events {{ worker_connections 1024; }}
http {{
    include {shipped / "limits.conf"};
    access_log off;
{temporary}    upstream holdfast {{ server unix:{site} fail_timeout=0; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        include {shipped / "site.conf"};
    }}
}}
"""


def main(arguments: list[str] | None = None) -> int:
    """Attack both starts and print the probes' times, also as ratios to the same start at rest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each line")
    options = parser.parse_args(arguments)
    lost = 0
    with tempfile.TemporaryDirectory(prefix="holdfast-loris-") as name:
        postgres = EmbeddedPostgres(Path(name) / "postgres", throwaway=True)
        database = postgres.start()
        try:
            for start_of in (plain, proxied):
                folder = Path(name) / start_of.__name__
                place = Installation(
                    folder=folder,
                    database_url=database,
                    broker_url="memory://",
                    port=free_port(),
                )
                place.manage("migrate", "--verbosity", "0")
                with start_of(place) as port:
                    lost += _attacked(start_of.__name__, port, options.seconds)
        finally:
            postgres.stop()
    return 1 if lost else 0


def _attacked(name: str, port: int, seconds: float) -> int:
    quiet = {}
    for path in ("/livez", "/sets/"):
        quiet[path] = probe(port, path, seconds)
    for path, found in quiet.items():
        print(f"{name:8} at rest         {path:9} {found}")
    lost = 0
    for connections in DRIPS:
        with dripping(port, connections):
            found = probe(port, "/livez", seconds)
        lost += found.lost
        ratio = _ratio(found, quiet["/livez"])
        print(f"{name:8} {connections:3} drips       /livez  {found}  × {ratio}")
    with guessing(port, LOOPS) as statuses:
        found = probe(port, "/sets/", seconds)
    lost += found.lost
    hashed = statuses.count(200)
    print(
        f"{name:8} {LOOPS} sign-in loops {'/sets/':9} {found}  × {_ratio(found, quiet['/sets/'])}",
        end="",
    )
    print(f"  ({hashed} of {len(statuses)} hashed)")
    return lost


def _ratio(found: Probes, quiet: Probes) -> str:
    median = found.at(0.5) / quiet.at(0.5)
    p99 = found.at(0.99) / quiet.at(0.99)
    return f"{median:.1f} (p99 × {p99:.1f})"


if __name__ == "__main__":
    sys.exit(main())
