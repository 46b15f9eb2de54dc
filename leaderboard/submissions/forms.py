"""The form to submit a model with. Which fields belong to which kind is the admission's business."""

import secrets
from typing import Any, get_args

from django import forms

from evaluator.contract import Provider
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.models import Run, Submission

KINDS = [
    (Submission.Kind.CHECKPOINT, "A checkpoint that the evaluators have"),
    (Submission.Kind.ENDPOINT, "An endpoint"),
]
APIS = [("", "—"), ("completions", "completions"), ("chat", "chat completions")]


PROVIDERS = [("", "OpenAI-compatible"), *((name, name) for name in get_args(Provider) if name)]


def _protocols() -> list[tuple[str, str]]:
    """Those that some pair allows besides its own."""
    named = {
        name
        for also in SetPair.objects.filter(withdrawn_at=None).values_list("also", flat=True)
        for name in also
    }
    return [("", "the sets' own"), *((name, name) for name in sorted(named))]


class SubmissionForm(forms.Form):
    """One submission. ``key`` is drawn with the page, so that a form sent twice is one submission."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=100)
    pair = forms.ModelChoiceField(
        SetPair.objects.filter(withdrawn_at=None).order_by("-pk"),
        to_field_name="slug",
        empty_label=None,
        label="Sets",
    )
    protocol = forms.ChoiceField(
        required=False,
        choices=_protocols,
        help_text="Only what the sets' own came to is ranked with the others.",
    )
    model = forms.CharField(
        max_length=80, help_text="Letters, digits, dots, '-' and '_'. It is shown on the board."
    )
    open_weights = forms.BooleanField(required=False, label="Its weights are open")
    parameters = forms.IntegerField(
        required=False, min_value=1, help_text="How many, if you say so."
    )
    kind = forms.ChoiceField(
        choices=KINDS, initial=Submission.Kind.CHECKPOINT, widget=forms.RadioSelect
    )
    checkpoint = forms.CharField(
        required=False, max_length=80, help_text="The folder's name on the evaluators."
    )
    url = forms.CharField(
        required=False, max_length=2000, label="Address", help_text="For example https://host/v1"
    )
    served_model = forms.CharField(required=False, max_length=200, label="Model at the endpoint")
    api = forms.ChoiceField(required=False, choices=APIS, label="Kind of API")
    provider = forms.ChoiceField(
        required=False,
        choices=PROVIDERS,
        help_text="Whose API it speaks. The address is needed all the same.",
    )
    api_key = forms.CharField(
        required=False,
        max_length=4000,
        strip=False,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Sealed to an evaluator at once, never stored in the clear, erased when the run ends.",
    )

    max_tokens = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10**12,
        label="Most tokens",
        help_text="Prompts and answers, in all.",
    )
    max_cost = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1e9,
        label="Most money",
        help_text="It needs both prices.",
    )
    price_in = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1e6,
        label="Price in",
        help_text="Of a million tokens of prompts.",
    )
    price_out = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1e6,
        label="Price out",
        help_text="Of a million tokens of answers.",
    )

    @classmethod
    def blank(cls) -> "SubmissionForm":
        """An empty form with a key of its own."""
        return cls(initial={"key": secrets.token_urlsafe(16)})

    def about(self) -> list[forms.BoundField]:
        """The fields that every submission has."""
        return [
            self[name]
            for name in ("key", "pair", "protocol", "model", "open_weights", "parameters", "kind")
        ]

    def of_checkpoint(self) -> list[forms.BoundField]:
        """The fields of a checkpoint."""
        return [self["checkpoint"]]

    def of_endpoint(self) -> list[forms.BoundField]:
        """The fields of an endpoint."""
        return [self[name] for name in ("url", "provider", "served_model", "api", "api_key")]

    def of_budget(self) -> list[forms.BoundField]:
        """Budget of an endpoint."""
        return [self[name] for name in ("max_tokens", "max_cost", "price_in", "price_out")]

    def facts(self) -> dict[str, Any]:
        """Return the request of a valid form: the fields of an ``Ask``."""
        fields: dict[str, Any] = {
            name: value for name, value in self.cleaned_data.items() if name != "key"
        }
        return fields | {"pair": self.cleaned_data["pair"].slug}


class ContinueForm(forms.Form):
    """A failed run that is to go on, with another API key if need be."""

    api_key = forms.CharField(
        required=False,
        max_length=4000,
        strip=False,
        label="New API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Only if the one before was refused or has been erased. Sealed at once, erased when the run ends.",
    )


class RetractionForm(forms.Form):
    """The reason for which a run is retracted, and a tick, because it is for good."""

    reason = forms.ChoiceField(choices=Run.Retraction.choices, label="Reason")
    sure = forms.BooleanField(label="I know that a retraction is public and final")


class GraderForm(forms.Form):
    """A grader, by its id. The evaluators know which there are, and refuse others."""

    grader = forms.RegexField(
        r"\A[a-z0-9][a-z0-9._-]{0,79}\Z",
        strip=True,
        help_text="The id of a published grader, as 'python -m evaluator graders' lists them.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class SwitchForm(GraderForm):
    """The grader that a board is to be made of."""

    leave_out = forms.BooleanField(
        required=False,
        help_text="Also where runs have not been graded by it: they have no rank until they are.",
    )


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
