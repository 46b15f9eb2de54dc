"""Turns of the parts of a system: both loaded at once where the machine holds both, else in turn.

- In turn, the generator writes all candidates of all items and ends; then the verifier is loaded.
- At once, the verifier scores items while the generator still writes others. It is loaded first,
  so that the generator reserves its memory from what is left.
- Whether the machine holds both is computed from their sizes and its memory. Where a server cannot
  start alongside the other all the same, the parts are served in turn.
- Every candidate and every score is stored as it arrives. So after a kill either way continues what
  the other began.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from evaluator.artefacts.placement import Placement, Together
from evaluator.backends import HttpBackend, plan_together
from evaluator.contract.announcements import Library
from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.ask import first_error
from evaluator.pipeline.parts import Model

_NOT_TOGETHER = frozenset({Code.ENGINE_OOM, Code.HOST_DIED, Code.HOST_FAILED})
"""Failures of a start that loading the parts in turn may avoid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Work of the two parts of a system.

    ``write`` has the generator write candidates, and what else its load is used for; ``score`` has
    the verifier score them, until the event is set and none is left. ``failing`` are the engines
    that did not pass the self-test.
    """

    serve: Callable[[Model, Placement | None], AbstractAsyncContextManager[HttpBackend]]
    write: Callable[[HttpBackend, asyncio.Event], Awaitable[None]]
    score: Callable[[HttpBackend, asyncio.Event], Coroutine[None, None, None]]
    failing: frozenset[Library] = frozenset()


async def take_turns(turns: Turns, generator: Model, verifier: Model) -> None:
    """Have the candidates of a system written and scored. Raises the first error of either part."""
    plan = await asyncio.to_thread(
        plan_together,
        generator.folder,
        verifier.folder,
        turns.failing,
    )
    if plan is not None and await _at_once(turns, generator, verifier, plan):
        return
    await write_all(turns, generator)
    await score_all(turns, verifier)


async def write_all(turns: Turns, generator: Model) -> None:
    """Have the generator write all candidates, alone on the machine."""
    async with turns.serve(generator, None) as backend:
        await turns.write(backend, asyncio.Event())


async def score_all(turns: Turns, verifier: Model) -> None:
    """Have the verifier score all candidates, which are written, alone on the machine."""
    written = asyncio.Event()
    written.set()
    async with turns.serve(verifier, None) as scorer:
        await turns.score(scorer, written)


async def _at_once(
    turns: Turns,
    generator: Model,
    verifier: Model,
    plan: Together,
) -> bool:
    """Load both parts and have them work. Returns false where one of them could not start."""
    async with AsyncExitStack() as stack:
        try:
            of_verifier = turns.serve(verifier, plan.verifier)
            scorer = await stack.enter_async_context(of_verifier)
            of_generator = turns.serve(generator, plan.generator)
            backend = await stack.enter_async_context(of_generator)
        except EvaluatorError as failure:
            if failure.code not in _NOT_TOGETHER:
                raise
            return False
        written = asyncio.Event()
        async with first_error(), asyncio.TaskGroup() as group:
            group.create_task(turns.score(scorer, written))
            await turns.write(backend, written)
    return True
