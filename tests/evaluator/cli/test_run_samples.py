"""``run`` with several samples of each item, as a person starts it."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Record, Votes
from tests.evaluator.cli.terminal import ROOT, command, last_object, run, wait_until
from tests.evaluator.endpoints import Steady, steady_endpoints
from tests.evaluator.installed import rows, write_rows

FEW, SAMPLES = 8, 32


@pytest.fixture
def few(tmp_path: Path) -> Path:
    write_rows(tmp_path / "few.jsonl", rows(FEW, "boat"))
    return tmp_path / "few.jsonl"


@pytest.fixture
def start(few: Path) -> Iterator[Callable[[float], Steady]]:
    with steady_endpoints() as begin:
        yield lambda latency: begin(few, latency)


def asking(url: str, few: Path, out: Path) -> list[str]:
    return command(
        url, few, out, "--protocol", "lmsi-5shot-sc32", "--shots", str(few), "--concurrency", "16"
    )


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "outcomes.jsonl").read_text().splitlines()]


def test_killed_and_started_again_each_sample_is_there_once(
    few: Path, tmp_path: Path, start: Callable[[float], Steady]
) -> None:
    endpoint, out = start(0.1), tmp_path / "out"
    first = subprocess.Popen(
        asking(endpoint.url, few, out), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    path = out / "outcomes.jsonl"
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") >= 50)
    first.kill()
    first.communicate()
    done = run(asking(endpoint.url, few, out))
    assert done.returncode == 0, done.stderr
    places = Counter((line["index"], line.get("sample")) for line in lines(out))
    assert places == dict.fromkeys(
        ((i, sample) for i in range(FEW) for sample in (None, *range(SAMPLES))), 1
    )
    found = last_object(done)
    votes = Votes.from_dict(json.loads((out / "votes.json").read_bytes()))
    assert Votes.from_dict(found["votes"]) == votes
    assert (votes.n, votes.samples, found["n"]) == (FEW, SAMPLES, FEW)
    assert votes.right == SAMPLES * found["right"], "the endpoint always says the same"
    answers = [line for line in lines(out) if line.get("sample") is not None]
    for side in ("tokens_in", "tokens_out"):
        assert found[side] == sum(line[side] for line in answers) > 0
    assert [k for k, _ in votes.majority] == [1, 2, 4, 8, 16, 32]
    assert "maj@32" in done.stderr
    table = json.loads((out / "graders.json").read_bytes())
    assert table["numeric-1"]["right"] == found["right"]
    record = Record.from_dict(json.loads((out / "record.json").read_bytes()))
    assert (record.protocol, record.bos, record.returned) == (
        "lmsi-5shot-sc32",
        "endpoint",
        ("default",),
    )


def test_the_estimate_counts_every_sample(few: Path, tmp_path: Path) -> None:
    done = run([*asking("http://127.0.0.1:9/v1", few, tmp_path / "out"), "--estimate"])
    assert last_object(done)["max_tokens_out"] == FEW * SAMPLES * 256
