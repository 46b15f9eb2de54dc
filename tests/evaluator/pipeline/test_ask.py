import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from evaluator import protocols
from evaluator.backends import Completion, FakeBackend, Sampling
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item
from evaluator.pipeline.ask import Result, ask_items
from evaluator.pipeline.plan import Policy, PublicSource
from tests.planting import planted

N = 50
ITEMS = tuple(
    Item(question=f"What is {i} and {i}?", answer=f"#### {2 * i}", gold=str(2 * i))
    for i in range(N)
)
PROTOCOL = protocols.get("demo-0shot")
QUICK = Policy(concurrency=8, batch=8, first_wait=0, flush_seconds=0.01, group=7)


def number_in(prompt: str) -> int:
    return int(prompt.rsplit("What is ", maxsplit=1)[-1].split(" ", maxsplit=1)[0])


def answer(prompt: str) -> str:
    """Right for two in three; wrong for numbers that three divides."""
    number = number_in(prompt)
    return f" The answer is {2 * number + (number % 3 == 0)}"


def expected(index: int) -> Outcome:
    return Outcome.WRONG if index % 3 == 0 else Outcome.RIGHT


@dataclass
class Memory:
    """A sink that remembers, and refuses an index that comes twice."""

    outcomes: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    stored: list[tuple[str, int]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)

    def answered(self, name: str, result: Result) -> None:
        self.stored.append((name, result.index))

    def graded(self, name: str, results: Sequence[Result]) -> None:
        assert all((name, result.index) in self.stored for result in results)
        assert all((name, result.index) not in self.outcomes for result in results)
        self.groups.append(len(results))
        self.outcomes |= {(name, result.index): result.outcome for result in results}

    def progress(self, done: int, total: int) -> None:
        self.steps.append((done, total))


class Backend:
    """Answers by ``act(prompt, tries so far)``, which may raise; counts what is in flight and what was asked."""

    def __init__(
        self, act: Callable[[str, int], str], latency: Callable[[], float] = lambda: 0
    ) -> None:
        self.act, self.latency = act, latency
        self.tries: dict[int, int] = {}
        self.in_flight = self.most_in_flight = 0

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        number = number_in(prompt)
        self.tries[number] = self.tries.get(number, 0) + 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency())
            return Completion(self.act(prompt, self.tries[number]), cut=False)
        finally:
            self.in_flight -= 1


def evaluate(
    backend: Backend | FakeBackend, sink: Memory, policy: Policy = QUICK, **about: object
) -> None:
    source = PublicSource(name="set", items=ITEMS, **about)  # type: ignore[arg-type]
    asyncio.run(ask_items([source], PROTOCOL, backend, sink, policy=policy, chance=lambda: 0.5))


def test_every_item_gets_its_own_outcome() -> None:
    memory = Memory()
    evaluate(FakeBackend(answer), memory)
    assert memory.outcomes == {("set", i): expected(i) for i in range(N)}
    assert memory.steps[0] == (0, N)
    assert memory.steps[-1] == (N, N)


def test_a_part_of_a_public_set_is_asked_alone() -> None:
    memory = Memory()
    without = frozenset(range(0, N, 2))
    evaluate(FakeBackend(answer), memory, without=without)
    assert memory.outcomes == {("set", i): expected(i) for i in range(N) if i not in without}
    assert memory.steps[-1] == (N - len(without), N - len(without))


def outcomes_of_any_order() -> dict[tuple[str, int], Outcome]:
    """The outcomes where the answers arrive in another order than the questions were asked."""
    chance = random.Random(5)
    memory = Memory()
    evaluate(Backend(lambda prompt, _: answer(prompt), lambda: chance.random() / 50), memory)
    return memory.outcomes


IN_ORDER = {("set", i): expected(i) for i in range(N)}


def test_e02_the_order_of_answers_does_not_matter() -> None:
    assert outcomes_of_any_order() == IN_ORDER


def test_e02_a_build_that_counts_answers_by_their_place_is_noticed() -> None:
    by_place = (
        "evaluator/pipeline/ask.py",
        "            question.index,\n            graded.outcome,",
        "            self.outcomes.answered - 1,\n            graded.outcome,",
    )
    with planted(by_place):
        assert outcomes_of_any_order() != IN_ORDER


def test_no_more_than_the_given_number_is_in_flight_and_all_of_it_is_used() -> None:
    backend = Backend(lambda prompt, _: answer(prompt), lambda: 0.002)
    evaluate(backend, Memory())
    assert backend.most_in_flight == 8


def test_items_with_an_outcome_are_not_asked() -> None:
    done = frozenset(range(0, N, 2))
    backend, memory = Backend(lambda prompt, _: answer(prompt)), Memory()
    evaluate(backend, memory, done=done)
    assert set(backend.tries) == set(range(1, N, 2))
    assert set(memory.outcomes) == {("set", i) for i in range(1, N, 2)}
    assert memory.steps[0] == (len(done), N)


