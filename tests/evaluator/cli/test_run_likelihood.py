"""``run --likelihood``: asked and read in one load, and a reading that fails costs no outcome."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evaluator.backends import FakeBackend, Reading
from evaluator.cli import main
from evaluator.cli import run as run_module
from evaluator.errors import Code, error
from evaluator.protocols.likelihood import LOGLIK_1
from tests.evaluator.cli.terminal import stored
from tests.evaluator.installed import rows, write_rows
from tests.evaluator.pipeline.attempts import right

N = 12


class Weights(FakeBackend):
    """Counts what it read; with ``failing`` it cannot read."""

    def __init__(self) -> None:
        super().__init__(right)
        self.failing: Code | None = None
        self.read_texts: list[str] = []

    async def read(self, text: str) -> Reading:
        if self.failing:
            raise error(self.failing)
        self.read_texts.append(text)
        return await super().read(text)


class Terminal:
    """A terminal whose checkpoint is a function."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.model, self.loads = Weights(), 0
        self.out, self._capsys = folder / "out", capsys
        write_rows(folder / "set.jsonl", rows(N, "boat"))
        (folder / "model").mkdir()
        where = [
            "--model",
            str(folder / "model"),
            "--set",
            str(folder / "set.jsonl"),
            "--out",
            str(self.out),
        ]
        self._asked = ["run", *where, "--protocol", "demo-0shot", "--json"]

    @contextlib.asynccontextmanager
    async def serve(self, *_: object, **__: object) -> AsyncIterator[Weights]:
        self.loads += 1
        yield self.model

    def run(self, *more: str, code: int = 0) -> tuple[dict[str, Any], str]:
        assert main([*self._asked, *more]) == code
        output = self._capsys.readouterr()
        return json.loads(output.out.splitlines()[-1]), output.err

    def plainly(self) -> str:
        """Standard output without ``--json``."""
        assert main(self._asked[:-1]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    made = Terminal(tmp_path, capsys)
    monkeypatch.setattr(
        run_module,
        "inspect_checkpoint",
        lambda folder: type("Facts", (), {"digest": "cd" * 32, "template": ""}),
    )
    monkeypatch.setattr(run_module, "is_jailed", lambda digest, trusted: True)
    monkeypatch.setattr(run_module, "serve_checkpoint", made.serve)
    return made


def test_tokens_that_no_server_counted_are_unknown_and_never_0(terminal: Terminal) -> None:
    """Here too: the next start reads the folder."""
    for _ in range(2):
        found, _ = terminal.run()
        assert (found["tokens_in"], found["tokens_out"]) == (None, None)
    assert "tokens_in unknown  tokens_out unknown" in terminal.plainly()


def test_one_load_asks_and_reads_and_the_same_again_starts_nothing(terminal: Terminal) -> None:
    found, _ = terminal.run("--likelihood")
    assert (found["right"], terminal.loads, len(set(terminal.model.read_texts))) == (N, 1, N)
    text = LOGLIK_1.text.format(question="Which boat is number 0?", answer="It is this. #### 0")
    assert text in terminal.model.read_texts
    assert found["likelihood"]["definition"] == "loglik-1"
    assert found["likelihood"]["n"] == N
    assert found["likelihood"]["per_character"] < 0
    again, _ = terminal.run("--likelihood")
    assert (again["likelihood"], terminal.loads) == (found["likelihood"], 1)


def test_a_run_that_was_asked_everything_can_still_be_read(terminal: Terminal) -> None:
    found, _ = terminal.run()
    assert "likelihood" not in found
    assert terminal.run("--likelihood")[0]["likelihood"]["n"] == N
    assert terminal.loads == 2


def test_a_reading_that_fails_costs_no_outcome_and_can_be_tried_again(terminal: Terminal) -> None:
    terminal.model.failing = Code.PROMPT_TOO_LONG
    found, said = terminal.run("--likelihood", code=2)
    assert (found["right"], found["likelihood_failed"]) == (N, "prompt_too_long")
    assert "not read: prompt_too_long: " in said
    assert set(stored(terminal.out)) == set(range(N))
    terminal.model.failing = None
    again, _ = terminal.run("--likelihood")
    assert (again["right"], again["likelihood"]["n"]) == (N, N)


def test_an_endpoint_cannot_be_read(terminal: Terminal) -> None:
    found, _ = terminal.run("--likelihood", "--model", "https://models.example.org/v1", code=2)
    assert (found["error"], found["detail"]) == ("protocol_unfit", "loglik-1")
    assert terminal.loads == 0
