"""Likelihood pass: the engine that answers the questions reads every text of a set once.

Nothing is cached between texts, so their order does not matter; they are read in that of the set.
Of a set only the mean and its standard error leave this module, rounded.
"""

import asyncio
from collections.abc import Callable, Sequence

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
"""Unit of a reported mean: a ten-thousandth of a nat per character."""


async def read_sets(
    sources: Sequence[Source],
    definition: Likelihood,
    reader: Reader,
    *,
    policy: Policy,
    check: Callable[[], None] = lambda: None,
) -> tuple[SetLikelihood, ...]:
    """Read every item that a run is scored on, those with an outcome too, and summarise each set.

    ``check`` raises where nothing more may be read; it is called before each batch. Raises as
    :func:`likelihoods` and :func:`summary` do.
    """
    values: list[list[Likely]] = [[] for _ in sources]
    selections = [source.selection for source in sources]
    for batch in batches(selections, size=max(policy.batch, policy.concurrency)):
        check()
        items = sources[batch.position].reveal(batch.indices)
        values[batch.position] += await likelihoods(
            items, definition, reader, concurrency=policy.concurrency
        )
    summaries = []
    for source, of_set in zip(sources, values, strict=True):
        summaries.append(summary(source.name, definition, of_set))
    return tuple(summaries)


def summary(name: str, definition: Likelihood, values: Sequence[Likely]) -> SetLikelihood:
    """Return the mean and the standard error of a set, in whole ten-thousandths of a nat.

    Raises HOST_FAILED for values that no model has.
    """
    deviation = standard_error(values)
    result = SetLikelihood(
        name=name,
        definition=definition.id,
        n=len(values),
        mean=round(mean_per_character(values) * _PARTS),
        error=None if deviation is None else round(deviation * _PARTS),
    )
    if not fits(result.to_dict(), SetLikelihood):
        raise error(Code.HOST_FAILED, "no log-probabilities")
    return result


async def likelihoods(
    items: Sequence[Item],
    definition: Likelihood,
    reader: Reader,
    *,
    concurrency: int,
) -> tuple[Likely, ...]:
    """Return one value for each item, in order.

    Raises the first error that ``TRIES`` attempts cannot mend.
    """
    values: dict[int, Likely] = {}
    left = iter(enumerate(items))

    async def read_all() -> None:
        for index, item in left:
            text = definition.of(item)
            for tries_left in reversed(range(TRIES)):
                try:
                    reading = await reader.read(text)
                    break
                except EvaluatorError as failure:
                    if not failure.again or not tries_left:
                        raise
            values[index] = likely(text, reading.tokens, reading.logprobs)

    async with first_error(), asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(items))):
            group.create_task(read_all())
    return tuple(values[index] for index in range(len(items)))
