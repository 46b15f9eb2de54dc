"""Authors' replies to published results: one plain statement a run."""

from collections.abc import Iterable

from django.db import models

from leaderboard.accounts.models import Organisation, User
from leaderboard.submissions.models.runs import Run

LONGEST_REPLY = 500
LONGEST_WHY = 200


class ReplyQuerySet(models.QuerySet["Reply"]):
    """Replies to all runs."""

    def of_runs(self, runs: Iterable[str]) -> dict[str, "Reply"]:
        """Return the replies to these runs, by run, hidden ones too."""
        replies = self.filter(run__in=list(runs)).select_related("organisation")
        return {str(reply.run_id): reply for reply in replies}


class Reply(models.Model):
    """Statement of the organisation that has a run's model, shown with the published result.

    ``organisation`` had the model when it was written. Maintainers hide a reply for a reason, which
    is shown in its place; only they show it again.
    """

    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="reply")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    text = models.CharField(max_length=LONGEST_REPLY)
    written_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    hidden_at = models.DateTimeField(null=True)
    hidden_why = models.CharField(max_length=LONGEST_WHY, blank=True)

    objects = ReplyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "replies"

    def __str__(self) -> str:
        return f"reply to {self.run_id}"

    @property
    def is_hidden(self) -> bool:
        """Return True if maintainers hid it."""
        return self.hidden_at is not None

    def published(self) -> dict[str, object]:
        """Return what anyone may read: a hidden reply has a reason and no text."""
        return {
            "organisation": self.organisation.name,
            "text": "" if self.is_hidden else self.text,
            "written_at": self.written_at,
            "hidden_why": self.hidden_why,
        }
