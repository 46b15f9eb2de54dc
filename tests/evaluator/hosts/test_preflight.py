"""Weights that are not whole are refused before they are loaded, whichever engine is to load them."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from evaluator import jail
from evaluator.backends import Sampling, serve_checkpoint
from evaluator.errors import Code, EvaluatorError, Fault
from evaluator.hosts import preflight
from tests.evaluator.hosts.damage import DAMAGES, DOWN, MISSING, ODD, change, configure, untied

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_refused(folder: Path, name: str) -> None:
    damage, code = DAMAGES[name]
    damage(folder)
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(folder)
    assert (caught.value.code, caught.value.fault) == (code, Fault.THEIRS)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_one_passes(folder: Path, name: str) -> None:
    ODD[name](folder)
    preflight.check(folder)


def test_the_refusal_counts_and_quotes_nothing_of_the_file(folder: Path) -> None:
    change(folder, lambda w: {f"SECRET-{name}": tensor for name, tensor in w.items()})
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(folder)
    assert "SECRET" not in str(caught.value)
    assert "tensors" in caught.value.detail
    assert "others have names that the model does not know" in caught.value.detail


def test_the_checks_find_nothing_once_they_are_taken_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: without the comparison of names and without the reading all damage passes."""
    monkeypatch.setattr(preflight, "_check_names", lambda *_: frozenset())
    monkeypatch.setattr(preflight, "_check_numbers", lambda _: None)
    for number, (damage, _) in enumerate(DAMAGES.values()):
        damage(shutil.copytree(folder, folder.with_name(f"copy-{number}")))
        preflight.check(folder.with_name(f"copy-{number}"))


def test_mixtures_of_experts_are_compared_as_they_are_merged(tmp_path: Path) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        num_hidden_layers=2, hidden_size=32, intermediate_size=16, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=100, num_local_experts=4,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(tmp_path)
    preflight.check(tmp_path)
    change(
        tmp_path, lambda w: {name: tensor for name, tensor in w.items() if "layers.1" not in name}
    )
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(tmp_path)
    assert caught.value.code is MISSING
    change(tmp_path, lambda w: {name: t for name, t in w.items() if "experts.2.w1" not in name})
    with pytest.raises(EvaluatorError):
        preflight.check(tmp_path)


def test_a_config_that_names_other_files_than_were_checked(folder: Path) -> None:
    """Of two shards the first alone: what is in the second would be random."""
    from evaluator.hosts.greedy import GreedyModel

    ODD["shards, consolidated"](folder)
    GreedyModel(folder)
    configure(folder, transformers_weights="model-00001-of-00002.safetensors")
    with pytest.raises(EvaluatorError) as caught:
        GreedyModel(folder)
    assert caught.value.code is MISSING


def packed(
    folder: Path, method: str, pack: Callable[[str, torch.Tensor], dict[str, torch.Tensor]]
) -> None:
    """Have every matrix of the layers packed."""
    configure(folder, quantization_config={"quant_method": method, "bits": 4})
    change(
        folder,
        lambda w: {
            key: part
            for name, tensor in w.items()
            for key, part in (
                pack(name.removesuffix(".weight"), tensor) if "proj" in name else {name: tensor}
            ).items()
        },
    )


