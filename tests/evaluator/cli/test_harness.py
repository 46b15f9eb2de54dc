"""lm-eval's own gsm8k against our server, next to our protocol of the same prompts, on a live tiny model: under both
engines the same prompts, byte for byte, the same completions, and the same extracted answers."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from demo.problems import TEMPLATES, generate
from evaluator import protocols
from evaluator.contract import Outcome
from evaluator.grading import grade
from evaluator.items import load_items
from tests.evaluator.cli.terminal import ROOT, last_object, run
from tests.evaluator.installed import write_rows

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = ROOT / "demo" / "checkpoints" / "small"
N = 40
NEEDS_VLLM = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
FILTERS = {"lm-eval-strict-3": "strict-match", "lm-eval-flexible-3": "flexible-extract"}
SHORT = TEMPLATES[:8]
"""Problems of one step: five of them with their answers fit into the tiny context."""


def filtered(samples: Path, name: str) -> dict[int, dict[str, Any]]:
    """lm-eval's samples under one filter of the task, by index."""
    found = [json.loads(line) for line in samples.read_text().splitlines()]
    return {sample["index"]: sample for sample in found if sample["filter"] == name}


@pytest.mark.parametrize(
    "engine", ["transformers", pytest.param("vllm", marks=[NEEDS_VLLM, pytest.mark.long])]
)
def test_the_same_prompts_and_the_same_answers(engine: str, tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", generate(11, N, templates=SHORT))
    write_rows(tmp_path / "train.jsonl", generate(12, 60, templates=SHORT))
    where = ["--model", str(SMALL), "--json"]
    files = [
        "--set-file",
        str(tmp_path / "test.jsonl"),
        "--shots-file",
        str(tmp_path / "train.jsonl"),
    ]
    about: dict[str, Any] = {
        "timeout": 500,
        "env": os.environ | {"HOLDFAST_ENGINE": engine, "OMP_NUM_THREADS": "1"},
    }
    theirs = run(
        [sys.executable, "-m", "evaluator", "harness", *where, *files, "--task", "gsm8k",
         "--samples", str(tmp_path / "samples.jsonl")],
        **about,
    )  # fmt: skip
    assert theirs.returncode == 0, theirs.stderr
    figures = last_object(theirs)
    assert figures["version"] == "3.0"
    asked = [
        "--set",
        str(tmp_path / "test.jsonl"),
        "--protocol",
        "gsm8k-cot-5shot",
        "--out",
        str(tmp_path / "out"),
    ]
    ours = run([sys.executable, "-m", "evaluator", "run", *where, *asked], **about)
    assert ours.returncode == 0, ours.stderr
    assert f"engine: {engine} " in ours.stderr

    protocol = protocols.get("gsm8k-cot-5shot")
    items, pool = load_items(tmp_path / "test.jsonl"), load_items(tmp_path / "train.jsonl")
    draws = protocol.draws(N, len(pool))
    prompts = [
        protocol.prompt(item, [pool[i] for i in drawn])
        for item, drawn in zip(items, draws, strict=True)
    ]
    stored = [
        json.loads(line) for line in (tmp_path / "out" / "outcomes.jsonl").read_text().splitlines()
    ]
    answers = {line["index"]: line["completion"] for line in stored}
    for grader, name in FILTERS.items():
        samples = filtered(tmp_path / "samples.jsonl", name)
        assert set(samples) == set(answers) == set(range(N))
        for index, sample in samples.items():
            assert sample["prompt"].encode() == prompts[index].encode()
            assert sample["response"] == answers[index]
            graded = grade(grader, answers[index], items[index].gold)
            assert sample["extracted"] == (graded.extracted or "[invalid]")
            assert sample["right"] == (graded.outcome is Outcome.RIGHT)
        assert (
            figures[f"exact_match,{name}"]
            == sum(sample["right"] for sample in samples.values()) / N
        )
    flexible = filtered(tmp_path / "samples.jsonl", "flexible-extract")
    assert len({sample["extracted"] for sample in flexible.values()}) > 5, (
        "answers that are all alike show nothing"
    )
