"""As little as can be: a loop that asks and grades. ``python bare.py URL PROMPTS.jsonl
CONCURRENCY``."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

NUMBER = re.compile(r"-?[0-9][0-9,]*")


async def ask(
    session: aiohttp.ClientSession, url: str, rows: Iterator[dict[str, str]], right: list[bool]
) -> None:
    """Ask one after the other of what is left."""
    for row in rows:
        question = {
            "model": "stub",
            "prompt": row["prompt"],
            "max_tokens": 1000,
            "temperature": 0,
        }
        async with session.post(f"{url}/completions", json=question) as response:
            text = (await response.json())["choices"][0]["text"]
        numbers = NUMBER.findall(text)
        answer = numbers[-1].replace(",", "") if numbers else None
        right.append(answer == row["target"])


async def main(url: str, prompts: str, concurrency: str) -> None:
    """Ask everything and print how much of it was right."""
    rows = [json.loads(line) for line in Path(prompts).read_text().splitlines()]
    right: list[bool] = []
    left = iter(rows)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, url, left, right) for _ in range(int(concurrency))))
    print(f"{sum(right)} of {len(right)}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
