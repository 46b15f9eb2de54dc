"""What memory a checkpoint will want, by its headers and config."""

import json
import shutil
from pathlib import Path

import pytest

from evaluator.artefacts import read_sizes
from evaluator.errors import Code, EvaluatorError


def test_a_small_one(tiny_checkpoint: Path) -> None:
    found = read_sizes(tiny_checkpoint)
    assert (found.architecture, found.context, found.heads) == ("LlamaForCausalLM", 128, 4)
    assert found.cached == 2 * 2 * 2 * 8  # keys and values, two layers, two heads of eight numbers
    assert found.weights == 4 * found.parameters > 40_000


def test_other_spellings(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    gpt = {
        "architectures": ["GPT2LMHeadModel"],
        "n_embd": 64,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 1024,
    }
    (folder / "config.json").write_text(json.dumps(gpt))
    found = read_sizes(folder)
    assert (found.context, found.heads, found.cached) == (1024, 4, 2 * 3 * 64)
    nested = {
        "architectures": ["XForConditionalGeneration"],
        "text_config": {"hidden_size": 32, "num_hidden_layers": 1},
    }
    (folder / "config.json").write_text(json.dumps(nested))
    assert (read_sizes(folder).cached, read_sizes(folder).context) == (64, 2048)


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError) as caught:
        read_sizes(tmp_path)
    assert caught.value.code is Code.CHECKPOINT_NO_CONFIG
