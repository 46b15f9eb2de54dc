"""Commitments to weights: who had which weights before a set was released."""

import re

from evaluator.contract import Hex32, fits
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import Release
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import Commitment, Run


def commit_weights(*, user: User, digest: str) -> Commitment:
    """Commit to weights by the digest of their checkpoint. The first moment counts.

    Raises ``invalid_field`` for anything but 64 hexadecimal digits.
    """
    if not fits(digest, Hex32):
        raise refuse(Refusal.INVALID_FIELD, "digest")
    commitment, _ = Commitment.objects.get_or_create(digest=digest, by=user)
    return commitment


def is_post_release(run: Run, artefact: str) -> bool:
    """Return True for weights without a commitment from before the release of the run's set.

    An earlier run of the same weights is a commitment too. There is none to what an endpoint
    serves.
    """
    item_set = run.submission.pair.private
    if item_set.state != SetState.RELEASED:
        return False
    release = Release.objects.filter(item_set=item_set).first()
    if release is None:
        return False
    if not re.fullmatch(r"[0-9a-f]{64}", artefact):
        return True
    before = release.published_at
    committed = Commitment.objects.filter(digest=artefact, committed_at__lt=before)
    if committed.exists():
        return False
    of_weights = Run.objects.official().filter(artefact=artefact)
    ended = of_weights.filter(ended_at__lt=before)
    return not ended.exclude(pk=run.pk).exists()
