"""An OpenAI-compatible endpoint of many models, each named after its ability: ``able.50.0``.

    python tests/servers/abilities.py --gold FILE.jsonl --public FILE.jsonl [--latency S]

``able.A.O`` has the ability A / 100 logits, and O / 100 more on the questions of the public file, as
one that has memorised some of them. Whether an answer is right depends on the model and the question
alone. Prints its address, ending in /v1. ``GET /received`` counts the questions that each model was
asked, as ``{"able.50.0": {question: count}}``.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import math
from pathlib import Path

from aiohttp import web
from steady import question_of, whole


def share(*words: str) -> float:
    """A number in [0, 1) that the words decide."""
    return int.from_bytes(hashlib.sha256("\n".join(words).encode()).digest()[:7], "big") / 2**56


class Abilities:
    def __init__(self, gold: Path, public: Path, latency: float) -> None:
        self.answers = answers_of(gold)
        self.public = frozenset(answers_of(public))
        self.latency = latency
        self.received: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )

    def is_right(self, model: str, question: str) -> bool:
        _, ability, overfit = model.split(".")
        logit = int(ability) / 100 - 4 * (share("difficulty", question) - 0.5)
        if question in self.public:
            logit += int(overfit) / 100
        return share(model, question) < 1 / (1 + math.exp(-logit))

    async def completions(self, request: web.Request) -> web.Response:
        data = await request.json()
        model, question = data["model"], question_of(data["prompt"])
        self.received[model][question] += 1
        await asyncio.sleep(self.latency)
        right = self.is_right(model, question)
        text = f" {self.answers[question]}" if right else " I count them. #### 987654"
        return web.json_response(whole({"text": text}, model, data["prompt"], text))

    async def counts(self, request: web.Request) -> web.Response:
        return web.json_response(self.received)


def answers_of(path: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["question"]: row["answer"] for row in rows}


async def serve(options: argparse.Namespace) -> None:
    abilities = Abilities(options.gold, options.public, options.latency)
    app = web.Application()
    app.router.add_post("/v1/completions", abilities.completions)
    app.router.add_get("/received", abilities.counts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--public", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args()))
