"""The picture of a vote's calibration."""

import re

from evaluator.contract import VoteBin
from leaderboard.submissions.charts import EDGE, SIDE, calibration, place
from tests.leaderboard.submissions.test_run_summary import VOTES


def test_a_dot_stands_where_its_bin_is() -> None:
    corner = place(VoteBin(low=9, high=10, n=4, share=1.0, right=4))
    assert corner == (EDGE + SIDE, EDGE)
    assert place(VoteBin(low=0, high=1, n=4, share=0.0, right=0)) == (EDGE, EDGE + SIDE)
    assert place(VoteBin(low=4, high=5, n=4, share=0.5, right=2)) == (
        EDGE + SIDE / 2,
        EDGE + SIDE / 2,
    )


def test_there_is_one_for_each_bin_and_no_inline_style() -> None:
    picture = calibration(VOTES)
    assert picture.count("<circle") == len(VOTES.bins)
    assert "style=" not in picture
    assert re.search(r'aria-label="[^"]+ 2 bins', picture)