PACKS: dict[str, Callable[[str, torch.Tensor], dict[str, torch.Tensor]]] = {
    "awq": lambda name, t: {
        f"{name}.qweight": torch.ones(t.shape[1], t.shape[0] // 8, dtype=torch.int32),
        f"{name}.scales": torch.ones(1, t.shape[0], dtype=torch.float16),
        f"{name}.qzeros": torch.zeros(1, t.shape[0] // 8, dtype=torch.int32),
    },
    "gptq": lambda name, t: {
        f"{name}.qweight": torch.ones(t.shape[1] // 8, t.shape[0], dtype=torch.int32),
        f"{name}.scales": torch.ones(1, t.shape[0], dtype=torch.float16),
        f"{name}.g_idx": torch.zeros(t.shape[1], dtype=torch.int32),
    },
    "compressed-tensors": lambda name, t: {
        f"{name}.weight_packed": torch.ones(t.shape[0], t.shape[1] // 8, dtype=torch.int32),
        f"{name}.weight_scale": torch.ones(t.shape[0], 1, dtype=torch.bfloat16),
        f"{name}.weight_shape": torch.tensor(t.shape),
    },
    "fp8": lambda name, t: {
        f"{name}.weight": t.to(torch.float8_e4m3fn),
        f"{name}.weight_scale_inv": torch.ones(1, 1),
    },
}


def test_experts_in_four_bits_are_compared_as_what_they_stand_for(tmp_path: Path) -> None:
    from transformers import GptOssConfig, GptOssForCausalLM

    config = GptOssConfig(
        num_hidden_layers=2, hidden_size=64, intermediate_size=32, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=100, num_local_experts=2, head_dim=16,
    )  # fmt: skip
    GptOssForCausalLM(config).save_pretrained(tmp_path)
    change(tmp_path, lambda w: {name: t + 1 for name, t in w.items()})
    configure(tmp_path, quantization_config={"quant_method": "mxfp4"})

    def pack(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        parts = {}
        for name, tensor in weights.items():
            if name.endswith("_proj") and "experts" in name:
                experts, columns, rows = tensor.shape
                parts[f"{name}_blocks"] = torch.ones(
                    experts, rows, columns // 32, 16, dtype=torch.uint8
                )
                parts[f"{name}_scales"] = torch.ones(
                    experts, rows, columns // 32, dtype=torch.uint8
                )
            else:
                parts[name] = tensor
        return parts

    change(tmp_path, pack)
    preflight.check(tmp_path)
    change(
        tmp_path,
        lambda w: {
            name: t for name, t in w.items() if "layers.1.mlp.experts.down_proj" not in name
        },
    )
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(tmp_path)
    assert caught.value.code is MISSING


@pytest.mark.parametrize(
    "settings",
    [{"model_type": "unheard-of"}, {"model_type": "llama", "num_hidden_layers": "many"}],
    ids=repr,
)
def test_what_cannot_be_compared_is_refused(folder: Path, settings: dict[str, str]) -> None:
    configure(folder, **settings)
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(folder)
    assert caught.value.code is Code.CHECKPOINT_UNKNOWN_MODEL


def test_packed_weights_that_cannot_be_compared_are_refused(folder: Path) -> None:
    configure(folder, quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(folder)
    assert caught.value.code is Code.CHECKPOINT_QUANTISED


@pytest.mark.parametrize("method", PACKS)
def test_packed_weights_are_compared_as_what_they_stand_for(folder: Path, method: str) -> None:
    packed(folder, method, PACKS[method])
    preflight.check(folder)
    change(
        folder, lambda w: {name: t for name, t in w.items() if "layers.1.mlp.down_proj" not in name}
    )
    with pytest.raises(EvaluatorError) as caught:
        preflight.check(folder)
    assert (caught.value.code, caught.value.detail) == (MISSING, DOWN)


@pytest.mark.parametrize(
    "jailed",
    [
        pytest.param(False, marks=pytest.mark.slow),
        pytest.param(True, marks=pytest.mark.skipif(not jail.available(), reason="no jail here")),
    ],
)
def test_our_host_refuses_before_it_answers(folder: Path, tmp_path: Path, jailed: bool) -> None:
    untied(folder)

    async def run() -> None:
        async with serve_checkpoint(
            folder,
            jailed=jailed,
            ready_seconds=120,
            workdir=tmp_path / "w",
            threads=1,
            engine="transformers",
        ) as backend:
            await backend.complete("x", Sampling(1))

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert (caught.value.code, caught.value.detail) == (MISSING, "lm_head.weight")


@pytest.mark.slow
def test_the_terminal_says_so_and_counts_nothing(folder: Path, tmp_path: Path) -> None:
    change(folder, lambda w: {name: tensor for name, tensor in w.items() if name != DOWN})
    (tmp_path / "set.jsonl").write_text(
        json.dumps({"question": "How many?", "answer": "#### 3"}) + "\n"
    )
    asked = [
        "--model",
        str(folder),
        "--set",
        str(tmp_path / "set.jsonl"),
        "--protocol",
        "demo-0shot",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "evaluator",
            "run",
            *asked,
            "--out",
            str(tmp_path / "out"),
            "--json",
        ],
        cwd=ROOT,
        env={**os.environ, "HOLDFAST_ENGINE": "transformers"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode != 0
    assert Code.CHECKPOINT_MISSING_TENSORS in done.stderr
    assert DOWN in done.stderr
    assert '"right"' not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.skipif(not jail.available(), reason="no jail here")
@pytest.mark.parametrize("name", ["untied, no head", "nan bfloat16", "wrong shape"])
def test_vllm_refuses_before_it_loads(folder: Path, tmp_path: Path, name: str) -> None:
    damage, code = DAMAGES[name]
    damage(folder)

    async def run() -> None:
        async with serve_checkpoint(
            folder, jailed=True, ready_seconds=500, workdir=tmp_path / "w", threads=1, engine="vllm"
        ) as backend:
            await backend.complete("x", Sampling(1))

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert caught.value.code is code
