"""Checkpoint folders, good and bad (K001 … K014 of the fault list)."""

import json
import os
import pickle
import shutil
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.artefacts import inspect_checkpoint
from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2,
    "vocab_size": 2,
}
TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def safetensors(header: Any, data: bytes = b"\0" * 16) -> bytes:
    """A file with this header, given as an object or as raw bytes."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The smallest folder that passes."""
    made = tmp_path / "checkpoint"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    (made / "tokenizer.json").write_text("{}")
    (made / "model.safetensors").write_bytes(safetensors({"w": TENSOR}))
    return made


def code_of(folder: Path) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        inspect_checkpoint(folder)
    return caught.value.code


def test_the_facts_of_a_good_folder(folder: Path) -> None:
    facts = inspect_checkpoint(folder)
    assert (facts.architecture, facts.parameters) == ("LlamaForCausalLM", 4)
    assert [file.name for file in facts.files] == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert sum(file.size for file in facts.files) == sum(
        path.stat().st_size for path in folder.iterdir()
    )


def test_the_digest_is_that_of_names_and_hashes(folder: Path) -> None:
    import hashlib

    names = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert inspect_checkpoint(folder).digest == hashlib.sha256(canonical_json(names)).hexdigest()


def test_the_digest_changes_with_any_byte_and_any_name(folder: Path) -> None:
    before = inspect_checkpoint(folder).digest
    assert inspect_checkpoint(folder).digest == before
    (folder / "README.md").write_text("x")
    with_readme = inspect_checkpoint(folder).digest
    (folder / "README.md").rename(folder / "OTHER.md")
    assert len({before, with_readme, inspect_checkpoint(folder).digest}) == 3


def test_a_real_checkpoint(tiny_checkpoint: Path) -> None:
    from safetensors import safe_open

    with safe_open(tiny_checkpoint / "model.safetensors", "pt") as file:
        expected = sum(file.get_tensor(name).numel() for name in file.offset_keys())
    assert inspect_checkpoint(tiny_checkpoint).parameters == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("config.json", Code.CHECKPOINT_NO_CONFIG),
        ("tokenizer.json", Code.CHECKPOINT_NO_TOKENIZER),
        ("model.safetensors", Code.CHECKPOINT_NO_WEIGHTS),
    ],
)
def test_a_missing_file(folder: Path, name: str, code: Code) -> None:
    (folder / name).unlink()
    assert code_of(folder) is code


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert code_of(tmp_path / "nowhere") is Code.CHECKPOINT_UNKNOWN


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "model.pt", "a.pth", "sub/x.PKL", "model.ckpt", "training_args.bin"],
)
def test_a_pickle_next_to_good_weights(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps({"w": 1}))
    assert code_of(folder) is Code.CHECKPOINT_PICKLE


HEADERS: dict[str, bytes] = {
    "K001-length-0": (0).to_bytes(8, "little") + b"\0" * 16,
    "K001-length-huge": (1 << 63).to_bytes(8, "little") + b"\0" * 16,
    "K001-not-utf8": safetensors(b'{"w\xff": 1}'),
    "K001-not-json": safetensors(b"{nonsense"),
    "K001-not-an-object": safetensors(b"[1, 2]"),
    "K001-spaces-first": safetensors(b"   " + json.dumps({"w": TENSOR}).encode()),
    "K001-no-tensor": safetensors({}, b""),
    "K002-duplicate": safetensors(b'{"w": %b, "w": %b}' % ((json.dumps(TENSOR).encode(),) * 2)),
    "K002-duplicate-inside": safetensors(
        b'{"w": {"dtype": "F32", "dtype": "F16", "shape": [2, 2], "data_offsets": [0, 16]}}'
    ),
    "K002-metadata": safetensors({"__metadata__": {"format": 1}, "w": TENSOR}),
    "K002-long-key": safetensors({"w" * 1_000_000: TENSOR}),
    "K003-overlap": safetensors({"a": TENSOR, "b": TENSOR}),
    "K003-gap": safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}),
    "K003-reversed": safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}),
    "K003-trailing": safetensors({"w": TENSOR}, b"\0" * 16 + b"PK\x03\x04"),
    "K004-negative": safetensors(
        {"a": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}}
    ),
    "K004-overflow": safetensors(
        {"a": {"dtype": "U8", "shape": [1 << 62, 4, 1 << 2], "data_offsets": [0, 0]}}
    ),
    "K004-dtype": safetensors({"a": {**TENSOR, "dtype": "F33"}}),
    "K004-dtype-list": safetensors({"a": {**TENSOR, "dtype": ["F32"]}}),
    "K004-bytes": safetensors({"a": {**TENSOR, "shape": [3, 3]}}),
    "K004-booleans": safetensors({"a": {**TENSOR, "shape": [True, 4]}}),
    "K004-floats": safetensors({"a": {**TENSOR, "shape": [2.0, 2]}}),
    "K004-extra": safetensors({"a": {**TENSOR, "more": 1}}),
    "K006-pickle": pickle.dumps({"w": [0.0] * 100}),
    "K014-deep": safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in HEADERS.items()])
