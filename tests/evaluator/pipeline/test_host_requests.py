"""Requests in flight to one host, shared by the runs of one evaluator."""

import asyncio
from contextlib import AsyncExitStack

from evaluator.backends import Completion, Sampling
from evaluator.contract import Endpoint
from evaluator.pipeline.endpoint_runs import HostRequests

SAMPLING = Sampling(max_tokens=1)


class Waiting:
    """Backend that answers once it is told to, and counts what is in flight over all of them."""

    in_flight = 0

    def __init__(self) -> None:
        self.mine = 0
        self.answer = asyncio.Event()

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        Waiting.in_flight += 1
        self.mine += 1
        await self.answer.wait()
        Waiting.in_flight -= 1
        self.mine -= 1
        return Completion("", cut=False)


def system(url: str, model: str) -> Endpoint:
    return Endpoint(url=url, model=model, api="chat")


def test_a_run_that_begins_finds_requests_left_of_a_silent_one() -> None:
    async def scene() -> None:
        requests = HostRequests(12)
        silent, steady, elsewhere = Waiting(), Waiting(), Waiting()
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:

            async def ask(url: str, model: str, backend: Waiting) -> None:
                shared = await stack.enter_async_context(
                    requests.sharing(system(url, model), backend)
                )
                for _ in range(20):
                    group.create_task(shared.complete("?", SAMPLING))
                await asyncio.sleep(0.2)

            await ask("https://one.example/v1", "silent", silent)
            assert silent.mine == 6
            await ask("https://one.example/v2", "steady", steady)
            assert (silent.mine, steady.mine) == (6, 4)
            await ask("https://two.example/v1", "m", elsewhere)
            assert elsewhere.mine == 6
            steady.answer.set()
            await asyncio.sleep(0.4)
            assert (silent.mine, steady.mine) == (6, 0)
            for one in (silent, elsewhere):
                one.answer.set()

    asyncio.run(scene())
    assert Waiting.in_flight == 0


def test_never_more_than_the_host_takes() -> None:
    requests = HostRequests(4)

    async def scene() -> None:
        backends = [Waiting() for _ in range(5)]
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for number, backend in enumerate(backends):
                shared = await stack.enter_async_context(
                    requests.sharing(system("https://one.example/v1", f"m{number}"), backend)
                )
                for _ in range(3):
                    group.create_task(shared.complete("?", SAMPLING))
            await asyncio.sleep(0.2)
            assert Waiting.in_flight == 4
            for backend in backends:
                backend.answer.set()

    asyncio.run(scene())
