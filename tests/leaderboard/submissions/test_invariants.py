"""The invariants of the fault matrix hold on this build, and each is broken by a build that is broken on purpose.

Identifiers of builds are those of the fault matrix. What needs a whole fleet is in ``tests/faults``.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from evaluator.contract import Graded, Outcome, SetCounts
from evaluator.errors import Code
from leaderboard.submissions import actions, tasks
from leaderboard.submissions.actions import queue
from leaderboard.submissions.actions.fair_order import FairOrder
from leaderboard.submissions.models import Outbox, seconds_from_now
from tests.faults import audit
from tests.faults.invariants import Facts, Received, broken
from tests.leaderboard.course import Course, select
from tests.planting import Fault, planted


def begin(bell: Any) -> Course:
    with connection.cursor() as cursor:
        audit.install(cursor.execute)
    return Course.begin(bell)


@pytest.fixture
def course(db: None, bell: Any) -> Course:
    return begin(bell)


@pytest.mark.parametrize("endpoint", [True, False], ids=["endpoint", "weights"])
def test_an_undisturbed_run(course: Course, endpoint: bool) -> None:
    run = course.submit(endpoint=endpoint)
    course.undisturbed(run)
    run.refresh_from_db()
    assert run.state == "graded"
    assert course.broken() == {}
    course.close()
    run.refresh_from_db()
    assert run.state == "ranked"
    assert course.broken() == {}


# --- what happens to a run


def comes_back_late(course: Course) -> None:
    """An evaluator answers under a token that was replaced."""
    run = course.submit()
    course.drain()
    work = course.take(course.sent()[0], course.evaluators[0])
    course.answer(work, 4)
    course.deliver_all()
    course.lose(run)
    course.answer(work, 4)
    course.deliver_all()


def comes_twice(course: Course) -> None:
    """Each report is delivered three times."""
    course.submit()
    course.drain()
    work = course.take(course.sent()[0], course.evaluators[0])
    course.answer(work, len(work.left))
    while course.mail:
        course.deliver(times=3)


def is_under_way(course: Course) -> None:
    course.submit()
    course.drain()
    course.answer(course.take(course.sent()[0], course.evaluators[0]), 4)
    course.deliver_all()


def lost_on_the_way(course: Course) -> None:
    """A run is lost when some of its items are answered."""
    is_under_way(course)
    course.lose(course.runs[0])


def ends_before_its_outcomes(course: Course) -> None:
    """The report of the end overtakes the last outcome."""
    course.submit(endpoint=False)
    course.drain()
    work = course.take(course.sent()[0], course.evaluators[0])
    course.answer(work, len(work.left))
    course.deliver()
    course.deliver(len(course.mail) - 1)
    while len(course.mail) > 1:
        course.deliver()


def one_item_fails(course: Course) -> None:
    """An item has no outcome that counts, and the evaluator claims to have finished."""
    course.submit()
    course.drain()
    work = course.take(course.sent()[0], course.evaluators[0])
    [*items, (name, last)] = work.left
    course.answer(work, len(items))
    work.finished = True
    course.show(work, [(name, last)])
    failed = Graded(set=name, outcomes=((last, Outcome.NOT_COUNTED),))
    course.mail.append(work.attempt.report(failed))
    claims = []
    for claim in work.attempt.counts():
        counts = claim.to_dict()
        if claim.name == name:
            counts[outcome_of(name, last)] -= 1
            counts["not_counted"] += 1
        claims.append(SetCounts.from_dict(counts))
    course.mail.append(work.attempt.finished(tuple(claims)))
    course.deliver_all()


def outcome_of(name: str, item: int) -> str:
    from tests.leaderboard.conftest import truth

    return truth(name, item).name.lower()


def is_sent(course: Course) -> None:
    course.submit()
    course.drain()


def whole(course: Course) -> None:
    course.undisturbed(course.submit())


def is_closed(course: Course) -> None:
    whole(course)
    course.close()


def fails_by_our_fault(course: Course) -> None:
    course.submit()
    course.drain()
    work = course.take(course.sent()[0], course.evaluators[0])
    course.give_up(work, Code.MISCONFIGURED)
    course.deliver_all()


def is_cancelled_when_it_is_graded(course: Course) -> None:
    run = course.submit()
    course.undisturbed(run)
    course.cancel(run)


# --- builds that are broken on purpose


@dataclass(frozen=True)
class Build:
    """Faults of a build, what happens on it, and the invariant that has to be broken by that."""

    id: str
    breaks: str
    scenario: Callable[[Course], None]
    faults: Sequence[Fault]
    sql: str = ""
    """What is changed in the database as well."""


BUILDS = [
    Build(
        "M1-no-fence",
        "I4",
        comes_back_late,
        [
            (
                "leaderboard/submissions/states.py",
                "same_token = token == attempt.token",
                "same_token = True",
            )
        ],
    ),
    Build(
        "M2-no-unique-key",
        "I2",
        comes_twice,
        [],
        "ALTER TABLE submissions_receipt DROP CONSTRAINT receipt_once",
    ),
    Build(
        "M4-lease-by-another-clock",
        "I7",
        is_under_way,
        [
            (
                "leaderboard/submissions/models/runs.py",
                "return seconds_from_now(settings.LEASE_SECONDS)",
                "return datetime.now().astimezone()"
                " + timedelta(hours=1, seconds=settings.LEASE_SECONDS)",
            )
        ],
    ),
    Build(
        "M6-never-sent-again",
        "I11",
        is_sent,
        [
            (
                "leaderboard/submissions/actions/queue.py",
                "again = seconds_from_now(settings.REDISPATCH_SECONDS + SLACK_SECONDS)",
                "again = seconds_from_now(1e6)",
            )
        ],
    ),
    Build(
        "M7-graded-one-item-early",
        "I1",
        ends_before_its_outcomes,
        [
            (
                "leaderboard/submissions/actions/recording.py",
                "if not row.is_complete or claims[name] != row.counts_without(closed):",
                "if row.counted < row.n - 1:",
            )
        ],
    ),
    Build(
        "M8-errors-skipped",
        "I1",
        one_item_fails,
        [
            (
                "leaderboard/submissions/models/outcomes.py",
                "return self.counted == self.n",
                "return self.counted + self.not_counted == self.n",
            ),
            (
                "leaderboard/submissions/actions/finishing.py",
                "or counts.closed > counts.n or counts.not_counted:",
                "or counts.closed > counts.n:",
            ),
        ],
    ),
    Build(
        "M9-asked-again",
        "I2",
        lost_on_the_way,
        [
            (
                "leaderboard/submissions/dispatch.py",
                "items = row.assigned() if everything else row.open()",
                "items = row.assigned()",
            )
        ],
    ),
    Build(
        "M10-sent-without-a-mark",
        "I11",
        is_sent,
        [
            (
                "leaderboard/submissions/actions/queue.py",
                "Outbox.objects.filter(pk__in=handled).update(due=again)",
                "pass",
            )
        ],
    ),
    Build(
        "M11-attempts-start-anew",
        "I7",
        lost_on_the_way,
        [
            (
                "leaderboard/submissions/actions/attempts.py",
                "next_attempt(run, attempts=run.attempts + 1, pause_seconds=pause)",
                "next_attempt(run, attempts=1, pause_seconds=pause)",
            )
        ],
    ),
    Build(
        "M12-matched-by-position",
        "I3",
        whole,
        [
            (
                "leaderboard/submissions/models/outcomes.py",
                "            packed[index] = outcome\n",
                "            packed[len(pairs) - 1 - place] = outcome\n",
            )
        ],
    ),
    Build(
        "M13-local-items-for-endpoints",
        "I5",
        whole,
        [
            (
                "leaderboard/submissions/item_selection.py",
                "permitted = policy.blocks(tier, manifest, season=pair.season, stage=stage)",
                'permitted = manifest.block_ids(("exposed", "local"))',
            )
        ],
    ),
    Build(
        "M14-on-the-board-before-it-is-ranked",
        "I12",
        is_closed,
        [
            (
                "leaderboard/board/actions.py",
                "    submissions.mark_ranked(run_ids=graded)\n",
                "    rebuild(pair=pair)\n    submissions.mark_ranked(run_ids=graded)\n",
            ),
            (
                "leaderboard/evidence/model_runs.py",
                "filter(verdicts__isnull=False, state=RunState.RANKED)",
                "filter(verdicts__isnull=False)",
            ),
        ],
    ),
    Build(
        "I8-no-refund",
        "I8",
        fails_by_our_fault,
        [
            (
                "leaderboard/submissions/actions/attempts.py",
                "        refund(run, QuotaEntry.Reason.OUR_FAULT)",
                "        pass",
            )
        ],
    ),
    Build(
        "I13-any-step",
        "I13",
        is_cancelled_when_it_is_graded,
        [
            ("leaderboard/state_machine.py", "if (old, new) not in steps:", "if False:"),
            (
                "leaderboard/submissions/models/runs.py",
                "return self.state in CANCELLABLE",
                "return True",
            ),
        ],
    ),
]


@pytest.mark.parametrize("build", BUILDS, ids=[build.id for build in BUILDS])
def test_a_broken_build_is_caught(course: Course, build: Build) -> None:
    if build.sql:
        execute(build.sql)
    with planted(*build.faults):
        build.scenario(course)
    assert build.breaks in course.broken()


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(sql)


SCENARIOS = list(dict.fromkeys(build.scenario for build in BUILDS))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[one.__name__ for one in SCENARIOS])
def test_this_build_holds(course: Course, scenario: Callable[[Course], None]) -> None:
    scenario(course)
    assert course.broken() == {}


# --- a program whose clock is wrong

BY_ITS_OWN_CLOCK: Fault = (
    "leaderboard/submissions/models/runs.py",
    "return seconds_from_now(settings.LEASE_SECONDS)",
    "import django.utils.timezone as clock;"
    " return clock.now() + timedelta(seconds=settings.LEASE_SECONDS)",
)


def keeps_its_lease_whatever_the_clock(course: Course) -> None:
    """A report renews the lease of its run by the clock of the database alone.

    What the page of a run shows, as the time of a grant, is by the clock of the program.
    """
    is_under_way(course)
    assert actions.reap() == 0
    assert course.broken("I1", "I4", "I7", "I11", "I13") == {}


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("faults", [[], [BY_ITS_OWN_CLOCK]], ids=["this-build", "by-its-own-clock"])
def test_w15_a_clock_that_is_off_by_an_hour(
    course: Course, monkeypatch: pytest.MonkeyPatch, hours: int, faults: list[Fault]
) -> None:
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(hours=hours))
    with planted(*faults):
        if faults:
            with pytest.raises(AssertionError):
                keeps_its_lease_whatever_the_clock(course)
        else:
            keeps_its_lease_whatever_the_clock(course)


# --- two housekeepers at once


def side_by_side(*calls: Callable[[], object]) -> None:
    """Call each in a thread, with a connection of its own."""

    def alone(call: Callable[[], object]) -> None:
        try:
            call()
        finally:
            connection.close()

    threads = [threading.Thread(target=alone, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


UNLOCKED: Fault = (
    "leaderboard/submissions/actions/queue.py",
    'unlocked = due.select_for_update(of=("self",), skip_locked=True)',
    "unlocked = due",
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("faults", [[], [UNLOCKED]], ids=["this-build", "M3-no-lock"])
def test_two_drains_at_once(
    bell: Any, monkeypatch: pytest.MonkeyPatch, faults: list[Fault]
) -> None:
    """Both have read which attempts are due before either has claimed them.

    They meet once more with the rows that each of them may claim: without the lock both have them.
    """
    course = begin(bell)
    course.submit()
    bell.clear()
    Outbox.objects.update(due=seconds_from_now(-1), sent_at=None)
    met, first, needs_of = threading.Barrier(2), FairOrder.first, queue.needs_of

    def together(self: FairOrder, limit: int) -> Any:
        found = first(self, limit)
        met.wait(30)
        return found

    def with_rows(rows: Any) -> Any:
        met.wait(30)
        return needs_of(rows)

    monkeypatch.setattr(FairOrder, "first", together)
    monkeypatch.setattr(queue, "needs_of", with_rows)

    with planted(*faults):
        side_by_side(course.drain, course.drain)
    try:
        assert len(course.sent()) == 1 + len(faults)
        assert ("I11" in course.broken()) is bool(faults)
    finally:
        execute(audit.REMOVE)


# --- races, and a commit whose outcome is unknown


@pytest.fixture
def committed(transactional_db: None, bell: Any) -> Iterator[Course]:
    """A course whose transactions are real ones."""
    yield begin(bell)
    execute(audit.REMOVE)


@pytest.mark.parametrize("number", range(6))
def test_x03_cancelled_while_the_last_outcome_is_recorded(committed: Course, number: int) -> None:
    """One of both wins, and what follows is legal."""
    run = committed.submit()
    assert run is not None
    committed.drain()
    work = committed.take(committed.sent()[0], committed.evaluators[0])
    committed.answer(work, len(work.left))
    while len(committed.mail) > 2:
        committed.deliver()
    won: list[bool] = []
    met = threading.Barrier(2)

    def cancel() -> None:
        met.wait(30)
        won.append(committed.cancel(run))

    def finish() -> None:
        met.wait(30)
        committed.deliver_all()

    side_by_side(cancel, finish)
    run.refresh_from_db()
    assert run.state == ("cancelled" if won == [True] else "graded")
    assert committed.broken() == {}


def test_d04_a_commit_whose_outcome_is_unknown_is_repeated_once(
    committed: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends after PostgreSQL has committed: the task tries again, and finds its receipt."""
    committed.submit()
    committed.drain()
    work = committed.take(committed.sent()[0], committed.evaluators[0])
    committed.answer(work, len(work.left))
    plain, cut = actions.record_report, {"times": 0}

    def record(*, envelope: object) -> Any:
        disposition = plain(envelope=envelope)
        cut["times"] += 1
        if cut["times"] % 2:
            raise OperationalError("the connection is cut")
        return disposition

    monkeypatch.setattr(tasks.actions, "record_report", record)
    for report in committed.mail:
        tasks.patiently(
            lambda sent=report: tasks.actions.record_report(envelope=sent), sleep=lambda _: None
        )
    committed.runs[0].refresh_from_db()
    assert (committed.runs[0].state, cut["times"]) == ("graded", 2 * len(committed.mail))
    assert committed.broken() == {}


