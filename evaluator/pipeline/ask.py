"""The story of one evaluation: reveal, ask, grade, hand on.

Outcomes are matched to items by index, so the order in which answers arrive does not matter. Each is kept by
the sink as it arrives, so that a kill costs what was on its way and no more; they are handed on in small groups
while answers still arrive, and before any error leaves this module: what was graded is never lost to what went
wrong afterwards. An item that got no answer has no outcome and stays
open, so that the same run, queued again, asks it again.

An endpoint may refuse single items and answer the others. Such an item has no answer, which is its outcome, with a
reason that is counted. It is held back until all is asked: where most items are refused, the endpoint is at fault, the
run ends with a code that says so, and those items stay open.

Where a protocol asks several samples of an item, each is kept under its number and only their vote is an outcome; an
item that lacks some stays open, and only those are asked again.
"""

import asyncio
import random
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol as Shape

from evaluator.backends import Backend, Completion, ItemRefused, Sampling
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import Grade, controls, grade, others
from evaluator.grading.ballots import Said, decide
from evaluator.pipeline.plan import Policy, Source, Streak, portions, waits
from evaluator.protocols import Protocol


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One graded item. ``completion`` and ``extracted`` are text of the model: for the keeper only.

    ``sample`` is the number of one answer of several, None for the only one and for the vote, which has no completion
    of its own. ``beside`` is what the other published graders say of the completion.
    """

    index: int
    outcome: Outcome
    extracted: str
    completion: Completion
    sample: int | None = None
    beside: Mapping[str, Grade] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Result(index={self.index}, outcome={self.outcome.name})"


class Sink(Shape):
    """Where outcomes go."""

    def answered(self, name: str, result: Result) -> None:
        """Keep one answer to an item of the set ``name``, or a vote: from here on this process may be killed."""

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Hand on a group of answers that were kept. Returns when not even the machine may lose them."""

    def progress(self, done: int, total: int) -> None:
        """``done`` of ``total`` items of all sets have an outcome."""


@dataclass(frozen=True, slots=True, repr=False)
class _Question:
    """One item on its way: ``name`` of its set, ``index`` in it, ``sample``, the ``prompt`` and its gold answer."""

    name: str
    index: int
    sample: int
    prompt: str
    gold: str


@dataclass(slots=True)
class _Tally:
    """What happened so far: outcomes waiting for the sink, by set, and how many items have one or none."""

    sink: Sink
    policy: Policy
    done: int
    total: int
    waiting: dict[str, list[Result]] = field(default_factory=dict)
    answered: int = 0
    missed: int = 0

    def add(self, name: str, result: Result) -> None:
        """An item has an outcome."""
        self.sink.answered(name, result)
        group = self.waiting.setdefault(name, [])
        group.append(result)
        if len(group) >= self.policy.group:
            self.flush()

    def flush(self) -> None:
        """Hand on what waits. A group leaves the tally first: one that the sink refused is not sent twice."""
        while self.waiting:
            name, results = self.waiting.popitem()
            self.sink.graded(name, results)
            self.done += len(results)
            self.sink.progress(self.done, self.total)


