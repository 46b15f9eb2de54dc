"""Asks each endpoint once through the LiteLLM adapter, in a process of its own: ``litellm_probe.py MODE=URL …``.

Prints one JSON object: by mode the code of the refusal, or the answer. The key is read from standard input.
"""

import asyncio
import json
import sys

from evaluator.errors import EvaluatorError
from evaluator.hosts.gateway.adapter import Refused
from evaluator.hosts.gateway.providers import LiteLLMAdapter

KEY = sys.stdin.readline().strip()
PRIVATE = "public" not in sys.argv


async def ask(url: str) -> object:
    adapter = LiteLLMAdapter("chat", url=url, key=KEY, allow_private=PRIVATE, seconds=5.0)
    try:
        await adapter.open()
        messages = [{"role": "user", "content": "a prompt that must not be echoed"}]
        return await adapter.ask_once({"model": "openai/m", "messages": messages, "max_tokens": 5})
    except Refused as refused:
        return [refused.code, refused.retry_after, refused.overloaded]
    except EvaluatorError as problem:
        return [problem.code, None, False]


async def main() -> None:
    found = {}
    for pair in sys.argv[1:]:
        mode, _, url = pair.partition("=")
        if url:
            found[mode] = await ask(url)
    json.dump(found, sys.stdout)


asyncio.run(main())