def test_a_bad_header(folder: Path, raw: bytes) -> None:
    (folder / "model.safetensors").write_bytes(raw)
    assert code_of(folder) is Code.CHECKPOINT_BAD_HEADER


def test_a_zip_under_the_name_of_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "model.safetensors", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(1))
    assert code_of(folder) is Code.CHECKPOINT_BAD_HEADER


@pytest.mark.parametrize("percent", [0, 1, 5, 25, 50, 75, 99])
def test_a_truncated_file_at_several_lengths(
    folder: Path, tiny_checkpoint: Path, percent: int
) -> None:
    whole = (tiny_checkpoint / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) * percent // 100])
    assert code_of(folder) is Code.CHECKPOINT_TRUNCATED


def test_truncated_by_one_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert code_of(folder) is Code.CHECKPOINT_TRUNCATED


def test_a_sparse_file_is_as_large_as_it_claims(folder: Path) -> None:
    try:
        os.truncate(folder / "model.safetensors", 10 << 40)
    except OSError:
        pytest.skip("this file system has no files of 10 TB")
    assert code_of(folder) is Code.CHECKPOINT_BAD_FILE


CONFIGS: dict[str, tuple[bytes, Code]] = {
    name: (raw if isinstance(raw, bytes) else json.dumps({**CONFIG, **raw}).encode(), code)
    for name, raw, code in [
        ("K011-auto-map", {"auto_map": {"AutoModel": "x.Y"}}, Code.CHECKPOINT_REMOTE_CODE),
        (
            "K011-nested",
            {"text_config": {"deep": [{"auto_map": {"AutoConfig": "x.Y"}}]}},
            Code.CHECKPOINT_REMOTE_CODE,
        ),
        ("K011-trust", {"trust_remote_code": True}, Code.CHECKPOINT_REMOTE_CODE),
        ("K011-tokenizer", {"tokenizer_class": "os.system"}, Code.CHECKPOINT_REMOTE_CODE),
        ("K011-model-type", {"model_type": "../../x"}, Code.CHECKPOINT_REMOTE_CODE),
        ("K012-layers", {"num_hidden_layers": 10**9}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-negative", {"hidden_size": -1}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-vocabulary", {"vocab_size": 2**40}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-positions", {"max_position_embeddings": 10**12}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-float", {"hidden_size": 2.0}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-string", {"hidden_size": "2"}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-nested", {"text_config": {"vocab_size": 2**40}}, Code.CHECKPOINT_BAD_CONFIG),
        ("K012-long-list", {"intermediate_size": [1] * 10_000}, Code.CHECKPOINT_BAD_CONFIG),
        ("K013-none", {"architectures": []}, Code.CHECKPOINT_BAD_CONFIG),
        (
            "K013-two",
            {"architectures": ["LlamaForCausalLM", "GPT2LMHeadModel"]},
            Code.CHECKPOINT_BAD_CONFIG,
        ),
        (
            "K013-classifier",
            {"architectures": ["BertForSequenceClassification"]},
            Code.CHECKPOINT_BAD_CONFIG,
        ),
        ("K013-odd", {"architectures": ["x.ForCausalLM"]}, Code.CHECKPOINT_BAD_CONFIG),
        (
            "K014-duplicate",
            b'{"architectures": ["LlamaForCausalLM"], "architectures": ["X"]}',
            Code.CHECKPOINT_BAD_CONFIG,
        ),
        ("K014-bom", b"\xef\xbb\xbf" + json.dumps(CONFIG).encode(), Code.CHECKPOINT_BAD_CONFIG),
        ("K014-utf16", json.dumps(CONFIG).encode("utf-16"), Code.CHECKPOINT_BAD_CONFIG),
        ("K014-comment", b"{} // comment", Code.CHECKPOINT_BAD_CONFIG),
        (
            "K014-nan",
            b'{"architectures": ["LlamaForCausalLM"], "x": NaN}',
            Code.CHECKPOINT_BAD_CONFIG,
        ),
        (
            "K014-deep",
            b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            Code.CHECKPOINT_BAD_CONFIG,
        ),
        ("K014-huge", b'{"x": "' + b"y" * (5 << 20) + b'"}', Code.CHECKPOINT_BAD_CONFIG),
        ("K014-list", b"[]", Code.CHECKPOINT_BAD_CONFIG),
        ("K014-empty", b"", Code.CHECKPOINT_BAD_CONFIG),
    ]
}


