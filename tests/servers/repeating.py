"""A server of completions that answers each question of a connection twice: again when the next one comes."""

import asyncio
import json
import re

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def response(prompt: str, name: str = "") -> bytes:
    """An HTTP response whose text names its question."""
    choice = {"index": 7, "text": f"answer to {prompt}", "finish_reason": "stop"}
    body = json.dumps({"id": name, "choices": [choice]}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the questions of one connection, each under the identifier of the one before it."""
    before = ""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            assert length is not None
            prompt = json.loads(await reader.readexactly(int(length[1])))["prompt"]
            if before:
                writer.write(response(before))
            writer.write(response(prompt, name=before))
            await writer.drain()
            before = prompt
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