async def run(
    sources: Sequence[Source],
    protocol: Protocol,
    backend: Backend,
    sink: Sink,
    *,
    policy: Policy,
    secret: bytes = b"",
    check: Callable[[], None] = lambda: None,
    chance: Callable[[], float] = random.random,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Ask every open item of ``sources``, all sets mixed, and hand the outcomes to ``sink``.

    ``secret`` decides the order, without one it is that of the sets. Where a set is sealed there must be one, that the
    system under test cannot know.

    Raises the first error that trying again cannot mend; the last one where ``policy.give_up`` answers in
    a row, or all of them, did not come; ``incomplete`` where some did not, ``budget_spent`` where that is
    why. What was graded has reached the sink by then. ``check`` raises where nothing more may be
    revealed or asked; it is called before each. ``chance`` and ``sleep`` are the randomness and the
    time of the waits.

    The control items of the grader are graded before anything is revealed and after everything is graded. Raises
    ``control_failed`` where one has another outcome than it must: no outcome of such a run counts.
    """
    controls.check(grade, protocol.grader)
    done = sum(len(source.done) for source in sources)
    tally = _Tally(sink, policy, done, sum(len(source.form) for source in sources))
    questions = _questions(sources, protocol, policy, secret=secret, check=check)
    sampling = Sampling(
        max_tokens=protocol.max_tokens,
        stop=protocol.stop,
        temperature=protocol.temperature,
        bos=protocol.bos,
        stops=protocol.stops,
        limit=protocol.limit,
    )
    asker = _Asker(
        protocol, backend, sampling, tally, policy, Streak(policy.give_up), check, chance, sleep
    )
    sink.progress(tally.done, tally.total)
    for source in sources:
        for index, said in source.kept.items():
            asker.ballots[source.name, index] = dict(said)
            asker.vote(source.name, index)
    async with _handing_on(tally):
        async with first_error(), asyncio.TaskGroup() as group:
            for _ in range(
                min(policy.concurrency, max((tally.total - done) * protocol.samples, 1))
            ):
                group.create_task(asker.ask_all(questions))
        asker.keep_refused()
    controls.check(grade, protocol.grader)
    if asker.spent:
        raise error(Code.BUDGET_SPENT)
    if tally.missed:
        raise error(asker.last if not tally.answered else Code.INCOMPLETE)


def _questions(
    sources: Sequence[Source],
    protocol: Protocol,
    policy: Policy,
    *,
    secret: bytes,
    check: Callable[[], None],
) -> Iterator[_Question]:
    """Yield every open item with its prompt, once for each sample that is missing.

    A portion is revealed when the one before is used up, not earlier: of each set together, so that each costs one
    line of the journal.
    """
    shots = [protocol.draws(source.n, len(source.shots)) for source in sources]
    open_items = [
        [
            index
            for index in source.form - source.done
            if len(source.kept.get(index, ())) < protocol.samples
        ]
        for source in sources
    ]
    names = [source.name for source in sources]
    size = max(policy.batch, policy.concurrency)
    for portion in portions(open_items, size=size, names=names, secret=secret):
        check()
        revealed = {
            position: dict(
                zip(
                    portion.of(position),
                    sources[position].reveal(portion.of(position)),
                    strict=True,
                )
            )
            for position in portion.positions
        }
        for position, index in portion.items:
            source, item = sources[position], revealed[position][index]
            drawn = [source.shots[shot] for shot in shots[position][index]]
            prompt = protocol.prompt(item, drawn)
            for sample in sorted(set(range(protocol.samples)) - set(source.kept.get(index, ()))):
                yield _Question(source.name, index, sample, prompt, item.gold)


_SOME_ARE_ANSWERED = frozenset(
    {
        Code.ENDPOINT_UNAUTHORIZED,
        Code.ENDPOINT_NOT_FOUND,
        Code.ENDPOINT_REDIRECTED,
        Code.ENDPOINT_REJECTED,
    }
)
"""Codes that blame the key, the address or the request as such, which an answer to any question refutes."""


@dataclass(slots=True)
class _Asker:
    """Asks questions one after the other; several do so at once, from one shared iterator."""

    protocol: Protocol
    backend: Backend
    sampling: Sampling
    tally: _Tally
    policy: Policy
    streak: Streak
    check: Callable[[], None]
    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    last: Code = Code.INCOMPLETE
    spent: bool = False
    refused: list[tuple[_Question, ItemRefused]] = field(default_factory=list)
    ballots: dict[tuple[str, int], dict[int, Said]] = field(default_factory=dict)

    async def ask_all(self, questions: Iterator[_Question]) -> None:
        for question in questions:
            try:
                completion = await self._ask(question)
            except ItemRefused as refusal:
                self.refused.append((question, refusal))
                self._bound_refused()
            except EvaluatorError as failure:
                if (
                    failure.code is Code.BUDGET_SPENT
                ):  # the answers that are paid for may still be on their way
                    self.spent = True
                    return
                if not failure.again:
                    raise
                self._miss(failure.code)
            else:
                self._keep(question, completion)

    def _bound_refused(self) -> None:
        """Raise the code of the commonest reason once more of the items are refused than the policy allows."""
        items = {(question.name, question.index) for question, _ in self.refused}
        if len(items) > self.policy.most_refused * self.tally.total:
            commonest = Counter(refusal.code for _, refusal in self.refused).most_common(1)[0][0]
            raise error(
                Code.ENDPOINT_REFUSES_ITEMS if commonest in _SOME_ARE_ANSWERED else commonest
            )

    def keep_refused(self) -> None:
        """Give the refused items their outcome: no answer."""
        for question, refusal in self.refused:
            self._keep(question, Completion("", cut=False, reason=refusal.reason))

    async def _ask(self, question: _Question) -> Completion:
        """The answer, after as many tries as the policy grants. Raises the last try's error."""
        seed = (
            self.protocol.seed(question.name, question.index, question.sample)
            if self.policy.seeded
            else None
        )
        sampling = replace(self.sampling, seed=seed)
        for wait in waits(self.policy, self.chance):
            self.check()
            try:
                return await self.backend.complete(question.prompt, sampling)
            except EvaluatorError as failure:
                if not failure.again:
                    raise
            await self.sleep(wait)
        self.check()
        return await self.backend.complete(question.prompt, sampling)

    def _keep(self, question: _Question, completion: Completion) -> None:
        self.streak.answered()
        self.tally.answered += 1
        text = self.protocol.graded(completion.text)
        graded = grade(self.protocol.grader, text, question.gold, cut=completion.cut)
        beside = others(self.protocol.grader, text, question.gold, cut=completion.cut)
        result = Result(question.index, graded.outcome, graded.extracted, completion, beside=beside)
        if self.protocol.samples == 1:
            self.tally.add(question.name, result)
            return
        self.tally.sink.answered(question.name, replace(result, sample=question.sample))
        ballot = self.ballots.setdefault((question.name, question.index), {})
        ballot[question.sample] = Said(graded.extracted, graded.outcome)
        self.vote(question.name, question.index)

    def vote(self, name: str, index: int) -> None:
        """Where an item has all of its answers, their majority is its outcome, in whatever order they came."""
        ballot = self.ballots[name, index]
        if len(ballot) == self.protocol.samples:
            won = decide([said for _, said in sorted(self.ballots.pop((name, index)).items())])
            self.tally.add(name, Result(index, won.outcome, won.answer, Completion("", cut=False)))

    def _miss(self, code: Code) -> None:
        self.last = code
        self.tally.missed += 1
        if self.streak.missed():
            raise error(code)


@asynccontextmanager
async def _handing_on(tally: _Tally) -> AsyncIterator[None]:
    """Hand outcomes on about once every ``flush_seconds`` while the body runs, and what is left after it."""

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(tally.policy.flush_seconds)
            tally.flush()

    async with beside(now_and_then()):
        try:
            yield
        finally:
            tally.flush()


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
