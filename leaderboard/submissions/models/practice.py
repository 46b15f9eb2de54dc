"""Practice runs: their result, and what their model was asked and answered, for a time.

Both sets of a practice pair are public, and a trigger refuses rows about a sealed one.
"""

from typing import Any

from django.db import models

from evaluator.contract.transcripts import Transcripts
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import ItemSet
from leaderboard.submissions.models.runs import Run


class PracticeResult(models.Model):
    """Scores of a graded practice run on the ``first`` and the ``second`` set, as fractions.

    The 95% interval of their gap goes from ``low`` to ``high``.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="practice_result")
    first = models.FloatField()
    second = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()

    def __str__(self) -> str:
        return f"{self.run_id}: {self.gap:+.3f}"

    @property
    def gap(self) -> float:
        """Score on the first set minus that on the second."""
        return self.first - self.second

    def percentages(self) -> dict[str, float]:
        """Return scores in percent, gap and interval in percentage points."""
        names = ("first", "second", "gap", "low", "high")
        return {name: 100 * getattr(self, name) for name in names}


class TranscriptQuerySet(models.QuerySet["Transcript"]):
    """Transcripts of all practice runs."""

    def visible_to(self, user: User | None, run: Run) -> "TranscriptQuerySet":
        """Transcripts of a run, for a member of its model's organisation; for others none."""
        members = run.submission.model.organisation.members
        if user is None or not members.filter(pk=user.pk).exists():
            return self.none()
        transcripts = self.filter(run=run).select_related("item_set")
        return transcripts.order_by("pk")


class Transcript(models.Model):
    """First items of a public set as a practice run was asked them, with its answers.

    ``body`` is a ``contract.transcripts.Transcripts``. It is shown to the organisation of the run's
    model only, and deleted after ``PRACTICE_DAYS``.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="transcripts")
    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="+")
    body: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    received = models.DateTimeField(auto_now_add=True)

    objects = TranscriptQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "item_set"], name="transcript_once_per_set"),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.item_set_id}"

    def facts(self) -> Transcripts:
        """Return the prompts and answers."""
        return Transcripts.from_dict(self.body)
