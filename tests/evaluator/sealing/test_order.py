"""Journal first, then decrypt: true of this build, and the same probe refuses builds where it is not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import evaluator

PACKAGE = Path(evaluator.__file__).parent
PROBE = Path(__file__).with_name("order_probe.py")

# file, what stands there, what stands there instead in the broken build
MUTANTS = {
    "M5-decrypts-before-the-journal": (
        "sealing/vault.py",
        "            entry = self._journal.record(",
        "            self._decrypt(self._load(set_name), indices)\n"
        "            entry = self._journal.record(",
    ),
    "unwraps the key before the journal": (
        "sealing/vault.py",
        "            entry = self._journal.record(",
        "            self._key(self._load(set_name))\n            entry = self._journal.record(",
    ),
    "does not wait for the disk": ("sealing/exposure.py", "durable=True", "durable=False"),
    "waits for the disk before it writes": (
        "sealing/exposure.py",
        "appending.append(self._descriptor, line, durable=True)",
        "os.fsync(self._descriptor); appending.append(self._descriptor, line, durable=False)",
    ),
}


def probe(build: Path, work: Path) -> "subprocess.CompletedProcess[str]":
    work.mkdir()
    command = [sys.executable, str(PROBE), str(work)]
    environment = {
        "PYTHONPATH": str(build),
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_line_is_on_disk_before_the_first_byte_is_decrypted(tmp_path: Path) -> None:
    result = probe(PACKAGE.parent, tmp_path / "work")
    assert (result.returncode, result.stdout) == (0, "in order\n"), result.stderr


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_build_with_the_order_changed_is_caught(mutant: str, tmp_path: Path) -> None:
    name, right, wrong = MUTANTS[mutant]
    shutil.copytree(
        PACKAGE, tmp_path / "build" / "evaluator", ignore=shutil.ignore_patterns("__pycache__")
    )
    file = tmp_path / "build" / "evaluator" / name
    source = file.read_text()
    assert source.count(right) == 1
    file.write_text(source.replace(right, wrong))
    result = probe(tmp_path / "build", tmp_path / "work")
    assert result.returncode == 1 and result.stdout.startswith("["), result.stderr
