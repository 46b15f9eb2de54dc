"""What the HTTP client sends, byte for byte where it matters: limits, stops, and what stands before the text."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest
from aiohttp import web

from evaluator.backends import HttpBackend, Sampling


async def sent(
    folder: Path, sampling: Sampling, api: Literal["completions", "chat"]
) -> dict[str, Any]:
    """The one request that a server gets."""
    got: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append(await request.json())
        choice = {"text": "7", "message": {"content": "7"}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    app = web.Application()
    app.router.add_post("/v1/completions", answer)
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "s")).start()
    try:
        async with HttpBackend(folder / "s", model="m", api=api) as backend:
            await backend.complete("How many?", sampling)
    finally:
        await runner.cleanup()
    [request] = got
    return request


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(9, ("\n",)), {"max_tokens": 9, "stop": ["\n"], "temperature": 0.0}),
        (Sampling(9), {"max_tokens": 9, "temperature": 0.0}),
        (
            Sampling(9, bos="never"),
            {"max_tokens": 9, "temperature": 0.0, "add_special_tokens": False},
        ),
        (Sampling(9, temperature=0.6, seed=3), {"max_tokens": 9, "temperature": 0.6, "seed": 3}),
    ],
)
@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_request(
    tmp_path: Path,
    sampling: Sampling,
    expected: dict[str, Any],
    api: Literal["completions", "chat"],
) -> None:
    question: dict[str, Any] = (
        {"prompt": "How many?"}
        if api == "completions"
        else {"messages": [{"role": "user", "content": "How many?"}]}
    )
    assert asyncio.run(sent(tmp_path, sampling, api)) == {"model": "m", **question, **expected}
