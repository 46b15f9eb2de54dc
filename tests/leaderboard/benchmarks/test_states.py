"""The steps of a release: one table, held by the code and by the database alike."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.benchmarks.states import STEPS, SetState
from leaderboard.state_machine import IllegalStep, check_step
from tests.leaderboard.ruled import make_maintainer, make_pair

WAYS = {
    SetState.SEALED: (),
    SetState.RELEASABLE: (SetState.RELEASABLE,),
    SetState.PROPOSED: (SetState.RELEASABLE, SetState.PROPOSED),
    SetState.RELEASED: (SetState.RELEASABLE, SetState.PROPOSED, SetState.RELEASED),
}
EDGES = [(old, new) for old in SetState for new in SetState]
LEGAL = {
    "sealed → releasable", "releasable → sealed", "releasable → proposed", "proposed → releasable", "proposed → sealed",
    "proposed → released",
}  # fmt: skip


def name(edge: tuple[SetState, SetState]) -> str:
    return " → ".join(edge)


def put(pair: SetPair, state: SetState) -> None:
    """Write the state as SQL that knows nothing of the table of steps; the evidence is what the state asks for."""
    frozen = state in (SetState.PROPOSED, SetState.RELEASED)
    by = pair.private.proposed_by_id or make_maintainer(f"maintainer-{pair.pk}").pk
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE benchmarks_itemset SET state = %s, evidence = %s, proposed_by_id = %s WHERE id = %s",
            [state.value, "{}" if frozen else None, by if frozen else None, pair.private_id],
        )
    pair.refresh_from_db()


def walk(state: SetState) -> SetPair:
    pair = make_pair()
    for step in WAYS[state]:
        put(pair, step)
    return pair


def test_the_table_has_these_steps_and_no_others() -> None:
    assert {name(edge) for edge in STEPS} == LEGAL
    assert not [new for old, new in STEPS if old is SetState.RELEASED], "released is never left"
    assert {step.by for (_, new), step in STEPS.items() if new is SetState.RELEASED} == {
        "another maintainer"
    }


@pytest.mark.parametrize("edge", EDGES, ids=name)
def test_an_edge_in_the_code(edge: tuple[SetState, SetState]) -> None:
    if name(edge) in LEGAL:
        check_step(STEPS, *edge)
    else:
        with pytest.raises(IllegalStep, match=name(edge)):
            check_step(STEPS, *edge)


@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge[0] is not edge[1]], ids=name)
def test_an_edge_in_the_database(db: None, edge: tuple[SetState, SetState]) -> None:
    old, new = edge
    pair = walk(old)
    if name(edge) in LEGAL:
        put(pair, new)
    else:
        assert_refused(pair, new, f"no step from {old} to {new}")
    assert pair.state == (new if name(edge) in LEGAL else old)


def assert_refused(pair: SetPair, new: SetState, message: str) -> None:
    """The database refuses, in the words of the trigger and not of some other check."""
    with pytest.raises(IntegrityError) as refused:
        put(pair, new)
    cause: Any = refused.value.__cause__
    assert (cause.sqlstate, cause.diag.message_primary) == ("23514", message)
    pair.refresh_from_db()


@pytest.mark.parametrize("state", SetState)
def test_what_stays_as_it_is_takes_no_step(db: None, state: SetState) -> None:
    pair = walk(state)
    ItemSet.objects.filter(pk=pair.private_id).update(version=7, state=state)
    pair.refresh_from_db()
    assert (pair.state, pair.private.version) == (state, 7)


def test_it_is_the_trigger_that_holds_the_steps(db: None) -> None:
    pair = walk(SetState.RELEASED)
    assert_refused(pair, SetState.SEALED, "no step from released to sealed")
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER item_set_hold_steps ON benchmarks_itemset")
    put(pair, SetState.SEALED)
    assert pair.state == SetState.SEALED


@pytest.mark.parametrize("state", SetState)
def test_a_set_begins_sealed(db: None, state: SetState) -> None:
    facts: dict[str, Any] = {
        "name": "new",
        "sealed": True,
        "n": 9,
        "digest": "a" * 64,
        "state": state,
    }
    if state in (SetState.PROPOSED, SetState.RELEASED):
        facts |= {"evidence": {}, "proposed_by": make_maintainer("ada")}
    if state is SetState.SEALED:
        assert ItemSet.objects.create(**facts).state == state
        return
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        ItemSet.objects.create(**facts)
    cause: Any = refused.value.__cause__
    assert (cause.sqlstate, cause.diag.message_primary) == ("23514", "a set begins sealed")
    assert not ItemSet.objects.exists()


@pytest.mark.parametrize("state", SetState)
def test_a_second_pair_has_the_state_of_its_set_and_none_is_begun_over_a_released_one(
    db: None, state: SetState
) -> None:
    old = walk(state)
    facts: dict[str, Any] = {
        "slug": "new",
        "title": "New",
        "public": old.public,
        "private": old.private,
    }
    facts |= {"protocol": "demo-0shot", "grader": "numeric-1"}
    if state is not SetState.RELEASED:
        assert SetPair.objects.create(**facts).state == state
        return
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        SetPair.objects.create(**facts)
    cause: Any = refused.value.__cause__
    assert (cause.sqlstate, cause.diag.message_primary) == (
        "23514",
        "no new pair over a released set",
    )


def test_a_public_set_is_never_on_its_way_to_release(db: None) -> None:
    pair = make_pair()
    with (
        pytest.raises(IntegrityError, match="item_set_is_released_only_if_sealed"),
        transaction.atomic(),
    ):
        ItemSet.objects.filter(pk=pair.public_id).update(state="releasable")


@pytest.mark.parametrize("state", ["", "Sealed", "withdrawn"])
def test_no_other_state_is_known(db: None, state: str) -> None:
    pair = make_pair()
    with pytest.raises(IntegrityError), transaction.atomic():
        ItemSet.objects.filter(pk=pair.private_id).update(state=state)


@pytest.mark.parametrize("state", SetState)
def test_evidence_is_frozen_exactly_where_it_is_signed(db: None, state: SetState) -> None:
    pair = walk(state)
    frozen = state in (SetState.PROPOSED, SetState.RELEASED)
    wrong: dict[str, Any] = {"evidence": None} if frozen else {"evidence": {}}
    with (
        pytest.raises(IntegrityError, match="item_set_is_proposed_over_evidence"),
        transaction.atomic(),
    ):
        ItemSet.objects.filter(pk=pair.private_id).update(**wrong)
