"""Grading again through the site: asked of the evaluator that keeps the answers, recorded once, ranked by when switched."""

import logging
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from evaluator.contract import Outcome, RescoredSet, StoredSet
from evaluator.errors import Code, EvaluatorError
from leaderboard.board.models import unranked
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.actions import Disposition, record_report
from leaderboard.submissions.models import (
    RescoredOutcomes,
    Rescoring,
    Run,
    RunOutcomes,
    seconds_from_now,
)
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeEvaluator, truth
from tests.leaderboard.regraded import DIGEST, STRICT, House, harsher


def own(run: Any) -> list[bytes]:
    return [bytes(row.packed) for row in RunOutcomes.objects.filter(run=run).order_by("pk")]


def test_asked_recorded_and_logged_and_the_old_rows_stay(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    before, order = own(house.run), house.ask()
    [sent] = house.sent()
    assert (sent.order, sent.run, sent.token, sent.grader) == (
        order.pk,
        str(house.run.pk),
        house.run.token,
        STRICT,
    )
    assert [(one.name, one.n, one.sealed) for one in sent.sets] == [
        ("public", 7, False),
        ("private", 9, True),
    ]
    assert isinstance(sent.sets[0], StoredSet)
    [(_, _, options)] = [one for one in house.bell if one[0] == "holdfast.rescore"]
    assert options["queue"] == "journal.evaluator-1"
    caplog.set_level(logging.INFO)
    assert record_report(envelope=house.answer(order)) is Disposition.APPLIED
    order.refresh_from_db()
    assert (order.state, order.grader_digest, order.code) == ("done", DIGEST, "")
    assert own(house.run) == before
    rows = {row.item_set.name: row for row in order.outcomes.select_related("item_set")}
    for name, n in (("public", PUBLIC_N), ("private", PRIVATE_N)):
        lost = sum(truth(name, i) is not harsher(name, i) for i in range(n))
        assert lost and rows[name].changed == {"right to no_answer": lost}
        assert rows[name].right == sum(harsher(name, i) is Outcome.RIGHT for i in range(n))
        assert f"set={name} n={n}: right to no_answer {lost}" in caplog.text
    house.run.refresh_from_db()
    assert house.run.stale_reports == 0


def test_what_comes_twice_is_recorded_once(house: House) -> None:
    order = house.ask()
    answer = house.answer(order)
    assert record_report(envelope=answer) is Disposition.APPLIED
    assert record_report(envelope=answer) is Disposition.DUPLICATE
    assert record_report(envelope=house.answer(order)) is Disposition.DUPLICATE
    assert record_report(envelope=house.refuse(order, Code.INTERNAL)) is Disposition.DUPLICATE
    assert RescoredOutcomes.objects.count() == 2


def test_asked_twice_is_one_order_and_again_after_it_is_another(house: House) -> None:
    order = house.ask()
    assert house.ask().pk == order.pk
    record_report(envelope=house.answer(order))
    assert house.ask().pk != order.pk
    assert len(house.sent()) == 2


def test_an_evaluator_without_the_answers_says_so_with_a_code(house: House) -> None:
    order = house.ask()
    assert (
        record_report(envelope=house.refuse(order, Code.COMPLETIONS_MISSING)) is Disposition.APPLIED
    )
    order.refresh_from_db()
    assert (order.state, order.code) == ("failed", "completions_missing")
    assert not RescoredOutcomes.objects.exists()


@pytest.mark.parametrize("state", ["queued", "failed", "cancelled"])
def test_a_run_that_is_not_graded_is_refused(house: House, make_run: Any, state: str) -> None:
    run = make_run(model="Other")
    if state == "cancelled":
        actions.cancel(run=run.pk)
    elif state == "failed":
        record_report(envelope=house.evaluator.begin(run).failed(Code.CHECKPOINT_UNKNOWN))
    with pytest.raises(SiteError) as caught:
        actions.ask_again(run=run.pk, grader=STRICT, by=house.keeper)
    assert caught.value.code is Refusal.NOT_NOW


def test_a_run_that_is_being_asked_is_refused(house: House, make_run: Any) -> None:
    run = make_run(model="Other")
    record_report(envelope=house.evaluator.begin(run).progress())
    with pytest.raises(SiteError) as caught:
        actions.ask_again(run=run.pk, grader=STRICT, by=house.keeper)
    assert caught.value.code is Refusal.NOT_NOW


def test_an_answer_to_a_run_that_was_queued_again_is_not_taken(house: House) -> None:
    order = house.ask()
    Run.objects.filter(pk=house.run.pk).update(token=2)
    assert record_report(envelope=house.answer(order)) is Disposition.STALE
    order.refresh_from_db()
    assert (order.state, order.code) == ("failed", "run_under_way")
    assert not RescoredOutcomes.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"order": 999},
        {"grader": "numeric-1"},
        {"sets": (RescoredSet(name="private", outcomes=()),)},
        {
            "sets": tuple(
                RescoredSet(name=name, outcomes=((9, 1, 1),)) for name in ("public", "private")
            )
        },
        {
            "sets": tuple(
                RescoredSet(name=name, outcomes=((0, 1, 1), (0, 1, 1)))
                for name in ("public", "private")
            )
        },
        {
            "sets": tuple(
                RescoredSet(name=name, outcomes=((0, 1, 5),)) for name in ("public", "private")
            )
        },
    ],
    ids=[
        "no order",
        "another grader",
        "a set is missing",
        "beyond the set",
        "an item twice",
        "not counted",
    ],
)
def test_what_does_not_fit_changes_nothing(house: House, changes: dict[str, Any]) -> None:
    order = house.ask()
    with pytest.raises(EvaluatorError) as caught:
        record_report(envelope=house.answer(order, **changes))
    assert caught.value.code is Code.BAD_MESSAGE
    order.refresh_from_db()
    assert order.state == "asked" and not RescoredOutcomes.objects.exists()


