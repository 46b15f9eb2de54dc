"""``bench.noise`` keeps what the site can read, and its floor grows with the verdicts that differ."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.noise import MODEL, Cell, line, record
from evaluator.items import load_items
from evaluator.pipeline.plan import PublicSource
from leaderboard.evidence.noise import NoiseFloor
from tests.evaluator.installed import rows, write_rows

N = 100


def cell(engine: str, wrong: int, per_character: float = -0.5) -> Cell:
    right = tuple(index >= wrong for index in range(N))
    return Cell(engine, 8, 0, tuple("yes" if one else "no" for one in right), right, per_character)


@pytest.fixture
def source(tmp_path: Path) -> PublicSource:
    write_rows(tmp_path / "set.jsonl", rows(N, "boat"))
    return PublicSource(name="public", items=load_items(tmp_path / "set.jsonl"))


def kept(source: PublicSource, *cells: Cell) -> NoiseFloor:
    made = record(MODEL, source, cells, moment=datetime(2026, 1, 2, tzinfo=UTC))
    return NoiseFloor.from_dict(json.loads(json.dumps(made)))


def test_nothing_that_differs_is_no_floor_of_nothing(source: PublicSource) -> None:
    found = kept(source, cell("a 1", 0), cell("b 2", 0))
    assert (found.verdicts_differ, found.engines, found.at_once) == (0, ("a 1", "b 2"), (8,))
    assert found.floor == pytest.approx(1 - 0.05 ** (1 / N))


def test_the_worst_cell_makes_the_floor(source: PublicSource) -> None:
    found = kept(source, cell("a 1", 0), cell("b 2", 7, -0.502), cell("b 2", 3, -0.499))
    assert [one.verdicts_differ for one in found.cells] == [0, 7, 3]
    assert found.cells[1].score_differs_by == pytest.approx(-0.07)
    assert 0.07 < found.floor < 0.14
    assert found.likelihood_floor == pytest.approx(0.002)


def test_everything_that_differs_tells_nothing_apart(source: PublicSource) -> None:
    assert kept(source, cell("a 1", 0), cell("b 2", N)).floor == 1


def test_a_cell_is_one_line() -> None:
    said = line(cell("b 2", 7, -0.502).against(cell("a 1", 0)))
    assert "verdicts 7" in said and "by -0.0700" in said and "\n" not in said
