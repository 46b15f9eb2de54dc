"""Inspecting hostile checkpoints in a child with limits."""

import json
import os
import resource
import shutil
import time
from pathlib import Path

import pytest

from evaluator import artefacts
from evaluator.artefacts import safetensors
from evaluator.artefacts.verdicts import line_of, read_verdict
from evaluator.backends import inspection
from evaluator.errors import Code, EvaluatorError, Fault, error


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def refusal(folder: Path) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as caught:
        inspection.inspect_checkpoint(folder)
    assert caught.value.fault is Fault.THEIRS
    return caught.value


def test_a_child_finds_what_this_process_would(folder: Path) -> None:
    assert inspection.inspect_checkpoint(folder) == artefacts.inspect_checkpoint(folder)
    assert inspection.read_loading(folder) == artefacts.read_loading(folder)


def test_a_refusal_comes_with_its_detail(folder: Path) -> None:
    (folder / "pytorch_model.bin").touch()
    refused = refusal(folder)
    assert (refused.code, refused.detail) == (Code.CHECKPOINT_PICKLE, "pytorch_model.bin")
    assert refusal(folder / "nowhere").code is Code.CHECKPOINT_UNKNOWN


def header(folder: Path, raw: bytes) -> None:
    (folder / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw)


def own_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def hostile_header(folder: Path) -> None:
    header(folder, b'{"x":[' + b"{}," * 33_000_000 + b"{}]}")


def hostile_header_that_names_tensors(folder: Path) -> None:
    one = b'"%d":{"data_offsets":[%s]},'
    many = b"".join(one % (number, b"[],[]," * 90 + b"[]") for number in range(150_000))
    header(folder, b"{" + many[:-1] + b"}")


def hostile_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(b'{"x":[' + b"[]," * 20_000_000 + b"[]]}")


def large_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(b'{"x":[' + b"{}," * 42_000_000 + b"{}]}")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (hostile_header, Code.CHECKPOINT_BAD_HEADER),
        pytest.param(
            hostile_header_that_names_tensors, Code.CHECKPOINT_TOO_COSTLY, marks=pytest.mark.slow
        ),
        (hostile_tokenizer, Code.CHECKPOINT_TOO_COSTLY),
        (large_tokenizer, Code.CHECKPOINT_BAD_CONFIG),
    ],
)
def test_a_hostile_file_costs_this_process_nothing(folder: Path, spoil: object, code: Code) -> None:
    spoil(folder)  # type: ignore[operator]
    before, started = own_peak(), time.process_time()
    assert refusal(folder).code is code
    assert own_peak() - before < 20 << 20
    assert time.process_time() - started < 1


@pytest.mark.slow
def test_the_same_file_read_here_costs_gigabytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits are what stops it: with more memory the child goes on."""
    monkeypatch.setattr(inspection, "MEMORY", 3 << 30)
    hostile_tokenizer(folder)
    assert inspection.inspect_checkpoint(folder).parameters > 0


def test_a_child_that_computes_too_long_is_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "SECONDS", 1)
    monkeypatch.setattr(inspection, "MEMORY", 3 << 30)
    (folder / "tokenizer.json").write_bytes(b'{"x":[' + b"[]," * 21_000_000 + b"[]]}")
    assert refusal(folder).code is Code.CHECKPOINT_TOO_COSTLY


def test_a_header_is_as_long_as_its_tensors_justify(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors, "PLAIN_HEADER_BYTES", 1000)
    artefacts.inspect_checkpoint(folder)  # some thousands of bytes for twenty tensors
    monkeypatch.setattr(safetensors, "TENSOR_BYTES", 20)
    with pytest.raises(EvaluatorError) as caught:
        artefacts.inspect_checkpoint(folder)
    assert caught.value.code is Code.CHECKPOINT_BAD_HEADER


def test_no_key_is_in_the_childs_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_KEYS", "/somewhere")
    seen = {}

    def run(command: list[str], **options: object) -> None:
        seen.update(options, command=command)
        raise OSError

    monkeypatch.setattr(inspection.subprocess, "run", run)
    with pytest.raises(EvaluatorError):
        inspection.inspect_checkpoint(folder)
    assert not [name for name in seen["env"] if "HOLDFAST" in name]
    assert "/somewhere" not in " ".join(seen["command"])


@pytest.mark.parametrize(
    "written",
    [
        b"verdict internal",
        b"verdict seal_broken",
        b"verdict checkpoint_pickle " + b"x" * 300,
        b"verdict checkpoint_pickle <script>",
        b"verdict checkpoint_pickle Question? 42",
        b"verdict checkpoint_nonsense",
        b" verdict checkpoint_pickle",
        b"",
        os.urandom(200).replace(b"\n", b""),
    ],
    ids=range(9),
)
def test_a_verdict_that_is_not_believed(written: bytes) -> None:
    assert read_verdict(written) is None


def test_a_verdict_survives_its_line() -> None:
    given = error(Code.CHECKPOINT_MISSING_TENSORS, "3 tensors, lm_head.weight for one")
    found = read_verdict(b"noise\n" + line_of(given).encode() + b"\nmore")
    assert found is not None
    assert (found.code, found.detail) == (given.code, given.detail)
    assert line_of(error(Code.CHECKPOINT_PICKLE, "odd\nname")) == "verdict checkpoint_pickle"


def test_names_of_files_stay_inside_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = {"sizes": {}, "quantisation": "", "chat": False, "served": ["../keys"]}
    monkeypatch.setattr(inspection, "_inspect", lambda *_: json.loads(json.dumps(reply)))
    with pytest.raises(EvaluatorError):
        inspection.read_loading(folder)
