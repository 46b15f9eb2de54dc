"""What maintainers say of models and runs: lineages, retracted runs; and what submitters commit to."""

import re
from uuid import UUID

from django.db import transaction

from evaluator.contract import Hex32, Name, fits
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import Release, SetPair
from leaderboard.benchmarks.states import PairState
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import Commitment, Lineage, Model, Run


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


def assign_lineage(*, model: str, lineage: str) -> Model:
    """Say which lineage a model belongs to. Raises ``unknown_lineage``, ``not_found``."""
    known = Model.objects.filter(name=model).first()
    if known is None:
        raise refuse(Refusal.NOT_FOUND, "model")
    known.lineage = _lineage(lineage)
    known.save(update_fields=["lineage"])
    return known


def _lineage(name: str) -> Lineage:
    found = Lineage.objects.filter(name=name).first()
    if found is None:
        raise refuse(Refusal.UNKNOWN_LINEAGE, name)
    return found


def retract_run(*, run: UUID) -> Run:
    """Let a run count for nothing from now on; its outcomes are kept. Raises ``not_found``."""
    with transaction.atomic():
        # The pair before the run, as a ranking locks them.
        SetPair.objects.filter(submissions__runs=run).update(stale=True)
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        locked.change(retracted=True)
    return locked


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
    pair = run.submission.pair
    release = Release.objects.filter(pair=pair).first() if pair.state == PairState.RELEASED else None
    if release is None:
        return False
    if not re.fullmatch(r"[0-9a-f]{64}", artefact):
        return True
    before = release.published_at
    committed = Commitment.objects.filter(digest=artefact, committed_at__lt=before)
    asked = Run.objects.filter(artefact=artefact, ended_at__lt=before).exclude(pk=run.pk)
    return not (committed.exists() or asked.exists())
