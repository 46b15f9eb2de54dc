r"""An OpenAI-compatible endpoint that replays the recorded outputs of seven real systems on GSM8K's test set.

    python tests/servers/replay.py --data DIR [--port 0] [--latency S] [--rate-limit-share 0.0] [--key KEY]

Prints its address, ending in /v1, on the first line. Each system is a model. The question is found in the
prompt by its last ``Question: …\nAnswer:`` block; the recorded text is cut at stop strings and at
``max_tokens`` (counting words, of which there are never more than tokens), as a server would.
"""

import argparse
import asyncio
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from aiohttp import web

RHO = ("rho-math-1b-v0.1", "rho-math-7b-v0.1", "rho-math-1b-interpreter-v0.1")
OPENAI = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
SYSTEMS = (*RHO, *(f"openai-{name.replace('_', '-')}" for name in OPENAI))


def load_systems(data: Path) -> dict[str, dict[str, str]]:
    """For each system, the recorded text by question."""
    questions = [
        json.loads(line)["question"]
        for line in (data / "gsm8k" / "test.jsonl").read_bytes().splitlines()
    ]
    systems: dict[str, dict[str, str]] = {}
    for name in RHO:
        rows = _rows(data / "outputs" / "rho1" / f"{name}__gsm8k.jsonl.gz")
        systems[name] = {questions[row["idx"]]: row["response"] for row in rows}
    rows = _rows(data / "outputs" / "openai" / "example_model_solutions.jsonl.gz")
    for name in OPENAI:
        system = f"openai-{name.replace('_', '-')}"
        systems[system] = {row["question"]: row[name]["solution"] for row in rows}
    return systems


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def question_of(prompt: str) -> str:
    """The question of the last block of a prompt, or an empty string."""
    _, mark, block = prompt.rstrip().rpartition("Question: ")
    question, answer, rest = block.rpartition("\nAnswer:")
    return question if mark and answer and not rest else ""


def as_served(text: str, stop: list[str], max_tokens: int | None) -> tuple[str, str]:
    """The text up to the first stop string or the limit, and the finish reason."""
    ends = [place for mark in stop if (place := text.find(mark)) >= 0]
    text = text[: min(ends, default=len(text))]
    words = text.split(" ")
    if max_tokens is not None and len(words) > max_tokens:
        return " ".join(words[:max_tokens]), "length"
    return text, "stop"


class Replay:
    def __init__(
        self,
        data: Path,
        *,
        latency: float = 0.0,
        rate_limit_share: float = 0.0,
        key: str | None = None,
    ) -> None:
        self.systems = load_systems(data)
        self.latency = latency
        self.rate_limit_share = rate_limit_share
        self.key = key
        self.asked: Counter[tuple[str, str]] = Counter()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/completions", self.completions)
        app.router.add_post("/v1/chat/completions", self.chat)
        return app

    async def models(self, request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "owned_by": "recorded"} for name in self.systems]
        return web.json_response({"object": "list", "data": data})

    async def completions(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return await self._answer(
            request, asked, asked["prompt"], lambda text: {"text": " " + text.lstrip(" ")}
        )

    async def chat(self, request: web.Request) -> web.Response:
        asked = await request.json()
        prompt = asked["messages"][-1]["content"]
        return await self._answer(
            request, asked, prompt, lambda text: {"message": {"role": "assistant", "content": text}}
        )

    async def _answer(
        self, request: web.Request, asked: dict[str, Any], prompt: str, shape: Any
    ) -> web.Response:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, "invalid_api_key")
        system = self.systems.get(asked.get("model", ""))
        if system is None:
            return _error(404, "model_not_found")
        question = question_of(prompt)
        if question not in system:
            return _error(404, "question_not_recorded")
        await asyncio.sleep(self.latency)
        if self._is_limited(asked["model"], question):
            return _error(429, "rate_limit_exceeded", {"Retry-After": "0"})
        stop = asked.get("stop") or []
        text, reason = as_served(
            system[question], [stop] if isinstance(stop, str) else stop, asked.get("max_tokens")
        )
        choice = {"index": 0, "finish_reason": reason, "logprobs": None} | shape(text)
        return web.json_response({"id": "replay", "model": asked["model"], "choices": [choice]})

    def _is_limited(self, system: str, question: str) -> bool:
        """Whether this attempt is refused: as if at random, but the same in every run, and seldom twice."""
        self.asked[system, question] += 1
        attempt = f"{system}\n{question}\n{self.asked[system, question]}"
        return hashlib.sha256(attempt.encode()).digest()[0] < 256 * self.rate_limit_share


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": {"message": code, "type": code, "code": code}}, status=status, headers=headers
    )


async def serve(options: argparse.Namespace) -> None:
    replay = Replay(
        options.data,
        latency=options.latency,
        rate_limit_share=options.rate_limit_share,
        key=options.key,
    )
    runner = web.AppRunner(replay.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate-limit-share", type=float, default=0.0)
    parser.add_argument("--key")
    asyncio.run(serve(parser.parse_args()))
