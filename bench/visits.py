"""A client that costs little: several visitors at once, each request on a connection of its own."""

import gzip
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from threading import Lock, Thread
from time import perf_counter

VISITORS = 8


@dataclass(frozen=True)
class Answer:
    """One answer: its status, headers in lower case, and body as sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body, unpacked."""
        packed = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()


@dataclass(frozen=True)
class Visits:
    """Result of many requests. Times in seconds, ``bytes`` of the median body."""

    statuses: frozenset[int]
    requests: int
    per_second: float
    median: float
    p99: float
    bytes: int


def ask(port: int, path: str, *, tag: str = "") -> Answer:
    """One GET request."""
    head, _, body = _exchange(port, _request(path, tag)).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    return Answer(int(first.split()[1]), headers, body)


def drive(
    port: int, paths: Sequence[str], *, seconds: float, tag: str = "", once: bool = False
) -> Visits:
    """Ask for these paths in turn for so long, or until each was asked ``once``."""
    requests = [_request(path, tag) for path in paths]
    waiting: Iterator[bytes] = iter(requests) if once else cycle(requests)
    lock, found = Lock(), []
    begin = perf_counter()

    def visitor() -> None:
        while perf_counter() - begin < seconds:
            with lock:
                request = next(waiting, b"")
            if not request:
                return
            start = perf_counter()
            answer = _exchange(port, request)
            took = perf_counter() - start
            head, _, body = answer.partition(b"\r\n\r\n")
            found.append((took, int(head[9:12]), len(body)))

    threads = [Thread(target=visitor) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = perf_counter() - begin
    times = sorted(one[0] for one in found)
    sizes = sorted(one[2] for one in found)
    middle = len(times) // 2
    last = min(len(times) - 1, int(0.99 * len(times)))
    return Visits(
        frozenset(one[1] for one in found),
        len(found),
        len(found) / took,
        times[middle],
        times[last],
        sizes[middle],
    )


def _request(path: str, tag: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Accept-Encoding: gzip"]
    if tag:
        lines.append(f"If-None-Match: {tag}")
    lines += ["Connection: close", ""]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(request)
        parts = []
        while part := line.recv(65536):
            parts.append(part)
        return b"".join(parts)
