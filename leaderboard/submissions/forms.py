"""Forms about submissions and runs. ``admission`` decides which fields a kind of model needs."""

import secrets
from collections.abc import Sequence
from datetime import date
from typing import Any, get_args

from django import forms
from django.db.models import Case, When

from evaluator.contract import Provider
from evaluator.contract.hub import HubFacts, split_revision
from evaluator.protocols import has_verifier
from leaderboard.accounts.forms import Act
from leaderboard.benchmarks.models import SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.submissions.models import Lineage, Probe, Run, Statements, Submission
from leaderboard.submissions.models.replies import LONGEST_REPLY, LONGEST_WHY
from leaderboard.submissions.models.watching import LAST_DAY
from leaderboard.submissions.states import LATER_TRY_DAYS

KINDS = [
    (Submission.Kind.HUB, "Weights on the hub"),
    (Submission.Kind.UPLOAD, "Upload a folder"),
    (Submission.Kind.CHECKPOINT, "Checkpoint on the evaluators"),
    (Submission.Kind.ENDPOINT, "Endpoint"),
]
APIS = [("chat", "chat completions"), ("completions", "completions")]
STATEMENTS = ("licence", "base_model", "knowledge_cutoff", "trained_on_public")
_IS_RELEASED = Case(When(private__state=SetState.RELEASED, then=1), default=0)
PROVIDERS = [("", "OpenAI-compatible"), *((name, name) for name in get_args(Provider) if name)]


def protocol_choices() -> list[tuple[str, str]]:
    """Return the pair's own protocol, and those that some pair allows as well."""
    allowed: set[str] = set()
    pairs = SetPair.with_practice.filter(withdrawn_at=None)
    for also in pairs.values_list("also", flat=True):
        allowed.update(also)
    return [("", "The benchmark's own"), *((name, name) for name in sorted(allowed))]


def pair_label(pair: SetPair) -> str:
    """Return a pair's title, and that it is for practice or its set is released."""
    if pair.practice:
        return f"{pair.title} (practice, not ranked)"
    is_released = pair.private.state == SetState.RELEASED
    return f"{pair.title} (released)" if is_released else pair.title


