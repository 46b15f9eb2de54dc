"""The grader of one run: it reads a completion, or executes the program that the completion makes.

A run whose grader executes programs has a sandbox of its own, from before its first item is
revealed until its last completion is graded. Programs wait for it in threads, so that the run goes
on asking meanwhile. Expressions are compared by a child, one after the other; a thread of the run
waits for it.
"""

import asyncio
import os
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from evaluator import grading
from evaluator.backends import Completion
from evaluator.contract import ItemKind
from evaluator.errors import Code, error
from evaluator.grading import Grade, controls, grade, others, programs
from evaluator.grading.comparing import COMPARER
from evaluator.items import Item
from evaluator.protocols import Protocol
from evaluator.sandbox.cells import require
from evaluator.sandbox.execute import Sandbox

_MOST_WORKERS = 4


_Graded = tuple[Grade, Mapping[str, Grade]]
"""Grade, and readings to be stored with it: by other graders, or its own."""


class RunGrader(typing.Protocol):
    """Grader of the completions of one run."""

    async def check(self) -> None:
        """Grade the control items. Raises ``control_failed``."""

    async def grade(self, item: Item, completion: Completion) -> _Graded:
        """Return the grade, and readings to be stored with it: by other graders, or its own."""


@asynccontextmanager
async def grader_of(protocol: Protocol) -> AsyncIterator[RunGrader]:
    """Return the grader of a run. Raises ``sandbox_missing`` where it cannot execute programs.

    At the end it waits for the program or the comparison that is under way.
    """
    if grading.compares(protocol.grader):
        thread = ThreadPoolExecutor(1)
        try:
            yield _InThread(_Reading(protocol), thread)
        finally:
            await asyncio.to_thread(_end_comparisons, thread)
        return
    if not grading.executes(protocol.grader):
        yield _Reading(protocol)
        return
    sandbox = new_sandbox()
    sandbox.__enter__()
    try:
        yield _Executing(protocol, sandbox)
    finally:
        # It waits for the programs that are running.
        await asyncio.to_thread(sandbox.__exit__)


def _end_comparisons(thread: ThreadPoolExecutor) -> None:
    thread.shutdown(cancel_futures=True)
    COMPARER.close()  # Linux ends it with its thread anyway


GradeAgain = Callable[[str, Item, bool], Grade]
"""Grades a stored completion of an item again; the last argument is true where it was cut."""


@contextmanager
def regrade_by(grader: str, protocol: Protocol | None) -> Iterator[GradeAgain]:
    """Return a way to grade stored completions again, by another grader than the run's or the same.

    The control items are graded first and, where nothing was raised, last. ``protocol`` is the
    run's. Raises ``unknown_grader``, ``control_failed``, ``sandbox_missing``, and ``grader_unfit``
    where the completions are programs and the grader reads texts, or the other way round.
    """
    if protocol is not None and grader not in grading.alternatives(protocol.grader):
        raise error(Code.GRADER_UNFIT, f"{grader} of completions by {protocol.id}")
    if not grading.executes(grader):

        def read(text: str, item: Item, cut: bool) -> Grade:
            written = protocol.graded(text) if protocol else text
            return grade(grader, written, item.gold, cut=cut)

        controls.check(grade, grader)
        yield read
        controls.check(grade, grader)
        return
    if protocol is None:
        raise error(Code.GRADER_UNFIT, f"{grader} needs the protocol that the programs answer")
    with new_sandbox() as sandbox:
        controls.check_programs(sandbox.execute, grader)

        def execute(text: str, item: Item, cut: bool) -> Grade:
            written = protocol.graded(text)
            program = protocol.program_of(item, written)
            return programs.grade(
                sandbox.execute,
                grader,
                program,
                item,
                written=written,
                cut=cut,
            )

        yield execute
        controls.check_programs(sandbox.execute, grader)


def check_executes(grader: str) -> None:
    """Raise ``sandbox_missing`` where ``grader`` needs a jail and this host has none."""
    if grading.needs_jail(grader):
        require()


def check_kind(grader: str, kind: ItemKind) -> None:
    """Raise ``grader_unfit`` for items of a kind that ``grader`` does not grade."""
    if kind not in grading.kinds(grader):
        raise error(Code.GRADER_UNFIT, f"{grader} for items of the kind {kind}")


def new_sandbox() -> Sandbox:
    """Return the sandbox of one run, with a worker for each core, up to some."""
    cores = os.cpu_count() or 1
    return Sandbox(programs.LIMITS, workers=min(_MOST_WORKERS, cores))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Grader that reads the completion."""

    protocol: Protocol

    async def check(self) -> None:
        self.check_now()

    async def grade(self, item: Item, completion: Completion) -> _Graded:
        return self.grade_now(item, completion)

    def check_now(self) -> None:
        """Grade the control items. Raises ``control_failed``."""
        controls.check(grade, self.protocol.grader)

    def grade_now(self, item: Item, completion: Completion) -> _Graded:
        """Return the grade, and those by other graders."""
        grader = self.protocol.grader
        text = self.protocol.graded(completion.text)
        graded = grade(grader, text, item.gold, cut=completion.cut)
        return graded, others(grader, text, item.gold, cut=completion.cut)


@dataclass(frozen=True, slots=True)
class _InThread:
    """Grader that reads in a thread, because it waits for a child."""

    reading: _Reading
    thread: ThreadPoolExecutor

    async def check(self) -> None:
        await asyncio.wrap_future(self.thread.submit(self.reading.check_now))

    async def grade(self, item: Item, completion: Completion) -> _Graded:
        graded = self.thread.submit(self.reading.grade_now, item, completion)
        return await asyncio.wrap_future(graded)


@dataclass(frozen=True, slots=True)
class _Executing:
    """Grader that executes the program which a completion makes."""

    protocol: Protocol
    sandbox: Sandbox

    async def check(self) -> None:
        await asyncio.to_thread(controls.check_programs, self.sandbox.execute, self.protocol.grader)

    async def grade(self, item: Item, completion: Completion) -> _Graded:
        grader = self.protocol.grader
        written = self.protocol.graded(completion.text)
        program = self.protocol.program_of(item, written)
        job = programs.job_of(grader, program, item, written=written)
        execution = None
        if job is not None:
            execution = await asyncio.wrap_future(self.sandbox.submit(job))
        graded = programs.grade_of(execution, item, cut=completion.cut)
        # A resumed run takes the reading from the store, and does not execute the program again.
        return graded, {grader: graded}
