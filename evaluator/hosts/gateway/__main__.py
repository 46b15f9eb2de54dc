"""Gateway: ``python -m evaluator.hosts.gateway (--socket PATH | --fd N)``.

Standard input holds one JSON object, the fields of ``settings.Settings``. ``/health`` answers once
the address has been checked, with the code if it may not be called.
"""

import argparse
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts import serving
from evaluator.hosts.gateway.asking import Gateway, ItemRefused
from evaluator.hosts.gateway.settings import Settings, read_settings

MAX_REQUEST_BYTES = 16 << 20
_FIELDS = ("max_tokens", "max_completion_tokens", "stop", "temperature", "seed")
_STATUS = {
    Code.ENDPOINT_RATE_LIMITED: 429,
    Code.ENDPOINT_TIMEOUT: 504,
    Code.BAD_MESSAGE: 400,
    Code.BUDGET_SPENT: 402,
}


def application(gateway: Gateway, settings: Settings) -> web.Application:
    """Return the HTTP application that the evaluator calls."""

    async def health(_: web.Request) -> web.Response:
        if gateway.problem:
            return _refuse(gateway.problem)
        return web.json_response({"status": "ok"})

    async def complete(request: web.Request) -> web.Response:
        try:
            question = read_question(await request.read(), settings)
            return web.json_response(await gateway.ask(question))
        except ItemRefused as refused:
            named = {"code": refused.code.value, "reason": refused.reason}
            return web.json_response({"error": named}, status=422)
        except EvaluatorError as problem:
            return _refuse(problem)

    async def state(_: web.Request) -> web.Response:
        return web.json_response({"waiting": gateway.waiting})

    async def opened(_: web.Application) -> AsyncIterator[None]:
        await gateway.open()
        yield
        await gateway.close()

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.cleanup_ctx.append(opened)
    app.router.add_get("/health", health)
    app.router.add_get("/state", state)
    path = "/v1/chat/completions" if settings.api == "chat" else "/v1/completions"
    app.router.add_post(path, complete)
    return app


def read_question(body: bytes, settings: Settings) -> dict[str, Any]:
    """Return the request for the endpoint: its name of the model, and the fields that we know.

    Raises BAD_MESSAGE.
    """
    try:
        data = json.loads(body)
        asked = "messages" if settings.api == "chat" else "prompt"
        question: dict[str, Any] = {"model": settings.model}
        question[asked] = data[asked]
        for name in _FIELDS:
            value = data.get(name)
            if value not in (None, []):
                question[name] = value
        return question
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise error(Code.BAD_MESSAGE) from None


def _refuse(problem: EvaluatorError) -> web.Response:
    named = {"code": problem.code.value}
    status = _STATUS.get(problem.code, 502)
    return web.json_response({"error": named}, status=status)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.gateway")
    serving.add_arguments(parser)
    arguments = parser.parse_args()
    serving.follow_parent(arguments)
    settings = read_settings(sys.stdin.buffer.read())
    serving.serve(application(Gateway(settings), settings), arguments)


if __name__ == "__main__":
    main()