class SubmissionForm(forms.Form):
    """One submission. ``key`` is new for each page, so that a form sent twice is one submission.

    ``checked`` is the repository of the last check, with the commit that the check put into the
    field ``revision``, as ``organisation/name@commit``.
    """

    key = forms.CharField(widget=forms.HiddenInput, max_length=100)
    checked = forms.CharField(widget=forms.HiddenInput, max_length=400, required=False)
    pair = forms.ModelChoiceField(
        SetPair.with_practice.filter(withdrawn_at=None)
        .select_related("private")
        .order_by("practice", _IS_RELEASED, "-pk"),
        to_field_name="slug",
        empty_label=None,
        label="Benchmark",
    )
    protocol = forms.ChoiceField(
        required=False,
        choices=protocol_choices,
        help_text="Only runs with the benchmark's own protocol are ranked.",
    )
    model = forms.CharField(
        max_length=80,
        label="Model name",
        help_text="Shown on the board. Letters, digits, dots, '-' and '_'. A name has one row on a"
        f" benchmark: that of its first official run. Other weights under the same name within"
        f" {LATER_TRY_DAYS} days are a later try and never rank, so give a new version a name of"
        " its own.",
    )
    organisation = forms.CharField(
        required=False,
        max_length=80,
        help_text="The model is this organisation's, and the run counts against its quota.",
        widget=forms.Select,
    )
    open_weights = forms.BooleanField(required=False, label="Open weights")
    parameters = forms.IntegerField(
        required=False, min_value=1, help_text="Number of parameters. Optional."
    )
    kind = forms.ChoiceField(
        choices=KINDS,
        initial=Submission.Kind.HUB,
        label="How is the model run?",
        widget=forms.RadioSelect,
    )
    repo = forms.CharField(
        required=False,
        max_length=300,
        label="Repository",
        help_text="organisation/name, or organisation/name@revision. Safetensors only.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    revision = forms.CharField(
        required=False,
        max_length=100,
        help_text="Branch, tag or commit; empty for main. It is resolved to a commit once, and"
        " that commit is evaluated.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    hub_token = forms.CharField(
        required=False,
        max_length=400,
        label="Access token",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="For a gated or private repository: one that may read it and nothing else. "
        "Encrypted to the evaluators on receipt and erased when the run ends.",
    )
    base = forms.CharField(
        required=False,
        max_length=300,
        label="Base model of the adapter",
        help_text="organisation/name@revision, or the id of an upload of your organisation. Empty"
        " for the one that adapter_config.json names.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    upload = forms.CharField(
        required=False,
        max_length=36,
        label="Upload",
        help_text="Filled in once the folder is uploaded, or the id of an earlier upload of your"
        " organisation.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    checkpoint = forms.CharField(
        required=False,
        max_length=80,
        help_text="Name of its folder on the evaluators, as agreed with the maintainers.",
    )
    url = forms.CharField(
        required=False, max_length=2000, label="Base URL", help_text="For example https://host/v1"
    )
    served_model = forms.CharField(
        required=False, max_length=200, label="Model name at the endpoint"
    )
    api = forms.ChoiceField(
        required=False,
        choices=APIS,
        label="Kind of API",
        help_text="Taken as chat completions if you do not choose.",
    )
    provider = forms.ChoiceField(
        required=False,
        choices=PROVIDERS,
        help_text="Format of the API. The base URL is needed as well.",
    )
    api_key = forms.CharField(
        required=False,
        max_length=4000,
        strip=False,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Encrypted to the evaluators on receipt and erased when the run ends.",
    )
    max_tokens = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10**12,
        label="Token limit",
        help_text="Prompt and answer tokens together. The run stops at the limit.",
    )
    max_cost = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1e9,
        label="Cost limit",
        help_text="In the currency of the prices below; it needs both. The run stops at the limit.",
    )
    price_in = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1e6,
        label="Input price",
        help_text="For one million prompt tokens.",
    )
    price_out = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1e6,
        label="Output price",
        help_text="For one million answer tokens.",
    )

    verifier = forms.CharField(
        required=False,
        max_length=300,
        label="Verifier",
        help_text="organisation/name on the hub, with or without @revision, the id of an upload of"
        " your organisation, or its folder on the evaluators. It scores the candidates that the"
        " model writes, and the best one is the answer. Only for protocols with a verifier.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    licence = forms.CharField(
        required=False, max_length=80, help_text="Its short name, as apache-2.0. Optional."
    )
    base_model = forms.CharField(
        required=False,
        max_length=193,
        help_text="The model that this one was made from, as organisation/name. Optional.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    knowledge_cutoff = forms.DateField(
        required=False,
        label="Knowledge cut-off",
        help_text="Nothing later is in the training data. Optional.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    trained_on_public = forms.ChoiceField(
        required=False,
        choices=Statements.Trained.choices,
        label="Was it trained on the benchmark's public set?",
        help_text="A model for which you say yes is ranked, and its row says so.",
    )

    embargo_until = forms.DateField(
        required=False,
        label="Embargo until",
        help_text="The board shows the result from this day on, at most 90 days from now. That"
        " there is a run, and when, is public. For weights only. Optional.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["pair"].label_from_instance = pair_label  # type: ignore[attr-defined]

    def offer(self, names: Sequence[str]) -> None:
        """Let the user choose among their organisations; with one there is no choice.

        It is no validation: an action refuses the name of another one.
        """
        self.fields["organisation"].widget.choices = [(name, name) for name in names]

    @classmethod
    def filled(cls, **initial: Any) -> "SubmissionForm":
        """Return a form with a key of its own and these values; empty ones are left out."""
        given = {name: value for name, value in initial.items() if value not in ("", None)}
        return cls(initial={"key": secrets.token_urlsafe(16), **given})

    @classmethod
    def blank(cls, *, upload: str = "", pair: str = "", organisation: str = "") -> "SubmissionForm":
        """Return an empty form, or one for an upload of an organisation or for a pair."""
        kind = Submission.Kind.UPLOAD if upload else ""
        return cls.filled(kind=kind, upload=upload, pair=pair, organisation=organisation)

    @classmethod
    def official(cls, practised: Submission) -> "SubmissionForm":
        """Return the form for the official run of a model that has practised, without secrets."""
        facts = facts_of(practised)
        official = practised.pair.official()
        if official is None:
            return cls.filled(**facts)
        protocol = practised.asked_by if practised.asked_by in official.also else ""
        if not has_verifier(protocol or official.protocol):
            facts["verifier"] = ""
        return cls.filled(**facts, pair=official.slug, protocol=protocol)

    @classmethod
    def probed(cls, probe: Probe) -> "SubmissionForm":
        """Return the form for an endpoint that was asked public items, without its key."""
        names = ("url", "served_model", "api", "provider", "price_in", "price_out")
        facts = {name: getattr(probe, name) for name in names}
        protocol = "" if probe.protocol == probe.pair.protocol else probe.protocol
        facts |= {"kind": Submission.Kind.ENDPOINT, "organisation": probe.organisation.name}
        return cls.filled(pair=probe.pair.slug, protocol=protocol, **facts)

    def clean(self) -> dict[str, Any]:
        """Refuse the commit of a check with another repository, and empty its field."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        repo, commit = fields.get("repo", ""), fields.get("revision", "")
        checked, _, found = fields.get("checked", "").partition("@")
        if commit and commit == found and repo not in ("", checked):
            self.data = {**self.data, "revision": "", "checked": ""}
            self.add_error(
                "revision",
                f"The commit that stood here was that of {checked}, which you checked, so it is"
                f" removed. Name a revision of {repo}, or leave the field empty for main.",
            )
        return fields

    def about(self) -> list[forms.BoundField]:
        """Return the fields that every submission has."""
        several = len(self.fields["organisation"].widget.choices) > 1
        names = ["key", "checked", "pair", "protocol", *(["organisation"] if several else [])]
        names += ["model", "open_weights", "parameters", "kind"]
        return [self[name] for name in names]

    def of_system(self) -> list[forms.BoundField]:
        """Return the fields of the second part of a system."""
        return [self["verifier"]]

    def of_statements(self) -> list[forms.BoundField]:
        """Return the author's statements."""
        return [self[name] for name in STATEMENTS]

    def of_embargo(self) -> list[forms.BoundField]:
        """Return the day before which the result is not shown."""
        return [self["embargo_until"]]

    def of_checkpoint(self) -> list[forms.BoundField]:
        """Return the fields of a checkpoint."""
        return [self["checkpoint"]]

    def of_hub(self) -> list[forms.BoundField]:
        """Return the fields of a model on the hub."""
        return [self["repo"], self["revision"]]

    def of_token(self) -> list[forms.BoundField]:
        """Return the field of an access token, which opens each part that is on the hub."""
        return [self["hub_token"]]

    def of_adapter(self) -> list[forms.BoundField]:
        """Return the field of an adapter, which is on the hub or an upload."""
        return [self["base"]]

    def of_upload(self) -> list[forms.BoundField]:
        """Return the fields of an upload."""
        return [self["upload"]]

    def of_endpoint(self) -> list[forms.BoundField]:
        """Return the fields of an endpoint."""
        return [self[name] for name in ("url", "provider", "served_model", "api", "api_key")]

    def of_budget(self) -> list[forms.BoundField]:
        """Return the fields of an endpoint's budget."""
        return [self[name] for name in ("max_tokens", "max_cost", "price_in", "price_out")]

    def facts(self) -> dict[str, Any]:
        """Return the request of a valid form: the fields of an ``Ask``."""
        fields = dict(self.cleaned_data)
        del fields["key"], fields["checked"]
        fields["pair"] = fields["pair"].slug
        if fields["kind"] != Submission.Kind.ENDPOINT:
            fields["api"] = ""  # it is chosen from the start, also where no endpoint is named
        for name in ("knowledge_cutoff", "embargo_until"):
            day = fields[name]
            fields[name] = day.isoformat() if day else ""
        fields["repo"], fields["revision"] = split_revision(fields["repo"], fields["revision"])
        return fields


def facts_of(submission: Submission) -> dict[str, Any]:
    """Return what a form says of a submission's model; neither its pair nor a secret."""
    model = submission.model
    names = ("kind", "checkpoint", "repo", "url", "served_model", "api", "provider")
    facts = {name: getattr(submission, name) for name in names}
    stated = getattr(submission, "statements", None)
    if stated:
        facts |= {name: getattr(stated, name) for name in STATEMENTS}
    return facts | {
        "base": base_of(submission),
        "verifier": submission.verifier,
        "model": model.name,
        "organisation": model.organisation.name,
        "open_weights": model.open_weights,
        "parameters": model.parameters,
        "revision": submission.commit,
        "upload": submission.upload_id or "",
    }


def base_of(submission: Submission) -> str:
    """Return the base model of an adapter as a form names it; empty for a whole model."""
    base = submission.base_facts
    if isinstance(base, HubFacts):
        return f"{base.repo}@{base.commit}"
    return str(submission.base_upload_id or "")


class ContinueForm(forms.Form):
    """Continuation of a failed run, with another API key if need be."""

    api_key = forms.CharField(
        required=False,
        max_length=4000,
        strip=False,
        label="New API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Only if the first key was refused or has been erased. "
        "Encrypted on receipt and erased when the run ends.",
    )


class RetractionForm(forms.Form):
    """Reason for a retraction, and a tick, because it is final."""

    reason = forms.ChoiceField(choices=Run.Retraction.choices, label="Reason")
    sure = forms.BooleanField(label="I know that a retraction is public and final")


class ReplyForm(forms.Form):
    """Author's reply to a published result."""

    text = forms.CharField(
        required=False,
        max_length=LONGEST_REPLY,
        label="Reply",
        help_text=f"At most {LONGEST_REPLY} characters, plain text. Links are not clickable."
        " Leave it empty to withdraw the reply.",
        widget=forms.Textarea(attrs={"rows": 4}),
    )


class HideReplyForm(forms.Form):
    """Reason for hiding a reply."""

    why = forms.CharField(
        required=False,
        max_length=LONGEST_WHY,
        label="Reason",
        help_text="Shown in place of the reply. Leave it empty to show the reply again.",
    )


class GraderForm(forms.Form):
    """Grader by its id. The evaluators refuse unknown ones."""

    grader = forms.RegexField(
        r"\A[a-z0-9][a-z0-9._-]{0,79}\Z",
        strip=True,
        help_text="Id of a published grader. 'python -m evaluator graders' lists them.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class SwitchForm(GraderForm):
    """Grader that a board is made by."""

    leave_out = forms.BooleanField(
        required=False,
        help_text="Switch although some runs lack its grades. They have no rank until graded.",
    )


class CommitmentForm(forms.Form):
    """Commitment to weights by the digest of their checkpoint."""

    digest = forms.RegexField(
        r"\A[0-9a-f]{64}\Z",
        strip=True,
        label="SHA-256 of the checkpoint",
        error_messages={"invalid": "Give 64 hexadecimal digits (0-9, a-f)."},
        help_text="The command below computes it. A run's page shows it too.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class LineageForm(Act):
    """A lineage, and those that it was made from."""

    name = forms.CharField(max_length=80, help_text="Small letters, digits, '.', '_' and '-'.")
    parents = forms.ModelMultipleChoiceField(
        Lineage.objects.order_by("name"),
        to_field_name="name",
        required=False,
        help_text="Lineages that it was made from; a merge has several.",
    )


class LineageRecordForm(Act):
    """The lineage of a model's weights."""

    model = forms.CharField(max_length=80, help_text="Its name on the board.")
    lineage = forms.ModelChoiceField(Lineage.objects.order_by("name"), to_field_name="name")
    weights = forms.CharField(
        max_length=64,
        required=False,
        help_text="Digest of the weights' files; those of its newest run if empty.",
    )
    base_model = forms.CharField(
        max_length=80,
        required=False,
        help_text="The pretrained weights that these were made from, if they are known.",
    )


class RenameForm(forms.Form):
    """Another name for a model."""

    name = forms.CharField(
        max_length=80,
        label="New name",
        help_text="The present name leads to the model for good, and its page states both. Closed "
        "cohorts keep the name that they were closed with.",
    )


class TransferForm(forms.Form):
    """Organisation that a model is offered to."""

    to = forms.CharField(
        max_length=80,
        label="Organisation",
        help_text="One of its owners has to accept the model. Runs so far stay counted for both, "
        "and the model's page states both.",
    )


class QuotaForm(Act):
    """Official runs of an organisation, a benchmark or both. The reason stays in the ledger too."""

    organisation = forms.CharField(required=False, max_length=80, help_text="Empty for all.")
    pair = forms.ModelChoiceField(
        SetPair.objects.order_by("-pk"),
        to_field_name="slug",
        required=False,
        empty_label="all",
        label="Benchmark",
    )
    runs = forms.IntegerField(min_value=0, max_value=100_000, label="Official runs")

    def clean_pair(self) -> str:
        """Return the benchmark's name, empty for all."""
        pair = self.cleaned_data["pair"]
        return pair.slug if pair else ""


class PlannedCloseForm(Act):
    """Close of a board that maintainers plan."""

    pair = forms.ModelChoiceField(
        SetPair.objects.filter(withdrawn_at=None).order_by("-pk"),
        to_field_name="slug",
        empty_label=None,
        label="Benchmark",
    )
    at = forms.DateTimeField(
        label="Moment, UTC",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


class WatchForm(Act):
    """Endpoint that maintainers have asked each month, or on dates."""

    model = forms.CharField(
        max_length=80, label="Model", help_text="It was submitted as an endpoint."
    )
    pair = forms.ModelChoiceField(
        SetPair.objects.filter(withdrawn_at=None).order_by("-pk"),
        to_field_name="slug",
        empty_label=None,
        label="Benchmark",
    )
    day = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LAST_DAY,
        label="Day of each month",
        help_text=f"1 to {LAST_DAY}; or name dates.",
    )
    dates = forms.CharField(
        required=False,
        max_length=1000,
        label="Dates",
        help_text="As 2030-01-31, separated by commas.",
    )
    api_key = forms.CharField(
        required=False,
        max_length=4000,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="The maintainers' own. It is stored sealed to the evaluators until the watch"
        " ends.",
    )

    def clean_dates(self) -> list[date]:
        """Return the dates."""
        texts = [text.strip() for text in self.cleaned_data["dates"].split(",")]
        try:
            return [date.fromisoformat(text) for text in texts if text]
        except ValueError:
            raise forms.ValidationError("Write dates as 2030-01-31.") from None


class MailForm(forms.Form):
    """Choice of the mail that a user gets."""

    ends = forms.BooleanField(
        required=False, label="A run of mine has ended: graded, failed or cancelled"
    )
    results = forms.BooleanField(required=False, label="The result of a run of mine is published")


class WebhookForm(forms.Form):
    """Address of a new webhook."""

    url = forms.CharField(
        max_length=2000, label="Address", help_text="As https://hooks.example.org/holdfast"
    )
