"""The report's counters find faults that are planted."""

from pathlib import Path

from tests.architecture.report import measure, table

FAULTY = '''"""What a module is about."""

from leaderboard.board import models


class Tally:
    """Whether it counts."""


def answer(rows):
    # nobody is told
    return _once(rows) + _twice(rows) + _twice(_twice(rows))


def _once(rows):
    """Where the rows are: kept beside a shelf, and what became of them, {padding}."""
    return rows


def _twice(rows):
    """Return the rows, for whoisTold and burned_down."""
    return _twice(rows[1:]) if rows and rows[0] and rows[1] or not rows else rows
'''
CYCLE = """from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderboard.board.views import answer

LINE = ("a", 1)
"""
PLAIN = '''"""Return nothing but the number."""

# A comment counts for nothing.
NUMBER = 1
'''


def test_planted_faults_are_counted(tmp_path: Path) -> None:
    board = tmp_path / "leaderboard" / "board"
    board.mkdir(parents=True)
    (board / "views.py").write_text(FAULTY.format(padding="x" * 50))
    (board / "models.py").write_text(CYCLE)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "numbers.py").write_text(PLAIN)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text("<p>A stranger gives up.</p>")

    measured = measure(root=tmp_path)

    found = measured["leaderboard.board"]
    assert found.complexity == 5
    assert [one.split(":")[1] for one in found.long_lines] == ["16 127 columns"]
    assert found.called_once == ["leaderboard/board/views.py:15 _once"]
    assert found.functions == 3
    assert len(found.questions) == 3
    assert sorted(one.split(" ", 1)[1] for one in found.words) == [
        *("Tally", "Told", "beside", "burned", "kept", "nobody", "shelf", "told"),
        "what became of",
    ]
    assert found.cycles == ["leaderboard.board.models ↔ leaderboard.board.views"]
    assert measured["templates"].words == [
        "templates/page.html:1 stranger",
        "templates/page.html:1 gives up",
    ]
    plain = measured["demo"]
    assert (plain.tokens, plain.code_lines) == (3, 1)
    assert plain.row() == ["3.0", "0", "0 (0%)", "0", "0", "0", "-"]
    assert len(set(map(len, table(measured)))) == 1


def test_paths_choose_what_is_measured(tmp_path: Path) -> None:
    for name in ("bench", "demo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "numbers.py").write_text(PLAIN)
    assert list(measure(["demo"], tmp_path)) == ["demo"]
    assert list(measure(["demo/numbers.py"], tmp_path)) == ["demo"]


def test_published_graders_are_counted_apart(tmp_path: Path) -> None:
    grading = tmp_path / "evaluator" / "grading"
    grading.mkdir(parents=True)
    (grading / "numeric.py").write_text('"""Where it is kept."""\n')
    (grading / "voting.py").write_text(PLAIN)

    measured = measure(root=tmp_path)

    assert len(measured["published graders"].words) == 1
    assert measured["evaluator.grading"].words == []
    total, graders = list(table(measured))[-2:]
    assert total.split()[-3] == "0" and graders.split()[-3] == "1"
