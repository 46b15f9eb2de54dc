"""Runs of a pair on the real database, driven step by step, with messages that wait, repeat and overtake."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from evaluator.contract import EVALUATE_TASK, Exposure, pack_bits
from evaluator.errors import Code, EvaluatorError
from leaderboard.accounts.models import User
from leaderboard.benchmarks.actions import post_notices
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.actions import close_cohort
from leaderboard.errors import SiteError
from leaderboard.ledger.actions import list_endpoint
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Outbox, Run, seconds_from_now
from tests.faults import invariants
from tests.faults.invariants import OF_THE_DATABASE, Facts
from tests.leaderboard import ruled
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeAttempt, FakeEvaluator, truth

ENDPOINT = {"url": "https://api.example.com/v1", "model": "org/m-1", "api": "chat"}
HOST = "api.example.com:443"
TRUTH = {
    name: bytes(truth(name, item) for item in range(n))
    for name, n in (("public", PUBLIC_N), ("private", PRIVATE_N))
}

Bell = list[tuple[str, list[Any], dict[str, Any]]]


def select(sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return rows of the test's database, as its transaction sees them."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


@dataclass
class Work:
    """One attempt of an evaluator, and the items that it has not answered yet."""

    attempt: FakeAttempt
    left: list[tuple[str, int]]
    tier: str
    finished: bool = False

    @property
    def run(self) -> str:
        return str(self.attempt.spec["run"])

    @property
    def token(self) -> int:
        return int(self.attempt.spec["token"])


@dataclass
class Course:
    """Runs, attempts, and the reports that are on their way. ``bell`` is what was sent to evaluators."""

    pair: SetPair
    user: User
    bell: Bell
    evaluators: Sequence[FakeEvaluator] = ()
    runs: list[Run] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    mail: list[dict[str, Any]] = field(default_factory=list)
    lines: list[Exposure] = field(default_factory=list)
    """Lines of the evaluators' journals, in the order in which they were written."""
    notices: list[Any] = field(default_factory=list)

    @classmethod
    def begin(cls, bell: Bell) -> "Course":
        """A pair, two evaluators, a listed endpoint and its owner."""
        from leaderboard.accounts.actions import sign_up

        user = sign_up(username=f"u{uuid.uuid4().hex[:8]}", password=None, organisation="Lab")
        evaluators = [FakeEvaluator(name=name) for name in ("evaluator-1", "evaluator-2")]
        course = cls(ruled.make_pair(), user, bell, evaluators)
        for evaluator in evaluators:
            evaluator.register()
        list_endpoint(**ENDPOINT)
        return course

    @classmethod
    def under_way(cls, bell: Bell) -> tuple["Course", Run, Work]:
        """One run, of which the first evaluator has reported eight answers."""
        course = cls.begin(bell)
        run = course.submit()
        assert run is not None
        course.drain()
        work = course.take(course.sent()[0], course.evaluators[0])
        course.answer(work, 8)
        course.deliver_all()
        return course, run, work

    # --- users and maintainers

    def submit(self, *, endpoint: bool = True) -> Run | None:
        """Submit a model; None where it is not admitted, as when all blocks are retired."""
        name = f"Model-{len(self.runs)}"
        about: dict[str, Any] = {"kind": "checkpoint", "checkpoint": f"honest-{len(self.runs)}"}
        if endpoint:
            about = {"kind": "endpoint", "url": ENDPOINT["url"], "api": "chat"}
            about["served_model"] = ENDPOINT["model"]
        ask = Ask(pair="pair", model=name, **about)
        key = uuid.uuid4().hex
        if not accepted(lambda: actions.submit(user=self.user, key=key, ask=ask)):
            return None
        self.runs.append(Run.objects.get(submission__idempotency_key=key))
        return self.runs[-1]

    def cancel(self, run: Run) -> bool:
        return accepted(lambda: actions.cancel(run=run.pk))

    def requeue(self, run: Run) -> bool:
        return accepted(lambda: actions.requeue(run=run.pk))

    def retract(self, run: Run) -> None:
        ruled.retract(run.pk)

    def close(self) -> None:
        close_cohort(pair=self.pair)

    def retire(self) -> None:
        """A maintainer retires the next block."""
        about = {"kind": "retire_block", "block": len(self.notices), "reason": "leaked"}
        self.notices.append(ruled.notice(self.pair.private, self.notices, **about))
        post_notices(data=[one.to_dict() for one in self.notices])

    # --- the queue

    def drain(self) -> int:
        return actions.drain_outbox()

    def sent(self) -> list[tuple[str, int]]:
        """Run and token of each job that was sent, oldest first."""
        jobs = [args[0] for name, args, _ in self.bell if name == EVALUATE_TASK]
        return [(job["run"], job["token"]) for job in jobs]

    def lose(self, run: Run) -> int:
        """Let the lease of a run end, and the reaper come."""
        live = Run.objects.filter(pk=run.pk, lease_expires__isnull=False)
        live.update(lease_expires=seconds_from_now(-1))
        return actions.reap()

    # --- evaluators

    def take(self, sent: tuple[str, int], evaluator: FakeEvaluator) -> Work:
        """An evaluator takes a job that was sent, though another one may have it too."""
        run, token = sent
        attempt = FakeAttempt(evaluator, Outbox.objects.get(run=run, token=token).payload)
        tier = attempt.spec["tier"]
        work = Work(attempt, attempt.open_items(), tier)
        self.works.append(work)
        self.mail.append(attempt.started())
        return work

    def answer(self, work: Work, count: int) -> None:
        """An attempt shows its next items, has answers, and reports both."""
        items, work.left = work.left[:count], work.left[count:]
        self.show(work, items)
        self.mail.extend(work.attempt.graded(items))
        if not work.left and not work.finished:
            work.finished = True
            self.mail.append(work.attempt.finished())

    def show(self, work: Work, items: Sequence[tuple[str, int]]) -> None:
        """An evaluator journals the sealed ones of these items, and reports that."""
        sealed = [item for name, item in items if name == "private"]
        if sealed:
            about = {"run": work.run, "token": work.token, "tier": work.tier}
            about["root"] = self.pair.private.digest
            about["recipient"] = "jail" if work.tier == "T0" else HOST
            about |= {"items": pack_bits(sealed, PRIVATE_N), "count": len(sealed)}
            line = work.attempt.evaluator.expose(**about)
            self.lines.append(line)
            self.mail.append(work.attempt.exposed(line))

    def give_up(self, work: Work, code: Code) -> None:
        self.mail.append(work.attempt.failed(code))

    def deliver(self, place: int = 0, *, times: int = 1) -> None:
        """Record one of the reports that wait."""
        report = self.mail.pop(place)
        for _ in range(times):
            accepted(lambda: actions.record_report(envelope=report))

    def deliver_all(self) -> None:
        while self.mail:
            self.deliver()

    def undisturbed(self, run: Run) -> Work:
        """A run from its queue to its grade, with nothing in between."""
        self.drain()
        run.refresh_from_db()
        work = self.take((str(run.pk), run.token), self.evaluators[0])
        self.answer(work, len(work.left))
        self.deliver_all()
        return work

    # --- what must hold

    def facts(self) -> Facts:
        journal = [line.to_dict() for line in self.lines]
        return Facts(query=select, journal=journal, truth=TRUTH, sent=self.sent())

    def broken(self, *ids: str) -> dict[str, list[str]]:
        """What breaks the invariants, by default all that the database decides."""
        return invariants.broken(self.facts(), *(ids or (*OF_THE_DATABASE, "I3", "I5")))


def accepted(act: Callable[[], object]) -> bool:
    """Return True where the site does it, False where it refuses."""
    try:
        act()
    except (SiteError, EvaluatorError):
        return False
    return True
