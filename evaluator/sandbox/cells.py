"""A jail with a zygote in it, from the outside."""

import array
import functools
import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import evaluator
from evaluator import jail
from evaluator.errors import Code, error
from evaluator.sandbox import limits as limits_module
from evaluator.sandbox.limits import Limits

_PACKAGE = Path(evaluator.__file__).parent
_READABLE = (_PACKAGE / "__init__.py", *((_PACKAGE / "sandbox").glob("__init__.py")))
_START = """
import sys
sys.path.insert(0, sys.argv[2])
from evaluator.sandbox.inside.zygote import main
del sys.path[0]
main(int(sys.argv[1]))
"""
_OWN_MEMORY = 256 << 20
"""Bytes of a jail beyond those of its one running program: the zygote's, and files in memory."""
_PROCESSES = 16
_START_SECONDS = 60
_END_SECONDS = 1.0
_GRACE_SECONDS = 20
"""Seconds beyond a deadline after which a zygote that does not answer counts as lost."""


class CellLostError(Exception):
    """The zygote is gone, or does not answer."""


@dataclass(frozen=True, slots=True)
class End:
    """End of one process. ``exit`` is its exit code, or minus the signal that ended it."""

    exit: int
    late: bool
    cpu_seconds: float
    memory: int

    def is_late(self, limits: Limits) -> bool:
        """Return True where its time was up, of either kind."""
        if self.exit == -signal.SIGKILL:  # after its computing time, or by the kernel for memory
            return self.late or self.cpu_seconds >= limits.cpu_seconds
        return self.late or self.exit == -signal.SIGXCPU


def missing() -> list[str]:
    """Return what this machine lacks to execute programs, each as a sentence. Empty: nothing."""
    lacks = []
    if not jail.available():
        lacks.append("bubblewrap does not work here: install it ('apt-get install bubblewrap')")
    if _filter() is None:
        lacks.append("libseccomp is not installed ('apt-get install libseccomp2')")
    return lacks


def require() -> None:
    """Raise SANDBOX_MISSING where this machine cannot execute programs."""
    lacks = missing()
    if lacks:
        raise error(Code.SANDBOX_MISSING, "; ".join(lacks))


@functools.cache
def _filter() -> bytes | None:
    return jail.compile_filter(limits_module.CALLS.split(), limits_module.CONDITIONAL_CALLS)


class Cell:
    """One jail and its zygote: forks one process at a time. Not for two threads at once.

    Linux ends it with the thread that started it.
    """

    def __init__(self, limits: Limits) -> None:
        """Start the zygote. Raises SANDBOX_MISSING, SANDBOX_FAILED, HOST_RESOURCES."""
        require()
        self._limits = limits
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            command = jail.wrap(
                [
                    *(sys.executable, "-s", "-S", "-P", "-c", _START),
                    *(str(far.fileno()), str(_PACKAGE.parent)),
                ],
                readable=[*_READABLE, _PACKAGE / "sandbox" / "inside"],
                writable=[],
                environment={"PYTHONHASHSEED": "0"},  # the order of a set decides no verdict
                memory=limits.memory + _OWN_MEMORY,
                processes=_PROCESSES,
                process_files=False,
            )
            self._process = subprocess.Popen(
                command,
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._greet()
        except OSError:
            self.close()
            raise error(Code.SANDBOX_FAILED, "the zygote did not start") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fork(self, number: int, descriptors: Sequence[int]) -> None:
        """Have one process forked that holds ``descriptors``. Raises CellLostError."""
        order = json.dumps({"id": number, "seconds": self._limits.seconds}).encode("ascii")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self._control.sendmsg([order], rights)
        except OSError:
            raise CellLostError from None

    def ended(self, number: int) -> End:
        """Wait for the end of the process that was forked as ``number``. Raises CellLostError."""
        try:
            report = json.loads(self._control.recv(1 << 12))
            if report.pop("id") != number:
                raise CellLostError
        except (OSError, ValueError):
            raise CellLostError from None
        return End(**report)

    def close(self) -> None:
        """End the jail and every process in it."""
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)  # an idle zygote ends by itself
        except subprocess.TimeoutExpired:
            self._process.kill()  # bubblewrap's process 1 and all others die with it
            self._process.wait()

    def _greet(self) -> None:
        allowed = _filter() or b""
        settings = {
            "filter": allowed.hex(),
            "cpu_seconds": self._limits.cpu_seconds,
            "memory": self._limits.memory,
            "libraries": [],
            "preloaded": [],
        }
        set_timeout(self._control, _START_SECONDS)
        self._control.send(json.dumps(settings).encode("ascii"))
        if self._control.recv(16) != b"ready":
            raise OSError
        set_timeout(self._control, self._limits.seconds + _GRACE_SECONDS)


def set_timeout(channel: socket.socket, seconds: float) -> None:
    """Have reads and writes of the channel fail after some seconds, by any of its descriptors."""
    limit = struct.pack("ll", int(seconds) + 1, 0)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def new_channel(seconds: float) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel."""
    near, far = socket.socketpair()
    set_timeout(near, seconds + _GRACE_SECONDS)
    return near, far
