"""Uploaded folders: the files that their author declared, and how far each has come."""

import uuid

from django.db import models
from django.db.models.functions import Now

from evaluator.contract.adapters import UploadedAdapter
from evaluator.contract.uploads import UploadedFile, UploadFacts
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import HEX32

FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$"


class UploadQuerySet(models.QuerySet["Upload"]):
    """Uploads of all organisations."""

    def stored(self) -> "UploadQuerySet":
        """Those whose files are here, or are still coming."""
        return self.exclude(state=Upload.State.EXPIRED)

    def of(self, organisation: Organisation) -> "UploadQuerySet":
        """Those of one organisation."""
        return self.filter(organisation=organisation)


class Upload(models.Model):
    """Folder that a member of an organisation uploads.

    - ``fingerprint`` is the digest of its list of files: an organisation has one open or complete
      upload of equal files, which any member continues from any machine.
    - ``facts`` is the ``contract.uploads.UploadFacts`` of a complete one, for an adapter the
      ``contract.adapters.UploadedAdapter``.
    - ``touched`` is the time of the last chunk or of the completion.
    """

    class State(models.TextChoices):
        """State of an upload: its files are deleted when it expires."""

        OPEN = "open"
        COMPLETE = "complete"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="uploads")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(
        max_length=8,
        choices=State.choices,
        default=State.OPEN,
    )
    fingerprint = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    facts: "models.JSONField[dict[str, object] | None, dict[str, object] | None]" = (
        models.JSONField(null=True)
    )
    created = models.DateTimeField(db_default=Now())
    touched = models.DateTimeField(db_default=Now())

    objects = UploadQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["organisation", "fingerprint"],
                condition=~models.Q(state="expired"),
                name="upload_once_per_organisation",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["open", "complete", "expired"]),
                name="upload_state_is_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="complete") | models.Q(facts__isnull=False),
                name="upload_complete_has_facts",
            ),
            models.CheckConstraint(
                condition=models.Q(fingerprint__regex=HEX32),
                name="upload_has_fingerprint",
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)

    def declared(self) -> list[UploadedFile]:
        """Return its files, by name."""
        return [file.declared() for file in self.files.order_by("name")]

    def inspected(self) -> UploadFacts | UploadedAdapter | None:
        """Return the facts of its model or its adapter, None before it is complete."""
        if self.facts is None:
            return None
        kind = UploadFacts if "architecture" in self.facts else UploadedAdapter
        return kind.from_dict(self.facts)


class UploadFile(models.Model):
    """File of an upload. ``digest`` is that of ``contract.uploads.UploadedFile``."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=200)
    size = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["upload", "name"], name="upload_file_once"),
            models.CheckConstraint(
                condition=models.Q(name__regex=FILE_NAME),
                name="upload_file_name_is_plain",
            ),
            models.CheckConstraint(condition=models.Q(size__gte=1), name="upload_file_has_bytes"),
            models.CheckConstraint(
                condition=models.Q(digest__regex=HEX32),
                name="upload_file_has_digest",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def declared(self) -> UploadedFile:
        """Return it as it was declared."""
        return UploadedFile(name=self.name, size=self.size, digest=self.digest)
