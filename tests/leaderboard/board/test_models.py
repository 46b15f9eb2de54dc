"""Who is listed without a score, and which snapshot is current."""

import pytest

from leaderboard.board.models import Snapshot, unranked
from leaderboard.board.rows import NotRanked, Row
from leaderboard.evidence.vocabulary import LABELS
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import drafted
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db


def test_models_that_were_never_ranked_are_counted_without_their_names() -> None:
    pair = make_pair()
    make_board(pair)
    make_run(pair, "aa-waiting", state=RunState.QUEUED, left_open=400)
    found = unranked(pair, drafted(pair).save(pair))
    assert found.named == ()
    assert found.pending == {"waiting": 1, "running": 1, "incomplete": 1}
    assert found.counts()[0] == "1 waiting"


def test_a_failure_of_the_submitters_is_told_to_nobody_else() -> None:
    pair = make_pair()
    make_run(pair, "theirs", state=RunState.FAILED, fault="theirs", left_open=1)
    make_run(pair, "withdrawn", state=RunState.CANCELLED, left_open=1)
    assert unranked(pair, None) == NotRanked()


def test_a_ranked_model_that_is_asked_again_keeps_its_row_only() -> None:
    pair = make_pair()
    make_run(pair, "again", public=5, private=5)
    make_run(pair, "again", state=RunState.QUEUED, left_open=400)
    assert unranked(pair, drafted(pair).save(pair)) == NotRanked()


def test_the_current_snapshot_is_the_newest_of_its_pair() -> None:
    pair, other = make_pair("one"), make_pair("other")
    assert Snapshot.objects.current(pair) is None
    drafted(pair).save(pair)
    newest = drafted(pair).save(pair)
    drafted(other).save(other)
    assert Snapshot.objects.current(pair) == newest


@pytest.mark.django_db
def test_rows_are_read_strictly() -> None:
    pair = make_pair()
    make_board(pair)
    data = drafted(pair).rows[0].to_dict()
    assert Row.from_dict(data).to_dict() == data
    from evaluator.errors import EvaluatorError

    with pytest.raises(EvaluatorError, match="bad_message"):
        Row.from_dict(data | {"text": "?"})


def test_no_word_judges_the_people() -> None:
    assert not {"clean", "cheating", "cheat"} & set(" ".join(LABELS.values()).split())
