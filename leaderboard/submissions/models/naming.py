"""Former names and owners of models, and offers to transfer one."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from leaderboard.accounts.models import Organisation, User
from leaderboard.submissions.models.systems import MODEL_NAME, Model

TRANSFER_DAYS = 7


class FormerIdentity(models.Model):
    """Name and organisation that a model had until a moment. Both stay public.

    A former name leads to the model, and no other model gets it.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="former")
    name = models.CharField(max_length=80)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField(auto_now_add=True)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=MODEL_NAME),
                name="former_name_is_plain",
            ),
        )
        indexes = (models.Index(Lower("name"), name="former_name_without_case"),)

    def __str__(self) -> str:
        return self.name


class Transfer(models.Model):
    """Offer of a model to another organisation, one of whose owners has to accept it in time."""

    model = models.OneToOneField(Model, on_delete=models.CASCADE, related_name="transfer")
    to = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="transfers")
    offered_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    offered = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.model} to {self.to}"

    @property
    def expires(self) -> datetime:
        """Return the moment from which it can no longer be accepted."""
        return self.offered + timedelta(days=TRANSFER_DAYS)


def names_of(name: str) -> list[str]:
    """Return every name of the model that has or had this one, its present name first.

    Empty for a name that no model has or had. Names are compared without regard to case.
    """
    model = Model.objects.named(name)
    if model is None:
        return []
    newest_first = model.former.order_by("-pk")
    former = newest_first.values_list("name", flat=True)
    return list(dict.fromkeys([model.name, *former]))


def owners_so_far(model: Model) -> list[int]:
    """Return the keys of the organisations that have or had a model, in order."""
    had = model.former.values_list("organisation", flat=True)
    return sorted({model.organisation_id, *had})
