"""An OpenAI-compatible endpoint that answers each prompt with a completion from a file.

    python tests/servers/scripted.py --answers FILE.json [--latency S]

The file is one JSON object from prompt to completion. Prints its address, ending in /v1, on the first line.
``GET /received`` tells how often each prompt was asked, also one that is not in the file, which it cannot answer.
"""

import argparse
import asyncio
import collections
import json
from pathlib import Path

from aiohttp import web


async def serve(options: argparse.Namespace) -> None:
    answers: dict[str, str] = json.loads(options.answers.read_text())
    received: collections.Counter[str] = collections.Counter()

    async def completions(request: web.Request) -> web.Response:
        data = await request.json()
        received[data["prompt"]] += 1
        await asyncio.sleep(options.latency)
        choice = {"index": 0, "text": answers[data["prompt"]], "finish_reason": "stop"}
        body = {"id": "r", "object": "text_completion", "created": 1, "model": data["model"]}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return web.json_response(body | {"choices": [choice], "usage": usage})

    async def counts(request: web.Request) -> web.Response:
        return web.json_response(received)

    app = web.Application()
    app.router.add_post("/v1/completions", completions)
    app.router.add_get("/received", counts)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.02)
    asyncio.run(serve(parser.parse_args()))