def test_another_evaluator_cannot_answer(house: House) -> None:
    order, other = house.ask(), FakeEvaluator("evaluator-2")
    other.register()
    house.evaluator = other
    with pytest.raises(EvaluatorError) as caught:
        record_report(envelope=house.answer(order))
    assert caught.value.code is Code.BAD_MESSAGE


def test_an_answer_that_did_not_count_is_left_out(house: House) -> None:
    """The evaluator's outcome of then is not the run's: it is of an answer of a lost attempt."""
    wrong = next(i for i in range(PRIVATE_N) if truth("private", i) is Outcome.WRONG)
    again = [
        (i, Outcome.RIGHT if i == wrong else truth("private", i), harsher("private", i))
        for i in range(PRIVATE_N)
    ]
    public = tuple((i, truth("public", i), harsher("public", i)) for i in range(PUBLIC_N))
    sets = (
        RescoredSet(name="private", outcomes=tuple(again)),
        RescoredSet(name="public", outcomes=public),
    )
    order = house.ask()
    record_report(envelope=house.answer(order, sets=sets))
    row = order.outcomes.get(item_set__name="private")
    assert (row.counted, row.n) == (PRIVATE_N - 1, PRIVATE_N)
    assert not row.covers(frozenset()) and row.covers(frozenset({wrong}))


def test_an_order_is_sent_again_and_ends_with_its_time(house: House) -> None:
    order = house.ask()
    assert actions.drain_rescorings() == 0
    Rescoring.objects.update(due=seconds_from_now(-1))
    assert actions.drain_rescorings() == 1 and len(house.sent()) == 2
    Rescoring.objects.update(due=seconds_from_now(-1), deadline=seconds_from_now(-1))
    assert actions.drain_rescorings() == 0
    order.refresh_from_db()
    assert (order.state, order.code) == ("failed", "deadline")


