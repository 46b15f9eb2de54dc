"""Health check of a running model server: a hung server fails the run, a slow one does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from evaluator.errors import Code, EvaluatorError, error

PROBE_SECONDS = 10.0
"""Pause between two probes."""
LIMIT_SECONDS = 40.0
"""Longest time a probe may take; the server counts as hung beyond it.

The pause and the limit together stay below a minute.
"""


class Probed(Protocol):
    """Client of a model server."""

    async def ready(self) -> None:
        """Return once the server reports that it is healthy."""


@asynccontextmanager
async def watched(server: Probed) -> AsyncIterator[None]:
    """Run the body while ``server`` responds.

    Cancels the body and raises HOST_HUNG once it does not.
    """
    try:
        async with asyncio.timeout(None) as scope:
            watch = asyncio.create_task(_watch(server, scope))
            try:
                yield
            finally:
                watch.cancel()
    except TimeoutError:
        if scope.expired():
            raise error(Code.HOST_HUNG) from None
        raise


async def _watch(server: Probed, scope: asyncio.Timeout) -> None:
    while True:
        await asyncio.sleep(PROBE_SECONDS)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                # A broken connection, or an endpoint's refusal, reaches the requests as well.
                with suppress(EvaluatorError):
                    await server.ready()
        except TimeoutError:
            scope.reschedule(asyncio.get_running_loop().time())
            return
