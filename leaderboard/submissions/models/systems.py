"""Lineages, models, submissions, and commitments to weights."""

from typing import Any, get_args

from django.db import models
from django.db.models.functions import Cast, Lower
from django.db.models.lookups import Regex

from evaluator import policy
from evaluator.contract import Checkpoint, Provider
from evaluator.contract.adapters import UploadedAdapter
from evaluator.contract.hub import HubFacts, HubModel
from evaluator.contract.uploads import UploadFacts, UploadModel
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import HEX32, NAME, SetPair
from leaderboard.submissions.ladder import Party
from leaderboard.submissions.models.uploads import Upload

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
SEALED_KEYS = r'^\{("[a-z0-9][a-z0-9._-]{0,79}": "[A-Za-z0-9+/]+={0,2}"(, )?)*\}$'
"""The text of a JSON object whose values are base64, and no key in the clear."""
NO_URL: dict[str, Any] = {
    "url": "",
    "served_model": "",
    "api": "",
    "provider": "",
    "budget__isnull": True,
}
NO_UPLOAD: dict[str, Any] = {"upload__isnull": True}
NO_BASE: dict[str, Any] = {"base__isnull": True, "base_upload__isnull": True}
NO_REPO: dict[str, Any] = {
    "repo": "",
    "revision": "",
    "commit": "",
    "hub__isnull": True,
}
REPO = r"^[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*$"
SERVED_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$"


class Lineage(models.Model):
    """Pretraining of models, recorded by maintainers. A merge has several parents."""

    name = models.CharField(max_length=80, unique=True)
    parents = models.ManyToManyField("self", symmetrical=False, related_name="children")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=NAME),
                name="lineage_name_is_plain",
            ),
        )

    def __str__(self) -> str:
        return self.name


class ModelQuerySet(models.QuerySet["Model"]):
    """Models by their names."""

    def named(self, name: str) -> "Model | None":
        """Return the model that has a name, else the one that had it; None where none has or had.

        Names are compared without regard to case.
        """
        models_with_owner = self.select_related("organisation")
        has = models_with_owner.filter(name__iexact=name).first()
        return has or models_with_owner.filter(former__name__iexact=name).first()


class Model(models.Model):
    """Model by its name on the board. Names are plain ASCII and unique without regard to case.

    ``lineage`` is the family that maintainers recorded last: models of one family never judge each
    other on the board. For a release only a ``LineageRecord`` of the very weights counts.
    """

    name = models.CharField(max_length=80, unique=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="models")
    open_weights = models.BooleanField(default=False)
    parameters = models.PositiveBigIntegerField(null=True, blank=True)
    lineage = models.ForeignKey(
        Lineage,
        on_delete=models.PROTECT,
        null=True,
        related_name="models",
    )
    created = models.DateTimeField(auto_now_add=True)

    objects = ModelQuerySet.as_manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=MODEL_NAME),
                name="model_name_is_plain",
            ),
            models.CheckConstraint(
                condition=models.Q(parameters__isnull=True) | models.Q(parameters__gte=1),
                name="model_has_parameters",
            ),
            models.UniqueConstraint(Lower("name"), name="model_name_unique_without_case"),
        )

    def __str__(self) -> str:
        return self.name


