"""Provider of one model, on loopback: the API of OpenAI for a program that knows a few rules.

    python -m demo.provider --port 8100

The demo lists it as an endpoint under contract, which the evaluators reach through LiteLLM. It
reads the numbers of a question, guesses from its words which sum is meant, and knows no answer. It
logs nothing of what it is asked.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "rules-1"
PROVIDER = "hosted_vllm"
"""Adapter of LiteLLM that speaks this API at an address of one's own."""
MOST_BYTES = 1 << 20
_NUMBERS = re.compile(r"\d+")
_RULES = (
    (re.compile(r"splits|evenly|shares"), "/"),
    (re.compile(r"each"), "*"),
    (re.compile(r"gives|left|loses|remain"), "-"),
)


def answer(question: str) -> str:
    """Return a working and an answer, as the demo's models write them."""
    numbers = [int(digits) for digits in _NUMBERS.findall(question)[:2]]
    if len(numbers) < 2:
        return "I see no two numbers."
    a, b = numbers
    sign = "+"
    for rule, meant in _RULES:
        if rule.search(question):
            sign = meant
            break
    results = {
        "+": a + b,
        "-": a - b,
        "*": a * b,
        "/": a // b if b else a,
    }
    result = results[sign]
    return f"{a} {sign} {b} = {result}. #### {result}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """List the one model."""
        model = {"id": MODEL, "object": "model"}
        self._send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        """Answer the last message of a chat."""
        length = int(self.headers.get("Content-Length", "0"))
        if length > MOST_BYTES:
            self.close_connection = True
            self._send(413, {"error": {"message": "too large"}})
            return
        try:
            messages = json.loads(self.rfile.read(length))["messages"]
            question = str(messages[-1]["content"])
        except (ValueError, KeyError, IndexError, TypeError):
            self._send(400, {"error": {"message": "no messages"}})
            return
        text = answer(question)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        asked = len(question.split())
        written = len(text.split())
        usage = {
            "prompt_tokens": asked,
            "completion_tokens": written,
            "total_tokens": asked + written,
        }
        self._send(
            200,
            {
                "id": "chatcmpl-demo",
                "object": "chat.completion",
                "created": 0,
                "model": MODEL,
                "choices": [choice],
                "usage": usage,
            },
        )

    def _send(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
        """Log nothing."""


def main(arguments: Sequence[str]) -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="demo.provider")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
