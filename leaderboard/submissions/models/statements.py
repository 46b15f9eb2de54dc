"""Statements of a model's author, one row a submission. The site does not check them."""

from collections.abc import Iterable

from django.db import models
from django.db.models import Q

from leaderboard.submissions.models.runs import Run
from leaderboard.submissions.models.systems import Model, Submission

LICENCE = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$"
BASE_MODEL = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$"


class Statements(models.Model):
    """Author's statements about the submitted model. Empty where the author states nothing.

    ``knowledge_cutoff`` is the day after which nothing is in the training data. A model whose
    author states that it was ``trained_on_public`` items of the benchmark is ranked and marked.
    """

    class Trained(models.TextChoices):
        """Training on the benchmark's public set, as its author states it."""

        NOT_STATED = "", "Not stated"
        NO = "no", "No"
        YES = "yes", "Yes, on all or part of it"

    submission = models.OneToOneField(
        Submission,
        on_delete=models.PROTECT,
        related_name="statements",
    )
    licence = models.CharField(max_length=80, blank=True)
    base_model = models.CharField(max_length=193, blank=True)
    knowledge_cutoff = models.DateField(null=True)
    trained_on_public = models.CharField(max_length=3, choices=Trained.choices, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(licence="") | models.Q(licence__regex=LICENCE),
                name="statement_licence_is_plain",
            ),
            models.CheckConstraint(
                condition=models.Q(base_model="") | models.Q(base_model__regex=BASE_MODEL),
                name="statement_base_model_is_plain",
            ),
            models.CheckConstraint(
                condition=models.Q(trained_on_public__in=["", "no", "yes"]),
                name="statement_on_training_is_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.submission_id}"


def trained_on_public(submission: Submission) -> bool:
    """Return True where its author states that the model was trained on the public set."""
    stated: Statements | None = getattr(submission, "statements", None)
    return stated is not None and stated.trained_on_public == Statements.Trained.YES


def adapters_of_runs(runs: Iterable[str]) -> dict[str, Submission]:
    """Return the submissions of these runs that are adapters, by run."""
    of_adapters = ~Q(submission__base=None, submission__base_upload=None)
    found = Run.objects.filter(of_adapters, pk__in=list(runs))
    runs_with_uploads = found.select_related("submission__upload", "submission__base_upload")
    return {str(run.pk): run.submission for run in runs_with_uploads}


def base_models(model: Model) -> set[str]:
    """Return the names of its base models, stated by its author or recorded by maintainers."""
    stated = Statements.objects.filter(submission__model=model)
    names = {
        *stated.values_list("base_model", flat=True),
        *model.lineage_records.values_list("base_model", flat=True),
    }
    return names - {""}


def statements_of_runs(runs: Iterable[str]) -> dict[str, Statements]:
    """Return what authors state about the models of these runs, by run, where there is anything."""
    found = Run.objects.filter(pk__in=list(runs))
    stated = found.exclude(submission__statements=None)
    statements = {}
    for run in stated.select_related("submission__statements"):
        statements[str(run.pk)] = run.submission.statements
    return statements
