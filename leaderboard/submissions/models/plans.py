"""Plans of adaptive runs, and how far each has come."""

from typing import Any

from django.db import models

from evaluator.contract import AdaptiveStep, Easiness, Plan
from leaderboard.benchmarks.models import HEX32
from leaderboard.submissions.models.runs import Run


class RunPlan(models.Model):
    """Plan of an adaptive run, stored with the run and never changed.

    - ``body`` is the public ``contract.Plan``, ``digest`` the name of it in grants and logs.
    - ``easiness`` is the ``contract.Easiness``: counts by item, never shown.
    - ``look`` is the part that the current attempt carries out: 0 for the public items.
    - ``right`` is the number of right public answers, once all are there.
    - ``result`` is the result of the test, once the run has ended: see ``evidence.adaptive``.
    """

    run = models.OneToOneField(
        Run,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="plan",
    )
    body: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    digest = models.CharField(max_length=64)
    easiness: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    look = models.PositiveSmallIntegerField(default=0)
    right = models.PositiveIntegerField(null=True)
    result: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(digest__regex=HEX32),
                name="run_plan_digest_is_sha256",
            ),
            models.CheckConstraint(
                condition=models.Q(look=0) | models.Q(right__isnull=False),
                name="run_plan_looks_after_public_answers",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: look {self.look}"

    @classmethod
    def of_run(cls, run: Run) -> "RunPlan | None":
        """Return the plan of a run; None where it is asked its whole item selection."""
        return cls.objects.filter(run=run).first()

    def facts(self) -> Plan:
        """Return the public plan."""
        return Plan.from_dict(self.body)

    def step(self) -> AdaptiveStep:
        """Return the part that the current attempt carries out, as its job has it."""
        return AdaptiveStep(
            plan=self.facts(),
            easiness=Easiness.from_dict(self.easiness),
            right=self.right or 0,
            look=self.look,
        )

    @property
    def asked(self) -> int:
        """Number of sealed items that were granted so far."""
        return self.looks[self.look - 1] if self.look else 0

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of sealed items after which the test is made."""
        return self.facts().looks


def plan_facts(run: Run) -> dict[str, Any] | None:
    """Return what is published of the plan of a run; None where it has none."""
    plan = RunPlan.of_run(run)
    if plan is None:
        return None
    return {
        "digest": plan.digest,
        "plan": plan.body,
        "look": plan.look,
        "asked": plan.asked,
    }
