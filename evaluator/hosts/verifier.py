"""Verifier host: ``python -m evaluator.hosts.verifier --model DIR (--socket PATH | --fd N)``.

Serves ``/health`` and ``/v1/score`` of a checkpoint folder on a Unix socket, in the jail as every
model server of weights. A request is ``{"text": …}``; for a language model ``question`` follows the
text and ``answer`` is the token whose probability is the score. The reply is ``{"score": …}``, null
where the model computed no number, and the tokens that were read.
"""

import argparse
from pathlib import Path
from typing import Any

from aiohttp import web

from evaluator.artefacts.verdicts import line_of
from evaluator.errors import EvaluatorError
from evaluator.hosts import serving
from evaluator.hosts.batching import Batcher, Request
from evaluator.hosts.judging import ScoringModel
from evaluator.hosts.preflight import check
from evaluator.hosts.reading import MAX_REQUEST_BYTES, BadRequest, read_object
from evaluator.hosts.transformers import refusals


def application(batcher: Batcher, *, is_language_model: bool) -> web.Application:
    """Return the HTTP application of a batcher over a verifier."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def score(request: web.Request) -> web.Response:
        data = read_object(await request.read())
        text = data.get("text", "")
        question = data.get("question", "")
        wanted = data.get("answer", "")
        if not all(isinstance(field, str) for field in (text, question, wanted)):
            raise BadRequest("text, question, answer: strings")
        asked = Request(text, 0)
        if is_language_model:
            if not wanted:
                raise BadRequest("answer: a language model is asked for one token")
            asked = Request(text + question, 0, stop=(wanted,))
        answer = await batcher.ask(asked)
        usage = {"prompt_tokens": answer.usage[0], "completion_tokens": 0}
        reply = {"object": "score", "score": answer.score, "usage": usage}
        return web.json_response(reply)

    async def working(_: web.Application) -> Any:
        async with batcher:
            yield

    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[refusals])
    app.router.add_get("/health", health)
    app.router.add_post("/v1/score", score)
    app.cleanup_ctx.append(working)
    return app


def main() -> None:
    """Load the verifier, then serve it until killed."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.verifier")
    parser.add_argument("--model", type=Path, required=True)
    serving.add_arguments(parser)
    arguments = parser.parse_args()
    serving.follow_parent(arguments)
    try:
        check(arguments.model)
        model = ScoringModel(arguments.model)
    except EvaluatorError as problem:
        raise SystemExit(line_of(problem)) from None
    app = application(Batcher(model), is_language_model=model.is_language_model)
    serving.serve(app, arguments)


if __name__ == "__main__":
    main()
