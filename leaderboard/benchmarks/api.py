"""The public facts of each pair of sets as JSON, mounted at ``/api/v1``."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from leaderboard.benchmarks.models import ItemSet, SetPair

router = Router(tags=["sets"])


@router.get("/sets", auth=None, summary="The pairs of sets and what commits to them")
def sets(request: HttpRequest) -> dict[str, Any]:
    """Newest first. ``digest`` of a sealed set is the root of its Merkle tree."""
    pairs = SetPair.objects.select_related("public", "private")
    return {"pairs": [_pair(pair) for pair in pairs.order_by("-pk")]}


def _pair(pair: SetPair) -> dict[str, Any]:
    names = ("slug", "title", "protocol", "grader", "state")
    shown: dict[str, Any] = {name: getattr(pair, name) for name in names}
    shown["release_rule"] = pair.private.manifest.get("rule")
    return shown | {"public": _set(pair.public), "private": _set(pair.private)}


def _set(item_set: ItemSet) -> dict[str, Any]:
    return {name: getattr(item_set, name) for name in ("name", "sealed", "n", "digest", "shots", "shots_digest")}
