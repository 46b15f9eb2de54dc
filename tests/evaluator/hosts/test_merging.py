"""Merging an adapter: the same numbers as PEFT's own model, nothing else changed, bad input refused."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from evaluator import jail
from evaluator.artefacts import inspect_checkpoint
from evaluator.backends.merging import merged
from evaluator.errors import Code, EvaluatorError
from evaluator.hosts.merging import merge
from tests.adapters import SMALL, adapter, matrices, write

PROMPT = torch.tensor([[5, 17, 230, 41, 8]])


def load(folder: Path, dtype: Any = "auto") -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def merge_into(folder: Path, files: dict[str, bytes], base: Path = SMALL) -> Path:
    source = write(folder / "adapter", files)
    out = folder / "out"
    out.mkdir()
    merge(base, source, out)
    return out


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 8},
        {"r": 8, "lora_alpha": 16, "use_rslora": True},
        {"r": 4, "rank_pattern": {"down_proj": 2}, "alpha_pattern": {"layers.1.+q_proj": 32}},
    ],
    ids=["plain", "rslora", "patterns"],
)
def test_the_merged_model_is_pefts_own(
    tmp_path: Path, dtype: torch.dtype, settings: dict[str, Any]
) -> None:
    base = shutil.copytree(SMALL, tmp_path / "base")
    load(SMALL, dtype).save_pretrained(base)
    torch.manual_seed(0)
    targets = ["q_proj", "down_proj", "gate_proj"]
    config = LoraConfig(target_modules=targets, init_lora_weights=False, **settings)
    get_peft_model(load(base), config).save_pretrained(tmp_path / "adapter")
    (tmp_path / "out").mkdir()
    merge(base, tmp_path / "adapter", tmp_path / "out")
    with_adapter = PeftModel.from_pretrained(load(base), tmp_path / "adapter")
    with torch.no_grad():
        own = load(tmp_path / "out")(PROMPT).logits
        before = load(base)(PROMPT).logits
        theirs = with_adapter.merge_and_unload()(PROMPT).logits
    assert torch.equal(own, theirs)
    assert not torch.allclose(own, before, atol=1e-3), "the adapter changes the answers"


def test_unmerged_outputs_are_met_within_rounding(tmp_path: Path) -> None:
    base = shutil.copytree(SMALL, tmp_path / "base")
    load(SMALL, torch.float32).save_pretrained(base)
    out = merge_into(tmp_path, adapter(), base)
    with torch.no_grad():
        beside = PeftModel.from_pretrained(load(base), tmp_path / "adapter")(PROMPT).logits
        own = load(out)(PROMPT).logits
    assert torch.allclose(own, beside, atol=1e-4)


def test_an_adapter_that_changes_nothing_gives_the_weights_of_the_base(tmp_path: Path) -> None:
    base = shutil.copytree(SMALL, tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["model.layers.0.mlp.down_proj.weight"][0, :5] = -0.0
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    out = merge_into(tmp_path, adapter(scale=0.0), base)
    assert inspect_checkpoint(out).weights == inspect_checkpoint(base).weights


def test_tensors_that_it_does_not_name_keep_their_bytes(tmp_path: Path) -> None:
    out = merge_into(tmp_path, adapter())
    before, after = load_file(SMALL / "model.safetensors"), load_file(out / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed and all(name.endswith(("q_proj.weight", "down_proj.weight")) for name in changed)


def test_its_tokenizer_and_template_come_along(tmp_path: Path) -> None:
    files = adapter() | {"chat_template.jinja": b"{{ messages[0].content }}"}
    out = merge_into(tmp_path / "template", files)
    assert (out / "chat_template.jinja").read_bytes() == files["chat_template.jinja"]
    assert (out / "tokenizer.json").read_bytes() == (SMALL / "tokenizer.json").read_bytes()
    own = adapter() | {"tokenizer.json": (SMALL / "tokenizer.json").read_bytes() + b"\n"}
    out = merge_into(tmp_path / "tokenizer", own)
    assert (out / "tokenizer.json").read_bytes() == own["tokenizer.json"]
    assert not (out / "tokenizer_config.json").exists(), "one of the base would not fit"


def changed(name: str, change: Any) -> dict[str, np.ndarray]:
    tensors = matrices()
    key = next(key for key in tensors if key.endswith(name))
    tensors[key] = change(tensors[key])
    return tensors


def with_nan(matrix: np.ndarray) -> np.ndarray:
    matrix[0, 0] = np.nan
    return matrix


REFUSED: dict[str, tuple[dict[str, bytes], Code]] = {
    "NaN": (adapter(tensors=changed("lora_B.weight", with_nan)), Code.CHECKPOINT_BAD_NUMBERS),
    "overflow": (adapter(lora_alpha=1e300), Code.CHECKPOINT_BAD_NUMBERS),
    "rank of a pattern": (
        adapter(rank_pattern={"q_proj": 2}),
        Code.CHECKPOINT_ADAPTER_UNFIT,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_adapters_are_refused(tmp_path: Path, case: str) -> None:
    files, code = REFUSED[case]
    with pytest.raises(EvaluatorError) as refused:
        merge_into(tmp_path, files)
    assert refused.value.code is code


@pytest.mark.slow
@pytest.mark.skipif(not jail.available(), reason="needs bubblewrap")
def test_the_child_merges_in_a_jail_and_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "adapter", adapter())
    work = tmp_path / "work"

    async def run(source: Path) -> dict[str, torch.Tensor]:
        async with merged(SMALL, source, workdir=work) as folder:
            assert inspect_checkpoint(folder).parameters == inspect_checkpoint(SMALL).parameters
            return load_file(folder / "model.safetensors")

    found = asyncio.run(run(source))
    expected = load_file(merge_into(tmp_path / "here", adapter()) / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    bad = write(tmp_path / "bad", REFUSED["NaN"][0])
    with pytest.raises(EvaluatorError) as refused:
        asyncio.run(run(bad))
    assert refused.value.code is Code.CHECKPOINT_BAD_NUMBERS
    assert not list(work.iterdir())
