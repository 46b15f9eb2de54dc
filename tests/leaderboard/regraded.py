"""A graded run whose answers are graded again: what is asked, and what the evaluator could say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evaluator.contract import NotRescored, Outcome, Rescored, RescoredSet, RescoreOrder
from evaluator.errors import Code
from leaderboard.submissions import actions
from leaderboard.submissions.models import Rescoring
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeAttempt, FakeEvaluator, truth

STRICT = "lm-eval-strict-3"
DIGEST = "d1" * 32


def harsher(name: str, index: int) -> Outcome:
    """What the other grader makes of an answer: nothing of every third right one."""
    outcome = truth(name, index)
    return Outcome.NO_ANSWER if outcome is Outcome.RIGHT and index % 3 == 0 else outcome


@dataclass
class House:
    """A graded run, who holds its answers, and what was rung."""

    run: Any
    evaluator: FakeEvaluator
    attempt: FakeAttempt
    keeper: Any
    bell: Any
    commit: Callable[..., Any]

    def ask(self, grader: str = STRICT, **about: Any) -> Rescoring:
        with self.commit(execute=True):
            return actions.ask_again(run=self.run.pk, grader=grader, by=self.keeper, **about)

    def sent(self) -> list[RescoreOrder]:
        return [
            RescoreOrder.from_dict(args[0])
            for name, args, _ in self.bell
            if name == "holdfast.rescore"
        ]

    def answer(self, asked: Rescoring, **changes: Any) -> dict[str, Any]:
        sets = tuple(
            RescoredSet(
                name=name, outcomes=tuple((i, truth(name, i), harsher(name, i)) for i in range(n))
            )
            for name, n in (("public", PUBLIC_N), ("private", PRIVATE_N))
        )
        fields = {
            "order": asked.pk,
            "grader": STRICT,
            "grader_digest": DIGEST,
            "sets": sets,
        } | changes
        return FakeAttempt(self.evaluator, self.attempt.spec).report(Rescored(**fields))

    def refuse(self, order: Rescoring, code: Code) -> dict[str, Any]:
        body = NotRescored(order=order.pk, code=code)
        return FakeAttempt(self.evaluator, self.attempt.spec).report(body)
