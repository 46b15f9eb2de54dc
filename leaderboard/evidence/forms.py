"""Choices shared by the pages of boards and of published tables, and the form of a reference."""

from collections.abc import Container

from django import forms

from leaderboard.accounts.forms import Act
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.models import LONGEST_REASON

AXIS_CHOICES = (("fit", "axis: rows shown"), ("whole", "axis: 0 to 100%"))


def one_of(value: str, known: Container[str]) -> str:
    """Return ``value`` where it is known, else the empty string."""
    return value if value in known else ""


class ReferenceForm(Act):
    """A model that is held for clean on a pair, with the reason that readers see."""

    pair = forms.ModelChoiceField(
        SetPair.objects.filter(withdrawn_at=None).order_by("-pk"), to_field_name="slug"
    )
    model = forms.CharField(max_length=80, help_text="Its name on the board.")
    why = forms.CharField(
        max_length=LONGEST_REASON,
        label="Reason",
        help_text="The evidence, for readers: it is published with the reference.",
    )
