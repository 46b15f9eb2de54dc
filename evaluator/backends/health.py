"""A watch over a model server: one that no longer responds is found, one that is slow is left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from evaluator.errors import Code, EvaluatorError, error

PROBE_SECONDS = 10.0
"""The pause between two probes."""
LIMIT_SECONDS = 40.0
"""A server that does not say within this time that it is well is hung. Together they stay below a minute."""


class Probed(Protocol):
    """A client of a model server."""

    async def ready(self) -> None:
        """Return once the server says that it is well."""


@asynccontextmanager
async def watched(server: Probed) -> AsyncIterator[None]:
    """Run the body while ``server`` responds. Raises HOST_HUNG, and cancels the body, once it does not."""
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
                with suppress(
                    EvaluatorError
                ):  # a broken connection, or an endpoint's refusal: requests meet it too
                    await server.ready()
        except TimeoutError:
            scope.reschedule(asyncio.get_running_loop().time())
            return
