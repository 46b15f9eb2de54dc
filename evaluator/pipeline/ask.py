"""Asking: reveal, ask, grade and hand on the items of a run.

- The control items of the grader are graded before anything is revealed, and again after everything
  is graded: no outcome of a run counts whose grader fails them.
- A portion of items is revealed when the portion before it is used up, not earlier.
- Outcomes are matched to items by index, so the order in which answers arrive does not matter.
- The sink stores each answer as it arrives, so that a kill costs what was on its way and no more.
- Outcomes are handed on in small groups while answers still arrive, and before any error leaves
  this module: an error never loses what was graded before it.
- An item without an answer has no outcome. It stays open, and the same run asks it when it is
  queued again.

An endpoint may refuse single items and answer the others. The outcome of such an item is no answer,
with a reason that is counted. It is held back until everything is asked: where most items are
refused, the endpoint is at fault, the run ends with a code that says so, and those items stay open.

Where a protocol asks several samples of an item, each is stored under its number and only their
vote is an outcome, or the choice of a verifier, which comes after the last sample (``verify``). An
item that lacks some stays open, and only those are asked again. Where the score is the mean over
the samples, the number of right ones goes with the outcome.
"""

import asyncio
import random
import typing
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

from evaluator.backends import Backend, Completion, ItemRefused, Sampling
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import Grade
from evaluator.grading.ballots import Vote, decide, samples_right
from evaluator.items import Item
from evaluator.pipeline.graders import RunGrader, grader_of
from evaluator.pipeline.plan import Policy, Source, Streak, portions, waits
from evaluator.protocols import Protocol


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One graded item. ``completion`` and ``extracted`` are text of the model: for the sink only.

    ``sample`` is the number of one answer of several. It is None for an only answer, and for a
    vote, which has no completion of its own. ``other_grades`` are those of the other graders, and
    that of a grader that executed a program. ``samples_right`` is the number of right samples
    behind a vote whose protocol scores their mean.
    """

    index: int
    outcome: Outcome
    extracted: str
    completion: Completion
    sample: int | None = None
    other_grades: Mapping[str, Grade] = field(default_factory=dict)
    samples_right: int | None = None

    def __repr__(self) -> str:
        return f"Result(index={self.index}, outcome={self.outcome.name})"


class Sink(typing.Protocol):
    """Receiver of results."""

    def answered(self, name: str, result: Result) -> None:
        """Store one answer to an item of the set ``name``, or a vote.

        Once this has returned, the process may be killed without losing the answer.
        """

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Hand on a group of stored answers. Return once not even the machine can lose them."""

    def progress(self, done: int, total: int) -> None:
        """Note that ``done`` of ``total`` items of all sets have an outcome."""


