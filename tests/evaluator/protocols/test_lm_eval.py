"""``gsm8k-cot-5shot`` asks what lm-evaluation-harness's own ``gsm8k`` asks, byte for byte."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluator import protocols
from evaluator.items import load_items

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def harness(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The requests of lm-eval's task over the whole test set, built by lm-eval in its own process."""
    home = tmp_path_factory.mktemp("lm-eval")
    environment = os.environ | {
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
    }
    environment |= {
        "HF_DATASETS_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "LM_HARNESS_CACHE_PATH": str(home / "lm"),
    }
    script = Path(__file__).with_name("lm_eval_prompts.py")
    done = subprocess.run(
        [sys.executable, str(script), str(data_dir / "gsm8k")],
        env=environment, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def ours(data_dir: Path) -> list[str]:
    protocol = protocols.get("gsm8k-cot-5shot")
    items, pool = (
        load_items(data_dir / "gsm8k" / "test.jsonl"),
        load_items(data_dir / "gsm8k" / "train.jsonl"),
    )
    draws = protocol.draws(len(items), len(pool))
    return [
        protocol.prompt(item, [pool[i] for i in drawn])
        for item, drawn in zip(items, draws, strict=True)
    ]


def test_all_prompts_are_equal_byte_for_byte(harness: dict[str, Any], ours: list[str]) -> None:
    theirs = harness["prompts"]
    assert len(ours) == len(theirs) == 1319
    unequal = [
        i
        for i, pair in enumerate(zip(ours, theirs, strict=True))
        if pair[0].encode() != pair[1].encode()
    ]
    assert unequal == []


def test_stop_strings_and_temperature_are_equal(harness: dict[str, Any]) -> None:
    protocol = protocols.get("gsm8k-cot-5shot")
    [generation] = harness["generation"]
    assert harness["version"] == 3.0
    assert tuple(generation["until"]) == protocol.stop
    assert generation["temperature"] == protocol.temperature == 0.0
    assert generation["do_sample"] is False


def test_the_seed_is_the_default_of_the_harness() -> None:
    from lm_eval.evaluator import simple_evaluate

    default = inspect.signature(simple_evaluate).parameters["fewshot_random_seed"].default
    assert default == protocols.get("gsm8k-cot-5shot").shot_seed