@pytest.mark.parametrize(
    ("raw", "code"), [pytest.param(*case, id=name) for name, case in CONFIGS.items()]
)
def test_a_bad_config(folder: Path, raw: bytes, code: Code) -> None:
    (folder / "config.json").write_bytes(raw)
    assert code_of(folder) is code


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
def test_code_asked_for_outside_the_config(folder: Path, name: str) -> None:
    (folder / name).write_text('{"auto_map": {"AutoTokenizer": ["x.Y", null]}}')
    assert code_of(folder) is Code.CHECKPOINT_REMOTE_CODE


def test_harmless_configs_pass(folder: Path) -> None:
    config = {
        **CONFIG,
        "auto_map": {},
        "trust_remote_code": False,
        "intermediate_size": [8, 8],
        "num_key_value_heads": None,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    assert inspect_checkpoint(folder).parameters == 4


@pytest.mark.parametrize("raw", [b"", b"[]", b"nonsense", b"\xff\xfe"])
def test_a_tokenizer_that_is_no_json_object(folder: Path, raw: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(raw)
    assert code_of(folder) is Code.CHECKPOINT_BAD_CONFIG


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


ODD: dict[str, Callable[[Path], object]] = {
    "symlink": lambda path: path.symlink_to("/etc/passwd"),
    "symlink-within": lambda path: path.symlink_to("config.json"),
    "symlink-dangling": lambda path: path.symlink_to("nowhere"),
    "symlink-folder": lambda path: path.symlink_to("/etc"),
    "fifo": os.mkfifo,
}


@pytest.mark.parametrize(
    "make", [pytest.param(make, id=f"K008-{name}") for name, make in ODD.items()]
)
@pytest.mark.parametrize("name", ["extra", "sub/extra", "tokenizer_config.json"])
def test_what_is_no_plain_file(folder: Path, make: Callable[[Path], object], name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    assert code_of(folder) is Code.CHECKPOINT_BAD_FILE


def test_a_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # its path must be short
    _socket(Path("extra"))
    assert code_of(folder) is Code.CHECKPOINT_BAD_FILE


def test_a_fifo_in_place_of_the_weights_does_not_hang(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    assert code_of(folder) is Code.CHECKPOINT_BAD_FILE


def test_more_files_than_any_checkpoint_has(folder: Path) -> None:
    for number in range(2001):
        (folder / f"x{number}").touch()
    assert code_of(folder) is Code.CHECKPOINT_BAD_FILE


def test_a_name_that_is_no_utf8_is_hashed_all_the_same(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    except OSError:
        pytest.skip("this file system wants UTF-8")
    assert "\\udcff" in [file.name for file in inspect_checkpoint(folder).files]


def shards(folder: Path, weight_map: Any) -> None:
    """Two shards and an index."""
    path = folder / "model.safetensors"
    shutil.copy(path, folder / "model-00001-of-00002.safetensors")
    path.unlink()
    (folder / "model-00002-of-00002.safetensors").write_bytes(safetensors({"v": TENSOR}))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_shards_with_their_index(folder: Path) -> None:
    shards(folder, {"w": ONE, "v": TWO})
    assert inspect_checkpoint(folder).parameters == 8


@pytest.mark.parametrize(
    ("weight_map", "code"),
    [
        ({"w": "../../x", "v": TWO}, Code.CHECKPOINT_NO_WEIGHTS),
        ({"w": ONE, "v": TWO, "u": "model-00003-of-00003.safetensors"}, Code.CHECKPOINT_NO_WEIGHTS),
        ({"w": ONE, "v": ONE}, Code.CHECKPOINT_BAD_HEADER),
        ({"w": ONE}, Code.CHECKPOINT_BAD_HEADER),
        ({"w": ONE, "v": 2}, Code.CHECKPOINT_BAD_HEADER),
        ([], Code.CHECKPOINT_BAD_HEADER),
    ],
)
def test_an_index_that_does_not_fit(folder: Path, weight_map: Any, code: Code) -> None:
    shards(folder, weight_map)
    assert code_of(folder) is code


def test_shards_without_an_index(folder: Path) -> None:
    shards(folder, {})
    (folder / "model.safetensors.index.json").unlink()
    assert code_of(folder) is Code.CHECKPOINT_NO_WEIGHTS


def test_nothing_of_the_content_is_quoted(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures": ["SECRET-WORD"]}')
    with pytest.raises(EvaluatorError) as caught:
        inspect_checkpoint(folder)
    assert "SECRET" not in str(caught.value)
