"""Lineages of models and of their weights, as maintainers record them."""

import re

from django.db import transaction

from evaluator.contract import Hex32, Name, fits
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import MODEL_NAME, Lineage, LineageRecord, Model, Run


def register_lineage(*, name: str, parents: list[str]) -> Lineage:
    """Store a lineage, or add parents to one.

    Raises ``bad_registration`` for a bad name or a circle of descent, ``unknown_lineage`` for a
    parent that is not registered.
    """
    if not fits(name, Name):
        raise refuse(Refusal.BAD_REGISTRATION, "lineage")
    with transaction.atomic():
        lineage, _ = Lineage.objects.get_or_create(name=name)
        for parent in parents:
            lineage.parents.add(_lineage(parent))
        ancestors: set[int] = set()
        to_visit = list(lineage.parents.all())
        while to_visit:
            ancestor = to_visit.pop()
            if ancestor == lineage:
                raise refuse(Refusal.BAD_REGISTRATION, "a lineage does not descend from itself")
            if ancestor.pk not in ancestors:
                ancestors.add(ancestor.pk)
                to_visit += ancestor.parents.all()
    return lineage


def assign_lineage(
    *,
    model: str,
    lineage: str,
    weights: str = "",
    base_model: str = "",
) -> LineageRecord | None:
    """Record the lineage of a model's weights, which ``weights`` names by their files' digest.

    Without it the weights of the newest run that is over are meant. Returns None where there is no
    such run: then only the model's family on the board is recorded, and nothing counts for a
    release. Raises ``unknown_lineage``, ``not_found``, ``invalid_field``.
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
        artefact = weights
        if not artefact:
            own = Run.objects.official().filter(submission__model=known)
            ended = own.filter(ended_at__isnull=False)
            known_weights = ended.exclude(artefact="")
            newest = known_weights.order_by("-queued_at", "-pk").first()
            if newest is None:
                return None
            artefact = newest.artefact
        record, _ = LineageRecord.objects.update_or_create(
            model=known,
            artefact=artefact,
            defaults={"lineage": known.lineage, "base_model": base_model},
        )
    return record


def _lineage(name: str) -> Lineage:
    lineage = Lineage.objects.filter(name=name).first()
    if lineage is None:
        raise refuse(Refusal.UNKNOWN_LINEAGE, name)
    return lineage
