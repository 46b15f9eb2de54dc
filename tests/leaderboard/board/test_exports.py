"""JSON and CSV hold the same numbers as the rows, and a missing score is no zero."""

import csv
import json
from io import StringIO

import pytest

from evaluator.contract import OutcomeCounts
from leaderboard.board import exports
from leaderboard.board.lookup import Board
from leaderboard.board.snapshot import rank
from leaderboard.evidence.entries import Entry, Graded
from tests.leaderboard.closing import publish
from tests.leaderboard.sample import make_board, make_pair

COUNTS = OutcomeCounts(n=10, right=4, wrong=4, no_answer=1, truncated=1)


def test_csv_gives_every_column_back() -> None:
    (row,) = rows = rank([Entry("m", "Org, Inc", "endpoint", "run", COUNTS, COUNTS)])
    (line,) = csv.DictReader(StringIO(exports.as_csv(rows)))
    assert tuple(line) == exports.COLUMNS
    assert (line["organisation"], line["access"], line["evidence"]) == (
        "Org, Inc",
        "endpoint",
        "pending",
    )
    assert (int(line["private_right"]), int(line["public_n"])) == (4, 10)
    assert (float(line["gap_lo"]), float(line["gap_hi"])) == row.interval
    assert float(line["private_lo"]) == row.private.interval[0]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_name_is_a_formula(name: str) -> None:
    (line,) = csv.DictReader(
        StringIO(exports.as_csv(rank([Entry(name, name, "weights", "run", COUNTS, COUNTS)])))
    )
    assert line["model"] == line["organisation"] == "'" + name


@pytest.mark.django_db
def test_json_is_plain_and_keeps_missing_scores_apart() -> None:
    pair = make_pair()
    make_board(pair)
    ranking = publish(pair=pair).ranking()
    data = json.loads(json.dumps(exports.as_json(Board.of(pair), ranking)))
    contaminated = next(row for row in data["rows"] if row["model"] == "demo-contaminated")
    assert contaminated["public"]["right"] == 397
    assert contaminated["private"]["n"] == 400
    assert contaminated["interval"][0] > 0
    assert (data["unranked"], data["pending"]) == ([], {"running": 1, "incomplete": 1})
    assert "late-one" not in json.dumps(data)


@pytest.mark.django_db
def test_json_before_the_first_ranking_is_empty_and_not_zero() -> None:
    data = exports.as_json(Board.of(make_pair()), ())
    assert data["rows"] == []
    assert data["as_of"] is None


def test_csv_has_every_grader_side_by_side() -> None:
    graders = (Graded("numeric-1", 4, 10, 3, 10), Graded("lm-eval-strict-3", 2, 10, 2, 10))
    rows = rank([Entry("m", "Org", "weights", "run", COUNTS, COUNTS, graders=graders)])
    (line,) = csv.DictReader(StringIO(exports.as_csv(rows)))
    assert (
        line["graders"]
        == "numeric-1: public 4/10, private 3/10; lm-eval-strict-3: public 2/10, private 2/10"
    )
