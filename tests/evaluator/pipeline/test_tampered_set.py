"""D12: a bit of a ciphertext turned on the evaluator's disk. The run fails as ours; nothing is graded in its place."""

import base64
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Declined, Failed, Finished, Graded
from evaluator.errors import EXPLANATIONS, Code, Fault
from evaluator.items import Item
from evaluator.sealing.seal import seal_set, write_set
from tests.evaluator.installed import ALL, CANARY
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench, exposures, right

FILE = "sets/closed/items.sealed"


def flip(file: Path, index: int) -> None:
    """Turn the last bit of an item's ciphertext; the line keeps its canonical form."""
    lines = file.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[index])
    raw = bytearray(base64.b64decode(record["ciphertext"]))
    raw[-1] ^= 1
    record["ciphertext"] = base64.b64encode(raw).decode()
    lines[index] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    file.write_bytes(b"".join(lines))


def code_of(reports: Sequence[Any]) -> Code:
    """What the run failed with; the journal's line about what was not opened may follow."""
    (failed,) = [report.body for report in reports if isinstance(report.body, Failed | Declined)]
    assert not any(isinstance(report.body, Finished) for report in reports)
    code: Code = failed.code
    return code


@pytest.mark.parametrize("index", [0, 17, 29])
def test_a_flipped_bit_fails_the_run_and_is_no_outcome(bench: Bench, index: int) -> None:
    flip(bench.place.folder / FILE, index)
    asked: list[str] = []
    bench.model = Acting(lambda prompt: asked.append(prompt) or right(prompt))
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert code_of(reports) is Code.SEAL_BROKEN
    assert (EXPLANATIONS[Code.SEAL_BROKEN].fault, EXPLANATIONS[Code.SEAL_BROKEN].again) == (
        Fault.OURS,
        False,
    )
    graded = {report.body.set for report in reports if isinstance(report.body, Graded)}
    assert "closed" not in graded and not any(CANARY in prompt for prompt in asked)
    assert exposures(reports) == [], "a damaged set is found before anything of it is revealed"


def test_another_set_in_its_place_is_refused_before_a_model_is_started(
    bench: Bench, tmp_path: Path
) -> None:
    """O05, whole: sealed to this very host under this very name, but with another root than the site committed to."""
    folder = bench.place.folder / "sets" / "closed"
    items = [Item(f"Which {CANARY} is number {k}?", f"#### {k}", str(k)) for k in range(30)]
    other = seal_set(
        items, name="closed", hosts=[bench.place.identity], created=datetime.now(UTC), shares=ALL
    )
    shutil.rmtree(folder)
    write_set(other, folder)
    assert code_of(bench.run(bench.place.job(CHECKPOINT))) is Code.SET_MISMATCH
    assert bench.served == []
