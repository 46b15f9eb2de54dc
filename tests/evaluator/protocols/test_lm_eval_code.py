"""``humaneval-0shot`` and ``mbpp-3shot`` ask what lm-evaluation-harness's own tasks ask, byte for byte."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator import protocols
from evaluator.authoring import code_sets
from evaluator.items import Item, parse_items
from evaluator.protocols import Protocol

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytestmark = [pytest.mark.data, pytest.mark.slow]

Asked = tuple[dict[str, Any], list[str], Protocol]


def read(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.decode().splitlines()]


def items_of(rows: list[dict[str, Any]], make: Callable[[Any], dict[str, str]]) -> tuple[Item, ...]:
    return parse_items(json.dumps(make(row)).encode() for row in rows)


def asked_by_the_harness(name: str, rows: list[dict[str, Any]], home: Path) -> dict[str, Any]:
    file = home / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = os.environ | {
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "LM_HARNESS_CACHE_PATH": str(home / "lm"),
    }
    script = Path(__file__).with_name("lm_eval_code_prompts.py")
    done = subprocess.run(
        [sys.executable, str(script), name, str(file)],
        env=environment, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module", params=["humaneval", "mbpp"])
def asked(
    request: pytest.FixtureRequest, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Asked:
    """What the harness asks on the real data, what we ask, and our protocol."""
    home = tmp_path_factory.mktemp("lm-eval")
    pool: tuple[Item, ...] = ()
    if request.param == "humaneval":
        rows = read(data_dir / "code" / "humaneval" / "HumanEval.jsonl")
        items = items_of(rows, code_sets.humaneval)
        protocol = protocols.get("humaneval-0shot")
    else:
        every = read(data_dir / "code" / "mbpp" / "mbpp.jsonl.gz")
        rows = [row for row in every if 11 <= row["task_id"] <= 510]
        items = items_of(rows, code_sets.mbpp)
        pool = items_of(every[1:10], code_sets.mbpp)
        protocol = protocols.get("mbpp-3shot")
    draws = protocol.draws(len(items), len(pool))
    ours = [
        protocol.prompt(item, [pool[place] for place in drawn])
        for item, drawn in zip(items, draws, strict=True)
    ]
    return asked_by_the_harness(request.param, rows, home), ours, protocol


def test_all_prompts_are_equal_byte_for_byte(asked: Asked) -> None:
    harness, ours, _ = asked
    theirs = harness["prompts"]
    assert len(ours) == len(theirs) in (164, 500)
    unequal = [
        place
        for place, pair in enumerate(zip(ours, theirs, strict=True))
        if pair[0].encode() != pair[1].encode()
    ]
    assert unequal == []


def test_stop_strings_and_greediness_are_equal(asked: Asked) -> None:
    harness, _, protocol = asked
    [generation] = harness["generation"]
    assert harness["version"] == 1.0
    assert tuple(generation["until"]) == protocol.stop
    assert generation["do_sample"] is False
    assert protocol.temperature == 0.0
    assert generation.get("max_gen_toks", 512) == protocol.max_tokens
