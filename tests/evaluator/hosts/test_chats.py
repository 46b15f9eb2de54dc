"""The middleware that renders chats for vLLM, around an application that stands for it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.hosts import chats

USAGE = {"prompt_tokens": 9, "completion_tokens": 2}


class Inside:
    """An ASGI application that notes its request and continues every prompt alike."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.asked: dict[str, Any] = {}
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        message = await receive()
        assert int(dict(scope["headers"])[b"content-length"]) == len(message["body"])
        self.asked = json.loads(message["body"])
        reply = {
            "model": "m",
            "choices": [{"index": 0, "text": " 7", "finish_reason": "stop"}],
            "usage": USAGE,
        }
        body = json.dumps(
            reply if self.status == 200 else {"error": {"param": "input_tokens"}}
        ).encode()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": body[9:]})


def ask(inside: Inside, body: bytes, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    sent: list[Any] = []
    parts = [body[:7], body[7:]]

    async def receive() -> Any:
        return {
            "type": "http.request",
            "body": parts.pop(0) if parts else b"",
            "more_body": bool(parts),
        }

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": headers}
        await chats.Chats(inside)(scope, receive, send)

    asyncio.run(run())
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    (tmp_path / "chat_template.jinja").write_text(
        "{{ '<s>' }}{% for m in messages %}<u>{{ m.content }}{% endfor %}<a>"
    )
    monkeypatch.setenv(chats.FOLDER, str(tmp_path))
    return Inside()


def test_a_chat_is_the_completion_of_its_rendered_prompt(inside: Inside) -> None:
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": "How many?"}],
        "max_tokens": 9,
        "temperature": 0,
    }
    status, reply = ask(
        inside, json.dumps({**asked, "stream": True, "chat_template": "evil"}).encode()
    )
    assert (status, inside.paths) == (200, ["/v1/completions"])
    assert inside.asked == {
        "model": "m", "prompt": "<s><u>How many?<a>", "max_tokens": 9, "temperature": 0, "add_special_tokens": False,
    }  # fmt: skip
    assert reply["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": " 7"}, "finish_reason": "stop"}
    ]
    assert reply["usage"] == USAGE


def test_refusals_come_with_their_code(inside: Inside, tmp_path: Path) -> None:
    assert ask(inside, b"{}")[0] == 400
    inside.status = 400
    asked = json.dumps({"messages": [{"role": "user", "content": "How many?"}]}).encode()
    assert ask(inside, asked) == (400, {"error": {"param": "input_tokens"}})
    (tmp_path / "chat_template.jinja").write_text("no question here")
    status, reply = ask(inside, asked)
    assert (status, reply["error"]["code"]) == (400, "checkpoint_bad_template")
