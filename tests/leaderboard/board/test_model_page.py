"""A model's page: what every grader makes of its answers."""

import re

import pytest
from django.test import Client

from evaluator.contract import OutcomeCounts
from leaderboard.board.snapshot import Draft, rank
from leaderboard.evidence.entries import Entry, Graded
from tests.leaderboard.sample import make_pair

pytestmark = pytest.mark.django_db
COUNTS = OutcomeCounts(n=400, right=300, wrong=100, no_answer=0, truncated=0)
GRADERS = (Graded("numeric-1", 300, 400, 280, 400), Graded("lm-eval-strict-3", 260, 400, 262, 400))


def page(client: Client, *graders: Graded) -> str:
    rows = rank(
        [Entry("m", "Org", "weights", "0" * 8, COUNTS, COUNTS, graders=graders, grader="numeric-1")]
    )
    Draft(rows, None, (), None, "0" * 64).save(make_pair())
    return client.get("/models/m/").content.decode()


def test_graders_stand_side_by_side_each_with_its_own_gap(client: Client) -> None:
    text = page(client, *GRADERS)
    lines = re.findall(r"<tr><th scope=\"row\"><code>(.*?)</code>.*?</tr>", text)
    assert lines == ["numeric-1", "lm-eval-strict-3"]
    for piece in ("300 of 400", "280 of 400", "+5.0", "260 of 400", "262 of 400", "−0.5"):
        assert piece in text
    assert text.count("the board's</small>") == 1


def test_one_grader_alone_is_no_table(client: Client) -> None:
    assert "The same answers by each grader" not in page(client, GRADERS[0])
