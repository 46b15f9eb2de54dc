"""LiteLLM in front of one OpenAI-compatible server, as a gateway that many teams run.

    python tests/servers/litellm_router.py --upstream http://127.0.0.1:8000/v1 --model hosted_vllm/NAME --name PUBLIC

Prints its address, ending in /v1, on the first line. The library is the real one: its own Router takes each request by
its public name and asks the provider. Only the HTTP around it is ours, because the library's proxy needs a dozen
packages that nothing else here does. ``GET /received`` tells how many requests the library answered.
"""

import argparse
import asyncio
import os
from typing import Any

from aiohttp import web

os.environ |= {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "DO_NOT_TRACK": "1",
}
from litellm import Router


class Front:
    """Answers /v1/completions with what LiteLLM says, its refusals by their own status."""

    def __init__(self, name: str, model: str, upstream: str) -> None:
        provider = {"model": model, "api_base": upstream, "api_key": "none"}
        self.router = Router(
            model_list=[{"model_name": name, "litellm_params": provider}], num_retries=0
        )
        self.answered = 0

    async def completions(self, request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        try:
            answer = await self.router.atext_completion(**asked)
        except Exception as problem:  # noqa: BLE001 - of a library with a tree of its own; each has its status
            status = getattr(problem, "status_code", 500)
            return web.json_response(
                {"error": {"message": type(problem).__name__, "code": status}}, status=status
            )
        self.answered += 1
        return web.json_response(answer.model_dump(mode="json"))

    async def received(self, request: web.Request) -> web.Response:
        return web.json_response({"completions": self.answered})


async def serve(options: argparse.Namespace) -> None:
    front = Front(options.name, options.model, options.upstream)
    app = web.Application()
    app.router.add_post("/v1/completions", front.completions)
    app.router.add_get("/received", front.received)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", required=True)
    asyncio.run(serve(parser.parse_args()))
