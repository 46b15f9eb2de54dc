"""The zygote: one Python in a jail that forks a process for each program.

A message asks for one process and brings its descriptors: the channel to the other side, and for
tests the channel to the program. The zygote never reads a program or a test, so no later process
inherits one. It ends a process at its deadline and reports how each one ended; a process has no
descriptor that leads to it.
"""

import array
import contextlib
import ctypes
import gc
import importlib
import json
import math
import os
import random
import resource
import signal
import socket
import sys
import time
from typing import Any

from evaluator.sandbox.inside import program, unit_tests

PRELOADED = (
    *("bisect", "collections", "copy", "datetime", "functools", "heapq", "itertools", "math"),
    *("operator", "re", "string", "typing"),
)
"""Modules that programs import often: a fork has them already."""

_FIRST = 3
"""Descriptor of the zygote's control channel, and of a process's first channel."""
_DESCRIPTORS = 64
_HIGH = _DESCRIPTORS - 8
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_INSTRUCTION = 8  # bytes of a struct sock_filter


class _Filter(ctypes.Structure):
    """The kernel's ``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main(control: int) -> None:
    """Fork processes until the control channel ends."""
    os.dup2(control, _FIRST)  # one that is below all limits, so that a process can close it
    os.closerange(_FIRST + 1, control + 1)
    channel = socket.socket(fileno=_FIRST)
    settings = json.loads(channel.recv(1 << 16))
    zygote = _Zygote(channel, settings)
    channel.send(b"ready")
    while zygote.serve():
        pass


class _Zygote:
    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self._control = control
        self._libc = ctypes.CDLL(None, use_errno=True)
        instructions = bytes.fromhex(settings["filter"])
        self._filter = _Filter(len(instructions) // _INSTRUCTION, instructions)
        self._cpu = math.ceil(settings["cpu_seconds"])
        sys.path.extend(settings["libraries"])
        for name in (*PRELOADED, *settings["preloaded"]):
            importlib.import_module(name)
        for kind, value in (
            (resource.RLIMIT_AS, settings["memory"]),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, _DESCRIPTORS),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (value, value))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        gc.collect()
        gc.freeze()

    def serve(self) -> bool:
        """Fork one process and report its end. False at the end of the control channel."""
        size = array.array("i").itemsize
        message, parts, _, _ = self._control.recvmsg(1 << 12, socket.CMSG_SPACE(2 * size))
        if not message:
            return False
        descriptors = array.array("i")
        for _, _, data in parts:
            descriptors.frombytes(data[: len(data) - len(data) % size])
        order = json.loads(message)
        child = os.fork()
        if child == 0:
            self._become(list(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        late = not _ended(child, time.monotonic() + order["seconds"])
        if late:
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
        _forget_signals()
        report = {
            "id": order["id"],
            "exit": os.waitstatus_to_exitcode(status),
            "late": late,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss * 1024,
        }
        self._control.send(json.dumps(report).encode("ascii"))
        return True

    def _become(self, descriptors: list[int]) -> None:
        """Turn this process, just forked, into a program's or a test's, and end with it."""
        try:
            # Above all others first, so that none is overwritten before it has been moved.
            moved = [
                os.dup2(one, _DESCRIPTORS - 8 + place) for place, one in enumerate(descriptors)
            ]
            for place, one in enumerate(moved):
                os.dup2(one, _FIRST + place)
            os.closerange(_FIRST + len(moved), _DESCRIPTORS)
            resource.setrlimit(resource.RLIMIT_CPU, (self._cpu, self._cpu + 1))
            random.seed(0)  # a verdict is the same each time; a fork has drawn a new seed
            self._confine()
            if len(moved) == 1:
                program.serve(_FIRST)
            else:
                unit_tests.serve(_FIRST, _FIRST + 1)
        except BaseException:  # noqa: BLE001 - this process must not return to the zygote's loop
            os._exit(1)
        program.end()

    def _confine(self) -> None:
        """Refuse system calls for this process from here on. Raises OSError."""
        failed = self._libc.prctl(
            _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(self._filter), 0, 0
        )
        if failed:
            raise OSError(ctypes.get_errno(), "seccomp")


def _ended(child: int, deadline: float) -> bool:
    """Wait for the child's end. False where the deadline came first."""
    while True:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        signal.sigtimedwait({signal.SIGCHLD}, left)


def _forget_signals() -> None:
    with contextlib.suppress(InterruptedError):
        while signal.sigtimedwait({signal.SIGCHLD}, 0):
            pass
