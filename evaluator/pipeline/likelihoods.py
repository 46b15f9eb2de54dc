"""The likelihood pass: every text of a set is read once, by the engine that answers its questions too.

Nothing is cached between texts, so the order does not matter; they are asked in that of the set.
"""

import asyncio
from collections.abc import Iterator, Sequence

from evaluator.backends import Reader
from evaluator.errors import EvaluatorError
from evaluator.items import Item
from evaluator.pipeline.beside import first_error
from evaluator.protocols.likelihood import Likelihood, Likely, likely

TRIES = 3


async def likelihoods(
    items: Sequence[Item], how: Likelihood, reader: Reader, *, concurrency: int
) -> tuple[Likely, ...]:
    """One value for each item, in order. Raises the first error that ``TRIES`` attempts cannot mend."""
    found: dict[int, Likely] = {}
    left = iter(enumerate(items))
    async with first_error(), asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(items))):
            group.create_task(_read_all(left, how, reader, found))
    return tuple(found[index] for index in range(len(items)))


async def _read_all(
    left: Iterator[tuple[int, Item]], how: Likelihood, reader: Reader, found: dict[int, Likely]
) -> None:
    for index, item in left:
        found[index] = await _read(how.of(item), reader)


async def _read(text: str, reader: Reader) -> Likely:
    for _ in range(TRIES - 1):
        try:
            reading = await reader.read(text)
        except EvaluatorError as failure:
            if not failure.again:
                raise
        else:
            return likely(text, reading.tokens, reading.logprobs)
    reading = await reader.read(text)
    return likely(text, reading.tokens, reading.logprobs)
