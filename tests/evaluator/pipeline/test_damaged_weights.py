"""A checkpoint that is not whole fails its attempt before anything sealed is opened, by real inspection and a real
model server."""

import shutil
from pathlib import Path

import pytest

from evaluator.backends import serve_checkpoint
from evaluator.backends.inspection import inspect_checkpoint
from evaluator.errors import EXPLANATIONS, Code, Fault
from evaluator.pipeline import parts
from tests.evaluator.hosts.damage import DAMAGES
from tests.evaluator.pipeline.attempts import CHECKPOINT, Bench, exposures, last_code


def put_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"
    )


CASES = {
    "untied, no head": DAMAGES["untied, no head"],
    "nan": DAMAGES["nan float16"],
    "pointer": (put_pointer, Code.CHECKPOINT_LFS_POINTER),
}


@pytest.mark.parametrize(
    "name", ["untied, no head", "pointer", pytest.param("nan", marks=pytest.mark.slow)]
)
def test_nothing_is_opened_for_damaged_weights(
    bench: Bench, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    damage, code = CASES[name]
    folder = bench.place.folder / "checkpoints" / "model"
    shutil.copytree(tiny_checkpoint, folder, dirs_exist_ok=True)
    damage(folder)
    monkeypatch.setattr(parts, "inspect_checkpoint", inspect_checkpoint)
    monkeypatch.setattr(parts, "serve_checkpoint", serve_checkpoint)
    monkeypatch.setattr(parts, "is_jailed", lambda digest, trusted: False)
    monkeypatch.setenv("HOLDFAST_ENGINE", "transformers")
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert last_code(reports) is code
    assert EXPLANATIONS[code].fault is Fault.THEIRS
    assert exposures(reports) == []
    assert list(bench.context.entries()) == []
