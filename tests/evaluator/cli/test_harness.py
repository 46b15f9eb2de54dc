"""lm-eval's own gsm8k against our server, beside our protocol of the same prompts, on a live tiny model."""

import json
import sys
from pathlib import Path

import pytest

from demo.problems import TEMPLATES, generate
from evaluator import protocols
from evaluator.items import load_items
from tests.evaluator.cli.terminal import ROOT, last_object, run
from tests.evaluator.installed import write_rows

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = ROOT / "demo" / "checkpoints" / "small"
N = 40
SHORT = TEMPLATES[:8]
"""Problems of one step: five of them with their answers fit into the tiny context."""


def test_the_same_prompts_and_the_same_answers(tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", generate(11, N, templates=SHORT))
    write_rows(tmp_path / "train.jsonl", generate(12, 60, templates=SHORT))
    where = ["--model", str(SMALL), "--json"]
    files = ["--set-file", str(tmp_path / "test.jsonl"), "--shots-file", str(tmp_path / "train.jsonl")]
    theirs = run(
        [sys.executable, "-m", "evaluator", "harness", *where, *files, "--task", "gsm8k",
         "--samples", str(tmp_path / "samples.jsonl")],
        timeout=500,
    )  # fmt: skip
    assert theirs.returncode == 0, theirs.stderr
    figures = last_object(theirs)
    assert figures["version"] == "3.0"
    asked = ["--set", str(tmp_path / "test.jsonl"), "--protocol", "gsm8k-cot-5shot", "--out", str(tmp_path / "out")]
    ours = run([sys.executable, "-m", "evaluator", "run", *where, *asked])
    assert ours.returncode == 0, ours.stderr

    protocol = protocols.get("gsm8k-cot-5shot")
    items, pool = load_items(tmp_path / "test.jsonl"), load_items(tmp_path / "train.jsonl")
    draws = protocol.draws(N, len(pool))
    prompts = [protocol.prompt(item, [pool[i] for i in drawn]) for item, drawn in zip(items, draws, strict=True)]
    kept = [json.loads(line) for line in (tmp_path / "out" / "outcomes.jsonl").read_text().splitlines()]
    answers = {line["index"]: line["completion"] for line in kept}
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    flexible = [sample for sample in samples if sample["filter"] == "flexible-extract"]
    assert len(flexible) == N
    for sample in flexible:
        assert sample["prompt"] == prompts[sample["index"]]
        assert sample["response"] == answers[sample["index"]]
    assert figures["exact_match,flexible-extract"] == sum(sample["right"] for sample in flexible) / N
