"""Engines that answer otherwise than they were asked: too much, too little, twice, or no numbers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evaluator.backends import HttpBackend, Sampling
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.ask import ask_items
from evaluator.pipeline.plan import PublicSource
from evaluator.protocols.likelihood import LOGLIK_1, likely
from tests.evaluator.pipeline.test_ask import (
    IN_ORDER,
    ITEMS,
    PROTOCOL,
    QUICK,
    Memory,
    answer,
    number_in,
)
from tests.planting import Fault, planted
from tests.servers.repeating import answer_twice

Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@asynccontextmanager
async def served(folder: Path, act: Callable[[str], dict[str, Any]]) -> AsyncIterator[HttpBackend]:
    """A backend whose server answers a prompt with what ``act`` returns."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(act((await request.json()).get("prompt", ""))))

    app = web.Application()
    app.router.add_post("/v1/completions", handle)
    app.router.add_post("/v1/score", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "s")).start()
    try:
        async with HttpBackend(folder / "s", model="m") as backend:
            yield backend
    finally:
        await runner.cleanup()


# --- fewer and more answers than questions

WRONG = {"text": " The answer is -1", "finish_reason": "stop"}
CHANGES: dict[str, Change] = {
    "E03-none": lambda choices: [],
    "E03-twice": lambda choices: choices * 2,
    "E03-another-before-it": lambda choices: [WRONG, *choices],
    "E03-of-a-whole-batch": lambda choices: [WRONG, WRONG, *choices, WRONG],
}
FIRST_OF_THEM: Fault = (
    "evaluator/backends/http.py",
    '            [choice] = data["choices"]\n            text = choice',
    '            choice = data["choices"][0]\n            text = choice',
)


ODD = 7
"""Item whose answers are changed."""


def outcomes(folder: Path, change: Change) -> tuple[dict[tuple[str, int], Outcome], Code | None]:
    """The outcomes of a set, and the code with which its run ended early."""

    def act(prompt: str) -> dict[str, Any]:
        choices = [{"text": answer(prompt), "finish_reason": "stop"}]
        return {"choices": change(choices) if number_in(prompt) == ODD else choices}

    async def run(memory: Memory) -> None:
        async with served(folder, act) as backend:
            source = PublicSource(name="set", items=ITEMS)
            await ask_items([source], PROTOCOL, backend, memory, policy=QUICK, chance=lambda: 0.5)

    memory = Memory()
    try:
        asyncio.run(run(memory))
    except EvaluatorError as failure:
        return memory.outcomes, failure.code
    return memory.outcomes, None


@pytest.mark.parametrize("case", list(CHANGES), ids=list(CHANGES))
def test_another_number_of_answers_ends_the_run_and_is_no_outcome(
    case: str, tmp_path: Path
) -> None:
    found, code = outcomes(tmp_path, CHANGES[case])
    assert code is Code.HOST_FAILED
    assert found.items() <= IN_ORDER.items()
    assert ("set", ODD) not in found


def test_e03_a_build_that_takes_the_first_answer_is_noticed(tmp_path: Path) -> None:
    with planted(FIRST_OF_THEM):
        found, code = outcomes(tmp_path, CHANGES["E03-another-before-it"])
    assert code is None
    assert found[("set", ODD)] is not IN_ORDER[("set", ODD)]


# --- log-probabilities that are none

TEXT = LOGLIK_1.of(ITEMS[0])
TOKENS = [TEXT[:5], TEXT[5:]]
NO_NUMBERS = {
    "E04-not-a-number": [None, float("nan")],
    "E04-infinite": [None, float("-inf")],
    "E04-more-than-certain": [None, 0.5],
    "E04-text": [None, "-1.0"],
    "E04-true": [None, True],
    "E04-too-few": [None],
    "E04-too-many": [None, -1.0, -1.0],
    "E04-none": [None, None],
    "E04-before-anything": [-1.0, -1.0],
}


async def read(folder: Path, logprobs: list[Any]) -> None:
    scores = {"tokens": TOKENS, "token_logprobs": logprobs}
    async with served(folder, lambda _: {"choices": [{"logprobs": scores}]}) as backend:
        reading = await backend.read(TEXT)
        likely(TEXT, reading.tokens, reading.logprobs)


@pytest.mark.parametrize("case", list(NO_NUMBERS), ids=list(NO_NUMBERS))
def test_what_is_no_log_probability_is_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(read(tmp_path, NO_NUMBERS[case]))
    assert caught.value.code is Code.HOST_FAILED


def test_e04_a_build_that_takes_any_number_is_noticed(tmp_path: Path) -> None:
    unchecked = (
        "evaluator/protocols/likelihood.py",
        "isinstance(value, float) and _LEAST <= value <= 0 for value",
        "isinstance(value, float) for value",
    )
    with planted(unchecked):
        asyncio.run(read(tmp_path, NO_NUMBERS["E04-not-a-number"]))


@pytest.mark.parametrize(
    "score",
    [float("nan"), float("inf"), -0.1, 1.1, "1", [1.0]],
    ids=["E04-score-nan", "E04-score-inf", "E04-below-0", "E04-above-1", "E04-string", "E04-list"],
)
def test_a_score_that_is_none_is_refused(score: Any, tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path, lambda _: {"score": score}) as backend:
            await backend.score("text", question="q", answer="a")

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert caught.value.code is Code.HOST_FAILED


# --- answers to an earlier question

QUESTIONS = ("one", "two", "three")


def answers(folder: Path) -> list[str]:
    async def run() -> list[str]:
        async with (
            await asyncio.start_unix_server(answer_twice, folder / "s"),
            HttpBackend(folder / "s", model="m") as backend,
        ):
            return [(await backend.complete(one, Sampling(9))).text for one in QUESTIONS]

    return asyncio.run(run())


def test_e05_an_answer_to_an_earlier_question_is_not_taken(tmp_path: Path) -> None:
    assert answers(tmp_path) == [f"answer to {one}" for one in QUESTIONS]


def test_e05_a_build_that_uses_connections_again_is_noticed(tmp_path: Path) -> None:
    with planted(("evaluator/backends/http.py", "force_close=True", "force_close=False")):
        assert answers(tmp_path) == ["answer to one", "answer to one", "answer to three"]
