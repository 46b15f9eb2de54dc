"""The likelihood pass: every text of a set is read once, by the engine that answers its questions too.

Nothing is cached between texts, so the order does not matter; they are asked in that of the set. Of a set only the
mean and its standard error leave this module, rounded.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from evaluator.backends import Reader
from evaluator.contract import SetLikelihood, fits
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item
from evaluator.pipeline.ask import first_error
from evaluator.pipeline.plan import Policy, Source, batches
from evaluator.protocols.likelihood import (
    Likelihood,
    Likely,
    likely,
    mean_per_character,
    standard_error,
)

TRIES = 3
_PARTS = 10_000


async def read_sets(
    sources: Sequence[Source],
    how: Likelihood,
    reader: Reader,
    *,
    policy: Policy,
    check: Callable[[], None] = lambda: None,
) -> tuple[SetLikelihood, ...]:
    """Read every item that is asked of each set, those with an outcome too. Raises as :func:`likelihoods` does.

    ``check`` raises where nothing more may be read; it is called before each batch.
    """
    found: list[list[Likely]] = [[] for _ in sources]
    for batch in batches(
        [source.form for source in sources], size=max(policy.batch, policy.concurrency)
    ):
        check()
        items = sources[batch.position].reveal(batch.indices)
        found[batch.position] += await likelihoods(
            items, how, reader, concurrency=policy.concurrency
        )
    return tuple(
        summary(source.name, how, values) for source, values in zip(sources, found, strict=True)
    )


def summary(name: str, how: Likelihood, found: Sequence[Likely]) -> SetLikelihood:
    """What may be told of a set. Raises HOST_FAILED for values that no model has."""
    spread = standard_error(found)
    parts = (
        round(mean_per_character(found) * _PARTS),
        None if spread is None else round(spread * _PARTS),
    )
    told = SetLikelihood(name=name, definition=how.id, n=len(found), mean=parts[0], error=parts[1])
    if not fits(told.to_dict(), SetLikelihood):
        raise error(Code.HOST_FAILED, "no log-probabilities")
    return told


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
