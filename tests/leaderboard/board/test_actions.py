"""The one write: a snapshot for new counts, none for the same, and runs marked as ranked."""

import pytest
from django.db import OperationalError

from leaderboard.board import actions, tasks
from leaderboard.board.models import Snapshot
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import publish
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db


def test_rebuilding_ranks_the_graded_runs_and_no_others() -> None:
    pair = make_pair()
    make_board(pair)
    snapshot = publish(pair=pair)
    assert len(snapshot.ranking()) == Run.objects.filter(state=RunState.RANKED).count() == 5
    assert Run.objects.filter(state=RunState.GRADED).count() == 0
    assert Run.objects.filter(state__in=[RunState.RUNNING, RunState.FAILED]).count() == 3


def test_equal_counts_make_no_second_snapshot() -> None:
    pair = make_pair()
    make_board(pair)
    first = publish(pair=pair)
    assert publish(pair=pair) == first
    make_run(pair, "new-one", public=5, private=5)
    second = publish(pair=pair)
    assert second.pk > first.pk
    assert Snapshot.objects.current(pair) == second
    assert len(second.ranking()) == len(first.ranking()) + 1


def test_an_older_run_of_a_model_does_not_wait_for_ever() -> None:
    pair = make_pair()
    make_run(pair, "again", public=1, private=1)
    make_run(pair, "again", public=2, private=2)
    publish(pair=pair)
    assert not Run.objects.exclude(state=RunState.RANKED).exists()


def test_a_snapshot_is_never_changed() -> None:
    pair = make_pair()
    snapshot = publish(pair=pair)
    snapshot.method = "board-0"
    with pytest.raises(TypeError, match="never changed"):
        snapshot.save()
    assert Snapshot.objects.get().method != "board-0"


def test_the_stored_rows_read_back_as_they_were_computed() -> None:
    pair = make_pair()
    make_board(pair)
    rows = publish(pair=pair).ranking()
    assert Snapshot.objects.get().ranking() == rows
    assert all(row.public.n == row.private.n == 400 for row in rows)


def test_the_task_takes_a_slug_and_does_not_mind_an_unknown_one() -> None:
    pair = make_pair()
    make_board(pair)
    tasks.rebuild("no-such-pair")
    assert Snapshot.objects.count() == 0
    tasks.rebuild(pair.slug)
    assert Snapshot.objects.get().pair == pair


def test_the_task_names_no_row_when_the_database_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def away(**_: object) -> None:
        raise OperationalError("the row that failed")

    monkeypatch.setattr(actions, "rebuild", away)
    monkeypatch.setattr(tasks.logger, "warning", lambda form, *parts: said.append(form % parts))
    tasks.rebuild(make_pair().slug)
    assert len(said) == 1
    assert "database_away" in said[0]
    assert "the row" not in said[0]