# --- checks of facts that only a fleet has


def exposure(*, moment: str) -> dict[str, Any]:
    about = {"kind": "exposure", "run": "r", "token": 1, "set": "private", "tier": "T0"}
    return about | {"items": "Ag==", "moment": moment}


@pytest.mark.parametrize(
    ("breaks", "facts"),
    [
        ("I6", {"received": [Received(1, "2026-01-01T00:00:01Z")]}),
        ("I6", {"received": [Received(2, "2026-01-01T00:00:03Z")]}),
        ("I9", {"verified": "chain_broken"}),
        ("I10", {"leaks": ["a log"]}),
        ("I12", {"polled": [frozenset({("r", 1, 2)})]}),
        ("I14", {"left_over": ["a process"]}),
        ("I3", {"truth": {}, "boards": (b"a", [b"a", b"b"])}),
    ],
    ids=["I6-too-early", "I6-never", "I9", "I10", "I12", "I14", "I3"],
)
def test_facts_of_a_fleet(course: Course, breaks: str, facts: dict[str, Any]) -> None:
    journal = [exposure(moment="2026-01-01T00:00:02Z")]
    assert broken(Facts(query=select, journal=journal, **facts), breaks)


@pytest.mark.parametrize("check", ["I3", "I6", "I9", "I10", "I14"])
def test_a_check_without_its_facts_is_an_error(course: Course, check: str) -> None:
    with pytest.raises(ValueError, match="lacks"):
        broken(Facts(query=select), check)
