"""The clock of the database jumps: leases end early or late, and no more than that; a date comes once.

Functions of the same names stand before PostgreSQL's own in the search path and return another time.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from evaluator.ledger.rules import Date, Rule
from leaderboard.benchmarks.models import SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.submissions import actions
from tests.faults import audit
from tests.leaderboard.course import Course
from tests.leaderboard.ruled import FUTURE, make_heir, make_maintainer, make_pair
from tests.planting import Fault, planted

CLOCKS = ("now", "statement_timestamp", "clock_timestamp", "transaction_timestamp")
Jump = Callable[[timedelta], None]


@pytest.fixture
def jump(db: None) -> Jump:
    """Let the database's clock be off by some time, until the test's transaction ends."""

    def by(difference: timedelta) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS jumped")
            for name in CLOCKS:
                cursor.execute(
                    f"CREATE OR REPLACE FUNCTION jumped.{name}() RETURNS timestamptz LANGUAGE sql"
                    f" STABLE AS $$ SELECT pg_catalog.{name}() + interval"
                    f" '{difference.total_seconds()} seconds' $$"
                )
            cursor.execute("SET LOCAL search_path = jumped, pg_catalog, public")

    return by


# --- leases

NO_FENCE: Fault = (
    "leaderboard/submissions/states.py",
    "same_token = token == attempt.token",
    "same_token = True",
)
HOUR = timedelta(hours=1)


def clock_jumps(bell: Any, jump: Jump, difference: timedelta) -> Course:
    """A jump while a run is under way. Its evaluator goes on, until the site answers it otherwise."""
    with connection.cursor() as cursor:
        audit.install(cursor.execute)
    course, run, first = Course.under_way(bell)
    jump(difference)
    actions.reap()
    course.answer(first, 2)
    course.deliver_all()
    run.refresh_from_db()
    work = first
    if run.token > first.token:
        course.drain()
        work = course.take((str(run.pk), run.token), course.evaluators[1])
    course.answer(work, len(work.left))
    course.deliver_all()
    return course


@pytest.mark.parametrize(("difference", "token"), [(HOUR, 2), (-HOUR, 1)], ids=["ahead", "behind"])
def test_d11_a_jump_ends_leases_early_or_late_and_changes_no_outcome(
    bell: Any, jump: Jump, difference: timedelta, token: int
) -> None:
    course = clock_jumps(bell, jump, difference)
    [run] = course.runs
    run.refresh_from_db()
    assert (run.state, run.token) == ("graded", token)
    assert course.broken("I1", "I2", "I3", "I4") == {}


def test_d11_a_build_without_fence_is_noticed(bell: Any, jump: Jump) -> None:
    with planted(NO_FENCE):
        assert "I4" in clock_jumps(bell, jump, HOUR).broken("I4")


# --- the date of a release


def steps(pair: SetPair) -> list[str]:
    found = SetStep.objects.filter(item_set=pair.private).order_by("pk")
    return [step.new for step in found]


def until(moment: str) -> timedelta:
    return datetime.fromisoformat(moment) - datetime.now(UTC)


def test_d11_a_jump_alone_releases_nothing(jump: Jump) -> None:
    """It makes the set releasable. People have to release it, and cannot once the clock is right again."""
    pair, maintainer = make_pair(Rule(any_of=(Date(moment=FUTURE),))), make_maintainer("ada")
    make_heir(pair)
    jump(until(FUTURE) + HOUR)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
    actions.propose(slug="pair", by=maintainer)
    assert actions.follow_rule(slug="pair") is SetState.PROPOSED
    jump(timedelta())
    assert actions.follow_rule(slug="pair") is SetState.SEALED
    pair.private.refresh_from_db()
    assert pair.private.evidence is None


AN_HOUR_EARLY: Fault = (
    "evaluator/ledger/rules.py",
    "met = now >= moment_of(clause.moment)",
    "met = now.timestamp() + 3600 >= moment_of(clause.moment).timestamp()",
)
MOMENTS = {
    "midnight": "2126-02-01T00:00:00Z",
    "summer-time-begins": "2126-03-31T01:00:00Z",
    "summer-time-ends": "2126-10-27T01:00:00Z",
}


def follow_across(jump: Jump, moment: str) -> list[str]:
    """Follow the rule just before and several times after its date; return the steps of the set."""
    pair = make_pair(Rule(any_of=(Date(moment=moment),)))
    jump(until(moment) - timedelta(minutes=1))
    actions.follow_rules()
    assert steps(pair) == []
    for minutes in (1, 61, 1, 24 * 60):
        jump(until(moment) + timedelta(minutes=minutes))
        actions.follow_rules()
    return steps(pair)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host whose own time has a summer time."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=list(MOMENTS))
def test_c03_a_date_comes_once(jump: Jump, moment: str) -> None:
    assert follow_across(jump, moment) == [SetState.RELEASABLE]


def test_c03_a_build_that_is_an_hour_early_is_noticed(jump: Jump) -> None:
    with planted(AN_HOUR_EARLY), pytest.raises(AssertionError):
        follow_across(jump, MOMENTS["midnight"])
