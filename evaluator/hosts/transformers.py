"""The Transformers host: ``python -m evaluator.hosts.transformers --model DIR (--socket PATH | --fd N)``.

Serves ``/health``, ``/v1/models`` and ``/v1/completions`` of a checkpoint folder on a Unix socket. Greedy
only. Meant to run in the jail, where there is no network; ``trust_remote_code`` is off besides.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from evaluator.errors import Code, EvaluatorError
from evaluator.hosts import serving
from evaluator.hosts.batching import Batcher, Request, TooLong
from evaluator.hosts.greedy import GreedyModel

MAX_REQUEST_BYTES = 16 << 20
MAX_PROMPTS = 1024
MAX_TOKENS = 16_384


class BadRequest(Exception):
    """A request that is not one of ours. The message is for a developer and quotes nothing."""


def application(batcher: Batcher, name: str) -> web.Application:
    """The HTTP face of a batcher."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"}]})

    async def completions(request: web.Request) -> web.Response:
        try:
            asked = read_request(await request.read())
            answers = await asyncio.gather(*map(batcher.ask, asked))
        except BadRequest as problem:
            return _refuse(Code.BAD_MESSAGE, str(problem))
        except TooLong:
            return _refuse(Code.PROMPT_TOO_LONG, "the prompt is longer than the context")
        choices = [
            {"index": index, "text": answer.text, "finish_reason": "length" if answer.cut else "stop"}
            for index, answer in enumerate(answers)
        ]
        return web.json_response({"object": "text_completion", "model": name, "choices": choices})

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_get("/health", health)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/completions", completions)

    async def batching(_: web.Application) -> Any:
        async with batcher:
            yield

    app.cleanup_ctx.append(batching)
    return app


def read_request(body: bytes) -> list[Request]:
    """The prompts of one completions request. Raises BadRequest for all that this host cannot do."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("not JSON") from None
    if not isinstance(data, dict):
        raise BadRequest("not an object")
    prompts = data.get("prompt")
    prompts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(prompts, list) or not 0 < len(prompts) <= MAX_PROMPTS:
        raise BadRequest("prompt: a string or a list of them")
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise BadRequest("prompt: a string or a list of them")
    if data.get("temperature") not in (None, 0) or data.get("n") not in (None, 1):
        raise BadRequest("temperature: this host is greedy")
    limit = data.get("max_tokens", 16)
    if type(limit) is not int or not 0 < limit <= MAX_TOKENS:
        raise BadRequest("max_tokens: an integer above 0")
    special = data.get("add_special_tokens", True)
    if type(special) is not bool:
        raise BadRequest("add_special_tokens: true or false")
    return [Request(prompt, limit, _stops(data.get("stop")), special) for prompt in prompts]


def _stops(stop: Any) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or len(stops) > 16 or not all(isinstance(s, str) and s for s in stops):
        raise BadRequest("stop: a string or a list of up to 16")
    return tuple(stops)


def _refuse(code: Code, message: str) -> web.Response:
    return web.json_response({"error": {"code": code.value, "message": message}}, status=400)


def main() -> None:
    """Load the model, then serve it until killed."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.transformers")
    parser.add_argument("--model", type=Path, required=True)
    serving.add_arguments(parser)
    arguments = parser.parse_args()
    serving.follow_parent(arguments)
    try:
        model = GreedyModel(arguments.model)
    except EvaluatorError as problem:
        raise SystemExit(str(problem)) from None
    serving.serve(application(Batcher(model), arguments.model.name), arguments)


if __name__ == "__main__":
    main()