class LineageRecord(models.Model):
    """The lineage of one model's weights, by the digest of their files, as maintainers recorded it.

    Other weights under the same name have none until maintainers record one. ``base_model`` names
    the pretrained weights that these were made from, empty where maintainers did not state it.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="lineage_records")
    artefact = models.CharField(max_length=64)
    lineage = models.ForeignKey(Lineage, on_delete=models.PROTECT, related_name="records")
    base_model = models.CharField(max_length=80, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["model", "artefact"], name="lineage_record_once"),
            models.CheckConstraint(
                condition=models.Q(artefact__regex=HEX32),
                name="lineage_record_is_of_weights",
            ),
            models.CheckConstraint(
                condition=models.Q(base_model="") | models.Q(base_model__regex=MODEL_NAME),
                name="lineage_record_base_is_plain",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model_id} {self.artefact[:12]}: {self.lineage_id}"


class SubmissionQuerySet(models.QuerySet["Submission"]):
    """Submissions, by the API key that is stored of them."""

    def with_key(self) -> "SubmissionQuerySet":
        """Those whose sealed key is still there."""
        return self.exclude(sealed_keys={})

    def of_authors(self) -> "SubmissionQuerySet":
        """All but those of the watch list."""
        return self.filter(occasion=None)

    def erase_keys(self) -> int:
        """Forget their sealed keys. Returns how many rows were written."""
        return self.update(sealed_keys={})


class Submission(models.Model):
    """Request to evaluate a model on a pair: a checkpoint by name, one on the hub, an upload, or
    an endpoint.

    - ``repo`` on the hub was asked at ``revision``, which was resolved to ``commit`` once. ``hub``
      are the ``contract.hub.HubFacts`` of that commit.
    - ``base`` are the ``HubFacts`` of an adapter's base model on the hub, or ``base_upload`` is it.
      Facts of an adapter are those of the model that it makes of its base.
    - ``sealed_keys`` holds the endpoint's API key, or the access token of a gated repository,
      HPKE-sealed to each evaluator of the pool, by the evaluator's name. It is erased when the run
      ends, or after a grace time where the run may be continued. ``keyed``: there was one.
    - ``tokenizer`` is the kind and the digest of its tokenizer's file (``tokenizer_name``), empty
      where none is known. Submissions with an equal one have the same tokenizer.
    - ``organisations`` are the keys of those that had the model by then. Its runs count for each of
      them, also after a transfer.
    - ``occasion`` is that of a run of the watch list, ``part`` its place in it. No author submitted
      such a run, and its ``protocol`` is named, so that it is never ranked.
    - ``fingerprint`` is the digest of the request: it detects an idempotency key that is used for
      another request.
    - ``protocol`` is empty for the pair's own: only such a run is ranked and counts for a release.
    - ``provider`` is empty for an API like OpenAI's own, else a name of ``contract.Provider``.
    - ``budget`` is a ``contract.Budget``.
    - ``verifier`` chooses among the model's candidates: a checkpoint, ``repo@commit`` on the hub,
      whose ``HubFacts`` are ``verifier_hub``, or the id of ``verifier_upload``; empty for a single
      model.
    """

    class Kind(models.TextChoices):
        """Way to reach the model."""

        CHECKPOINT = "checkpoint"
        HUB = "hub"
        UPLOAD = "upload"
        ENDPOINT = "endpoint"

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="submissions")
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="submissions")
    organisations: "models.JSONField[list[int], list[int]]" = models.JSONField(default=list)
    tokenizer = models.CharField(max_length=100, blank=True, default="")
    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="submissions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    checkpoint = models.CharField(max_length=80, blank=True)
    repo = models.CharField(max_length=193, blank=True)
    revision = models.CharField(max_length=100, blank=True)
    commit = models.CharField(max_length=40, blank=True)
    hub: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    upload = models.ForeignKey(
        Upload,
        on_delete=models.PROTECT,
        null=True,
        related_name="submissions",
    )
    base: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    base_upload = models.ForeignKey(
        Upload,
        on_delete=models.PROTECT,
        null=True,
        related_name="adapted_by",
    )
    url = models.CharField(max_length=2000, blank=True)
    served_model = models.CharField(max_length=200, blank=True)
    api = models.CharField(max_length=11, blank=True)
    provider = models.CharField(max_length=40, blank=True)
    protocol = models.CharField(max_length=80, blank=True)
    budget: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    sealed_keys: "models.JSONField[dict[str, str], dict[str, str]]" = models.JSONField(default=dict)
    keyed = models.BooleanField(default=False)
    verifier = models.CharField(max_length=240, blank=True)
    verifier_hub: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = (
        models.JSONField(null=True)
    )
    verifier_upload = models.ForeignKey(
        Upload,
        on_delete=models.PROTECT,
        null=True,
        related_name="verified_by",
    )
    occasion = models.ForeignKey(
        "submissions.Occasion",
        on_delete=models.PROTECT,
        null=True,
        related_name="submissions",
    )
    part = models.CharField(max_length=6, blank=True)
    idempotency_key = models.CharField(max_length=100)
    fingerprint = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(
                fields=["tokenizer"],
                condition=~models.Q(tokenizer=""),
                name="submission_by_tokenizer",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["submitted_by", "idempotency_key"],
                name="submission_once_per_key",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(sealed_keys={}) | models.Q(verifier_hub__isnull=False),
                    kind="checkpoint",
                    checkpoint__regex=NAME,
                    **NO_REPO,
                    **NO_URL,
                    **NO_UPLOAD,
                    **NO_BASE,
                )
                | models.Q(
                    kind="hub",
                    checkpoint="",
                    repo__regex=REPO,
                    commit__regex="^[0-9a-f]{40}$",
                    hub__isnull=False,
                    **NO_URL,
                    **NO_UPLOAD,
                )
                | models.Q(
                    kind="upload",
                    checkpoint="",
                    upload__isnull=False,
                    **NO_REPO,
                    **NO_URL,
                )
                | models.Q(
                    kind="endpoint",
                    checkpoint="",
                    **NO_REPO,
                    **NO_UPLOAD,
                    **NO_BASE,
                    url__regex="^https?://",
                    served_model__regex=SERVED_NAME,
                    api__in=["completions", "chat"],
                    provider__in=get_args(Provider),
                ),
                name="submission_is_one_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(base__isnull=True) | models.Q(base_upload__isnull=True),
                name="submission_has_one_base",
            ),
            models.CheckConstraint(
                condition=Regex(Cast("sealed_keys", models.TextField()), SEALED_KEYS),
                name="submission_key_is_sealed",
            ),
            models.CheckConstraint(
                condition=models.Q(protocol="") | models.Q(protocol__regex=NAME),
                name="submission_protocol_is_plain",
            ),
            models.CheckConstraint(
                condition=models.Q(occasion__isnull=True, part="")
                | models.Q(
                    ~models.Q(protocol=""),
                    occasion__isnull=False,
                    part__in=["before", "run", "after"],
                    kind="endpoint",
                ),
                name="submission_of_watch_list_is_not_ranked",
            ),
            models.UniqueConstraint(fields=["occasion", "part"], name="submission_once_a_part"),
            models.CheckConstraint(
                condition=models.Q(fingerprint__regex=HEX32),
                name="submission_has_fingerprint",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    verifier="",
                    verifier_hub__isnull=True,
                    verifier_upload__isnull=True,
                )
                | models.Q(
                    ~models.Q(kind="endpoint"),
                    verifier__regex=NAME,
                    verifier_hub__isnull=True,
                )
                | models.Q(
                    ~models.Q(kind="endpoint"),
                    verifier__regex=f"{REPO[:-1]}@[0-9a-f]{{40}}$",
                    verifier_hub__isnull=False,
                    verifier_upload__isnull=True,
                ),
                name="submission_verifier_is_of_weights",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model_id} on {self.pair_id}"

    @property
    def is_endpoint(self) -> bool:
        """Return True for an endpoint, False for weights that run on the evaluators."""
        return self.kind == self.Kind.ENDPOINT

    @property
    def is_watched(self) -> bool:
        """Return True for one of the watch list, which no author submitted."""
        return self.occasion_id is not None

    @property
    def hub_facts(self) -> HubFacts | None:
        """Return the facts of a model on the hub, None for any other."""
        return HubFacts.from_dict(self.hub) if self.hub else None

    @property
    def verifier_facts(self) -> HubFacts | UploadFacts | None:
        """Return the facts of a verifier on the hub or of an upload, None for any other."""
        if self.verifier_hub:
            return HubFacts.from_dict(self.verifier_hub)
        found = self.verifier_upload.inspected() if self.verifier_upload else None
        return found if isinstance(found, UploadFacts) else None

    @property
    def verifier_model(self) -> Checkpoint | HubModel | UploadModel:
        """Return the verifier as a job names it. Only for a system."""
        facts = self.verifier_facts
        return facts.model if facts else Checkpoint(name=self.verifier)

    @property
    def upload_facts(self) -> UploadFacts | UploadedAdapter | None:
        """Return the facts of an uploaded model or adapter, None for any other."""
        return self.upload.inspected() if self.upload else None

    @property
    def base_facts(self) -> HubFacts | UploadFacts | None:
        """Return the facts of an adapter's base model, None for a whole model."""
        if self.base:
            return HubFacts.from_dict(self.base)
        found = self.base_upload.inspected() if self.base_upload else None
        return found if isinstance(found, UploadFacts) else None

    @property
    def has_key(self) -> bool:
        """Return True if its sealed API key is still stored."""
        return bool(self.sealed_keys)

    @property
    def asked_name(self) -> str:
        """Return the name by which its model was submitted; of an upload its id."""
        if self.upload_id:
            return str(self.upload_id)
        return self.checkpoint or self.repo or self.served_model

    @property
    def asked_by(self) -> str:
        """Id of the protocol."""
        return self.protocol or self.pair.protocol

    def party(self) -> Party:
        """Return the names of an endpoint's party that never change: organisations and host."""
        names: set[tuple[str, object]] = set()
        for organisation in self.organisations:
            names.add(("organisation", organisation))
        if self.url:
            host = policy.recipient_of(self.url)
            names.add(("host", policy.site_of(host)))
        return frozenset(names)


