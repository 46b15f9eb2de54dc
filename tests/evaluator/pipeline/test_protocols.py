"""A run asks as its protocol says, or not at all."""

import asyncio
from dataclasses import replace

import pytest

from evaluator import protocols
from evaluator.backends import Completion, Sampling
from evaluator.contract import Outcome
from evaluator.errors import Code
from evaluator.items import Item
from evaluator.pipeline.ask import ask_items
from evaluator.pipeline.plan import Policy, PublicSource
from evaluator.protocols import Protocol
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, Bench, last_code
from tests.evaluator.pipeline.test_ask import Memory

ITEM = Item(question="How many?", answer="#### 18", gold="18")


class Saying:
    """Says one thing, cut or not, and remembers how it was asked."""

    def __init__(self, text: str, *, cut: bool = False) -> None:
        self.completion = Completion(text, cut=cut)
        self.asked: list[Sampling] = []

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        self.asked.append(sampling)
        return self.completion


def outcome(protocol: Protocol, backend: Saying) -> Outcome:
    memory = Memory()
    source = PublicSource(name="set", items=(ITEM,))
    asyncio.run(ask_items([source], protocol, backend, memory, policy=Policy(flush_seconds=0.01)))
    return memory.outcomes["set", 0]


@pytest.mark.parametrize("name", protocols.ids())
def test_the_sampling_is_the_protocols(name: str) -> None:
    protocol, backend = replace(protocols.get(name), shots=0), Saying("18")
    outcome(protocol, backend)
    expected = Sampling(
        protocol.max_tokens,
        protocol.stop,
        protocol.temperature,
        bos=protocol.bos,
        stops=protocol.stops,
        limit=protocol.limit,
    )
    assert backend.asked == [
        replace(expected, seed=protocol.seed("set", 0, sample))
        for sample in range(protocol.samples)
    ]


@pytest.mark.parametrize(
    ("protocol", "api"), [("demo-0shot", "completions"), ("gsm1k-0shot-reasoning", "chat")]
)
def test_weights_are_asked_in_their_own_template_where_a_message_is_sent(
    bench: Bench, protocol: str, api: str
) -> None:
    bench.run(bench.place.job(CHECKPOINT, protocol=protocol))
    assert [about["api"] for about in bench.served] == [api]


@pytest.mark.parametrize("grader", ["numeric-1", "lm-eval-strict-3", "lm-eval-flexible-3"])
def test_thinking_is_graded_by_no_grader_where_it_is_stripped(grader: str) -> None:
    protocol = replace(protocols.get("gsm1k-0shot-reasoning"), grader=grader)
    assert outcome(protocol, Saying("#### 17, no.</think>#### 18")) is Outcome.RIGHT
    assert outcome(protocol, Saying("<think>#### 18", cut=True)) is Outcome.TRUNCATED
    assert outcome(protocol, Saying("<think>#### 18")) is Outcome.NO_ANSWER


def test_strict_reads_thinking_where_it_is_not_stripped() -> None:
    """What the harness does: the control of the test above."""
    protocol = replace(protocols.get("demo-0shot"), grader="lm-eval-strict-3")
    assert outcome(protocol, Saying("#### 17, no.</think>#### 18")) is Outcome.WRONG


@pytest.mark.parametrize(
    ("protocol", "system"),
    [
        ("gsm1k-5shot", ENDPOINT),
        ("gsm1k-5shot", ENDPOINT | {"api": "completions"}),
        ("gsm1k-5shot-api", ENDPOINT | {"api": "completions"}),
        ("gsm1k-5shot-chat", ENDPOINT | {"api": "completions"}),
        ("gsm1k-0shot-reasoning", ENDPOINT | {"api": "completions"}),
    ],
)
def test_a_protocol_that_does_not_fit_starts_nothing(
    bench: Bench, protocol: str, system: dict[str, str]
) -> None:
    reports = bench.run(bench.place.job(system, protocol=protocol))
    assert last_code(reports) is Code.PROTOCOL_UNFIT
    assert (len(reports), bench.served) == (1, [])
