"""The ranking as JSON, mounted at ``/api/v1``."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.rankings import exports
from leaderboard.rankings.models import Snapshot

router = Router(tags=["rankings"])


@router.get("/board", auth=None, summary="The ranking of one pair of sets")
def board(request: HttpRequest, pair: str | None = None) -> dict[str, Any]:
    """Rows by private score, and apart from them the models without one.

    Without ``pair`` it is the pair registered last. Accuracies, gaps and intervals are fractions; a gap is
    public less private accuracy; intervals are 95%, Wilson's for a score and Newcombe's for a gap.
    """
    pairs = SetPair.objects.all() if pair is None else SetPair.objects.filter(slug=pair)
    found = pairs.order_by("-pk").first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND, "pair")
    return exports.as_json(found, Snapshot.objects.current(found))
