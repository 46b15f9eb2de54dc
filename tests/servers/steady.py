"""An OpenAI-compatible endpoint that always answers a question the same way, and remembers who asked.

    python tests/servers/steady.py --gold FILE.jsonl [--latency S] [--wrong-share 0.3] [--refuse 0.2] [--hang 50]
        [--port P]

Prints its address, ending in /v1, on the first line. ``GET /received`` tells how often each question was
asked; ``POST /lie?times=N`` makes the next N answers wrong, as if the host had been swapped meanwhile;
``GET /log?after=N`` lists the questions from the Nth on, each with its moment; ``POST /poison?question=N`` answers
the Nth question of the file with nothing, for ever; ``POST /fail?seconds=S&kind=K`` answers every question of the next S seconds with the status K, with the error page
of a proxy (``html``), with nothing (``drop``), or not at all until the time is over (``freeze``).

With ``--refuse`` it refuses that share at once, with 429 and ``Retry-After: 1``; with ``--hang`` it never answers
the request of that number. ``GET /faults`` tells how often it refused, how many refused questions came back before
their second was over, the most it had in hand at once, and how often each question was answered.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import random
import time
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web


class Steady:
    def __init__(
        self,
        gold: Path,
        latency: float,
        wrong_share: float,
        refuse: float = 0.0,
        hang: int | None = None,
    ) -> None:
        rows = [json.loads(line) for line in gold.read_text().splitlines()]
        self.answers = {row["question"]: row["answer"] for row in rows}
        self.latency = latency
        self.wrong_share = wrong_share
        self.received: collections.Counter[str] = collections.Counter()
        self.log: list[tuple[str, str]] = []
        self.poison = ""
        self.lies = 0
        self.refuse, self.hang = refuse, hang
        self.chance = random.Random(5)
        self.not_before: dict[str, float] = {}
        self.faults: collections.Counter[str] = collections.Counter()
        self.answered: collections.Counter[str] = collections.Counter()
        self.in_hand = 0
        self.failing_until, self.failing_kind = 0.0, ""

    async def outage(self, request: web.Request) -> web.Response | None:
        """The answer while ``/fail`` lasts, None otherwise."""
        left = self.failing_until - time.monotonic()
        if left <= 0:
            return None
        self.faults["outage"] += 1
        if self.failing_kind == "freeze":
            await asyncio.sleep(left)
            return None
        if self.failing_kind == "drop":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if self.failing_kind == "html":
            return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
        headers = {"Retry-After": "1"} if self.failing_kind == "429" else {}
        return web.json_response({"error": {}}, status=int(self.failing_kind), headers=headers)

    async def fault(self, prompt: str, request: web.Request) -> web.Response | None:
        """The fault that this request meets; waits for ever where it hangs."""
        self.log.append((question_of(prompt), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
        if question_of(prompt) == self.poison and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if outage := await self.outage(request):
            return outage
        question = question_of(prompt)
        self.faults["requests"] += 1
        self.faults["early"] += time.monotonic() < self.not_before.pop(question, 0.0)
        if self.faults["requests"] == self.hang:
            await asyncio.Event().wait()
        if self.chance.random() >= self.refuse:
            return None
        self.faults["refused"] += 1
        self.not_before[question] = time.monotonic() + 1.0
        return web.json_response({"error": {}}, status=429, headers={"Retry-After": "1"})

    async def think(self, prompt: str) -> str:
        """An answer, after a while. It counts as given only if nobody hung up meanwhile."""
        text = self.answer(prompt)
        self.in_hand += 1
        self.faults["most_in_hand"] = max(self.faults["most_in_hand"], self.in_hand)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.in_hand -= 1
        self.answered[question_of(prompt)] += 1
        return text

    def answer(self, prompt: str) -> str:
        question = question_of(prompt)
        self.received[question] += 1
        share = hashlib.sha256(question.encode()).digest()[0] / 256
        self.lies -= (lying := self.lies > 0)
        if lying or share < self.wrong_share:
            return " I count them. #### 987654"
        return " " + self.answers[question]

    async def completions(self, request: web.Request) -> web.Response:
        data = await request.json()
        if fault := await self.fault(data["prompt"], request):
            return fault
        text = await self.think(data["prompt"])
        return web.json_response(whole({"text": text}, data["model"], data["prompt"], text))

    async def chat(self, request: web.Request) -> web.Response:
        data = await request.json()
        if fault := await self.fault(data["messages"][-1]["content"], request):
            return fault
        text = await self.think(data["messages"][-1]["content"])
        message = {"role": "assistant", "content": text}
        return web.json_response(
            whole({"message": message}, data["model"], data["messages"][-1]["content"], text)
        )

    async def counts(self, request: web.Request) -> web.Response:
        return web.json_response(self.received)

    async def since(self, request: web.Request) -> web.Response:
        return web.json_response(self.log[int(request.query["after"]) :])

    async def poisoned(self, request: web.Request) -> web.Response:
        questions = ["", *self.answers]
        self.poison = questions[int(request.query["question"])]
        return web.json_response({})

    async def tell(self, request: web.Request) -> web.Response:
        return web.json_response({**self.faults, "answered": self.answered})

    async def fail(self, request: web.Request) -> web.Response:
        self.failing_until = time.monotonic() + float(request.query["seconds"])
        self.failing_kind = request.query["kind"]
        return web.json_response({})

    async def lie(self, request: web.Request) -> web.Response:
        self.lies = int(request.query["times"])
        return web.json_response({})


def question_of(prompt: str) -> str:
    return prompt.rpartition("Question: ")[2].rpartition("\nAnswer:")[0]


def whole(content: dict[str, object], model: str, prompt: str, text: str) -> dict[str, object]:
    """A response as real ones are. A token is four characters here."""
    tokens_in, tokens_out = len(prompt) // 4 + 1, len(text) // 4 + 1
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    choice = {"index": 0, "finish_reason": "stop", **content}
    kind = "chat.completion" if "message" in content else "text_completion"
    return {
        "id": "r",
        "object": kind,
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


async def serve(options: argparse.Namespace) -> None:
    steady = Steady(
        options.gold, options.latency, options.wrong_share, options.refuse, options.hang
    )
    app = web.Application()
    app.router.add_post("/v1/completions", steady.completions)
    app.router.add_post("/v1/chat/completions", steady.chat)
    app.router.add_get("/received", steady.counts)
    app.router.add_get("/faults", steady.tell)
    app.router.add_get("/log", steady.since)
    app.router.add_post("/poison", steady.poisoned)
    app.router.add_post("/lie", steady.lie)
    app.router.add_post("/fail", steady.fail)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--wrong-share", type=float, default=0.3)
    parser.add_argument("--refuse", type=float, default=0.0)
    parser.add_argument("--hang", type=int)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))