async def ask_items(
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

    ``secret`` decides the order; without one it is that of the sets. Where a set is sealed there
    must be a secret that the system under test cannot know. ``check`` raises where nothing more may
    be revealed or asked; it is called before each. ``chance`` and ``sleep`` are the randomness and
    the time of the waits.

    Raises ``sandbox_missing`` where this host cannot execute the programs that are to be graded;
    ``control_failed`` where the grader fails a control item; the first error that trying
    again cannot mend; the last error where ``policy.longest_streak`` items in a row, or all of
    them, got no answer; ``incomplete`` where some got none, ``budget_spent`` where that is why.
    What was graded has reached the sink by then.
    """
    total = sum(len(source.selection) for source in sources)
    done = sum(len(source.done) for source in sources)
    outcomes = Outcomes(sink, policy, done=done, total=total)
    async with grader_of(protocol) as grader:
        await grader.check()
        asker = _Asker(
            protocol=protocol,
            backend=backend,
            grader=grader,
            outcomes=outcomes,
            policy=policy,
            streak=Streak(policy.longest_streak),
            check=check,
            chance=chance,
            sleep=sleep,
        )
        questions = _questions(sources, protocol, policy, secret=secret, check=check)
        sink.progress(done, total)
        asker.vote_on_stored(sources)
        open_questions = (total - done) * protocol.samples
        async with flushing(outcomes):
            async with first_error(), asyncio.TaskGroup() as group:
                for _ in range(min(policy.concurrency, max(open_questions, 1))):
                    group.create_task(asker.ask_all(questions))
            await asker.grade_refused()
        await grader.check()
    if asker.budget_spent:
        raise error(Code.BUDGET_SPENT)
    if outcomes.missed:
        raise error(Code.INCOMPLETE if outcomes.answered else asker.last_error)


@dataclass(frozen=True, slots=True, repr=False)
class _Question:
    """One sample of an item on its way: its set, its index there, its prompt."""

    name: str
    index: int
    sample: int
    prompt: str
    item: Item


def _questions(
    sources: Sequence[Source],
    protocol: Protocol,
    policy: Policy,
    *,
    secret: bytes,
    check: Callable[[], None],
) -> Iterator[_Question]:
    """Yield every open item with its prompt, once for each sample that is missing.

    The items of a portion are revealed set by set, so that each set costs one line of the journal.
    """
    shots = [protocol.draws(source.n, len(source.shots)) for source in sources]
    open_items = [
        [
            index
            for index in source.selection - source.done
            if len(source.samples.get(index, ())) < protocol.samples
        ]
        for source in sources
    ]
    names = [source.name for source in sources]
    size = max(policy.batch, policy.concurrency)
    for portion in portions(open_items, size=size, names=names, secret=secret):
        check()
        revealed: dict[tuple[int, int], Item] = {}
        for position in portion.positions:
            indices = portion.of(position)
            items = sources[position].reveal(indices)
            for index, item in zip(indices, items, strict=True):
                revealed[position, index] = item
        for position, index in portion.items:
            source = sources[position]
            item = revealed[position, index]
            shown = [source.shots[shot] for shot in shots[position][index]]
            prompt = protocol.prompt(item, shown)
            stored = source.samples.get(index, ())
            missing = set(range(protocol.samples)) - set(stored)
            for sample in sorted(missing):
                yield _Question(source.name, index, sample, prompt, item)


@dataclass(slots=True)
class Outcomes:
    """Outcomes on their way to the sink, by set, and counts of the items with and without one."""

    sink: Sink
    policy: Policy
    done: int
    total: int
    unsent: dict[str, list[Result]] = field(default_factory=dict)
    answered: int = 0
    missed: int = 0

    def add(self, name: str, result: Result) -> None:
        """Store the outcome of an item, and hand the group on once it is large enough."""
        self.sink.answered(name, result)
        group = self.unsent.setdefault(name, [])
        group.append(result)
        if len(group) >= self.policy.group:
            self.flush()

    def flush(self) -> None:
        """Hand every group on. It leaves ``unsent`` first: a refused group is not sent twice."""
        while self.unsent:
            name, results = self.unsent.popitem()
            self.sink.graded(name, results)
            self.done += len(results)
            self.sink.progress(self.done, self.total)


_REFUTED_BY_ANY_ANSWER = frozenset(
    {
        Code.ENDPOINT_UNAUTHORIZED,
        Code.ENDPOINT_NOT_FOUND,
        Code.ENDPOINT_REDIRECTED,
        Code.ENDPOINT_REJECTED,
    }
)
"""Codes that blame the key, the address or the request as such."""


@dataclass(slots=True, kw_only=True)
class _Asker:
    """Asks questions one after the other; several tasks share it and one iterator of questions."""

    protocol: Protocol
    backend: Backend
    grader: RunGrader
    outcomes: Outcomes
    policy: Policy
    streak: Streak
    check: Callable[[], None]
    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    last_error: Code = Code.INCOMPLETE
    budget_spent: bool = False
    refused: list[tuple[_Question, ItemRefused]] = field(default_factory=list)
    ballots: dict[tuple[str, int], dict[int, Vote]] = field(default_factory=dict)

    async def ask_all(self, questions: Iterator[_Question]) -> None:
        """Ask until ``questions`` is used up or the budget is spent."""
        for question in questions:
            try:
                completion = await self._complete(question)
            except ItemRefused as refusal:
                self.refused.append((question, refusal))
                self._check_refused()
            except EvaluatorError as failure:
                if failure.code is Code.BUDGET_SPENT:
                    # Other tasks go on: the answers that are paid for may still be on their way.
                    self.budget_spent = True
                    return
                if not failure.again:
                    raise
                self.last_error = failure.code
                self.outcomes.missed += 1
                if self.streak.missed():
                    raise error(failure.code) from None
            else:
                await self._grade(question, completion)

    async def _complete(self, question: _Question) -> Completion:
        """Return the answer, after as many tries as the policy grants. Raises the last error."""
        seed = None
        if self.policy.seeded:
            seed = self.protocol.seed(question.name, question.index, question.sample)
        sampling = Sampling(
            max_tokens=self.protocol.max_tokens,
            stop=self.protocol.stop,
            temperature=self.protocol.temperature,
            bos=self.protocol.bos,
            stops=self.protocol.stops,
            limit=self.protocol.limit,
            seed=seed,
        )
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

    def _check_refused(self) -> None:
        """Raise the commonest reason once more of the items are refused than the policy allows."""
        items = {(question.name, question.index) for question, _ in self.refused}
        if len(items) <= self.policy.most_refused * self.outcomes.total:
            return
        reasons = Counter(refusal.code for _, refusal in self.refused)
        commonest = reasons.most_common(1)[0][0]
        if commonest in _REFUTED_BY_ANY_ANSWER:
            commonest = Code.ENDPOINT_REFUSES_ITEMS
        raise error(commonest)

    async def grade_refused(self) -> None:
        """Give the refused items their outcome: no answer."""
        for question, refusal in self.refused:
            no_text = Completion("", cut=False, reason=refusal.reason)
            await self._grade(question, no_text)

    async def _grade(self, question: _Question, completion: Completion) -> None:
        self.streak.answered()
        graded, readings = await self.grader.grade(question.item, completion)
        self.outcomes.answered += 1
        result = Result(
            question.index,
            graded.outcome,
            graded.extracted,
            completion,
            other_grades=readings,
        )
        if self.protocol.samples == 1:
            self.outcomes.add(question.name, result)
            return
        sample = replace(result, sample=question.sample)
        self.outcomes.sink.answered(question.name, sample)
        ballot = self.ballots.setdefault((question.name, question.index), {})
        ballot[question.sample] = Vote(graded.extracted, graded.outcome)
        self._vote(question.name, question.index)

    def vote_on_stored(self, sources: Sequence[Source]) -> None:
        """Take over the samples that earlier attempts stored, and vote where none is missing."""
        for source in sources:
            for index, samples in source.samples.items():
                self.ballots[source.name, index] = dict(samples)
                self._vote(source.name, index)

    def _vote(self, name: str, index: int) -> None:
        """Decide the outcome of an item by majority once all of its samples are there.

        The vote is in the order of the samples' numbers, whatever order they came in.
        """
        ballot = self.ballots[name, index]
        if len(ballot) != self.protocol.samples or self.protocol.vote == "verifier":
            return
        del self.ballots[name, index]
        in_order = [ballot[sample] for sample in sorted(ballot)]
        winner = decide(in_order)
        vote = Result(
            index,
            winner.outcome,
            winner.answer,
            Completion("", cut=False),
        )
        if self.protocol.vote == "mean":
            vote = replace(vote, samples_right=samples_right(ballot.values()))
        self.outcomes.add(name, vote)


@asynccontextmanager
async def flushing(outcomes: Outcomes) -> AsyncIterator[None]:
    """Hand outcomes on every ``flush_seconds`` while the body runs, and the rest after it."""

    async def flush_regularly() -> None:
        while True:
            await asyncio.sleep(outcomes.policy.flush_seconds)
            outcomes.flush()

    async with in_background(flush_regularly()):
        try:
            yield
        finally:
            outcomes.flush()


async def watch_endpoint(
    backend: object,
    report: Callable[[bool], None],
    *,
    seconds: float,
) -> None:
    """Call ``report`` each time the endpoint falls silent or comes back, until cancelled.

    The gateway of ``backend`` is asked every ``seconds``; other backends are not watched.
    """
    is_waiting = getattr(backend, "waiting", None)
    before = False
    while is_waiting is not None:
        await asyncio.sleep(seconds)
        now = await is_waiting()
        if now is not before:
            report(now)
            before = now


# --- concurrency


@asynccontextmanager
async def in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run ``work`` while the body runs, and cancel it afterwards.

    An error of ``work`` cancels the body and is raised.
    """
    async with first_error(), asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def first_error() -> AsyncIterator[None]:
    """Raise a task group's first error by itself: the group cancelled all else on its account."""
    try:
        yield
    except BaseExceptionGroup as failures:
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
