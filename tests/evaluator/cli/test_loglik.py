"""``loglik`` as a person starts it: two sets in one load, and the same values in whatever order."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.errors import Code
from evaluator.protocols.likelihood import LOGLIK_1
from tests.evaluator.cli.terminal import last_object, refused, run
from tests.evaluator.installed import rows, write_rows


def loglik(
    model: Path, *sets: Path, more: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    names = [str(path) for path in sets]
    command = [
        sys.executable,
        "-m",
        "evaluator",
        "loglik",
        "--model",
        str(model),
        "--set",
        *names,
        "--json",
        *more,
    ]
    return run(command)


@pytest.mark.slow
def test_the_order_of_a_set_changes_no_value(tiny_checkpoint: Path, tmp_path: Path) -> None:
    plain = rows(70, "boat")
    shuffled = random.Random(5).sample(plain, len(plain))
    write_rows(tmp_path / "plain.jsonl", plain)
    write_rows(tmp_path / "shuffled.jsonl", shuffled)
    out = tmp_path / "values.jsonl"
    done = loglik(
        tiny_checkpoint,
        tmp_path / "plain.jsonl",
        tmp_path / "shuffled.jsonl",
        more=("--items", str(out)),
    )
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert (found["protocol"], found["digest"]) == ("loglik-1", LOGLIK_1.digest)
    assert found["engine"].startswith("transformers ")
    values: dict[str, dict[str, float]] = {"plain": {}, "shuffled": {}}
    for line in map(json.loads, out.read_text().splitlines()):
        name = Path(line["set"]).stem
        row = (plain if name == "plain" else shuffled)[line["index"]]
        values[name][row["question"]] = line["logprob"] / line["characters"]
    assert values["plain"].keys() == values["shuffled"].keys()
    assert (
        max(
            abs(value - values["shuffled"][question]) for question, value in values["plain"].items()
        )
        <= 1e-5
    )
    means = [
        found["sets"][str(tmp_path / name)]["per_character"]
        for name in ("plain.jsonl", "shuffled.jsonl")
    ]
    assert means[0] == pytest.approx(sum(values["plain"].values()) / 70, abs=1e-12)
    assert means[1] == pytest.approx(means[0], abs=1e-5)
    assert "boat" not in out.read_text() + done.stdout


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "plain.jsonl", rows(3, "boat"))
    refused(loglik(tmp_path / "none", tmp_path / "plain.jsonl"), Code.CHECKPOINT_UNKNOWN)