def test_only_maintainers(house: House, user: Any) -> None:
    for call in (
        lambda: actions.ask_again(run=house.run.pk, grader=STRICT, by=user),
        lambda: actions.ask_all_again(slug="pair", grader=STRICT, by=user),
        lambda: actions.switch_grader(slug="pair", grader=STRICT, by=user),
    ):
        with pytest.raises(SiteError) as caught:
            call()
        assert caught.value.code is Refusal.FORBIDDEN


def row_of(pair: Any) -> Any:
    pair.refresh_from_db()
    [row] = publish(pair=pair).ranking()
    return row


def test_the_board_is_made_of_another_grader_only_when_switched_and_for_both_sets(
    house: House, pair: Any
) -> None:
    first = row_of(pair)
    order = house.ask()
    record_report(envelope=house.answer(order))
    beside = row_of(pair)
    assert (beside.private, beside.public, beside.gap) == (first.private, first.public, first.gap)
    actions.switch_grader(slug="pair", grader=STRICT, by=house.keeper)
    switched = row_of(pair)
    assert switched.grader == STRICT
    for name, side, n in (
        ("public", switched.public, PUBLIC_N),
        ("private", switched.private, PRIVATE_N),
    ):
        assert (side.right, side.n) == (sum(harsher(name, i) is Outcome.RIGHT for i in range(n)), n)
    actions.switch_grader(slug="pair", grader="numeric-1", by=house.keeper)
    assert row_of(pair).gap == first.gap


def test_a_switch_waits_for_every_run_or_leaves_it_out(house: House, pair: Any) -> None:
    with pytest.raises(SiteError) as caught:
        actions.switch_grader(slug="pair", grader=STRICT, by=house.keeper)
    assert (caught.value.code, caught.value.detail) == (Refusal.NOT_RESCORED, "1 of 1 runs")
    actions.switch_grader(slug="pair", grader=STRICT, by=house.keeper, leave_out=True)
    pair.refresh_from_db()
    assert publish(pair=pair).ranking() == ()
    assert [one.why for one in unranked(pair, None).named] == ["regraded"]


def test_a_newly_graded_run_is_graded_by_the_boards_grader_too(
    house: House, make_run: Any, pair: Any, django_capture_on_commit_callbacks: Any
) -> None:
    record_report(envelope=house.answer(house.ask()))
    actions.switch_grader(slug="pair", grader=STRICT, by=house.keeper)
    run = make_run(model="Other")
    attempt = house.evaluator.begin(run)
    with django_capture_on_commit_callbacks(execute=True):
        for report in attempt.story():
            record_report(envelope=report)
    order = Rescoring.objects.get(run=run)
    assert (order.grader, order.asked_by, house.sent()[-1].run) == (STRICT, None, str(run.pk))
    house.attempt = attempt
    record_report(envelope=house.answer(order))
    pair.refresh_from_db()
    assert {row.model for row in publish(pair=pair).ranking()} == {"Model-1", "Other"}


def test_by_command(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rescore_runs", "pair", grader=STRICT, by="keeper")
    record_report(envelope=house.answer(Rescoring.objects.get()))
    call_command("rescore_runs", "pair", show=True)
    call_command("switch_grader", "pair", STRICT, by="keeper")
    asked, shown, switched = capsys.readouterr().out.splitlines()
    assert asked == f"{house.run.pk} {STRICT} asked"
    assert (
        shown.startswith(f"{house.run.pk} {STRICT} done") and "private: right to no_answer" in shown
    )
    assert switched == f"pair: the board is made of {STRICT}"
    for bad in ({"grader": STRICT, "by": "nobody"}, {"grader": "No such", "by": "keeper"}, {}):
        with pytest.raises(CommandError):
            call_command("rescore_runs", "pair", **bad)
    with pytest.raises(CommandError):
        call_command("rescore_runs", "pair", grader=STRICT, by="keeper", run=uuid4())
