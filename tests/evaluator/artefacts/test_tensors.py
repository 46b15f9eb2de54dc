"""Weights by the content of their tensors: equal for copies, whatever stands around them (finding 5 of the attacks)."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from evaluator.artefacts import inspect_checkpoint
from evaluator.artefacts.tensors import read_weights
from evaluator.contract import MOST_TENSORS, Weights
from evaluator.contract import weights as contract
from evaluator.errors import Code, EvaluatorError

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2,
    "vocab_size": 2,
}
TENSORS = {"a.weight": b"\x01" * 16, "b.weight": bytes(range(32)), "c.bias": b"\x07" * 8}


def shard(tensors: dict[str, bytes], **metadata: str) -> bytes:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, data in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": [len(data) // 4],
            "data_offsets": [at, at + len(data)],
        }
        at += len(data)
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + b"".join(tensors.values())


def checkpoint(folder: Path, *shards: dict[str, bytes], **metadata: str) -> Path:
    """A folder with these shards, and an index where there are several."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    names = (
        ["model.safetensors"]
        if len(shards) == 1
        else [f"model-{k}.safetensors" for k in range(len(shards))]
    )
    for name, tensors in zip(names, shards, strict=True):
        (folder / name).write_bytes(shard(tensors, **metadata))
    if len(shards) > 1:
        index = {
            tensor: name for name, tensors in zip(names, shards, strict=True) for tensor in tensors
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "plain", TENSORS)


def copies(tmp_path: Path) -> dict[str, Path]:
    """The same weights, with what does not change them changed."""
    readme = checkpoint(tmp_path / "readme", TENSORS)
    (readme / "README.md").write_text("Another model.")
    parts = [{name: TENSORS[name]} for name in reversed(TENSORS)]
    return {
        "readme": readme,
        "metadata": checkpoint(tmp_path / "metadata", TENSORS, format="pt", author="another"),
        "shards": checkpoint(tmp_path / "shards", *parts),
        "order": checkpoint(tmp_path / "order", dict(reversed(TENSORS.items()))),
        "renamed": checkpoint(
            tmp_path / "renamed", {f"model.{name}": data for name, data in TENSORS.items()}
        ),
        "twice": checkpoint(tmp_path / "twice", {**TENSORS, "tied": TENSORS["a.weight"]}),
    }


def test_copies_have_equal_weights_and_other_digests(plain: Path, tmp_path: Path) -> None:
    facts = inspect_checkpoint(plain)
    for name, copy in copies(tmp_path).items():
        found = inspect_checkpoint(copy)
        assert found.digest != facts.digest, name
        assert found.weights == facts.weights, name
        assert found.weights.digest() == facts.weights.digest()


def test_each_tensor_is_listed_with_its_size(plain: Path) -> None:
    weights = inspect_checkpoint(plain).weights
    wanted = {hashlib.sha256(data).hexdigest()[:32]: len(data) for data in TENSORS.values()}
    assert dict(weights.tensors) == wanted and list(weights.tensors) == sorted(weights.tensors)
    assert (weights.bytes, weights.count) == (56, 3)


def test_one_changed_byte_changes_one_tensor(plain: Path, tmp_path: Path) -> None:
    other = checkpoint(tmp_path / "other", {**TENSORS, "b.weight": bytes(reversed(range(32)))})
    one, two = (inspect_checkpoint(folder).weights for folder in (plain, other))
    assert one.digest() != two.digest() and len({*one.tensors} & {*two.tensors}) == 2


def test_of_many_tensors_the_largest_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.artefacts.tensors.MOST_TENSORS", 2)
    weights = read_weights([checkpoint(tmp_path / "many", TENSORS) / "model.safetensors"])
    assert sorted(size for _, size in weights.tensors) == [16, 32]
    assert (weights.bytes, weights.count) == (56, 3)
    assert MOST_TENSORS == contract.MOST_TENSORS == 4096


def test_a_file_that_shrinks_between_check_and_reading(plain: Path) -> None:
    path = plain / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EvaluatorError) as caught:
        read_weights([path])
    assert caught.value.code is Code.CHECKPOINT_TRUNCATED


def test_s01_a_header_that_is_swapped_between_check_and_reading(plain: Path) -> None:
    path = plain / "model.safetensors"
    path.write_bytes((9).to_bytes(8, "little") + b'{"a": 1} ')
    with pytest.raises(EvaluatorError) as caught:
        read_weights([path])
    assert caught.value.code is Code.CHECKPOINT_BAD_HEADER


def test_it_survives_the_wire(plain: Path) -> None:
    weights = inspect_checkpoint(plain).weights
    again = Weights.from_dict(json.loads(json.dumps(weights.to_dict())))
    assert again == weights and again.digest() == weights.digest()


def test_a_real_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_checkpoint, copy)
    (copy / "README.md").write_text("A copy.")
    one, two = inspect_checkpoint(tiny_checkpoint), inspect_checkpoint(copy)
    assert one.digest != two.digest and one.weights == two.weights and one.weights.count > 1


def test_repeated_layers_are_counted_by_the_first_number_of_a_name(tmp_path: Path) -> None:
    one = {"model.layers.0.w": bytes(range(16)), "model.layers.1.experts.7.w": bytes(range(32))}
    merged = {**one, "model.layers.2.w": one["model.layers.0.w"]}
    plain = inspect_checkpoint(checkpoint(tmp_path / "plain", one))
    other = inspect_checkpoint(checkpoint(tmp_path / "other", merged))
    assert plain.weights == other.weights and (plain.layers, other.layers) == (2, 3)
    assert inspect_checkpoint(checkpoint(tmp_path / "none", TENSORS)).layers == 0
