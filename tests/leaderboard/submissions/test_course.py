"""Any order of submitting, sending, reporting, losing, cancelling, closing, retracting and retiring is legal.

The invariants are checked after each step. A build without the fence, and one that counts no lost attempt, are found.
"""

from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from evaluator.errors import Code
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.faults import audit
from tests.leaderboard.course import Bell, Course, Work
from tests.planting import Fault, planted

PLACE = st.integers(0, 1000)
MOST_RUNS, MOST_NOTICES = 3, 2
QUICK = settings(
    max_examples=10,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Runs(RuleBasedStateMachine):
    """Runs on one pair. Each example is one transaction, which is rolled back."""

    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        bell.clear()
        self.course = Course.begin(bell)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def run_at(self, place: int) -> Run:
        return self.course.runs[place % len(self.course.runs)]

    def work_at(self, place: int) -> Work:
        return self.course.works[place % len(self.course.works)]

    @initialize(endpoint=st.booleans())
    def begin(self, endpoint: bool) -> None:
        """A run under way, so that few steps lead to much."""
        self.submit(endpoint)
        self.course.take(self.course.sent()[0], self.course.evaluators[0])

    # --- users and maintainers

    @precondition(lambda self: len(self.course.runs) < MOST_RUNS)
    @rule(endpoint=st.booleans())
    def submit(self, endpoint: bool) -> None:
        if self.course.submit(endpoint=endpoint):
            self.course.drain()

    @precondition(lambda self: self.course.runs)
    @rule(place=PLACE)
    def cancel(self, place: int) -> None:
        self.course.cancel(self.run_at(place))

    @precondition(lambda self: self.course.runs)
    @rule(place=PLACE)
    def requeue(self, place: int) -> None:
        self.course.requeue(self.run_at(place))

    @precondition(lambda self: Run.objects.filter(state=RunState.RANKED).exists())
    @rule(place=PLACE)
    def retract(self, place: int) -> None:
        self.course.retract(self.run_at(place))

    @precondition(lambda self: Run.objects.filter(state=RunState.GRADED).exists())
    @rule()
    def close(self) -> None:
        self.course.close()

    @precondition(lambda self: len(self.course.notices) < MOST_NOTICES and self.course.works)
    @rule()
    def retire(self) -> None:
        self.course.retire()

    # --- the site

    @rule()
    def drain(self) -> None:
        self.course.drain()

    @precondition(lambda self: self.course.runs)
    @rule(place=PLACE)
    def lose(self, place: int) -> None:
        self.course.lose(self.run_at(place))

    # --- evaluators

    @precondition(lambda self: self.course.sent())
    @rule(place=PLACE, evaluator=st.integers(0, 1))
    def take(self, place: int, evaluator: int) -> None:
        """The newest job most often; else any, though another evaluator may have it."""
        sent = self.course.sent()
        job = sent[-1 - place % len(sent)]
        taken = {(work.run, work.token) for work in self.course.works}
        if (
            job not in taken
        ):  # a claim on the evaluator's disk, or an answer that the lease is another's
            self.course.take(job, self.course.evaluators[evaluator])

    @precondition(lambda self: self.course.works)
    @rule(place=PLACE, count=st.integers(1, 16))
    def answer(self, place: int, count: int) -> None:
        self.course.answer(self.work_at(place), count)

    @precondition(lambda self: self.course.works)
    @rule(
        place=PLACE,
        code=st.sampled_from(
            [Code.HANDED_BACK, Code.LOST, Code.MISCONFIGURED, Code.ENDPOINT_REJECTED]
        ),
    )
    def fail(self, place: int, code: Code) -> None:
        self.course.give_up(self.work_at(place), code)

    # --- the broker

    @precondition(lambda self: self.course.mail)
    @rule(place=PLACE, times=st.integers(1, 3))
    def deliver(self, place: int, times: int) -> None:
        self.course.deliver(place % len(self.course.mail), times=times)

    @precondition(lambda self: self.course.mail)
    @rule()
    def deliver_all(self) -> None:
        self.course.deliver_all()

    @invariant()
    def holds(self) -> None:
        assert self.course.broken() == {}


@pytest.fixture
def search(db: None, bell: Bell) -> Callable[..., None]:
    """Try many courses, each with its invariants."""
    with connection.cursor() as cursor:
        audit.install(cursor.execute)
    return partial(run_state_machine_as_test, partial(Runs, bell), settings=QUICK)


def test_any_course(search: Callable[..., None]) -> None:
    search()


NO_FENCE: Fault = (
    "leaderboard/submissions/states.py",
    "same_token = token == attempt.token",
    "same_token = True",
)
UNCOUNTED: Fault = (
    "leaderboard/submissions/actions/attempts.py",
    "next_attempt(run, attempts=run.attempts + 1, pause_seconds=pause)",
    "next_attempt(run, attempts=1, pause_seconds=pause)",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "breaks"), [(NO_FENCE, "I4"), (UNCOUNTED, "I7")], ids=["no-fence", "uncounted"]
)
def test_a_broken_build_is_found(search: Callable[..., None], fault: Fault, breaks: str) -> None:
    """It ends with the first course that is not legal, so many more may be tried."""
    with planted(fault), pytest.raises(AssertionError, match=breaks):
        search(settings=settings(QUICK, max_examples=300))
