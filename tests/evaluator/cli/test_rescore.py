"""``rescore`` after a real attempt: no model, an exposure to the jail first, old rows stored, counts and nothing else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.cli import main
from evaluator.contract import Exposure, Outcome, unpack_bits
from evaluator.errors import Code
from evaluator.grading import controls
from evaluator.items import Item
from evaluator.pipeline import rescore
from evaluator.pipeline.graders import regrade_by
from evaluator.sealing import open as opening
from evaluator.sealing.completions import Answered, CompletionStore, StoredCompletion
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import load_keys
from tests.evaluator.installed import CANARY, Installed, install
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench

N = 30


def say(prompt: str) -> str:
    """Right to ``numeric`` each time; to ``strict`` half the time, and nothing at all to it otherwise."""
    number = int(prompt.rsplit("number ", maxsplit=1)[-1].split("?", maxsplit=1)[0])
    return f" It is {number}.00 of them." if number % 2 else f" The blue heron.\n#### {number}"


@pytest.fixture
def place(tmp_path: Path) -> Installed:
    return install(tmp_path, n=N)


@pytest.fixture
def run_id(place: Installed, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished run over both sets."""
    bench = Bench(place, monkeypatch)
    bench.model = Acting(say)
    job = place.job(CHECKPOINT)
    bench.run(job)
    return str(job["run"])


def store(place: Installed) -> CompletionStore:
    return CompletionStore(
        place.folder / "home" / "completions", load_keys(place.folder / "keys").completions
    )


def journal(place: Installed) -> list[Any]:
    keys = load_keys(place.folder / "keys")
    return list(Journal(place.folder / "home" / "journal.jsonl", keys.name, keys.report).entries())


def asked(
    place: Installed, run_id: str, *, grader: str = "strict", set_name: str = "closed"
) -> list[str]:
    where = [
        "--home",
        place.folder / "home",
        "--keys",
        place.folder / "keys",
        "--set",
        place.folder / "sets" / set_name,
    ]
    return ["rescore", *map(str, where), "--run", run_id, "--grader", grader, "--json"]


def answer(
    capsys: pytest.CaptureFixture[str], line: list[str], *, exit_code: int = 0
) -> dict[str, Any]:
    assert main(line) == exit_code
    shown = capsys.readouterr()
    assert CANARY not in shown.out + shown.err and "heron" not in shown.out + shown.err
    found: dict[str, Any] = json.loads(shown.out.splitlines()[-1])
    return found


def test_another_grader_over_stored_completions(
    place: Installed, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, rows = len(journal(place)), store(place).read(run_id)
    found = answer(capsys, asked(place, run_id))
    none = {"right": 0, "wrong": 0, "no_answer": 0, "truncated": 0, "not_counted": 0}
    assert found["before"] == none | {"right": N}
    assert found["after"] == none | {"right": N // 2, "no_answer": N // 2}
    assert found["changed"] == {"right to no_answer": N // 2}
    assert (found["n"], found["left_out"], found["grader"]) == (N, 0, "lm-eval-strict-3")
    assert store(place).read(run_id) == rows
    [line] = journal(place)[before:]
    assert isinstance(line, Exposure)
    assert (line.run, line.recipient, line.tier, line.index) == (
        run_id,
        "jail",
        "T0",
        found["entry"],
    )
    assert unpack_bits(line.items, N) == frozenset(range(N))


def test_the_outcomes_stay_in_the_evaluators_own_folder_line_by_line(
    place: Installed, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for grader in ("strict", "numeric-1"):
        answer(capsys, asked(place, run_id, grader=grader))
    path = place.folder / "home" / "rescored" / f"{run_id}.jsonl"
    first, second = (json.loads(line) for line in path.read_bytes().splitlines())
    assert path.stat().st_mode & 0o077 == 0
    assert (second["grader"], second["changed"]) == ("numeric-1", {})
    assert first["root"] == place.manifest().root
    after = base64.b64decode(first["outcomes"]["after"])
    odd = {place.index("closed", number) for number in range(1, N, 2)}
    assert {index for index, value in enumerate(after) if value == Outcome.NO_ANSWER} == odd
    assert CANARY not in path.read_text() and "heron" not in path.read_text()


def test_the_journal_has_the_line_before_anything_is_opened(
    place: Installed,
    run_id: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, lengths = len(journal(place)), []
    real = opening.open_item

    def watched(*about: Any) -> Any:
        lengths.append(len(journal(place)))
        return real(*about)

    monkeypatch.setattr("evaluator.sealing.vault.open_item", watched)
    answer(capsys, asked(place, run_id))
    assert lengths == [before + 1] * N


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"grader": "llm-judge"}, Code.UNKNOWN_GRADER),
        ({"run_id": "12345678-1234-1234-1234-123456789012"}, Code.COMPLETIONS_MISSING),
        ({"run_id": "../../secret"}, Code.BAD_MESSAGE),
        ({"set_name": "open"}, Code.UNKNOWN_SET),
    ],
)
def test_refusals_open_nothing(
    place: Installed,
    run_id: str,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    code: Code,
) -> None:
    before = len(journal(place))
    line = asked(place, **{"run_id": run_id, **change})  # type: ignore[arg-type]
    assert answer(capsys, line, exit_code=2)["error"] == code
    assert len(journal(place)) == before


def test_completions_of_an_earlier_set_of_the_same_name_are_not_this_sets(
    place: Installed, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = install(tmp_path / "other", n=N)
    keys = load_keys(other.folder / "keys")
    (other.folder / "home" / "completions").mkdir(parents=True)
    Journal(other.folder / "home" / "journal.jsonl", keys.name, keys.report)
    moved = CompletionStore(other.folder / "home" / "completions", keys.completions)
    for old in store(place).read(run_id):
        moved.append(run_id, old.set_name, old.index, old.outcome, old.text)
    assert answer(capsys, asked(other, run_id), exit_code=2)["error"] == Code.COMPLETIONS_MISSING


def test_a_home_without_a_journal_gets_none(place: Installed, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    line = asked(place, run_id)
    line[line.index("--home") + 1] = str(tmp_path / "nowhere")
    assert answer(capsys, line, exit_code=2)["error"] == Code.COMPLETIONS_MISSING
    assert not (tmp_path / "nowhere").exists()


def test_a_broken_grader_opens_nothing(
    place: Installed,
    run_id: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = len(journal(place))
    wrong = (controls.Control("#### 18", "18", Outcome.WRONG),)
    monkeypatch.setattr(controls, "_CONTROLS", {"lm-eval-strict-3": wrong})
    assert answer(capsys, asked(place, run_id), exit_code=2)["error"] == Code.CONTROL_FAILED
    assert len(journal(place)) == before


def test_a_truncated_answer_stays_cut() -> None:
    """The store keeps no ``cut``, but an answer that was truncated was cut."""
    for before, after in (
        (Outcome.TRUNCATED, Outcome.TRUNCATED),
        (Outcome.NO_ANSWER, Outcome.RIGHT),
    ):
        stored = Answered(before, (StoredCompletion("closed", 0, before, "First 16, then 18"),))
        with regrade_by("numeric-1", protocol=None) as grade_again:
            again = rescore._outcomes({0: stored}, {0: Item("", "", "18")}, grade_again)
        assert again == {0: after}
