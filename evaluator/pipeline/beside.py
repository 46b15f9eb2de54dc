"""Running something beside something else, and raising one plain error where several tasks fail."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``work`` while the body runs, and cancel it afterwards. Its error cancels the body and is raised."""
    async with first_error(), asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def first_error() -> AsyncIterator[None]:
    """Raise the first error of a task group by itself: everything else was cancelled on its account."""
    try:
        yield
    except BaseExceptionGroup as failures:
        raise _leaf(failures) from None


def _leaf(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first
