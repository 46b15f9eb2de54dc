"""Published tables: rows with their source, apart from all that an evaluator of this site asked.

Nothing here has a run, a seal or an entry in the ledger.
"""

from typing import Any

import msgspec
from django.core.validators import URLValidator
from django.db import models
from django.urls import reverse

from leaderboard.published.results import Analysis


class _WriteOnce(models.Model):
    """Row that is never changed once it was published."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; raise ``TypeError`` for a row that is stored already."""
        if not self._state.adding:
            raise TypeError("what was published is never changed")
        super().save(*args, **kwargs)


class PublishedTable(_WriteOnce):
    """One table of public and private scores, as published.

    - ``digest``: SHA-256 of the imported file;
    - ``equally_hard``: grounds on which its authors hold the two sets to be equally hard, or "";
    - ``same_problems``: both sets have the same problems, judged differently, so no gap is tested;
    - ``ran_by``: sentence on who ran the models, "" if it was those who published them.
    """

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120)
    source = models.CharField(max_length=400)
    url = models.CharField(
        max_length=300, blank=True, validators=[URLValidator(schemes=["https", "http"])]
    )
    equally_hard = models.CharField(max_length=400, blank=True)
    same_problems = models.BooleanField(default=False)
    ran_by = models.CharField(max_length=200, blank=True)
    public_name = models.CharField(max_length=60)
    private_name = models.CharField(max_length=60)
    imported_at = models.DateTimeField(auto_now_add=True)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"),
                name="published_table_digest_is_sha256",
            ),
            models.CheckConstraint(
                condition=~models.Q(source=""), name="published_table_has_a_source"
            ),
        )

    def __str__(self) -> str:
        return self.slug

    def get_absolute_url(self) -> str:
        """Return the address of the table's page."""
        return reverse("published", args=[self.slug])

    def known(self) -> dict[str, str]:
        """Return how each model is known to have been made, by model; without those not known."""
        rows = self.rows.exclude(kind="").values_list("model", "kind", "reference")
        accounts = {}
        for model, kind, reference in rows:
            accounts[model] = f"{kind}: {reference}" if reference else kind
        return accounts


def listed_tables() -> models.QuerySet[PublishedTable]:
    """Return every table with its number of ``models``, the newest first."""
    return PublishedTable.objects.annotate(models=models.Count("rows")).order_by("-pk")


class PublishedRow(_WriteOnce):
    """One model of a published table. Missing values are NULL, or "" for texts.

    - ``public_right``, ``private_right``: counts, computed from published shares if there are none;
    - ``parameters``, ``active_parameters``: in billions;
    - ``reported_gap``, ``reported_z``: the table's own difference and test statistic;
    - ``loglik``: log-likelihood per character of the public items;
    - ``reference``: grounds on which the model is known not to overfit;
    - ``kind``: account of how the model is known to have been made.
    """

    class Access(models.TextChoices):
        """Availability of the weights."""

        OPEN = "open", "open weights"
        CLOSED = "closed", "closed"

    table = models.ForeignKey(PublishedTable, on_delete=models.PROTECT, related_name="rows")
    line = models.PositiveIntegerField()
    model = models.CharField(max_length=120)
    organisation = models.CharField(max_length=120, blank=True)
    family = models.CharField(max_length=80)
    access = models.CharField(max_length=8, choices=Access)
    parameters = models.FloatField(null=True)
    active_parameters = models.FloatField(null=True)
    public_right = models.PositiveIntegerField()
    public_n = models.PositiveIntegerField()
    private_right = models.PositiveIntegerField()
    private_n = models.PositiveIntegerField()
    reported_gap = models.FloatField(null=True)
    reported_z = models.FloatField(null=True)
    loglik = models.FloatField(null=True)
    reference = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ("line",)
        constraints = (
            models.UniqueConstraint(fields=["table", "model"], name="published_row_model_once"),
            models.UniqueConstraint(fields=["table", "line"], name="published_row_line_once"),
            models.CheckConstraint(
                condition=models.Q(public_n__gt=0, public_right__lte=models.F("public_n"))
                & models.Q(private_n__gt=0, private_right__lte=models.F("private_n")),
                name="published_row_counts_are_shares",
            ),
            models.CheckConstraint(
                condition=models.Q(parameters__isnull=True) | models.Q(parameters__gt=0),
                name="published_row_parameters_are_positive",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model} in {self.table_id}"


READABLE = ("published-2",)
"""Methods whose analyses :class:`Analysis` can read; ``manage.py analyse_published`` makes them."""


class PublishedSnapshotQuerySet(models.QuerySet["PublishedSnapshot"]):
    """Analyses of published tables."""

    def current(self, table: PublishedTable) -> "PublishedSnapshot | None":
        """Return the newest analysis of ``table`` that can be read."""
        readable = self.filter(table=table, method__in=READABLE)
        return readable.order_by("-pk").first()


class PublishedSnapshot(_WriteOnce):
    """One analysis of a published table; ``inputs_hash`` is over rows, ``method`` and ``seed``."""

    table = models.ForeignKey(PublishedTable, on_delete=models.PROTECT, related_name="snapshots")
    created = models.DateTimeField(auto_now_add=True)
    inputs_hash = models.CharField(max_length=64)
    method = models.CharField(max_length=40)
    seed = models.PositiveBigIntegerField()
    body = models.JSONField()

    objects = PublishedSnapshotQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["table", "inputs_hash"], name="published_snapshot_once"
            ),
            models.CheckConstraint(
                condition=models.Q(inputs_hash__regex=r"^[0-9a-f]{64}$"),
                name="published_snapshot_inputs_hash_is_sha256",
            ),
        )

    def __str__(self) -> str:
        return f"{self.table_id} at {self.created:%Y-%m-%d %H:%M:%S}"

    def analysis(self) -> Analysis:
        """Return the analysis."""
        return msgspec.convert(self.body, Analysis)
