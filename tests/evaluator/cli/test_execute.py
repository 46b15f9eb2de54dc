"""``python -m evaluator execute``: a line for each program, in order."""

import json
from pathlib import Path

import pytest

from evaluator.cli import main
from evaluator.sandbox import cells


def write(folder: Path, *lines: object) -> Path:
    path = folder / "programs.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


@pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
def test_programs_are_executed_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path,
        {"program": "def f(x): return (x, 1.5)", "function": "f", "arguments": [2]},
        {"program": "ans = 1 / 0", "variable": "ans"},
        {"program": "def f(): return 1", "tests": "assert f() == 1", "entry": "f"},
        {"program": "def f(): return 1", "tests": "assert f() == 2", "prelude": "import math"},
    )
    assert main(["execute", str(path), "--workers", "2", "--json"]) == 0
    *lines, counts = map(json.loads, capsys.readouterr().out.splitlines())
    assert lines == [
        {"disposition": "value", "value": "(2, 1.5)"},
        {"disposition": "raised", "error": "ZeroDivisionError"},
        {"disposition": "passed"},
        {"disposition": "failed", "error": "AssertionError"},
    ]
    assert counts == {
        **{"n": 4, "value": 1, "passed": 1, "failed": 1, "raised": 1},
        **dict.fromkeys(["unfit", "ended", "late", "memory"], 0),
    }


@pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
@pytest.mark.parametrize(
    "line",
    [
        *(1, [], {}, {"program": 1}, {"program": "", "function": 1}, {"program": "", "other": "x"}),
        *({"program": "", "tests": ""}, {"program": "", "tests": "1", "function": "f"}),
        {"program": "", "arguments": "x"},
    ],
)  # fmt: skip
def test_a_line_that_is_no_program(
    line: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {"program": "def f(): return 1"}, line)
    assert main(["execute", str(path)]) == 2
    shown = capsys.readouterr()
    assert "programs_unreadable" in shown.err and "line 2" in shown.err


def test_without_bubblewrap_nothing_is_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells.jail, "available", lambda: False)
    assert main(["execute", str(write(tmp_path, {"program": "def f(): return 1"}))]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "sandbox_missing" in shown.err and "apt-get install bubblewrap" in shown.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "3601", "x"])
def test_seconds_that_are_none(seconds: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"program": "def f(): return 1"})
    with pytest.raises(SystemExit) as ended:
        main(["execute", str(path), "--seconds", seconds])
    assert ended.value.code == 2
