"""A run asks as its protocol says, or not at all."""

import asyncio
import threading
from dataclasses import replace

import pytest

from evaluator import grading, protocols
from evaluator.backends import Completion, Sampling
from evaluator.contract import Outcome
from evaluator.errors import Code
from evaluator.grading import controls
from evaluator.grading.comparing import COMPARER
from evaluator.items import Item
from evaluator.pipeline.ask import ask_items
from evaluator.pipeline.plan import Policy, PublicSource
from evaluator.protocols import Protocol
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, Bench, last_code
from tests.evaluator.pipeline.test_ask import Memory

ITEM = Item(question="How many?", answer="#### 18", gold="18")
TESTED = Item(
    question='def f():\n    """Return 18."""\n',
    answer="    return 18\n",
    gold="",
    kind="tests",
    entry="f",
    tests="assert f() == 18\n",
)


EXPRESSED = Item(question="What is half?", answer="$\\frac12$", gold="\\frac12", kind="expression")
CHOSEN = Item(
    question="Which is a fruit?", answer="B", gold="B", kind="choice", choices=("a hen", "a {fig}")
)
BY_KIND = {item.kind: item for item in (ITEM, TESTED, EXPRESSED, CHOSEN)}


class Saying:
    """Says one thing, cut or not, and remembers how it was asked."""

    def __init__(self, text: str, *, cut: bool = False) -> None:
        self.completion = Completion(text, cut=cut)
        self.asked: list[Sampling] = []

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        self.asked.append(sampling)
        return self.completion


def ask(protocol: Protocol, backend: Saying) -> Memory:
    memory = Memory()
    item = BY_KIND[grading.kinds(protocol.grader)[0]]
    source = PublicSource(name="set", items=(item,))
    asyncio.run(ask_items([source], protocol, backend, memory, policy=Policy(flush_seconds=0.01)))
    return memory


def outcome(protocol: Protocol, backend: Saying) -> Outcome:
    return ask(protocol, backend).outcomes["set", 0]


@pytest.mark.parametrize("name", protocols.ids())
def test_the_sampling_is_the_protocols(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if grading.compares(protocols.get(name).grader):  # its control items take seconds
        monkeypatch.setattr(controls, "check", lambda *_: None)
        monkeypatch.setattr(COMPARER, "ask", lambda _: {"verdict": "right", "read": "18"})
    protocol, backend = replace(protocols.get(name), shots=0), Saying("18")
    ask(protocol, backend)
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


def test_a_choice_is_shown_with_its_letters_and_its_letter_is_graded() -> None:
    for name in ("choice-0shot", "choice-0shot-chat"):
        protocol = protocols.get(name)
        assert "\nA. a hen\nB. a {fig}\n" in protocol.prompt(CHOSEN, ())
        assert outcome(protocol, Saying(" B. a {fig}")) is Outcome.RIGHT
        assert outcome(protocol, Saying("It lays eggs.\nAnswer: A")) is Outcome.WRONG


def test_expressions_are_compared_while_others_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison ends once the next item was asked: in the event loop it never would."""
    asked_again = threading.Event()

    def compare(request: dict[str, str]) -> dict[str, str]:
        in_time = asked_again.wait(5)
        return {"verdict": "right" if in_time else "none", "read": "1/2"}

    class Asked(Saying):
        async def complete(self, prompt: str, sampling: Sampling) -> Completion:
            if self.asked:
                await asyncio.sleep(0.05)
                asked_again.set()
            return await super().complete(prompt, sampling)

    monkeypatch.setattr(COMPARER, "ask", compare)
    monkeypatch.setattr(controls, "check", lambda *_: None)
    source = PublicSource(name="set", items=(EXPRESSED, EXPRESSED))
    memory, protocol = Memory(), protocols.get("math-0shot-chat")
    policy = Policy(flush_seconds=0.01)
    asyncio.run(ask_items([source], protocol, Asked("$1/2$"), memory, policy=policy))
    assert set(memory.outcomes.values()) == {Outcome.RIGHT}


@pytest.mark.slow
def test_an_expression_is_graded_by_its_value() -> None:
    protocol = replace(protocols.get("math-4shot"), shots=0)
    assert outcome(protocol, Saying(" It is $\\boxed{0.5}$.")) is Outcome.RIGHT
