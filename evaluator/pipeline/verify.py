"""Verifying: the second model of a system scores every stored candidate, and the best one wins.

- It scores an item once the generator has written all of its candidates: after everything is
  written, or in rounds while other items are still being written, where a machine holds both parts.
- A text is the prompt as the generator got it, then the candidate.
- The sink stores each score as it arrives: a kill costs those on their way and no more.
- An item has its outcome once all of its candidates are scored (``grading.candidates``).
"""

import asyncio
import typing
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from evaluator.backends import Completion, Score, Scorer
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading.candidates import Candidate, choose
from evaluator.pipeline.ask import Outcomes, Result, Sink, first_error, flushing
from evaluator.pipeline.plan import Policy, Source, batches
from evaluator.protocols import Protocol

TRIES = 3
ROUNDS = 4
"""Rounds at least, where items are scored while others are written."""
POLL_SECONDS = 0.2


class CandidateSink(Sink, typing.Protocol):
    """Sink that also holds the candidates of a run and their scores."""

    def texts(self, name: str) -> Mapping[int, Sequence[str]]:
        """Return the text of each candidate of the items of a set, in the order of their numbers.

        Only of items with all candidates.
        """

    def written(self, name: str, samples: int) -> Collection[int]:
        """Return the indices of items that have ``samples`` candidates."""

    def scores(self, name: str, index: int) -> Mapping[int, float]:
        """Return the scores of an item that are stored already, by the candidate's number."""

    def scored(
        self,
        name: str,
        index: int,
        sample: int,
        score: Score,
    ) -> None:
        """Store a score."""

    def candidates(self, name: str, index: int) -> Sequence[Candidate]:
        """Return the candidates of an item, all scored, in the order of their numbers."""


@dataclass(frozen=True, slots=True, repr=False)
class _Item:
    """Item whose candidates are to be scored: its prompt and its candidates' texts."""

    name: str
    index: int
    prompt: str
    texts: Sequence[str]


async def verify_items(
    sources: Sequence[Source],
    protocol: Protocol,
    scorer: Scorer,
    sink: CandidateSink,
    *,
    policy: Policy,
    check: Callable[[], None] = lambda: None,
    written: asyncio.Event | None = None,
) -> None:
    """Score the candidates of every item without an outcome, and hand the outcomes to ``sink``.

    ``check`` raises where nothing more may be revealed or asked. Until ``written`` is set, items
    are scored in rounds as their candidates arrive; without one, everything is written. Raises the
    first error that ``TRIES`` attempts cannot mend, ``incomplete`` where an item lacks candidates.
    """
    total = sum(len(source.selection) for source in sources)
    done = sum(len(source.done) for source in sources)
    outcomes = Outcomes(sink, policy, done=done, total=total)
    sink.progress(done, total)
    verifying = _Verifying(
        protocol=protocol,
        scorer=scorer,
        outcomes=outcomes,
        sink=sink,
        check=check,
    )
    async with flushing(outcomes):
        async for ready in _rounds(sources, protocol, sink, policy, written):
            items = _items(
                sources,
                ready,
                protocol,
                sink,
                size=policy.batch,
                check=check,
            )
            async with first_error(), asyncio.TaskGroup() as group:
                for _ in range(policy.concurrency):
                    group.create_task(verifying.verify_all(items))


async def _rounds(
    sources: Sequence[Source],
    protocol: Protocol,
    sink: CandidateSink,
    policy: Policy,
    written: asyncio.Event | None,
) -> AsyncIterator[list[frozenset[int]]]:
    """Yield the items to score next, by the position of their set: all that are left at the end.

    Each round reads the stored candidates, so it waits for a batch of items or a part of all.
    """
    left = [source.selection - source.done for source in sources]
    a_part = sum(map(len, left)) // ROUNDS
    least = min(policy.batch, max(1, a_part))
    while written is not None and not written.is_set():
        ready = []
        for source, items in zip(sources, left, strict=True):
            written_now = sink.written(source.name, protocol.samples)
            ready.append(items & frozenset(written_now))
        if sum(map(len, ready)) >= least:
            yield ready
            left = [items - scored for items, scored in zip(left, ready, strict=True)]
        else:
            await asyncio.sleep(POLL_SECONDS)
    yield left


def _items(
    sources: Sequence[Source],
    ready: Sequence[frozenset[int]],
    protocol: Protocol,
    sink: CandidateSink,
    *,
    size: int,
    check: Callable[[], None],
) -> Iterator[_Item]:
    shots = [protocol.draws(source.n, len(source.shots)) for source in sources]
    texts: list[Mapping[int, Sequence[str]]] = []
    for source, items_of_set in zip(sources, ready, strict=True):
        texts.append(sink.texts(source.name) if items_of_set else {})
    for batch in batches(ready, size=size):
        check()
        source = sources[batch.position]
        of_items = shots[batch.position]
        of_set = texts[batch.position]
        items = source.reveal(batch.indices)
        for index, item in zip(batch.indices, items, strict=True):
            shown = [source.shots[shot] for shot in of_items[index]]
            candidates = of_set.get(index, ())
            if len(candidates) != protocol.samples:
                raise error(Code.INCOMPLETE, "an item lacks candidates")
            prompt = protocol.prompt(item, shown)
            yield _Item(source.name, index, prompt, candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verifying:
    """Scores one item after the other; several tasks share it and one iterator of items."""

    protocol: Protocol
    scorer: Scorer
    outcomes: Outcomes
    sink: CandidateSink
    check: Callable[[], None]

    async def verify_all(self, items: Iterator[_Item]) -> None:
        """Score the candidates of each item, a text at a time, and choose one."""
        for item in items:
            known = self.sink.scores(item.name, item.index)
            for sample, text in enumerate(item.texts):
                if sample in known:
                    continue
                self.check()
                score = await self._score(item.prompt + text)
                self.sink.scored(item.name, item.index, sample, score)
            winner = choose(self.sink.candidates(item.name, item.index)).vote
            no_text = Completion("", cut=False)
            result = Result(item.index, winner.outcome, winner.answer, no_text)
            self.outcomes.add(item.name, result)

    async def _score(self, text: str) -> Score:
        """Score one text, in up to ``TRIES`` tries. Raises the last error.

        A text beyond the verifier's context has no score.
        """
        question = self.protocol.verdict
        answer = self.protocol.verdict_answer
        for tries_left in reversed(range(TRIES)):
            try:
                return await self.scorer.score(text, question=question, answer=answer)
            except EvaluatorError as failure:
                if failure.code is Code.PROMPT_TOO_LONG:
                    break
                if not failure.again or not tries_left:
                    raise
        return Score(nan)