def test_outcomes_are_handed_on_in_small_groups_while_answers_arrive() -> None:
    memory = Memory()
    seen: list[int] = []

    def act(prompt: str, _: int) -> str:
        seen.append(len(memory.outcomes))
        return answer(prompt)

    evaluate(Backend(act, lambda: 0.005), memory)
    assert max(memory.groups) <= QUICK.group
    assert sorted(seen) == seen
    assert seen[-1] >= N - 2 * 8 - QUICK.group


def test_each_answer_is_stored_before_its_asker_asks_again() -> None:
    memory = Memory()
    late: list[int] = []

    def act(prompt: str, _: int) -> str:
        late.append(sum(backend.tries.values()) - len(memory.stored))
        return answer(prompt)

    backend = Backend(act, lambda: 0.002)
    evaluate(backend, memory, replace(QUICK, flush_seconds=600, group=600))
    assert max(late) <= 8
    assert len(memory.stored) == N


def test_a_spent_budget_ends_the_run_once_what_is_paid_for_has_arrived() -> None:
    """The eighth question still gets its answer, long after others were refused for want of money."""

    class Paid(Backend):
        async def complete(self, prompt: str, sampling: Sampling) -> Completion:
            if number_in(prompt) >= 8:
                raise error(Code.BUDGET_SPENT)
            return await super().complete(prompt, sampling)

    memory = Memory()
    with pytest.raises(EvaluatorError) as failed:
        evaluate(Paid(lambda prompt, _: answer(prompt), lambda: 0.05), memory)
    assert failed.value.code is Code.BUDGET_SPENT
    assert memory.outcomes == {("set", i): expected(i) for i in range(8)}


def test_an_error_that_may_pass_is_tried_again() -> None:
    def act(prompt: str, tries: int) -> str:
        if number_in(prompt) % 5 == 0 and tries < 3:
            raise error(Code.ENDPOINT_ERROR)
        return answer(prompt)

    backend, memory = Backend(act), Memory()
    evaluate(backend, memory)
    assert memory.outcomes == {("set", i): expected(i) for i in range(N)}
    assert {number: tries for number, tries in backend.tries.items() if tries > 1} == dict.fromkeys(
        range(0, N, 5), 3
    )


def test_waits_grow_and_have_jitter() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    def act(prompt: str, tries: int) -> str:
        raise error(Code.ENDPOINT_ERROR)

    source = PublicSource(name="set", items=ITEMS[:1])
    policy = Policy(concurrency=1, tries=4, first_wait=1, longest_wait=3)
    with pytest.raises(EvaluatorError):
        asyncio.run(
            ask_items(
                [source],
                PROTOCOL,
                Backend(act),
                Memory(),
                policy=policy,
                chance=lambda: 0.5,
                sleep=sleep,
            )
        )
    assert waited == [0.5, 1.0, 1.5]


def test_an_item_without_an_answer_leaves_the_run_incomplete_and_the_rest_stored() -> None:
    def act(prompt: str, _: int) -> str:
        if number_in(prompt) == 20:
            raise error(Code.ENDPOINT_TIMEOUT)
        return answer(prompt)

    backend, memory = Backend(act), Memory()
    with pytest.raises(EvaluatorError) as failed:
        evaluate(backend, memory)
    assert failed.value.code is Code.INCOMPLETE
    assert memory.outcomes == {("set", i): expected(i) for i in range(N) if i != 20}
    assert backend.tries[20] == QUICK.tries


def test_many_items_in_a_row_without_an_answer_end_the_run_early_with_their_code() -> None:
    def act(prompt: str, _: int) -> str:
        if number_in(prompt) >= 10:
            raise error(Code.ENDPOINT_ERROR)
        return answer(prompt)

    backend, memory = Backend(act), Memory()
    with pytest.raises(EvaluatorError) as failed:
        evaluate(backend, memory)
    assert failed.value.code is Code.ENDPOINT_ERROR
    assert memory.outcomes == {("set", i): expected(i) for i in range(10)}
    assert len(backend.tries) < N


def test_where_no_item_is_answered_the_code_gives_the_reason_even_in_a_short_set() -> None:
    def act(prompt: str, _: int) -> str:
        raise error(Code.ENDPOINT_UNREACHABLE)

    source = PublicSource(name="set", items=ITEMS[:3])
    with pytest.raises(EvaluatorError) as failed:
        asyncio.run(ask_items([source], PROTOCOL, Backend(act), Memory(), policy=QUICK))
    assert failed.value.code is Code.ENDPOINT_UNREACHABLE


