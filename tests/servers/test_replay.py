"""The replaying endpoint answers as any server would, with what seven real systems once said."""

import asyncio
import json
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from evaluator import protocols
from evaluator.items import Item, load_items

SERVER = Path(__file__).parent / "replay.py"
SYSTEMS = {
    "rho-math-1b-v0.1",
    "rho-math-7b-v0.1",
    "rho-math-1b-interpreter-v0.1",
    "openai-6b-finetuning",
    "openai-6b-verification",
    "openai-175b-finetuning",
    "openai-175b-verification",
}
pytestmark = pytest.mark.data


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., str]]:
    """A function that starts the server with options and returns its address."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*options: str) -> str:
        process = subprocess.Popen(
            [sys.executable, str(SERVER), "--data", str(data_dir), *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0], "the server did not start"
        return process.stdout.readline().strip()

    yield start_one
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def ask(url: str, body: dict[str, Any] | None = None, key: str | None = None) -> Any:
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Bearer {key}"} if key else {}
    )
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, headers), timeout=30) as response:
        return json.load(response)


def prompt_of(item: Item) -> str:
    return protocols.get("demo-0shot").prompt(item, ())


@pytest.mark.slow
def test_all_seven_systems_know_all_questions_of_the_five_shot_prompts(
    start: Callable[..., str], data_dir: Path
) -> None:
    import aiohttp

    protocol = protocols.get("gsm8k-cot-5shot")
    items, pool = (
        load_items(data_dir / "gsm8k" / "test.jsonl"),
        load_items(data_dir / "gsm8k" / "train.jsonl"),
    )
    draws = protocol.draws(len(items), len(pool))
    prompts = [
        protocol.prompt(item, [pool[i] for i in drawn])
        for item, drawn in zip(items, draws, strict=True)
    ]
    url = start()

    async def found(
        session: aiohttp.ClientSession, system: str, prompt: str, limit: asyncio.Semaphore
    ) -> bool:
        body = {
            "model": system,
            "prompt": prompt,
            "stop": list(protocol.stop),
            "max_tokens": protocol.max_tokens,
        }
        async with limit, session.post(f"{url}/completions", json=body) as response:
            data = await response.json()
            return response.status == 200 and bool(data["choices"][0]["text"].strip())

    async def every() -> dict[str, int]:
        limit = asyncio.Semaphore(32)
        async with aiohttp.ClientSession() as session:
            return {
                system: sum(
                    await asyncio.gather(
                        *(found(session, system, prompt, limit) for prompt in prompts)
                    )
                )
                for system in SYSTEMS
            }

    assert {model["id"] for model in ask(f"{url}/models")["data"]} == SYSTEMS
    assert asyncio.run(every()) == dict.fromkeys(SYSTEMS, 1319)


def test_completions_and_chat_give_the_recorded_text(
    start: Callable[..., str], data_dir: Path
) -> None:
    prompt = prompt_of(load_items(data_dir / "gsm8k" / "test.jsonl")[0])
    url = start()
    body = {"model": "openai-175b-verification", "max_tokens": 1000, "temperature": 0}
    plain = ask(f"{url}/completions", body | {"prompt": prompt})["choices"][0]
    chat = ask(
        f"{url}/chat/completions", body | {"messages": [{"role": "user", "content": prompt}]}
    )["choices"][0]
    assert plain["text"].startswith(" Janet eats 3 duck eggs")
    assert plain["text"].endswith("\nA: 18")
    assert chat["message"]["content"] == plain["text"].strip()
    assert plain["finish_reason"] == chat["finish_reason"] == "stop"


def test_stop_strings_and_the_token_limit_cut(start: Callable[..., str], data_dir: Path) -> None:
    prompt = prompt_of(load_items(data_dir / "gsm8k" / "test.jsonl")[0])
    url = start()
    body = {"model": "rho-math-7b-v0.1", "prompt": prompt}
    whole = ask(f"{url}/completions", body)["choices"][0]["text"]
    stopped = ask(f"{url}/completions", body | {"stop": [" answer", "The "]})["choices"][0]
    cut = ask(f"{url}/completions", body | {"max_tokens": 3})["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["text"] == whole[: whole.index("The ")]
    assert cut["finish_reason"] == "length"
    assert whole.startswith(cut["text"])
    assert len(cut["text"].split()) == 3


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("no-such-model", "Question: ?\nAnswer:"),
        ("rho-math-7b-v0.1", "Question: never asked\nAnswer:"),
        ("rho-math-7b-v0.1", "hello"),
    ],
)
def test_what_was_not_recorded_is_a_404(start: Callable[..., str], model: str, prompt: str) -> None:
    url = start()
    with pytest.raises(HTTPError) as refused:
        ask(f"{url}/completions", {"model": model, "prompt": prompt})
    with refused.value as answer:
        assert answer.code == 404
        assert set(json.load(answer)["error"]) == {"message", "type", "code"}


def test_a_key_and_a_rate_limit_refuse_as_real_ones_do(
    start: Callable[..., str], data_dir: Path
) -> None:
    items = load_items(data_dir / "gsm8k" / "test.jsonl")[:100]
    url = start("--key", "k", "--rate-limit-share", "0.3")
    statuses = []
    for item in items:
        try:
            ask(
                f"{url}/completions",
                {"model": "rho-math-7b-v0.1", "prompt": prompt_of(item)},
                key="k",
            )
            statuses.append(200)
        except HTTPError as refused:
            with refused:
                statuses.append(refused.code)
                assert refused.headers["Retry-After"] == "0"
    assert 15 <= statuses.count(429) <= 45
    assert statuses.count(200) == 100 - statuses.count(429)
    with pytest.raises(HTTPError) as unauthorized:
        ask(f"{url}/completions", {"model": "rho-math-7b-v0.1", "prompt": prompt_of(items[0])})
    with unauthorized.value:
        assert unauthorized.value.code == 401
