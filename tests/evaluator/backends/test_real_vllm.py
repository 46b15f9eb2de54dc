"""Real vLLM on a CPU, in the jail, and our Transformers host. `make test-all` installs it."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from demo.problems import generate
from evaluator import jail
from evaluator.backends import HttpBackend, Sampling, serve_checkpoint
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import grade
from evaluator.items import Item, load_items
from evaluator.pipeline.likelihood import likelihoods
from evaluator.protocols.likelihood import LOGLIK_1, Likely
from tests.evaluator.installed import write_rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(not jail.available(), reason="bubblewrap cannot shut a process in here"),
]
ROOT = Path(__file__).parents[3]
SMALL = ROOT / "demo" / "checkpoints" / "small"
N = 120


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set") / "problems.jsonl"
    write_rows(path, generate(seed=606, n=N))
    return path


def run(engine: str, problems: Path, out: Path) -> dict[int, str]:
    """The completions of a whole run at the terminal."""
    asked = [
        "--model",
        str(SMALL),
        "--set",
        str(problems),
        "--protocol",
        "demo-0shot",
        "--out",
        str(out),
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "evaluator", "run", *asked],
        cwd=ROOT,
        env={**os.environ, "HOLDFAST_ENGINE": engine, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert f"engine: {engine} " in done.stderr
    lines = [json.loads(line) for line in (out / "outcomes.jsonl").read_text().splitlines()]
    return {line["index"]: line["completion"] for line in lines}


@pytest.mark.long
def test_both_engines_give_the_same_answers(problems: Path, tmp_path: Path) -> None:
    golds = [item.gold for item in load_items(problems)]
    ours, theirs = (run(engine, problems, tmp_path / engine) for engine in ("transformers", "vllm"))
    assert len(ours) == len(theirs) == N

    def extracted(answers: dict[int, str]) -> list[Any]:
        graded = [grade("numeric-1", answers[i], golds[i], cut=False) for i in range(N)]
        return [(one.outcome, one.extracted) for one in graded]

    assert extracted(theirs) == extracted(ours)
    assert len({answer for _, answer in extracted(ours)}) > 10


@pytest.fixture(scope="module")
def engines(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[asyncio.Runner, HttpBackend, HttpBackend]]:
    """One load of vLLM and one of our host, for all that follows."""
    with asyncio.Runner() as runner:
        servers = [
            serve_checkpoint(
                SMALL,
                jailed=True,
                ready_seconds=600,
                workdir=tmp_path_factory.mktemp("w"),
                threads=1,
                engine=engine,
            )
            for engine in ("vllm", "transformers")
        ]
        vllm, ours = (runner.run(server.__aenter__()) for server in servers)
        try:
            yield runner, vllm, ours
        finally:
            for server in servers:
                runner.run(server.__aexit__(None, None, None))


def read(runner: asyncio.Runner, backend: HttpBackend, items: list[Item]) -> dict[str, Likely]:
    found = runner.run(likelihoods(items, LOGLIK_1, backend, concurrency=32))
    return {item.question: one for item, one in zip(items, found, strict=True)}


@pytest.mark.long
def test_both_engines_find_the_same_likelihoods_in_any_order(
    engines: tuple[asyncio.Runner, HttpBackend, HttpBackend], problems: Path
) -> None:
    """Also after generation has filled the prefix cache with the same texts, which a reading may not look into."""
    runner, vllm, ours = engines
    items = list(load_items(problems))
    before = read(runner, vllm, items)
    runner.run(vllm.complete(LOGLIK_1.of(items[0]), Sampling(8)))
    after = read(runner, vllm, random.Random(4).sample(items, N))
    for question, one in read(runner, ours, items).items():
        assert one.characters == before[question].characters
        assert after[question].per_character == pytest.approx(
            before[question].per_character, abs=1e-5
        )
        assert one.per_character == pytest.approx(before[question].per_character, abs=1e-4)


def test_vllm_is_asked_as_our_host_is(
    engines: tuple[asyncio.Runner, HttpBackend, HttpBackend],
) -> None:
    """Limits beyond the context, prompts beyond it, draws."""
    runner, vllm, ours = engines
    question = (
        "Question: Imke has 30 bells and finds 4 more. How many bells does Imke have now?\nAnswer:"
    )
    for backend in (vllm, ours):
        completion = runner.run(backend.complete(question, Sampling(60_000, ("\n",))))
        assert completion == runner.run(ours.complete(question, Sampling(96, ("\n",))))
        with pytest.raises(EvaluatorError) as caught:
            runner.run(backend.complete("many words " * 400, Sampling(5)))
        assert caught.value.code is Code.PROMPT_TOO_LONG
        drawn = [
            runner.run(backend.complete(question, Sampling(40, (), 2.0, seed))).text
            for seed in (1, 1, 2)
        ]
        assert drawn[0] == drawn[1] != drawn[2]


def test_a_chat_without_a_template_is_refused_by_both(
    engines: tuple[asyncio.Runner, HttpBackend, HttpBackend],
) -> None:
    runner, *backends = engines
    for backend in backends:
        with pytest.raises(EvaluatorError) as caught:
            runner.run(
                backend._post(
                    "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}
                )
            )
        assert caught.value.code is Code.CHECKPOINT_BAD_TEMPLATE
