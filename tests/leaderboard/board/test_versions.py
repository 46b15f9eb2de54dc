"""What maintainers say makes a new ranking; the old one stays as it was read."""

from functools import partial
from typing import Any

import pytest

from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.models import Snapshot, unranked
from leaderboard.board.rows import WHY, Row
from leaderboard.board.tasks import rebuild as rebuild_task
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import publish
from tests.leaderboard.ruled import grade, make_model, make_pair, notice, retract
from tests.leaderboard.submissions.test_queueing import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def board() -> SetPair:
    """Alpha has items 0 to 5 right, Beta items 4 to 8; the endpoint was asked block 0 only and has item 0 right."""
    pair = make_pair()
    grade(pair, make_model("Alpha"), range(6))
    grade(pair, make_model("Beta"), range(4, 9))
    grade(pair, make_model("Served"), [0], kind="endpoint", tier="T2", blocks=[0])
    return pair


def scores(snapshot: Snapshot) -> dict[str, tuple[int, int, int]]:
    """By model: right and n on the private set, and the version that this is over."""
    return {
        row.model: (row.private.right, row.private.n, row.version) for row in snapshot.ranking()
    }


def post(pair: SetPair, *about: dict[str, Any]) -> None:
    sent: list[Any] = list(pair.private.signed_notices())
    for one in about:
        sent.append(notice(pair.private, sent, **one))
    post_notices(data=[one.to_dict() for one in sent])


def erratum(item: int) -> dict[str, Any]:
    return {"kind": "erratum", "reason": "wrong_gold", "item": item}


def test_an_erratum_takes_one_item_off_whoever_was_asked_it(board: SetPair) -> None:
    first = publish(pair=board)
    before = Snapshot.objects.get().ranking()
    assert scores(first) == {"Alpha": (6, 9, 0), "Beta": (5, 9, 0), "Served": (1, 3, 0)}
    post(board, erratum(0))
    second = publish(pair=board)
    assert scores(second) == {"Alpha": (5, 8, 1), "Beta": (5, 8, 1), "Served": (0, 2, 1)}
    post(board, erratum(8))
    third = publish(pair=board)
    assert scores(third) == {"Alpha": (5, 7, 2), "Beta": (4, 7, 2), "Served": (0, 2, 2)}
    kept = Snapshot.objects.order_by("pk")
    assert list(kept.values_list("pk", flat=True)) == [first.pk, second.pk, third.pk]
    assert kept[0].ranking() == before and scores(kept[1]) == scores(second)
    assert len({one.inputs_hash for one in kept}) == 3
    assert Snapshot.objects.current(board) == third


def test_the_public_side_and_the_stored_outcomes_stay(board: SetPair) -> None:
    stored = list(
        Run.objects.order_by("pk").values_list("outcomes__right", "outcomes__n", "outcomes__packed")
    )
    public = {row.model: row.public for row in publish(pair=board).ranking()}
    post(board, erratum(0))
    assert {row.model: row.public for row in publish(pair=board).ranking()} == public
    again = Run.objects.order_by("pk").values_list(
        "outcomes__right", "outcomes__n", "outcomes__packed"
    )
    assert [tuple(map(str, row[:2])) for row in again] == [
        tuple(map(str, row[:2])) for row in stored
    ]
    assert [bytes(row[2]) for row in again] == [bytes(row[2]) for row in stored]


def test_a_notice_about_an_item_that_is_gone_already_only_counts_up(board: SetPair) -> None:
    post(board, {"kind": "retire_block", "reason": "spent", "block": 1})
    first = scores(publish(pair=board))
    assert first == {"Alpha": (3, 6, 1), "Beta": (3, 6, 1), "Served": (1, 3, 1)}
    post(board, erratum(4))
    assert scores(publish(pair=board)) == {
        model: (right, n, 2) for model, (right, n, _) in first.items()
    }


def test_whoever_was_asked_nothing_that_counts_has_no_row(board: SetPair) -> None:
    post(board, {"kind": "retire_block", "reason": "leaked", "block": 0})
    assert scores(publish(pair=board)) == {"Alpha": (3, 6, 1), "Beta": (5, 6, 1)}
    post(board, {"kind": "compromise", "reason": "leaked"})
    assert publish(pair=board).ranking() == ()


