"""The form to submit a model with. Which fields belong to which kind is the admission's business."""

import secrets
from typing import Any

from django import forms

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.models import Submission

KINDS = [
    (Submission.Kind.CHECKPOINT, "A checkpoint that the evaluators have"),
    (Submission.Kind.ENDPOINT, "An endpoint"),
]
APIS = [("", "—"), ("completions", "completions"), ("chat", "chat completions")]


class SubmissionForm(forms.Form):
    """One submission. ``key`` is drawn with the page, so that a form sent twice is one submission."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=100)
    pair = forms.ModelChoiceField(
        SetPair.objects.order_by("-pk"),
        to_field_name="slug",
        empty_label=None,
        label="Sets",
    )
    model = forms.CharField(max_length=80, help_text="Letters, digits, dots, '-' and '_'. It is shown on the board.")
    open_weights = forms.BooleanField(required=False, label="Its weights are open")
    parameters = forms.IntegerField(required=False, min_value=1, help_text="How many, if you say so.")
    kind = forms.ChoiceField(choices=KINDS, initial=Submission.Kind.CHECKPOINT, widget=forms.RadioSelect)
    checkpoint = forms.CharField(required=False, max_length=80, help_text="The folder's name on the evaluators.")
    url = forms.CharField(required=False, max_length=2000, label="Address", help_text="For example https://host/v1")
    served_model = forms.CharField(required=False, max_length=200, label="Model at the endpoint")
    api = forms.ChoiceField(required=False, choices=APIS, label="Kind of API")
    api_key = forms.CharField(
        required=False,
        max_length=4000,
        strip=False,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Sealed to an evaluator at once, never stored in the clear, erased when the run ends.",
    )

    @classmethod
    def blank(cls) -> "SubmissionForm":
        """An empty form with a key of its own."""
        return cls(initial={"key": secrets.token_urlsafe(16)})

    def about(self) -> list[forms.BoundField]:
        """The fields that every submission has."""
        return [self[name] for name in ("key", "pair", "model", "open_weights", "parameters", "kind")]

    def of_checkpoint(self) -> list[forms.BoundField]:
        """The fields of a checkpoint."""
        return [self["checkpoint"]]

    def of_endpoint(self) -> list[forms.BoundField]:
        """The fields of an endpoint."""
        return [self[name] for name in ("url", "served_model", "api", "api_key")]

    def facts(self) -> dict[str, Any]:
        """What the valid form asks for: the fields of an ``Ask``."""
        fields: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if name != "key"}
        return fields | {"pair": self.cleaned_data["pair"].slug}


class CommitmentForm(forms.Form):
    """Weights, by the digest of their checkpoint."""

    digest = forms.RegexField(
        r"\A[0-9a-f]{64}\Z",
        strip=True,
        label="SHA-256 of the checkpoint",
        error_messages={"invalid": "Give 64 digits of 0 to 9 and a to f."},
        help_text="Of its folder, as below. The page of a run shows it too.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
