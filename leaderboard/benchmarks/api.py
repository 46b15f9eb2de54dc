"""The public facts of each pair of sets as JSON, mounted at ``/api/v1``."""

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from ninja import Router

from evaluator.contract import canonical_json
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.errors import Refusal, refuse

MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

router = Router(tags=["sets"])


@router.get("/sets", auth=None, summary="The pairs of sets and what commits to them")
def sets(request: HttpRequest) -> dict[str, Any]:
    """Newest first. ``digest`` of a sealed set is the root of its Merkle tree."""
    pairs = SetPair.objects.select_related("public", "private")
    return {"pairs": [_pair(pair) for pair in pairs.order_by("-pk")]}


@router.get(
    "/sets/{slug}", auth=None, summary="One pair: all that was ever said about its sealed set"
)
def set_pair(request: HttpRequest, slug: str) -> dict[str, Any]:
    """``head`` is the sealed set's signed tree head, a C2SP note; the manifest has an address of
    its own.

    ``notices`` are as their maintainers signed them, each with its hash. ``season`` counts the
    blocks that self-declared endpoints have had before. ``evidence`` is there once a release is
    proposed, ``release`` once it is published: the signed statement, and the SHA-256 of every file
    of the bundle. All of these are the sealed set's, and the same for every pair over it.
    ``withdrawn`` is there once the pair was withdrawn.
    """
    pair = _known(slug)
    private = pair.private
    notices = [
        {"hash": one.hash, "received": one.received.strftime(MOMENT), "notice": one.data}
        for one in private.notices.order_by("index")
    ]
    steps = [
        {"old": step.old, "new": step.new, "moment": step.moment.strftime(MOMENT)}
        for step in private.steps.order_by("pk")
    ]
    return _pair(pair) | {
        "season": pair.season,
        "version": private.version,
        "head": private.head,
        "notices": notices,
        "steps": steps,
        "successor": _set(pair.successor) if pair.successor else None,
        "evidence": pair.evidence,
        "release": _release(pair),
        "withdrawn": _withdrawn(pair),
    }


@router.get("/sets/{slug}/manifest", auth=None, summary="The sealed set's manifest, byte for byte")
def manifest(request: HttpRequest, slug: str) -> HttpResponse:
    """Its canonical JSON with an end of line: the very file that was sealed. Signatures name it by
    its hash."""
    pair = _known(slug)
    if not pair.private.manifest:
        raise refuse(Refusal.NOT_FOUND, "no manifest")
    return HttpResponse(
        canonical_json(pair.private.manifest) + b"\n", content_type="application/json"
    )


def _known(slug: str) -> SetPair:
    known = SetPair.objects.select_related("public", "private__successor").filter(slug=slug).first()
    if known is None:
        raise refuse(Refusal.NOT_FOUND, "pair")
    return known


def _release(pair: SetPair) -> dict[str, Any] | None:
    try:
        release = pair.private.release
    except ObjectDoesNotExist:
        return None
    published = release.published_at.strftime(MOMENT)
    return {"statement": release.statement, "contents": release.contents, "published": published}


def _withdrawn(pair: SetPair) -> dict[str, str] | None:
    if pair.withdrawn_at is None:
        return None
    return {"reason": pair.withdrawn_why, "moment": pair.withdrawn_at.strftime(MOMENT)}


def _pair(pair: SetPair) -> dict[str, Any]:
    names = ("slug", "title", "protocol", "also", "grader")
    shown: dict[str, Any] = {name: getattr(pair, name) for name in names}
    shown |= {"state": pair.published_state, "set_state": pair.state}
    shown["release_rule"] = pair.private.manifest.get("rule")
    return shown | {"public": _set(pair.public), "private": _set(pair.private)}


def _set(item_set: ItemSet) -> dict[str, Any]:
    return {
        name: getattr(item_set, name)
        for name in ("name", "sealed", "n", "digest", "shots", "shots_digest")
    }
