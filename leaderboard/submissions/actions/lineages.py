"""Lineages of models, as maintainers record them; weights that submitters commit to."""

import re

from django.db import transaction

from evaluator.contract import Hex32, Name, fits
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import Release
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import (
    MODEL_NAME,
    Commitment,
    Lineage,
    LineageRecord,
    Model,
    Run,
)


def register_lineage(*, name: str, parents: list[str]) -> Lineage:
    """Enter a lineage, or add parents to one. Raises ``bad_registration`` for a bad name or a circle of descent,
    ``unknown_lineage`` for a parent that is not registered."""
    if not fits(name, Name):
        raise refuse(Refusal.BAD_REGISTRATION, "lineage")
    with transaction.atomic():
        lineage, _ = Lineage.objects.get_or_create(name=name)
        for parent in parents:
            lineage.parents.add(_lineage(parent))
        above = {lineage.pk}
        waiting = list(lineage.parents.values_list("pk", flat=True))
        while waiting:
            one = waiting.pop()
            if one == lineage.pk:
                raise refuse(Refusal.BAD_REGISTRATION, "a lineage does not descend from itself")
            if one not in above:
                above.add(one)
                waiting += Lineage.objects.get(pk=one).parents.values_list("pk", flat=True)
    return lineage


def assign_lineage(
    *, model: str, lineage: str, weights: str = "", base_model: str = ""
) -> LineageRecord | None:
    """Record the lineage of a model's weights, which ``weights`` names by the digest of their files.

    Without it the weights of the newest run that is over are meant. Returns None where there is no such run: then only
    the model's family on the board is recorded, and nothing counts for a release. Raises ``unknown_lineage``,
    ``not_found``, ``invalid_field``.
    """
    if weights and not fits(weights, Hex32):
        raise refuse(Refusal.INVALID_FIELD, "weights")
    if base_model and not re.fullmatch(MODEL_NAME, base_model):
        raise refuse(Refusal.INVALID_FIELD, "base model")
    with transaction.atomic():
        known = Model.objects.select_for_update().filter(name=model).first()
        if known is None:
            raise refuse(Refusal.NOT_FOUND, "model")
        known.lineage = _lineage(lineage)
        known.save(update_fields=["lineage"])
        artefact = weights or _newest_artefact(known)
        if not artefact:
            return None
        facts = {"lineage": known.lineage, "base_model": base_model}
        return LineageRecord.objects.update_or_create(
            model=known, artefact=artefact, defaults=facts
        )[0]


def _newest_artefact(model: Model) -> str:
    over = Run.objects.filter(submission__model=model, ended_at__isnull=False).exclude(artefact="")
    return over.order_by("-queued_at", "-pk").values_list("artefact", flat=True).first() or ""


def _lineage(name: str) -> Lineage:
    found = Lineage.objects.filter(name=name).first()
    if found is None:
        raise refuse(Refusal.UNKNOWN_LINEAGE, name)
    return found


def commit_weights(*, user: User, digest: str) -> Commitment:
    """Commit to weights by the digest of the checkpoint. The same once more keeps the first moment.

    Raises ``invalid_field`` for anything but 64 hexadecimal digits.
    """
    if not fits(digest, Hex32):
        raise refuse(Refusal.INVALID_FIELD, "digest")
    return Commitment.objects.get_or_create(digest=digest, by=user)[0]


def is_post_release(run: Run, artefact: str) -> bool:
    """Whether a run is of weights that nobody had committed to before its set was released.

    An earlier run of the same weights is a commitment too. Nobody can commit to what an endpoint serves.
    """
    item_set = run.submission.pair.private
    release = (
        Release.objects.filter(item_set=item_set).first()
        if item_set.state == SetState.RELEASED
        else None
    )
    if release is None:
        return False
    if not re.fullmatch(r"[0-9a-f]{64}", artefact):
        return True
    before = release.published_at
    committed = Commitment.objects.filter(digest=artefact, committed_at__lt=before)
    asked = Run.objects.filter(artefact=artefact, ended_at__lt=before).exclude(pk=run.pk)
    return not (committed.exists() or asked.exists())
