"""ASGI middleware for vLLM: a chat becomes a completion of its prompt, rendered as our host does.

So every engine is asked the same text, and no template runs in the engine's process, where nothing
bounds it.
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
"""Environment variable with the checkpoint's folder."""
SPECIALS = "HOLDFAST_CHAT_SPECIALS"
"""Environment variable with its tokenizer's special tokens by role, as JSON."""
_FORWARDED = ("model", "max_tokens", "temperature", "seed", "n", "stop", "top_p")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Chats:
    """Serves chats through the ``/v1/completions`` of the wrapped application."""

    def __init__(self, app: App) -> None:
        self._app = app
        folder = Path(os.environ[FOLDER])
        specials = json.loads(os.environ.get(SPECIALS, "null"))
        self._renderer = Renderer(folder, specials)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != "/v1/chat/completions":
            await self._app(scope, receive, send)
            return
        try:
            body = await _body(receive)
            messages, data = read_chat(body)
            prompt = await self._renderer.prompt(messages)
        except BadRequest as problem:
            await _send(send, 400, _refusal(Code.BAD_MESSAGE, str(problem)))
        except BadTemplate as problem:
            await _send(send, 400, _refusal(Code.CHECKPOINT_BAD_TEMPLATE, str(problem)))
        else:
            request = completion_of(data, prompt)
            status, reply = await self._complete(scope, receive, request)
            await _send(send, status, reply)

    async def _complete(
        self,
        scope: Scope,
        receive: Receive,
        request: dict[str, Any],
    ) -> tuple[int, dict[str, Any]]:
        """Send the request to the wrapped application, and turn its response into a chat's."""
        body = json.dumps(request).encode()
        is_sent = False
        response = bytearray()
        status = 500

        async def receive_request() -> Message:
            nonlocal is_sent
            if is_sent:
                return await receive()  # the client's disconnection
            is_sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send_response(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                response.extend(message.get("body", b""))

        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        path = "/v1/completions"
        inner = {
            **scope,
            "path": path,
            "raw_path": path.encode(),
            "headers": headers,
        }
        await self._app(inner, receive_request, send_response)
        reply = json.loads(bytes(response))
        if status == 200:
            reply = chat_of(reply)
        return status, reply


def completion_of(data: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Return the completions request for a rendered prompt, which has its special tokens."""
    request: dict[str, Any] = {}
    for name in _FORWARDED:
        if data.get(name) is not None:
            request[name] = data[name]
    if data.get("max_completion_tokens") is not None:
        request["max_tokens"] = data["max_completion_tokens"]
    return {**request, "prompt": prompt, "add_special_tokens": False}


def chat_of(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a completions response as one of a chat."""
    choices = [
        {
            "index": choice["index"],
            "message": {"role": "assistant", "content": choice["text"]},
            "finish_reason": choice["finish_reason"],
        }
        for choice in reply["choices"]
    ]
    chat: dict[str, Any] = {
        "object": "chat.completion",
        "model": reply.get("model"),
        "choices": choices,
    }
    if "usage" in reply:
        chat["usage"] = reply["usage"]
    return chat


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(body) > MAX_REQUEST_BYTES:
            raise BadRequest("too long")
    return bytes(body)


def _refusal(code: Code, message: str) -> dict[str, Any]:
    return {"error": {"code": code.value, "message": message}}


async def _send(
    send: Send,
    status: int,
    reply: dict[str, Any],
) -> None:
    body = json.dumps(reply).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
