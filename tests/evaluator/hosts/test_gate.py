"""Waiting for a place, for the end of a pause, for the rest of a budget."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.hosts.gateway.budget import Amount, Budget, Caps
from evaluator.hosts.gateway.gate import Gate
from evaluator.hosts.gateway.pace import Pace, Sent

SMALL = Amount(1, 9)
NOTHING = Amount()


def gate(ceiling: int, tokens: int | None = None) -> Gate:
    return Gate(Pace(ceiling), Budget(Caps(tokens=tokens)))


async def settled(task: "asyncio.Task[Any]") -> bool:
    """Whether it is done once everything that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def entering(door: Gate, *, again: bool = False, worst: Amount = SMALL) -> "asyncio.Task[Sent]":
    return asyncio.ensure_future(door.enter(worst, again=again))


def test_no_more_than_the_limit_and_the_refused_before_the_fresh() -> None:
    async def story() -> None:
        door = gate(1)
        first = await door.enter(SMALL, again=False)
        fresh, again = entering(door), entering(door, again=True)
        assert not await settled(again)
        door.answered(first, SMALL, spent=SMALL)
        assert await settled(again)
        assert not fresh.done()
        door.failed(SMALL, spent=NOTHING)
        await fresh

    run(story())


def test_a_pause_ends_by_itself() -> None:
    async def story() -> None:
        door = gate(4)
        sent = await door.enter(SMALL, again=False)
        door.refused(sent, SMALL, spent=NOTHING, wait=0.2)
        begun = time.monotonic()
        await asyncio.gather(door.enter(SMALL, again=True), door.enter(SMALL, again=False))
        assert time.monotonic() - begun >= 0.19

    run(story())


def test_who_no_longer_waits_takes_no_place() -> None:
    async def story() -> None:
        door = gate(1)
        first = await door.enter(SMALL, again=False)
        gone, next_one = entering(door), entering(door)
        await asyncio.sleep(0)
        gone.cancel()
        door.answered(first, SMALL, spent=SMALL)
        await next_one
        third = entering(door)
        await asyncio.sleep(0)
        door.failed(SMALL, spent=NOTHING)  # lets the third through, who is cancelled before it runs
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        await door.enter(SMALL, again=False)

    run(story())


def test_what_does_not_fit_waits_for_what_is_on_its_way_and_is_refused_when_nothing_is() -> None:
    async def story() -> None:
        door = gate(10, tokens=25)
        first = await door.enter(SMALL, again=False)
        second = await door.enter(SMALL, again=False)
        third, fourth = entering(door), entering(door)
        assert not await settled(third)
        door.answered(first, SMALL, spent=Amount(1, 2))  # cheaper than it might have been: 3 of 10
        assert await settled(third)
        door.answered(second, SMALL, spent=Amount(1, 9))
        assert not await settled(fourth)
        door.answered(await third, SMALL, spent=Amount(1, 9))
        with pytest.raises(EvaluatorError) as caught:
            await fourth
        assert caught.value.code is Code.BUDGET_SPENT

    run(story())


def test_once_it_is_shut_nobody_gets_through() -> None:
    async def story() -> None:
        door = gate(1)
        await door.enter(SMALL, again=False)
        waiting = [entering(door), entering(door, again=True)]
        await settled(waiting[0])
        door.shut(EvaluatorError(Code.ENDPOINT_NOT_FOUND))
        door.failed(SMALL, spent=NOTHING)
        for one in (*waiting, entering(door)):
            with pytest.raises(EvaluatorError, match="endpoint_not_found"):
                await one

    run(story())
