"""An OpenAI-compatible endpoint with a base URL for every way to misbehave, which quotes its prompt in each.

    python tests/servers/hostile_endpoint.py --gold FILE.jsonl [--latency S]

Prints its address on the first line; ``/MODE/v1`` is the base URL of a mode. Questions that are not in FILE are
answered plainly in every mode, so that what fails is always a question of FILE. ``GET /asked`` tells how often
each mode was asked one of those, and with how many keys.
"""

import argparse
import asyncio
import base64
import collections
import html
import json
from pathlib import Path
from typing import Any

from aiohttp import web


def completion(text: str, **more: Any) -> dict[str, Any]:
    """A completion as both APIs spell it, with whatever else an endpoint may say."""
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"index": 0, "text": text, "message": message, "finish_reason": "stop"}],
        **more,
    }


class Hostile:
    """Knows the answers of FILE; ``asked`` counts its questions by mode."""

    def __init__(self, gold: Path, latency: float) -> None:
        rows = [json.loads(line) for line in gold.read_text().splitlines()]
        self.answers = {row["question"]: row["answer"] for row in rows}
        self.last = rows[-1]["question"]
        self.latency = latency
        self.asked: collections.Counter[str] = collections.Counter()
        self.keys: set[str] = set()
        self.calm = asyncio.Event()
        self.turn = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One question."""
        data = await request.json()
        prompt = data["prompt"] if "prompt" in data else data["messages"][-1]["content"]
        question = prompt.rpartition("Question: ")[2].rpartition("\nAnswer:")[0]
        mode = request.match_info["mode"]
        if question not in self.answers:
            return web.json_response(completion(" I count them. #### 3"))
        self.asked[mode] += 1
        self.keys.add(request.headers.get("Authorization", ""))
        answer = getattr(self, f"_{mode}", None) or self._by_status
        response: web.StreamResponse = await answer(request, prompt, question)
        return response

    async def _right(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        return web.json_response(completion(" " + self.answers[question]))

    async def _slip(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        """Right but for one item."""
        return web.json_response(
            completion(" #### 0" if question == self.last else " " + self.answers[question])
        )

    async def _slow(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        """Right, one after the other."""
        async with self.turn:
            await asyncio.sleep(self.latency)
        return web.json_response(completion(" " + self.answers[question]))

    async def _echo(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        names = (
            prompt,
            f"echo {question}",
            f"echo-{_header(question)}",
            f"echo/{_header(question)}",
        )
        named = names[self.asked["echo"] % len(names)]
        said = {"system_fingerprint": prompt, "id": prompt, "usage": {prompt: 1}, "model": named}
        return web.json_response(
            completion(f" {prompt} #### 7", **said), headers={"X-Echo": _header(prompt)}
        )

    async def _babble(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        """An answer that no grader can read."""
        return web.json_response(
            completion(f"#### {prompt} ####\n#### {question}, \\boxed{{{prompt}")
        )

    async def _html(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        return web.Response(
            text=f"<p>Sign in to ask {html.escape(prompt)}</p>", content_type="text/html"
        )

    async def _garbled(
        self, request: web.Request, prompt: str, question: str
    ) -> web.StreamResponse:
        return web.Response(
            text='{"choices": [' + json.dumps(prompt), content_type="application/json"
        )

    async def _two(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        return web.json_response({"choices": completion(prompt)["choices"] * 2})

    async def _redirect(
        self, request: web.Request, prompt: str, question: str
    ) -> web.StreamResponse:
        return web.Response(
            status=307, headers={"Location": f"http://{request.host}/{_header(prompt)}"}
        )

    async def _hang(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        """Not before ``POST /calm``."""
        await self.calm.wait()
        return web.json_response(completion(" " + self.answers[question]))

    async def _reset(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _torn(self, request: web.Request, prompt: str, question: str) -> web.StreamResponse:
        """Half of what was promised, then the connection is gone."""
        body = json.dumps(completion(prompt)).encode()
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 1000)})
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(body)
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _by_status(
        self, request: web.Request, prompt: str, question: str
    ) -> web.StreamResponse:
        """Any other mode is a status: ``500``, ``400``, ``401``, ``429``."""
        told = {"error": {"message": prompt, "code": prompt, "type": prompt}}
        status = int(request.match_info["mode"])
        return web.json_response(
            told, status=status, reason=_header(prompt), headers={"Retry-After": "0"}
        )

    async def calm_down(self, request: web.Request) -> web.Response:
        """Let the hanging mode answer from now on."""
        self.calm.set()
        return web.Response()

    async def report(self, request: web.Request) -> web.Response:
        """What was asked so far."""
        return web.json_response({"asked": self.asked, "keys": len(self.keys - {""})})


def _header(prompt: str) -> str:
    return base64.urlsafe_b64encode(prompt.encode()).decode()


async def serve(options: argparse.Namespace) -> None:
    """Serve on loopback until killed."""
    hostile = Hostile(options.gold, options.latency)
    app = web.Application()
    for api in ("completions", "chat/completions"):
        app.router.add_post(f"/{{mode}}/v1/{api}", hostile.answer)
    app.router.add_get("/asked", hostile.report)
    app.router.add_post("/calm", hostile.calm_down)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.25)
    asyncio.run(serve(parser.parse_args()))
