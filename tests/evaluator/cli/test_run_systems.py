"""``run --verifier``: a system of two checkpoints at a terminal, over kills, with both parts' cost."""

import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from demo.problems import program_sets
from demo.programs import ROOT as PROJECT
from evaluator import protocols
from evaluator.artefacts.placement import Placement, Together
from evaluator.backends import Backend
from evaluator.cli import main
from evaluator.contract import Candidates, Part
from evaluator.errors import Code
from evaluator.pipeline import parts, turns
from tests.evaluator.cli.terminal import ROOT, command, last_object, run, wait_until
from tests.evaluator.installed import rows, write_rows
from tests.evaluator.pipeline.attempts import FACTS, VERIFIER_FACTS
from tests.evaluator.pipeline.test_systems import VERIFIED, K, Reader, Writer

N, SAMPLES = 2, 48
SHIPPED = PROJECT / "demo" / "checkpoints"


class Terminal:
    """A terminal whose two checkpoints are functions."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.writer, self.reader = Writer(), Reader()
        self.loads: list[str] = []
        self.out, self._capsys = folder / "out", capsys
        write_rows(folder / "set.jsonl", rows(N, "boat"))
        for name in ("model", "verifier"):
            (folder / name).mkdir()
        where = ["--model", folder / "model", "--set", folder / "set.jsonl", "--out", self.out]
        self.verifier = ["--verifier", str(folder / "verifier")]
        self._asked = ["run", *map(str, where), "--json"]

    @contextlib.asynccontextmanager
    async def serve(self, *_: object, **about: Any) -> AsyncIterator[Backend | Reader]:
        self.loads.append("verifier" if about["verifier"] else "generator")
        yield self.reader if about["verifier"] else self.writer

    def run(self, *more: str, code: int = 0, protocol: str = VERIFIED.id) -> tuple[Any, str]:
        assert main([*self._asked, "--protocol", protocol, *more]) == code
        output = self._capsys.readouterr()
        return json.loads(output.out.splitlines()[-1]), output.err


@pytest.fixture
def terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    made = Terminal(tmp_path, capsys)

    monkeypatch.setitem(protocols._BY_ID, VERIFIED.id, VERIFIED)
    monkeypatch.setattr(
        parts,
        "inspect_checkpoint",
        lambda folder, *, verifier: VERIFIER_FACTS if verifier else FACTS,
    )
    monkeypatch.setattr(parts, "is_jailed", lambda digest, trusted: True)
    monkeypatch.setattr(parts, "serve_checkpoint", made.serve)
    monkeypatch.setattr(turns, "plan_together", lambda *_: None)
    return made


def test_score_tokens_of_both_parts_and_the_curve_are_printed(terminal: Terminal) -> None:
    found, said = terminal.run(*terminal.verifier)
    assert (found["n"], found["right"]) == (N, N), "one candidate of four is right"
    generator, verifier = (Part.from_dict(part) for part in found["parts"])
    assert (generator.role, generator.artefact) == ("generator", FACTS.digest)
    assert (verifier.role, verifier.artefact) == ("verifier", VERIFIER_FACTS.digest)
    assert verifier.tokens_in == 7 * N * K
    curve = Candidates.from_dict(found["candidates"])
    assert [point.chosen.value for point in curve.curve] == [0.25, 0.5, 1.0]
    assert json.loads((terminal.out / "candidates.json").read_bytes()) == found["candidates"]
    table = json.loads((terminal.out / "graders.json").read_bytes())
    assert table["lm-eval-flexible-3"]["right"] == N, "by the verifier's choice too"
    for words in (
        "generator: tokens_in",
        f"verifier: tokens_in {7 * N * K}",
        "4 candidates: chosen 1.0000",
    ):
        assert words in said


@pytest.mark.parametrize("together", [False, True], ids=["in turn", "at once"])
def test_the_same_again_loads_nothing_and_a_lost_score_only_the_verifier(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    placement = Placement(0, 0.0, 1, 512, "float32", 1)
    plan = Together(placement, placement) if together else None
    monkeypatch.setattr(turns, "plan_together", lambda *_: plan)
    first, _ = terminal.run(*terminal.verifier)
    assert sorted(terminal.loads) == ["generator", "verifier"]
    again, _ = terminal.run(*terminal.verifier)
    assert again["candidates"] == first["candidates"] and len(terminal.loads) == 2
    assert again["parts"] == first["parts"]
    scores = terminal.out / "scores.jsonl"
    scores.write_bytes(b"".join(scores.read_bytes().splitlines(keepends=True)[:-2]) + b'{"ind')
    lines = (terminal.out / "outcomes.jsonl").read_text().splitlines(keepends=True)
    votes = [line for line in lines if json.loads(line)["sample"] is None]
    (terminal.out / "outcomes.jsonl").write_text("".join(set(lines) - set(votes)))
    terminal.reader.texts.clear()
    mended, _ = terminal.run(*terminal.verifier)
    assert terminal.loads[2:] == ["verifier"] and terminal.reader.texts.total() == 2
    assert mended["candidates"] == first["candidates"] and mended["right"] == N
    again, _ = terminal.run(*terminal.verifier)
    assert again["candidates"] == first["candidates"], "the torn line was cut off"


def test_another_verifier_is_another_run(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run(*terminal.verifier)
    monkeypatch.setattr(parts, "inspect_checkpoint", lambda folder, *, verifier: FACTS)
    found, _ = terminal.run(*terminal.verifier, code=2)
    assert found["error"] == Code.OUT_OF_ANOTHER_RUN


@pytest.mark.parametrize(
    ("more", "protocol", "code"),
    [
        ([], VERIFIED.id, Code.VERIFIER_NEEDED),
        (["--verifier", "folder"], "demo-0shot", Code.VERIFIER_UNFIT),
        (["--verifier", "https://a.example/v1"], VERIFIED.id, Code.VERIFIER_ENDPOINT),
        (
            ["--verifier", "folder", "--model", "https://a.example/v1"],
            VERIFIED.id,
            Code.PROTOCOL_UNFIT,
        ),
    ],
)
def test_what_is_no_system_is_refused_by_its_code(
    terminal: Terminal, more: list[str], protocol: str, code: Code
) -> None:
    found, _ = terminal.run(*more, protocol=protocol, code=2)
    assert (found["error"], terminal.loads) == (code, [])
    assert not terminal.out.exists()


@pytest.mark.slow
def test_the_shipped_pair_killed_and_started_again_ends_whole(tmp_path: Path) -> None:
    write_rows(tmp_path / "programs.jsonl", list(program_sets()[0])[:N])
    out = tmp_path / "out"
    asked = command(SHIPPED / "writer", tmp_path / "programs.jsonl", out)
    asked += ["--protocol", "demo-verify-48", "--verifier", str(SHIPPED / "verifier")]
    first = subprocess.Popen(asked, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = out / "outcomes.jsonl"
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") >= 20)
    first.kill()
    first.communicate()
    done = run(asked)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in path.read_text().splitlines()]
    places = Counter((line["index"], line["sample"]) for line in answers)
    assert places == dict.fromkeys(
        ((index, sample) for index in range(N) for sample in (None, *range(SAMPLES))), 1
    )
    scores = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    assert len({(line["index"], line["sample"]) for line in scores}) == N * SAMPLES
    found = last_object(done)
    generator, verifier = (Part.from_dict(part) for part in found["parts"])
    assert verifier.tokens_in == sum(line["tokens"] for line in scores) > 0
    assert generator.tokens_out == sum(line["tokens_out"] or 0 for line in answers) > 0
    assert generator.seconds > 0 and verifier.seconds > 0
    curve = Candidates.from_dict(found["candidates"])
    assert curve.last.chosen.value == round(found["right"] / N, 6)
