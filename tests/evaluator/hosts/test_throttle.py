"""Waiting for a place, for the end of a pause, for the rest of a budget."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.hosts.gateway.budget import Amount, Budget, Caps
from evaluator.hosts.gateway.pace import Pace, Sent
from evaluator.hosts.gateway.throttle import Throttle

SMALL = Amount(1, 9)
NOTHING = Amount()


def throttle(ceiling: int, tokens: int | None = None) -> Throttle:
    return Throttle(Pace(ceiling), Budget(Caps(tokens=tokens)))


async def settled(task: "asyncio.Task[Any]") -> bool:
    """Whether it is done once everything that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def entering(
    queue: Throttle, *, again: bool = False, worst: Amount = SMALL
) -> "asyncio.Task[Sent]":
    return asyncio.ensure_future(queue.enter(worst, again=again))


def test_no_more_than_the_limit_and_the_refused_before_the_fresh() -> None:
    async def story() -> None:
        queue = throttle(1)
        first = await queue.enter(SMALL, again=False)
        fresh, again = entering(queue), entering(queue, again=True)
        assert not await settled(again)
        queue.answered(first, SMALL, spent=SMALL)
        assert await settled(again)
        assert not fresh.done()
        queue.failed(SMALL, spent=NOTHING)
        await fresh

    run(story())


def test_a_pause_ends_by_itself() -> None:
    async def story() -> None:
        queue = throttle(4)
        sent = await queue.enter(SMALL, again=False)
        queue.refused(sent, SMALL, spent=NOTHING, wait=0.2)
        begun = time.monotonic()
        await asyncio.gather(queue.enter(SMALL, again=True), queue.enter(SMALL, again=False))
        assert time.monotonic() - begun >= 0.19

    run(story())


def test_who_no_longer_waits_takes_no_place() -> None:
    async def story() -> None:
        queue = throttle(1)
        first = await queue.enter(SMALL, again=False)
        gone, next_one = entering(queue), entering(queue)
        await asyncio.sleep(0)
        gone.cancel()
        queue.answered(first, SMALL, spent=SMALL)
        await next_one
        third = entering(queue)
        await asyncio.sleep(0)
        queue.failed(
            SMALL, spent=NOTHING
        )  # lets the third through, who is cancelled before it runs
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        await queue.enter(SMALL, again=False)

    run(story())


def test_what_does_not_fit_waits_for_what_is_on_its_way_and_is_refused_when_nothing_is() -> None:
    async def story() -> None:
        queue = throttle(10, tokens=25)
        first = await queue.enter(SMALL, again=False)
        second = await queue.enter(SMALL, again=False)
        third, fourth = entering(queue), entering(queue)
        assert not await settled(third)
        queue.answered(first, SMALL, spent=Amount(1, 2))  # cheaper than it might have been: 3 of 10
        assert await settled(third)
        queue.answered(second, SMALL, spent=Amount(1, 9))
        assert not await settled(fourth)
        queue.answered(await third, SMALL, spent=Amount(1, 9))
        with pytest.raises(EvaluatorError) as caught:
            await fourth
        assert caught.value.code is Code.BUDGET_SPENT

    run(story())


def test_once_it_is_shut_no_question_is_sent() -> None:
    async def story() -> None:
        queue = throttle(1)
        await queue.enter(SMALL, again=False)
        waiting = [entering(queue), entering(queue, again=True)]
        await settled(waiting[0])
        queue.shut(EvaluatorError(Code.ENDPOINT_NOT_FOUND))
        queue.failed(SMALL, spent=NOTHING)
        for one in (*waiting, entering(queue)):
            with pytest.raises(EvaluatorError, match="endpoint_not_found"):
                await one

    run(story())