@pytest.mark.parametrize(
    "code", [Code.ENDPOINT_UNAUTHORIZED, Code.ENDPOINT_BAD_RESPONSE, Code.HOST_FAILED]
)
def test_an_error_that_cannot_pass_ends_the_run_at_once_and_keeps_what_was_graded(
    code: Code,
) -> None:
    def act(prompt: str, _: int) -> str:
        if number_in(prompt) == 30:
            raise error(code)
        return answer(prompt)

    backend, memory = Backend(act, lambda: 0.001), Memory()
    with pytest.raises(EvaluatorError) as failed:
        evaluate(backend, memory)
    assert failed.value.code is code
    assert backend.tries[30] == 1
    assert len(backend.tries) < N
    assert {("set", i) for i in range(20)} <= set(memory.outcomes)


def test_a_sink_that_cannot_keep_ends_the_run_with_its_error() -> None:
    class Full(Memory):
        def graded(self, name: str, results: Sequence[Result]) -> None:
            if self.outcomes:
                raise error(Code.DISK_FULL)
            super().graded(name, results)

    memory = Full()
    backend = Backend(lambda prompt, _: answer(prompt), lambda: 0.005)
    with pytest.raises(EvaluatorError) as failed:
        evaluate(backend, memory)
    assert failed.value.code is Code.DISK_FULL
    assert memory.outcomes
    assert len(backend.tries) < N


def test_a_surprise_is_raised_by_itself_after_every_grade_is_stored() -> None:
    def act(prompt: str, _: int) -> str:
        if number_in(prompt) == 30:
            raise ZeroDivisionError
        return answer(prompt)

    memory = Memory()
    with pytest.raises(ZeroDivisionError):
        evaluate(Backend(act), memory)
    assert {("set", i) for i in range(20)} <= set(memory.outcomes)


def test_grades_are_stored_when_the_time_is_over() -> None:
    memory = Memory()

    async def hurry() -> None:
        source = PublicSource(name="set", items=ITEMS)
        backend = Backend(lambda prompt, _: answer(prompt), lambda: 0.02 if memory.steps else 0)
        policy = Policy(concurrency=2, flush_seconds=60)
        async with asyncio.timeout(0.2):
            await ask_items([source], PROTOCOL, backend, memory, policy=policy)

    with pytest.raises(TimeoutError):
        asyncio.run(hurry())
    assert memory.outcomes
    assert len(memory.outcomes) < N


def test_batches_are_revealed_only_when_needed() -> None:
    revealed: list[int] = []

    class Watched(PublicSource):
        def reveal(self, indices: Sequence[int]) -> list[Item]:
            revealed.extend(indices)
            return super().reveal(indices)

    def act(prompt: str, _: int) -> str:
        if number_in(prompt) == 10:
            raise error(Code.ENDPOINT_UNAUTHORIZED)
        return answer(prompt)

    source = Watched(name="set", items=ITEMS)
    with pytest.raises(EvaluatorError):
        asyncio.run(
            ask_items(
                [source], PROTOCOL, Backend(act), Memory(), policy=Policy(concurrency=1, batch=4)
            )
        )
    assert revealed == list(range(12))


def test_a_resumed_run_asks_with_the_same_shots() -> None:
    pool = tuple(Item(question=f"Shot {i}?", answer=f"#### {i}", gold=str(i)) for i in range(30))
    protocol = protocols.get("gsm8k-cot-5shot")

    def prompts(done: frozenset[int]) -> dict[int, str]:
        asked: dict[int, str] = {}

        def act(prompt: str, _: int) -> str:
            asked[number_in(prompt)] = prompt
            return answer(prompt)

        source = PublicSource(name="set", items=ITEMS, shots=pool, done=done)
        asyncio.run(ask_items([source], protocol, Backend(act), Memory(), policy=QUICK))
        return asked

    whole = prompts(frozenset())
    rest = prompts(frozenset(range(25)))
    assert len({prompt.split("What is")[0] for prompt in whole.values()}) > 1
    assert rest == {number: whole[number] for number in range(25, N)}


def test_a_pool_that_is_too_small_is_refused_before_anything_is_asked() -> None:
    source = PublicSource(name="set", items=ITEMS, shots=ITEMS[:2])
    backend = Backend(lambda prompt, _: answer(prompt))
    with pytest.raises(EvaluatorError) as failed:
        asyncio.run(
            ask_items([source], protocols.get("gsm8k-cot-5shot"), backend, Memory(), policy=QUICK)
        )
    assert failed.value.code is Code.SET_TOO_FEW_SHOTS
    assert backend.tries == {}


def test_results_and_sources_do_not_show_text() -> None:
    result = Result(3, Outcome.RIGHT, "42", Completion("secret 42", cut=False))
    assert "42" not in repr(result)
