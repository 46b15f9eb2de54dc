"""ASGI middleware for vLLM: a chat becomes the completion of its prompt, rendered as our own host renders it.

So every engine is asked the same text, and no template runs in the engine's process, where nothing bounds it.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from evaluator.errors import Code
from evaluator.hosts.reading import MAX_REQUEST_BYTES, BadRequest, read_chat
from evaluator.hosts.rendering import Renderer
from evaluator.hosts.templates import BadTemplate

FOLDER = "HOLDFAST_CHAT_FOLDER"
"""The variable that names the checkpoint's folder."""
SPECIALS = "HOLDFAST_CHAT_SPECIALS"
"""The variable that holds its tokenizer's special tokens by role, as JSON."""
_KEPT = ("model", "max_tokens", "temperature", "seed", "n", "stop", "top_p")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Chats:
    """Answers ``/v1/chat/completions`` by way of the ``/v1/completions`` of the application that it surrounds."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._renderer = Renderer(
            Path(os.environ[FOLDER]), json.loads(os.environ.get(SPECIALS, "null"))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != "/v1/chat/completions":
            await self._app(scope, receive, send)
            return
        try:
            messages, data = read_chat(await _body(receive))
            prompt = await self._renderer.prompt(messages)
        except BadRequest as problem:
            await _send(send, 400, _refusal(Code.BAD_MESSAGE, str(problem)))
        except BadTemplate as problem:
            await _send(send, 400, _refusal(Code.CHECKPOINT_BAD_TEMPLATE, str(problem)))
        else:
            await _send(send, *await self._complete(scope, receive, completion_of(data, prompt)))

    async def _complete(
        self, scope: Scope, receive: Receive, request: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Ask the application inside, and turn its answer into a chat's."""
        body, told, answered = json.dumps(request).encode(), False, bytearray()
        status = 500

        async def tell() -> Message:
            nonlocal told
            if told:
                return await receive()  # the client's disconnection
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def take(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                answered.extend(message.get("body", b""))

        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        path = "/v1/completions"
        await self._app(
            {**scope, "path": path, "raw_path": path.encode(), "headers": headers}, tell, take
        )
        reply = json.loads(bytes(answered))
        return status, chat_of(reply) if status == 200 else reply


def completion_of(data: dict[str, Any], prompt: str) -> dict[str, Any]:
    """The completions request for a rendered prompt, which brings its special tokens along."""
    request = {name: data[name] for name in _KEPT if data.get(name) is not None}
    if data.get("max_completion_tokens") is not None:
        request["max_tokens"] = data["max_completion_tokens"]
    return {**request, "prompt": prompt, "add_special_tokens": False}


def chat_of(reply: dict[str, Any]) -> dict[str, Any]:
    """The answer of completions as one of a chat."""
    choices = [
        {
            "index": choice["index"],
            "message": {"role": "assistant", "content": choice["text"]},
            "finish_reason": choice["finish_reason"],
        }
        for choice in reply["choices"]
    ]
    return {"object": "chat.completion", "model": reply.get("model"), "choices": choices}


async def _body(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(body) > MAX_REQUEST_BYTES:
            raise BadRequest("too long")
    return bytes(body)


def _refusal(code: Code, message: str) -> dict[str, Any]:
    return {"error": {"code": code.value, "message": message}}


async def _send(send: Send, status: int, reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
