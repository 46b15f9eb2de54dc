"""An endpoint that knows every answer, and behaves in one odd way that was reported in public.

``python tests/servers/odd_endpoint.py`` prints its address and serves until killed. The endpoint at
``/ODD/WHEN/NAME/v1`` is odd in this way: ``always``, ``once``, ``once-item:N`` for the first request about item N, or
``item:N`` for each. ``NAME`` tells two apart. Questions read "Which … is number N?". ``GET /ODD/WHEN/NAME/requests``
returns what was asked.
"""

import argparse
import asyncio
import gzip
import json
import re
from typing import Any

from aiohttp import web

NUMBER = re.compile(r"number (\d+)\?")
SECRET = "SECRET-OF-THE-REMOTE-SIDE"

Response = web.StreamResponse


def whole(path: str, text: str | None, reason: Any = "stop", **message: Any) -> dict[str, Any]:
    """A completion as the API of this path spells it. ``message`` replaces or adds fields of a chat message."""
    content = (
        {"message": {"role": "assistant", "content": text} | message}
        if "chat" in path
        else {"text": text}
    )
    return {"object": "completion", "choices": [{"index": 0, "finish_reason": reason, **content}]}


def refused(status: int, **error: Any) -> Response:
    """An error object, which quotes the remote side."""
    return web.json_response({"error": {"message": SECRET, **error}}, status=status)


class Odd:
    """Answers, and misbehaves when it is time to."""

    def __init__(self, odd: str, when: str) -> None:
        self.odd = odd
        self.when, _, item = when.partition(":")
        self.item = int(item or -1)
        self.misbehaved = 0
        self.requests: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> Response:
        """One question."""
        body = await request.json()
        prompt = body.get("prompt") or body["messages"][-1]["content"]
        number = int((NUMBER.findall(prompt) or ["0"])[-1])
        self.requests.append({"item": number, "body": body})
        about_it = self.when in ("always", "once") or number == self.item
        if about_it and not (self.when.startswith("once") and self.misbehaved):
            self.misbehaved += 1
            return self.misbehave(request, body, number, f" It is number {number}")
        return web.json_response(whole(request.path, f" It is number {number}"))

    def misbehave(
        self, request: web.Request, body: dict[str, Any], number: int, text: str
    ) -> Response:
        """One odd answer, by name."""
        found = (
            self._refusal(body)
            or self._body(request.path, number, text)
            or self._answer(request.path, text)
        )
        assert found is not None, self.odd
        return found

    def _refusal(self, body: dict[str, Any]) -> Response | None:
        if self.odd.startswith("refuses-"):  # a parameter
            name = self.odd.removeprefix("refuses-")
            if name not in body:
                return web.json_response(
                    whole("chat", " It is number " + NUMBER.findall(str(body["messages"]))[-1])
                )
            told = f"Unsupported parameter: '{name}' is not supported with this model. {SECRET}"
            return web.json_response({"error": {"message": told, "param": name}}, status=400)
        limit = "max_tokens is too large: 4096. This model supports at most 2048 completion tokens."
        made = {
            "filter400": lambda: refused(400, code="content_filter"),
            "moderation403": lambda: refused(
                403, code=403, metadata={"reasons": ["x"], "flagged_input": SECRET}
            ),
            "forbidden403": lambda: refused(403),
            "unauthorized401": lambda: refused(401),
            "legal451": lambda: refused(451),
            "context400": lambda: refused(400, code="context_length_exceeded", param="messages"),
            "credit402": lambda: refused(402),
            "quota429": lambda: refused(429, code="insufficient_quota", type="insufficient_quota"),
            "output400": lambda: refused(400, message=limit, param="max_tokens"),
            "stream400": lambda: refused(
                400, message="This model only supports streaming: set stream=true."
            ),
            "later429": lambda: web.json_response({}, status=429, headers={"Retry-After": "61"}),
            "error500": lambda: web.Response(status=500, text=SECRET),
        }.get(self.odd)
        return made() if made else None

    def _body(self, path: str, number: int, text: str) -> Response | None:
        good = json.dumps(whole(path, text))
        bodies: dict[str, Any] = {
            "error200": json.dumps({"error": {"message": SECRET, "type": "server_error"}}),
            "html200": f"<html>{SECRET}</html>",
            "nochoices200": '{"choices": []}',
            "badjson200": good[:-3],
            "empty200": "",
            "bom": "\ufeff" + good,
            "latin1": json.dumps(whole(path, text + " caf\u00e9"), ensure_ascii=False).encode(
                "latin-1"
            ),
            "sse": f"data: {good}\n\ndata: [DONE]\n\n",
        }
        if self.odd in bodies:
            raw = bodies[self.odd]
            kind = "text/event-stream" if self.odd == "sse" else "application/json"
            return web.Response(
                body=raw if isinstance(raw, bytes) else raw.encode(), content_type=kind
            )
        if self.odd == "gzip":
            packed = gzip.compress(good.encode())
            return web.Response(
                body=packed,
                headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
            )
        if self.odd == "created201":
            return web.json_response(whole(path, text), status=201)
        if self.odd == "bomb":
            packed = gzip.compress(b" " * (64 << 20))
            return web.Response(
                body=packed,
                headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
            )
        return None

    def _answer(self, path: str, text: str) -> Response | None:
        thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "number 99"}]}]
        wrong = {
            "index": 1,
            "finish_reason": "stop",
            "message": {"content": "number 98"},
            "text": "number 98",
        }
        made: dict[str, Any] = {
            "parts": lambda: whole(path, None, content=[*thought, {"type": "text", "text": text}]),
            "reasoning_only": lambda: whole(path, None, reasoning_content=text),
            "reasoning_field": lambda: whole(path, None, reasoning=text),
            "thinking_parts_only": lambda: whole(path, None, content=thought),
            "refusal_field": lambda: whole(path, None, refusal=SECRET),
            "filtered200": lambda: whole(path, None, "content_filter"),
            "null_length": lambda: whole(path, None, "length", reasoning_content=text),
            "finish_null": lambda: whole(path, text, None),
            "finish_null_cut": lambda: whole(path, " There are 3 of them, so that 4", None),
            "finish_max": lambda: whole(path, " There are 3 of them, so that 4", "MAX_TOKENS"),
            "end_turn": lambda: whole(path, text, "end_turn"),
            "two": lambda: {"choices": [wrong, *whole(path, text)["choices"]]},
            "run_on": lambda: whole(
                path, f"{text}\n\nQuestion: Which boat is number 7?\nAnswer: It is number 7"
            ),
        }
        return web.json_response(made[self.odd]()) if self.odd in made else None


class All:
    """Every endpoint, made when it is first asked."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, ...], Odd] = {}

    def of(self, request: web.Request) -> Odd:
        """The endpoint of a request's path."""
        odd, when, name = (request.match_info[part] for part in ("odd", "when", "name"))
        return self.endpoints.setdefault((odd, when, name), Odd(odd, when))

    async def answer(self, request: web.Request) -> Response:
        """One question."""
        return await self.of(request).answer(request)

    async def report(self, request: web.Request) -> Response:
        """The questions so far."""
        return web.json_response(self.of(request).requests)


async def serve(port: int) -> None:
    """Serve on loopback until killed."""
    app, every = web.Application(client_max_size=1 << 24), All()
    app.router.add_post("/{odd}/{when}/{name}/v1/completions", every.answer)
    app.router.add_post("/{odd}/{when}/{name}/v1/chat/completions", every.answer)
    app.router.add_get("/{odd}/{when}/{name}/requests", every.report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert site._server is not None
    print(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
