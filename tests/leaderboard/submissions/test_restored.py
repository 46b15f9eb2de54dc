"""A database that is restored from an older copy while evaluators go on with later attempts.

The copy is a savepoint: what the site has recorded since is gone, and the evaluators' journals, their work and
their reports on the way are not.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from leaderboard.ledger.models import Entry
from tests.faults import audit
from tests.leaderboard.conftest import PUBLIC_N
from tests.leaderboard.course import Course
from tests.planting import Fault, planted

ONE_MORE: Fault = (
    "leaderboard/submissions/actions/attempts.py",
    "return max(run.token, newest) + 1",
    "return run.token + 1",
)
NO_FENCE: Fault = (
    "leaderboard/submissions/states.py",
    "same_token = token == attempt.token",
    "same_token = True",
)


@pytest.fixture
def course(db: None, bell: Any) -> Course:
    with connection.cursor() as cursor:
        audit.install(cursor.execute)
    return Course.begin(bell)


@contextlib.contextmanager
def lost() -> Iterator[None]:
    """Forget at the end of the block what the database has recorded in it."""
    copy = transaction.savepoint()
    yield
    transaction.savepoint_rollback(copy)


def restored_to_the_first_attempt(course: Course) -> None:
    """The copy knows the first attempt. The second goes on after the restoration, alongside the next one."""
    run = course.submit()
    assert run is not None
    course.drain()
    first = course.take(course.sent()[0], course.evaluators[0])
    course.answer(first, PUBLIC_N + 1)
    course.deliver_all()
    with lost():
        course.lose(run)
        course.drain()
        run.refresh_from_db()
        second = course.take((str(run.pk), run.token), course.evaluators[1])
        course.answer(second, 1)
        course.deliver_all()
    course.bell.clear()
    resend_logs(course)
    course.answer(second, 1)
    course.deliver_all()
    course.lose(run)
    course.drain()
    course.answer(second, 1)
    course.deliver_all()
    run.refresh_from_db()
    third = course.take((str(run.pk), run.token), course.evaluators[0])
    course.answer(third, 3)
    course.answer(second, len(second.left))
    course.deliver_all()
    course.answer(third, len(third.left))
    course.deliver_all()


def resend_logs(course: Course) -> None:
    """Each evaluator ships its log anew, as the site asks it every minute."""
    for line in course.lines:
        work = next(work for work in course.works if work.attempt.evaluator.name == line.evaluator)
        course.mail.append(work.attempt.exposed(line))
    course.deliver_all()


def test_d10_a_later_attempt_changes_nothing_and_its_token_is_not_used_again(
    course: Course,
) -> None:
    restored_to_the_first_attempt(course)
    [run] = course.runs
    run.refresh_from_db()
    assert (run.state, run.token, course.works[-1].token) == ("graded", 3, 3)
    assert run.stale_reports > 0
    tokens = {line["token"] for line in Entry.objects.values_list("line", flat=True)}
    assert tokens == {1, 2, 3}, "what was shown is on record again"
    assert course.broken() == {}


@pytest.mark.parametrize(
    ("fault", "breaks"),
    [(ONE_MORE, "I11"), (NO_FENCE, "I4")],
    ids=["token-used-again", "no-fence"],
)
def test_d10_a_build_that_mixes_attempts_is_noticed(
    course: Course, fault: Fault, breaks: str
) -> None:
    with planted(fault):
        restored_to_the_first_attempt(course)
    assert breaks in course.broken()


def test_d10_a_run_that_the_copy_lacks_is_refused_and_what_it_showed_is_on_record(
    course: Course,
) -> None:
    with lost():
        course.submit()
        course.drain()
        work = course.take(course.sent()[0], course.evaluators[0])
    course.answer(work, len(work.left))
    course.deliver_all()
    assert Entry.objects.filter(run=work.run, kind="exposure").exists()
    course.runs.clear()
    assert course.broken() == {}


def test_d10_the_token_of_a_line_that_is_too_far_away_is_not_believed(course: Course) -> None:
    run = course.submit()
    assert run is not None
    course.drain()
    work = course.take(course.sent()[0], course.evaluators[0])
    line = work.attempt.evaluator.expose(run=work.run, token=2**31 - 1)
    course.mail.append(work.attempt.exposed(line))
    course.deliver_all()
    course.lose(run)
    run.refresh_from_db()
    assert run.token == 2
