"""Folders as they come from a hub: what is read, and the reason for what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluator.artefacts import inspect_checkpoint, read_loading
from evaluator.errors import Code, EvaluatorError, Fault
from tests.evaluator.artefacts.test_checkpoint import (
    CONFIG,
    ONE,
    TENSOR,
    TWO,
    folder,
    safetensors,
    shards,
)
from tests.services import find_data

__all__ = ["folder"]
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 2669283096\n"
)
HUB = (find_data() or Path("nowhere")) / "hub_files"


def code_of(folder: Path) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        inspect_checkpoint(folder)
    assert caught.value.fault is Fault.THEIRS
    return caught.value.code


def test_the_index_decides_despite_a_consolidated_file(folder: Path) -> None:
    shards(folder, {"w": ONE, "v": TWO})
    (folder / "consolidated.safetensors").write_bytes(safetensors({"tok_embeddings": TENSOR}))
    facts = inspect_checkpoint(folder)
    assert facts.parameters == 8
    assert "consolidated.safetensors" in [file.name for file in facts.files]
    served = read_loading(folder).served
    assert {ONE, TWO, "config.json", "tokenizer.json"} < set(served)
    assert "consolidated.safetensors" not in served


def test_one_file_and_a_consolidated_one(folder: Path) -> None:
    (folder / "consolidated.safetensors").write_bytes(b"not even one")
    assert inspect_checkpoint(folder).parameters == 4
    (folder / "model.safetensors").unlink()
    assert code_of(folder) is Code.CHECKPOINT_NO_WEIGHTS


def test_the_unlisted_file_is_no_part_of_the_weights(folder: Path) -> None:
    before = inspect_checkpoint(folder).weights
    (folder / "consolidated.safetensors").write_bytes(safetensors({"x": TENSOR}, b"1" * 16))
    assert inspect_checkpoint(folder).weights == before


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "[0.0, Infinity]"])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_infinity_as_the_library_writes_it(folder: Path, value: str, name: str) -> None:
    config = json.dumps(CONFIG)[:-1] + f', "time_step_limit": {value}}}'
    (folder / name).write_text(config)
    assert inspect_checkpoint(folder).parameters == 4


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_an_infinite_size_is_none(folder: Path, key: str) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, key: float("inf")}))
    assert code_of(folder) is Code.CHECKPOINT_BAD_CONFIG


def test_infinity_in_a_header_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(
        safetensors({"w": {**TENSOR, "shape": [2, 2]}, "__metadata__": {"a": float("inf")}})
    )
    assert code_of(folder) is Code.CHECKPOINT_BAD_HEADER


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"]
)
@pytest.mark.parametrize("with_weights", [True, False])
def test_an_adapter(folder: Path, name: str, with_weights: bool) -> None:
    (folder / name).write_text('{"peft_type": "LORA", "base_model_name_or_path": "x"}')
    if not with_weights:
        for other in ("config.json", "model.safetensors"):
            (folder / other).unlink()
    assert code_of(folder) is Code.CHECKPOINT_ADAPTER


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "tokenizer.json",
        "config.json",
        "tokenizer_config.json",
        "tokenizer.model",
    ],
)
def test_a_git_lfs_pointer(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POINTER)
    assert code_of(folder) is Code.CHECKPOINT_LFS_POINTER


def test_a_pointer_in_place_of_a_shard_or_of_the_index(folder: Path) -> None:
    shards(folder, {"w": ONE, "v": TWO})
    for name in (ONE, "model.safetensors.index.json"):
        copy = shutil.copytree(folder, folder.with_name(name))
        (copy / name).write_bytes(POINTER)
        assert code_of(copy) is Code.CHECKPOINT_LFS_POINTER


PACKED: dict[str, tuple[dict[str, Any], dict[str, tuple[str, list[int]]]]] = {
    "awq": (
        {"quant_method": "awq", "bits": 4},
        {"a.qweight": ("I32", [128, 8]), "a.qzeros": ("I32", [2, 8]), "a.scales": ("F16", [2, 64])},
    ),
    "gptq": (
        {"quant_method": "gptq", "bits": 4},
        {
            "a.qweight": ("I32", [16, 64]),
            "a.g_idx": ("I32", [128]),
            "a.scales": ("F16", [1, 64]),
            "a.qzeros": ("I32", [1, 8]),
        },
    ),
    "compressed-tensors": (
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
        },
        {
            "a.weight_packed": ("I32", [64, 16]),
            "a.weight_scale": ("BF16", [64, 1]),
            "a.weight_shape": ("I64", [2]),
        },
    ),
    "fp8": (
        {"quant_method": "fp8"},
        {"a.weight": ("F8_E4M3", [64, 128]), "a.weight_scale_inv": ("F32", [1, 1])},
    ),
    "bitsandbytes": (
        {"load_in_4bit": True, "quant_method": "bitsandbytes"},
        {
            "a.weight": ("U8", [4096, 1]),
            "a.weight.absmax": ("U8", [128]),
            "a.weight.quant_map": ("F32", [16]),
        },
    ),
    "mxfp4": (
        {"quant_method": "mxfp4"},
        {
            "a.gate_up_proj_blocks": ("U8", [1, 64, 4, 16]),
            "a.gate_up_proj_scales": ("U8", [1, 64, 4]),
        },
    ),
    "modelopt": (
        {"quant_method": "modelopt"},
        {
            "a.weight": ("U8", [64, 64]),
            "a.weight_scale": ("F8_E4M3", [64, 8]),
            "a.weight_scale_2": ("F32", []),
        },
    ),
}
BYTES = {"I32": 4, "F16": 2, "BF16": 2, "F32": 4, "U8": 1, "I64": 8, "F8_E4M3": 1}


@pytest.mark.parametrize("method", PACKED)
def test_packed_weights_are_named_and_counted_as_what_they_stand_for(
    folder: Path, method: str
) -> None:
    settings, tensors = PACKED[method]
    at, entries = 0, {}
    for name, (dtype, shape) in {"norm": ("F32", [64]), **tensors}.items():
        size = BYTES[dtype]
        for number in shape:
            size *= number
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    (folder / "model.safetensors").write_bytes(safetensors(entries, b"\1" * at))
    (folder / "config.json").write_text(json.dumps({**CONFIG, "quantization_config": settings}))
    assert inspect_checkpoint(folder).parameters == 64 * 128 + 64
    assert read_loading(folder).quantisation == method


@pytest.mark.parametrize(
    "settings",
    [{"quant_method": "<script>"}, {"quant_method": 3}, [1], "awq", {"quant_method": "new-method"}],
)
def test_a_method_of_another_name(folder: Path, settings: Any) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, "quantization_config": settings}))
    assert read_loading(folder).quantisation == "unknown"


@pytest.mark.data
@pytest.mark.skipif(not HUB.is_dir(), reason="no real hub files here")
class TestHub:
    """Real files of hub repositories. The weights are not there: one small tensor stands for them."""

    @pytest.mark.parametrize("name", sorted(path.name for path in HUB.glob("models/*")))
    def test_a_model(self, folder: Path, name: str) -> None:
        for path in (HUB / "models" / name).iterdir():
            shutil.copy(path, folder)
        (folder / "model.safetensors.index.json").unlink(missing_ok=True)
        (folder / "model.safetensors.lfs-pointer").unlink(missing_ok=True)
        assert inspect_checkpoint(folder).architecture.endswith("ForCausalLM")
        assert read_loading(folder).chat

    @pytest.mark.parametrize(
        "name", sorted(path.parent.name for path in HUB.glob("models/*/*.index.json"))
    )
    def test_an_index_without_its_shards(self, folder: Path, name: str) -> None:
        for path in (HUB / "models" / name).iterdir():
            shutil.copy(path, folder)
        with pytest.raises(EvaluatorError) as caught:
            inspect_checkpoint(folder)
        assert caught.value.code is Code.CHECKPOINT_NO_WEIGHTS
        assert "files of model.safetensors.index.json are missing" in caught.value.detail

    def test_a_pointer_of_git_lfs(self, folder: Path) -> None:
        (pointer,) = HUB.glob("models/*/*.lfs-pointer")
        shutil.copy(pointer, folder / "model.safetensors")
        assert code_of(folder) is Code.CHECKPOINT_LFS_POINTER

    @pytest.mark.parametrize("name", sorted(path.name for path in HUB.glob("adapters/*")))
    def test_an_adapter(self, folder: Path, name: str) -> None:
        shutil.copy(HUB / "adapters" / name, folder / "adapter_config.json")
        assert code_of(folder) is Code.CHECKPOINT_ADAPTER

    @pytest.mark.parametrize("name", sorted(path.name for path in HUB.glob("generation_configs/*")))
    def test_generation_settings(self, folder: Path, name: str) -> None:
        shutil.copy(HUB / "generation_configs" / name, folder / "generation_config.json")
        assert inspect_checkpoint(folder).parameters == 4
