"""The gateway: ``python -m evaluator.hosts.gateway (--socket PATH | --fd N)``, its configuration on standard input.

Standard input holds one JSON object: url, model, api, key, allow_private, patience. ``/health`` answers once
the address has been checked, with the code if it may not be called.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from evaluator import addresses
from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts import serving
from evaluator.hosts.gateway import plain
from evaluator.hosts.gateway.patience import Patience, delay, retry_after_seconds

MAX_REQUEST_BYTES = 16 << 20
_FIELDS = ("max_tokens", "stop", "temperature", "seed")
_STATUS = {Code.ENDPOINT_RATE_LIMITED: 429, Code.ENDPOINT_TIMEOUT: 504, Code.BAD_MESSAGE: 400}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the gateway is told. The key is in no representation."""

    url: str
    model: str
    api: plain.Api
    key: str = field(repr=False)
    allow_private: bool
    patience: Patience


class Gateway:
    """One endpoint: asks it, and asks it again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._target: addresses.Target | None = None
        self._not_before = 0.0
        self.problem: EvaluatorError | None = None

    async def open(self) -> None:
        """Check the address and pin it. A refusal is kept in ``problem``."""
        told = self._settings
        try:
            if not plain.valid_key(told.key):
                raise error(Code.ENDPOINT_UNAUTHORIZED)
            self._target = addresses.check(told.url, allow_private=told.allow_private)
            found = await addresses.resolve(self._target, allow_private=told.allow_private)
        except EvaluatorError as problem:
            self.problem = problem
            return
        seconds = told.patience.timeout_seconds
        self._session = plain.open_session(self._target, found, key=told.key, seconds=seconds)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, question: dict[str, Any]) -> Any:
        """A completion, after as many attempts as patience allows. Raises EvaluatorError."""
        patience = self._settings.patience
        failures = refusals = 0
        while True:
            await self._wait()
            try:
                return await self._ask_once(question)
            except plain.Refused as refused:
                limited = refused.code is Code.ENDPOINT_RATE_LIMITED
                refusals, failures = (refusals + 1, failures) if limited else (refusals, failures + 1)
                asked_for = retry_after_seconds(refused.retry_after, now=time.time())
                pause = delay(
                    patience,
                    refused.code,
                    failures=failures,
                    refusals=refusals,
                    retry_after=asked_for,
                    chance=random.random(),  # noqa: S311 - jitter
                )
                if pause is None:
                    raise error(refused.code) from None
            if limited and asked_for is not None:  # the limit is the endpoint's, so every question waits
                self._not_before = max(self._not_before, time.monotonic() + pause)
            await asyncio.sleep(pause)

    async def _ask_once(self, question: dict[str, Any]) -> Any:
        if self._session is None or self._target is None:
            raise self.problem or error(Code.INTERNAL)
        return await plain.ask_once(self._session, self._target, self._settings.api, question)

    async def _wait(self) -> None:
        while (pause := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(pause)


def application(gateway: Gateway, settings: Settings) -> web.Application:
    """The gateway's face towards the evaluator."""

    async def health(_: web.Request) -> web.Response:
        return _refuse(gateway.problem) if gateway.problem else web.json_response({"status": "ok"})

    async def complete(request: web.Request) -> web.Response:
        try:
            question = read_question(await request.read(), settings)
            return web.json_response(await gateway.ask(question))
        except EvaluatorError as problem:
            return _refuse(problem)

    async def opened(_: web.Application) -> AsyncIterator[None]:
        await gateway.open()
        yield
        await gateway.close()

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.cleanup_ctx.append(opened)
    app.router.add_get("/health", health)
    path = "/v1/chat/completions" if settings.api == "chat" else "/v1/completions"
    app.router.add_post(path, complete)
    return app


def read_question(body: bytes, settings: Settings) -> dict[str, Any]:
    """The request as it is sent on: the model's name there, and the fields that we know. Raises BAD_MESSAGE."""
    try:
        data = json.loads(body)
        asked = {"messages": data["messages"]} if settings.api == "chat" else {"prompt": data["prompt"]}
        return {
            "model": settings.model,
            **asked,
            **{name: data[name] for name in _FIELDS if data.get(name) not in (None, [])},
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise error(Code.BAD_MESSAGE) from None


def read_settings(text: bytes) -> Settings:
    """The configuration. Raises MISCONFIGURED without quoting it."""
    try:
        data = json.loads(text)
        patience = Patience(**data.pop("patience", {}))
        settings = Settings(**data, patience=patience)
    except (ValueError, TypeError, AttributeError):
        raise error(Code.MISCONFIGURED, "the gateway's standard input") from None
    if settings.api not in ("completions", "chat"):
        raise error(Code.MISCONFIGURED, "api")
    return settings


def _refuse(problem: EvaluatorError) -> web.Response:
    return web.json_response({"error": {"code": problem.code.value}}, status=_STATUS.get(problem.code, 502))


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
