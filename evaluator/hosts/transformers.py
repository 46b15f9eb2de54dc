"""Transformers host: ``python -m evaluator.hosts.transformers --model DIR (--socket PATH | --fd
N)``.

Serves ``/health``, ``/v1/models``, ``/v1/completions`` and ``/v1/chat/completions`` of a checkpoint
folder on a Unix socket. It runs in the jail, where there is no network; ``trust_remote_code`` is
off as well. An incomplete checkpoint is refused before it is loaded
(:mod:`evaluator.hosts.preflight`).
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from evaluator.artefacts.verdicts import line_of
from evaluator.errors import Code, EvaluatorError
from evaluator.hosts import serving
from evaluator.hosts.batching import Answer, Batcher, OutOfMemory, TooLong
from evaluator.hosts.greedy import GreedyModel
from evaluator.hosts.preflight import check
from evaluator.hosts.reading import MAX_REQUEST_BYTES, BadRequest, read_chat, read_request, rendered
from evaluator.hosts.rendering import Renderer
from evaluator.hosts.templates import BadTemplate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(batcher: Batcher, renderer: Renderer, name: str) -> web.Application:
    """Return the HTTP application of a batcher."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def models(_: web.Request) -> web.Response:
        model = {"id": name, "object": "model"}
        return web.json_response({"object": "list", "data": [model]})

    async def completions(request: web.Request) -> web.Response:
        asked = read_request(await request.read())
        answers = await asyncio.gather(*map(batcher.ask, asked))
        choices = []
        for answer in answers:
            choice: dict[str, Any] = {"text": answer.text}
            if answer.tokens:  # of an echo, as OpenAI's parallel lists
                best = [token.best for token in answer.tokens]
                choice["logprobs"] = {
                    "tokens": [token.text for token in answer.tokens],
                    "token_logprobs": [token.logprob for token in answer.tokens],
                    "text_offset": [token.offset for token in answer.tokens],
                    "top_logprobs": [pair and dict([pair]) for pair in best],
                }
            choices.append(choice)
        return _reply("text_completion", name, choices, answers)

    async def chat(request: web.Request) -> web.Response:
        question, data = read_chat(await request.read())
        asked = rendered(await renderer.prompt(question), data)
        answers = await asyncio.gather(*map(batcher.ask, asked))
        messages = [{"role": "assistant", "content": answer.text} for answer in answers]
        choices = [{"message": message} for message in messages]
        return _reply("chat.completion", name, choices, answers)

    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[refusals])
    app.router.add_get("/health", health)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/completions", completions)
    app.router.add_post("/v1/chat/completions", chat)

    async def working(_: web.Application) -> Any:
        async with batcher, renderer:
            yield

    app.cleanup_ctx.append(working)
    return app


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors of a request into codes. No text of it is quoted."""
    try:
        return await handler(request)
    except BadRequest as problem:
        return _refuse(Code.BAD_MESSAGE, str(problem))
    except TooLong:
        return _refuse(Code.PROMPT_TOO_LONG, "the prompt is longer than the context")
    except BadTemplate as problem:
        return _refuse(Code.CHECKPOINT_BAD_TEMPLATE, str(problem))
    except OutOfMemory:
        return _refuse(Code.ENGINE_OOM, "a batch does not fit into memory", status=503)


def _reply(
    kind: str,
    name: str,
    choices: Sequence[dict[str, Any]],
    answers: Sequence[Answer],
) -> web.Response:
    shown = []
    prompts = 0
    written = 0
    pairs = zip(choices, answers, strict=True)
    for index, (choice, answer) in enumerate(pairs):
        reason = "length" if answer.cut else "stop"
        shown.append({"index": index, **choice, "finish_reason": reason})
        prompts += answer.usage[0]
        written += answer.usage[1]
    usage = {"prompt_tokens": prompts, "completion_tokens": written}
    reply = {
        "object": kind,
        "model": name,
        "choices": shown,
        "usage": usage,
    }
    return web.json_response(reply)


def _refuse(
    code: Code,
    message: str,
    *,
    status: int = 400,
) -> web.Response:
    problem = {"code": code.value, "message": message}
    return web.json_response({"error": problem}, status=status)


def main() -> None:
    """Load the model, then serve it until killed."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.transformers")
    parser.add_argument("--model", type=Path, required=True)
    serving.add_arguments(parser)
    arguments = parser.parse_args()
    serving.follow_parent(arguments)
    try:
        check(arguments.model)
        model = GreedyModel(arguments.model)
    except EvaluatorError as problem:
        raise SystemExit(line_of(problem)) from None
    renderer = Renderer(arguments.model, model.special_tokens)
    app = application(Batcher(model), renderer, arguments.model.name)
    serving.serve(app, arguments)


if __name__ == "__main__":
    main()
