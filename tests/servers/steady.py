"""An OpenAI-compatible endpoint that always answers a question the same way, and remembers who asked.

    python tests/servers/steady.py --gold FILE.jsonl [--latency S] [--wrong-share 0.3]

Prints its address, ending in /v1, on the first line. ``GET /received`` tells how often each question was
asked; ``POST /lie?times=N`` makes the next N answers wrong, as if the host had been swapped meanwhile.
"""

import argparse
import asyncio
import collections
import hashlib
import json
from pathlib import Path

from aiohttp import web


class Steady:
    def __init__(self, gold: Path, latency: float, wrong_share: float) -> None:
        rows = [json.loads(line) for line in gold.read_text().splitlines()]
        self.answers = {row["question"]: row["answer"] for row in rows}
        self.latency = latency
        self.wrong_share = wrong_share
        self.received: collections.Counter[str] = collections.Counter()
        self.lies = 0

    def answer(self, prompt: str) -> str:
        question = prompt.rpartition("Question: ")[2].rpartition("\nAnswer:")[0]
        self.received[question] += 1
        share = hashlib.sha256(question.encode()).digest()[0] / 256
        self.lies -= (lying := self.lies > 0)
        if lying or share < self.wrong_share:
            return " I count them. #### 987654"
        return " " + self.answers[question]

    async def completions(self, request: web.Request) -> web.Response:
        data = await request.json()
        text = self.answer(data["prompt"])
        await asyncio.sleep(self.latency)
        return web.json_response({"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]})

    async def chat(self, request: web.Request) -> web.Response:
        data = await request.json()
        text = self.answer(data["messages"][-1]["content"])
        await asyncio.sleep(self.latency)
        message = {"role": "assistant", "content": text}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    async def counts(self, request: web.Request) -> web.Response:
        return web.json_response(self.received)

    async def lie(self, request: web.Request) -> web.Response:
        self.lies = int(request.query["times"])
        return web.json_response({})


async def serve(options: argparse.Namespace) -> None:
    steady = Steady(options.gold, options.latency, options.wrong_share)
    app = web.Application()
    app.router.add_post("/v1/completions", steady.completions)
    app.router.add_post("/v1/chat/completions", steady.chat)
    app.router.add_get("/received", steady.counts)
    app.router.add_post("/lie", steady.lie)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--wrong-share", type=float, default=0.3)
    asyncio.run(serve(parser.parse_args()))
