"""One program after the other, in a program jail and a test jail."""

import contextlib
import itertools
import json
import secrets
import signal
from collections.abc import Mapping
from typing import Any, Self

from evaluator.sandbox.cells import Cell, CellLostError, End, new_channel
from evaluator.sandbox.inside import frames, plain, unit_tests
from evaluator.sandbox.jobs import Disposition, Execution, Job, Program, UnitTested
from evaluator.sandbox.limits import Limits

_VERDICTS: Mapping[str, Disposition] = {
    unit_tests.PASSED: Disposition.PASSED,
    unit_tests.FAILED: Disposition.FAILED,
    unit_tests.RAISED: Disposition.RAISED,
    unit_tests.UNFIT: Disposition.UNFIT,
    unit_tests.ENDED: Disposition.ENDED,
}


class Worker:
    """Executes programs of one run in jails of its own. Linux ends them with its thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._cells: dict[type, Cell] = {}
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._cells:
            self._cells.popitem()[1].close()

    def cell(self, kind: type[Job]) -> Cell:
        """Return the jail of programs or of tests. It is started when it is first needed."""
        if kind not in self._cells:
            self._cells[kind] = Cell(self._limits)
        return self._cells[kind]

    def execute(self, job: Job) -> Execution:
        """Execute one program, anew where its jail ended. Raises as ``Sandbox.execute``."""
        for _attempt in range(2):
            try:
                return self._value(job) if isinstance(job, Program) else self._verdict(job)
            except CellLostError:
                self.__exit__()
        return Execution(Disposition.ENDED)

    def _value(self, job: Program) -> Execution:
        number = next(self._numbers)
        near, far = new_channel(self._limits.seconds)
        with near:
            with far:
                self.cell(Program).fork(number, [far.fileno()])
            reply = _ask(near.fileno(), job)
        return self._execution(self.cell(Program).ended(number), *_meaning(reply))

    def _verdict(self, job: UnitTested) -> Execution:
        programs, testers = self.cell(Program), self.cell(UnitTested)
        number = next(self._numbers)
        nonce = secrets.token_hex(16)
        near, far = new_channel(self._limits.seconds)
        verdicts, tests = new_channel(self._limits.seconds)
        with verdicts:
            with near, far, tests:
                programs.fork(number, [far.fileno()])
                far.close()
                with contextlib.suppress(OSError):  # it ended before it had read the program
                    frames.send(near.fileno(), job.source.encode("utf-8", "surrogatepass"))
                testers.fork(number, [tests.fileno(), near.fileno()])
            verdict, name = _report(verdicts.fileno(), job, nonce)
        testing = testers.ended(number)
        running = programs.ended(number)
        if verdict is Disposition.PASSED:
            return Execution(verdict, cpu_seconds=running.cpu_seconds, memory=running.memory)
        if testing.is_late(self._limits):
            verdict, name = Disposition.LATE, ""
        return self._execution(running, verdict, None, name)

    def _execution(self, end: End, disposition: Disposition, value: object, name: str) -> Execution:
        """Return the result of a program: its end comes before what it says of itself."""
        if end.is_late(self._limits):
            disposition, value, name = Disposition.LATE, None, ""
        elif end.exit == -signal.SIGKILL or name == MemoryError.__name__:
            disposition, value, name = Disposition.MEMORY, None, ""
        return Execution(disposition, value, name, end.cpu_seconds, end.memory)


def _ask(channel: int, job: Program) -> Any:
    """Return the program's answer, None where there is none."""
    if job.variable:
        question: tuple[object, ...] = ("name", (job.variable,), {})
    else:
        question = ("call_name", (job.function, *job.arguments), {})
    try:
        frames.send(channel, job.source.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(OSError):  # it has ended; what it said is still there
            frames.send(channel, plain.dumps(question))
        reply: Any = plain.loads(frames.receive(channel), _no_handle)
        if reply == ("value", None):
            reply = plain.loads(frames.receive(channel), _no_handle)
    except plain.NotPlainError:
        return ("unfit", "")
    except OSError:
        return None
    return reply


def _no_handle(_handle: plain.Handle) -> object:
    raise plain.NotPlainError("an object")


def _meaning(reply: object) -> tuple[Disposition, object, str]:
    match reply:
        case ("value", value):
            return Disposition.VALUE, value, ""
        case ("raised", str(name), str()) if len(name) < 100 and name.isidentifier():
            return Disposition.RAISED, None, name
        case None:
            return Disposition.ENDED, None, ""
    return Disposition.UNFIT, None, ""


def _report(channel: int, job: UnitTested, nonce: str) -> tuple[Disposition, str]:
    """Return the verdict of the tests' process; failed where it ended without one."""
    task = {"nonce": nonce, "prelude": job.prelude, "entry": job.entry, "tests": job.tests}
    try:
        frames.send(channel, json.dumps(task).encode("ascii"))
        report = json.loads(frames.receive(channel))
    except (OSError, ValueError, RecursionError):
        return Disposition.FAILED, ""
    match report:
        case {"nonce": str(given), "verdict": str(verdict), "error": str(name)} if (
            given == nonce and verdict in _VERDICTS
        ):
            return _VERDICTS[verdict], name if name.isidentifier() else ""
    return Disposition.FAILED, ""
