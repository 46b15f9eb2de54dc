"""``manage.py board`` in a terminal and for programs."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from leaderboard.board import actions
from tests.leaderboard.sample import make_board, make_pair

pytestmark = pytest.mark.django_db


def board(*arguments: str) -> str:
    out = StringIO()
    call_command("board", *arguments, stdout=out)
    return out.getvalue()


def test_the_table_lines_up_and_names_those_without_a_score() -> None:
    pair = make_pair()
    make_board(pair)
    actions.close_cohort(pair=pair)
    heading, *lines = board().splitlines()
    assert heading.split() == [
        "rank",
        "model",
        "private",
        "public",
        "gap,",
        "pp",
        "95%",
        "interval",
        "evidence",
    ]
    column = heading.index("evidence")
    assert [line[column:] for line in lines[:5]] == [
        "no evidence", "cannot tell", "cannot tell", "overfit", "cannot tell",
    ]  # fmt: skip
    assert "not ranked: 1 being asked" in lines


def test_json_is_one_object_on_one_line() -> None:
    pair = make_pair()
    make_board(pair)
    actions.close_cohort(pair=pair)
    text = board("--json", "--pair", "demo")
    assert text.count("\n") == 1
    rows = json.loads(text)["rows"]
    contaminated = next(row for row in rows if row["model"] == "demo-contaminated")
    assert (contaminated["public"]["right"], contaminated["public"]["n"]) == (397, 400)
    assert contaminated["interval"][0] > 0


def test_before_the_first_ranking_it_says_so() -> None:
    make_pair()
    assert board() == "No model is ranked yet.\n"


@pytest.mark.parametrize("arguments", [(), ("--pair", "none")])
def test_an_unknown_pair_is_an_error(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="no such pair"):
        board(*arguments)