class TensorList(models.Model):
    """Tensors of evaluated weights (``contract.Weights``), by the digest in their closings.

    ``compared`` is False until they were compared with those of other models, and again once a
    further run has them.
    """

    digest = models.CharField(max_length=64, unique=True)
    data: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    compared = models.BooleanField(default=False)

    class Meta:
        indexes = (
            models.Index(
                fields=["id"],
                condition=models.Q(compared=False),
                name="tensors_not_compared",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(digest__regex=HEX32),
                name="tensors_are_sha256",
            ),
        )

    def __str__(self) -> str:
        return self.digest


class SampledTensor(models.Model):
    """One of the largest tensors of a list: by them lists that have tensors in common are found."""

    of = models.ForeignKey(TensorList, on_delete=models.CASCADE, related_name="sampled")
    tensor = models.CharField(max_length=32)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["tensor", "of"], name="sampled_tensor_once"),
        )

    def __str__(self) -> str:
        return self.tensor


class Likeness(models.Model):
    """Share of the tensors of a model's weights that another model's have too, above 0.

    It is the greatest that was found (``Weights.shared_with``). Each pair has two rows, one for
    each of both models. A hint for maintainers: nothing is decided by it.
    """

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="likenesses")
    other = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="+")
    shared = models.FloatField()
    found = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "likenesses"
        constraints = (models.UniqueConstraint(fields=["model", "other"], name="likeness_once"),)

    def __str__(self) -> str:
        return f"{self.model_id} and {self.other_id}: {self.shared:.1%}"


class Commitment(models.Model):
    """User's commitment to weights by their digest. After a release only weights with an earlier
    commitment are ranked."""

    digest = models.CharField(max_length=64)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="commitments")
    committed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["digest", "by"], name="commitment_once"),
            models.CheckConstraint(
                condition=models.Q(digest__regex=HEX32),
                name="commitment_is_sha256",
            ),
        )

    def __str__(self) -> str:
        return self.digest
