"""Reporting of an endpoint that answers nothing at present, while the gateway asks it again."""

import asyncio
from collections.abc import Callable


async def watch_endpoint(
    backend: object, report: Callable[[bool], None], *, seconds: float
) -> None:
    """Call ``report`` each time that the endpoint falls silent or comes back, until cancelled."""
    ask = getattr(backend, "waiting", None)
    before = False
    while ask is not None:
        await asyncio.sleep(seconds)
        now = await ask()
        if now is not before:
            report(now)
            before = now
