"""Forms for maintainers: registering a sealed set and a pair, withdrawing one, its successor, and
its notices."""

import json
from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import RegexValidator, URLValidator

from evaluator import grading, protocols
from evaluator.contract import ADAPTIVE_1
from leaderboard.accounts.forms import Act
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, refuse

MANIFEST_BYTES = 20_000_000
HEAD_BYTES = 8_000
NOTICES_BYTES = 1_000_000
OVERLAP_BYTES = 20_000_000
plain = RegexValidator(
    r"\A[a-z0-9][a-z0-9._-]{0,79}\Z",
    "Use small letters, digits, '.', '_' and '-', starting with a letter or digit.",
)


class SealedSetForm(forms.Form):
    """The public files of a sealed set. No item is in either."""

    manifest = forms.FileField(
        help_text="<code>manifest.json</code> from the sealed set's folder, at most 20 MB.",
        widget=forms.FileInput(attrs={"accept": "application/json,.json"}),
    )
    head = forms.FileField(
        required=False,
        label="Signed tree head",
        help_text="<code>head.txt</code> from the same folder, with its cosignatures. "
        "Required if the manifest names maintainers.",
        widget=forms.FileInput(attrs={"accept": "text/plain,.txt"}),
    )

    def clean_manifest(self) -> Any:
        """Return the manifest as JSON data, not yet checked. Raises ``too_large``."""
        file = cast("UploadedFile[Any]", self.cleaned_data["manifest"])
        if (file.size or 0) > MANIFEST_BYTES:
            raise refuse(Refusal.TOO_LARGE, "a manifest has at most 20 MB")
        try:
            return json.loads(file.read())
        except (ValueError, RecursionError):
            raise forms.ValidationError("The file is not JSON.") from None

    def clean_head(self) -> str:
        """Return the head's text; empty without one."""
        file = cast("UploadedFile[Any] | None", self.cleaned_data["head"])
        if file is None:
            return ""
        try:
            text: str = file.read(HEAD_BYTES + 1).decode("utf-8")
        except ValueError:
            raise forms.ValidationError("The file is not a text in UTF-8.") from None
        if len(text) > HEAD_BYTES:
            raise forms.ValidationError("The file is too long for a signed tree head.")
        return text


def protocol_choices() -> list[tuple[str, str]]:
    """Return the published protocols, the newest first."""
    return [(name, name) for name in reversed(protocols.ids())]


def grader_choices() -> list[tuple[str, str]]:
    """Return the published graders, the newest first."""
    return [(name, name) for name in reversed(grading.ids())]


class WithdrawalForm(forms.Form):
    """Reason for a withdrawal, and its confirmation."""

    reason = forms.ChoiceField(choices=SetPair.Withdrawal.choices, widget=forms.RadioSelect)
    sure = forms.BooleanField(label="I know that this cannot be undone")


class PairForm(forms.Form):
    """Public set of a sealed twin, and how both are asked."""

    slug = forms.SlugField(
        max_length=80, label="Short name", help_text="Part of the addresses: /sets/NAME/"
    )
    title = forms.CharField(max_length=120, help_text="Heading of the board.")
    public = forms.ModelChoiceField(
        ItemSet.objects.filter(sealed=False).order_by("-pk"),
        to_field_name="name",
        label="Public set",
    )
    private = forms.ModelChoiceField(
        ItemSet.objects.filter(sealed=True).order_by("-pk"),
        to_field_name="name",
        label="Sealed set",
    )
    protocol = forms.ChoiceField(choices=protocol_choices, help_text="How the questions are asked.")
    also = forms.CharField(
        required=False,
        max_length=800,
        label="Further protocols",
        help_text="Ids of protocols that a submission may choose instead, separated by spaces.",
    )
    grader = forms.ChoiceField(choices=grader_choices, help_text="How the answers are graded.")
    adaptive = forms.ChoiceField(
        required=False,
        choices=[("", "All of them"), (ADAPTIVE_1, f"As many as the verdict needs ({ADAPTIVE_1})")],
        label="Sealed items for listed endpoints",
        help_text="The adaptive test asks at most 35% of the sealed items. It needs a panel of "
        "references; without one all items are asked.",
    )

    def clean_also(self) -> list[str]:
        """Return the ids as a list."""
        names: list[str] = self.cleaned_data["also"].split()
        for name in names:
            plain(name)
        return names

    def facts(self) -> dict[str, Any]:
        """Return the arguments of ``actions.register_pair``."""
        facts = dict(self.cleaned_data)
        facts["public"] = facts["public"].name
        facts["private"] = facts["private"].name
        return facts


class SuccessorForm(forms.Form):
    """The sealed set that takes over."""

    successor = forms.ModelChoiceField(
        ItemSet.objects.none(), to_field_name="name", empty_label=None, label="Sealed successor"
    )

    def __init__(self, *args: Any, pair: SetPair, **options: Any) -> None:
        super().__init__(*args, **options)
        field = cast("forms.ModelChoiceField[ItemSet]", self.fields["successor"])
        sealed = ItemSet.objects.filter(sealed=True, state=SetState.SEALED)
        field.queryset = sealed.exclude(pk=pair.private_id).order_by("-pk")
        if pair.successor:
            field.initial = pair.successor.name


class NoticesForm(Act):
    """All signed notices of a sealed set, from its first."""

    notices = forms.FileField(
        label="notices.jsonl",
        help_text="All notices of the set, from its first, signed offline by its maintainers; at "
        "most 1 MB.",
        widget=forms.FileInput(attrs={"accept": ".jsonl"}),
    )

    def clean_notices(self) -> list[object]:
        """Return the notices as JSON data, not yet checked."""
        file = cast("UploadedFile[Any]", self.cleaned_data["notices"])
        if (file.size or 0) > NOTICES_BYTES:
            raise forms.ValidationError("The file has more than 1 MB.")
        try:
            return [json.loads(line) for line in file.read().splitlines()]
        except (ValueError, RecursionError):
            raise forms.ValidationError("The file cannot be read as JSON lines.") from None


class OverlapFacts(forms.Form):
    """Facts of a published overlap that the report does not hold."""

    corpus = forms.CharField(
        max_length=120, help_text="Name of the corpus, with its version: The Stack 1.2, Python."
    )
    address = forms.CharField(
        max_length=300,
        required=False,
        validators=[URLValidator(schemes=["https", "http"])],
        help_text="Where the corpus is described.",
    )
    model = forms.CharField(
        max_length=120,
        required=False,
        help_text="Model of the run whose score the report has, if it has one.",
    )


class OverlapForm(Act, OverlapFacts):
    """Report of a public set's overlap with a corpus."""

    report = forms.FileField(
        label="report.json",
        help_text="As <code>holdfast overlap</code> wrote it, of a registered public set; at most "
        "20 MB. Places in the corpus are not published.",
        widget=forms.FileInput(attrs={"accept": "application/json,.json"}),
    )
    field_order = ("report", "corpus", "address", "model", "why")

    def clean_report(self) -> Any:
        """Return the report as JSON data, not yet checked."""
        file = cast("UploadedFile[Any]", self.cleaned_data["report"])
        if (file.size or 0) > OVERLAP_BYTES:
            raise forms.ValidationError("The file has more than 20 MB.")
        try:
            return json.loads(file.read())
        except (ValueError, RecursionError):
            raise forms.ValidationError("The file is not JSON.") from None
