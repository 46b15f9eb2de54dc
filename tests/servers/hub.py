"""The demo's hub with faults, each switched on by a test.

``faults`` maps the name of a file, or ``listing``, to the fault of its next answers.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from demo.hub import File, Handler, Repository, Server


@dataclass
class Log:
    """What was asked: paths, their Range and whether a token came."""

    paths: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


class FaultyServer(Server):
    def __init__(self) -> None:
        super().__init__(handler=FaultyHandler)
        self.faults: dict[str, str] = {}
        self.log = Log()
        self.extra: list[dict[str, Any]] = []
        """Entries of the listing that no file is behind."""


class FaultyHandler(Handler):
    server: FaultyServer

    def do_GET(self) -> None:  # noqa: N802 - named by the library
        self.server.log.paths.append(self.path)
        self.server.log.ranges.append(self.headers.get("Range", ""))
        self.server.log.tokens.append(self.headers.get("Authorization", ""))
        fault = self.server.faults.get("listing", "") if self.path.startswith("/api/") else ""
        match fault:
            case "":
                super().do_GET()
            case "drop":
                self.close_connection = True
                self.connection.close()
            case "html":
                self.send_response(200)
                self.send_header("Content-Length", "15")
                self.end_headers()
                self.wfile.write(b"<html>no</html>")
            case "endless":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while True:
                        self.wfile.write(b" " * 1_000_000)
            case "hang":
                threading.Event().wait(30)
            case elsewhere if elsewhere.startswith("http"):
                self.send_response(302)
                self.send_header("Location", elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()
            case status:
                self.refuse(int(status), "")

    def info(self, repo: str, commit: str, files: Mapping[str, File]) -> dict[str, Any]:
        facts = super().info(repo, commit, files)
        facts["siblings"] += self.server.extra
        return facts

    def place(self, file: File) -> str:
        fault = self.server.faults.get(file.name, "")
        return fault if fault.startswith("http") else super().place(file)

    def send_file(self, file: File, *, commit: str = "") -> None:
        fault = self.server.faults.get(file.name, "")
        if fault.isdigit():
            self.refuse(int(fault), "")
        elif fault == "cut":  # half of what is asked for, then nothing: as a network does
            self._cut(file)
        elif fault == "cut once":
            del self.server.faults[file.name]
            self._cut(file)
        else:
            super().send_file(file, commit=commit)

    def _cut(self, file: File) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        rest = file.data[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(file.data) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(file.data)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: len(rest) // 2] if start == 0 else b"")
        self.wfile.flush()
        self.close_connection = True

    def bytes_of(self, file: File) -> bytes:
        match self.server.faults.get(file.name):
            case "other bytes":
                return bytes(reversed(file.data))
            case "short":
                return file.data[:-100]
            case "long":
                return file.data + b"\0" * 5_000_000
        return file.data


@contextlib.contextmanager
def running() -> Iterator[FaultyServer]:
    """A hub that serves until the block ends."""
    server = FaultyServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def add(server: Server, name: str, files: Mapping[str, bytes], **facts: bool) -> str:
    """Add a repository with one commit on ``main``, and return the commit."""
    server.repositories[name] = Repository(**facts)
    return server.repositories[name].commit(files)