def test_rebuilding_clears_what_was_stale_and_rings_no_more(board: SetPair, bell: Any) -> None:
    publish(pair=board)
    assert actions.request_rankings() == 0
    post(board, erratum(0))
    assert actions.request_rankings() == 1 and bell[-1][:2] == ("holdfast.rebuild", ["pair"])
    rebuild_task("pair")
    assert not SetPair.objects.get().stale and actions.request_rankings() == 0
    retract(Run.objects.get(submission__model__name="Beta").pk)
    assert SetPair.objects.get().stale and actions.request_rankings() == 1
    rebuild_task("pair")
    assert not SetPair.objects.get().stale


def test_a_pair_is_rung_for_once_however_many_reasons_there_are(board: SetPair, bell: Any) -> None:
    make_pair(slug="other")
    Run.objects.update(ended_at="2026-01-01T00:00:00+00:00")
    SetPair.objects.update(stale=True)
    assert actions.request_rankings() == 2
    assert [args for name, args, _ in bell] == [["other"], ["pair"]]


def test_a_ranking_that_would_be_the_same_clears_it_too(board: SetPair) -> None:
    first = publish(pair=board)
    SetPair.objects.update(stale=True)
    assert publish(pair=board) == first
    assert not SetPair.objects.get().stale


def test_a_retracted_run_has_no_rank_and_the_word_says_why(board: SetPair) -> None:
    assert "Beta" in scores(publish(pair=board))
    retract(Run.objects.get(submission__model__name="Beta").pk)
    snapshot = publish(pair=board)
    assert set(scores(snapshot)) == {"Alpha", "Served"}
    assert {one.model: one.reason for one in unranked(board, snapshot).named} == {
        "Beta": WHY["retracted"]
    }


def test_a_model_of_whose_items_none_is_left_is_told_so(board: SetPair) -> None:
    publish(pair=board)
    post(board, {"kind": "compromise", "reason": "leaked"})
    snapshot = publish(pair=board)
    assert not snapshot.ranking()
    words = [one.reason for one in unranked(SetPair.objects.get(pk=board.pk), None).named]
    assert words == [WHY["retired"]] * 3


def test_a_run_after_the_release_has_no_rank_and_an_older_one_keeps_it(board: SetPair) -> None:
    grade(board, make_model("Late"), 9, post_release=True)
    grade(board, make_model("Alpha"), 9, post_release=True)
    snapshot = publish(pair=board)
    assert scores(snapshot)["Alpha"] == (6, 9, 0)
    assert {one.model: one.reason for one in unranked(board, snapshot).named} == {
        "Late": WHY["post_release"]
    }
    assert not Run.objects.exclude(state=RunState.RANKED).exists()


def test_a_row_says_which_part_of_the_set_it_is_over(board: SetPair) -> None:
    forms = {row.model: row.item_selection for row in publish(pair=board).ranking()}
    assert forms == {
        **dict.fromkeys(("Alpha", "Beta"), "exposed and local blocks"),
        "Served": "the season's block",
    }
    post(board, erratum(0))
    rows = {row.model: row for row in publish(pair=board).ranking()}
    assert (rows["Served"].tier, rows["Served"].item_selection) == (
        "T2",
        "the season's block, version 1",
    )
    assert rows["Alpha"].item_selection == "exposed and local blocks, version 1"
    written_before_versions = {
        name: value for name, value in rows["Alpha"].to_dict().items() if name != "version"
    }
    assert Row.from_dict(written_before_versions).version == 0


@pytest.mark.django_db(transaction=True)
def test_a_retraction_and_a_ranking_at_once_wait_for_each_other_in_one_order() -> None:
    """Neither is ended by the database for a deadlock, and a retraction is never lost on the board."""
    pair = make_pair()
    for number in range(6):
        run = grade(pair, make_model(f"Model-{number}"), 5)
        works = [
            partial(publish, pair=pair),
            partial(retract, run.pk),
            partial(publish, pair=pair),
        ]
        found = together(3, *works)
        assert not [one for one in found if isinstance(one, BaseException)]
        again = SetPair.objects.get()
        shown = {row.model for row in Snapshot.objects.filter(pair=pair).latest("pk").ranking()}
        assert again.stale or f"Model-{number}" not in shown
        assert f"Model-{number}" not in scores(publish(pair=pair))
    assert not SetPair.objects.get().stale
