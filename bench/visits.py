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
        body = gzip.decompress(self.body) if packed else self.body
        return body.decode()


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
    answer = _exchange(port, _request(path, tag))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, value = line.split(": ", 1)
        headers[name.lower()] = value
    status = int(first.split()[1])
    return Answer(status, headers, body)


def is_live(port: int) -> bool:
    """Return True if the site on this port answers."""
    try:
        answer = ask(port, "/livez")
    except (OSError, IndexError):  # nothing listens yet, or the answer broke off
        return False
    return answer.status == 200


def drive(
    port: int,
    paths: Sequence[str],
    *,
    seconds: float,
    tag: str = "",
    once: bool = False,
) -> Visits:
    """Ask for these paths in turn for so long, or until each was asked ``once``."""
    requests = [_request(path, tag) for path in paths]
    waiting: Iterator[bytes] = iter(requests) if once else cycle(requests)
    lock = Lock()
    found: list[tuple[float, int, int]] = []
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
            status = int(head[9:12])
            found.append((took, status, len(body)))

    threads = [Thread(target=visitor) for _ in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = perf_counter() - begin
    times = sorted(taken for taken, _, _ in found)
    sizes = sorted(size for _, _, size in found)
    middle = len(times) // 2
    last = min(len(times) - 1, int(0.99 * len(times)))
    return Visits(
        statuses=frozenset(status for _, status, _ in found),
        requests=len(found),
        per_second=len(found) / took,
        median=times[middle],
        p99=times[last],
        bytes=sizes[middle],
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
