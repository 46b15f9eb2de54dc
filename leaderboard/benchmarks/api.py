"""Public facts of each pair of sets, and overlaps of public ones, mounted at ``/api/v1``."""

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Status

from evaluator.contract import canonical_json
from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.benchmarks.overlaps import as_json, overlaps_of, publish_overlap
from leaderboard.errors import Refusal, refuse

MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

router = Router(tags=["sets"])


@router.get("/sets", auth=None, summary="The pairs of sets and what commits to them")
def sets(request: HttpRequest) -> dict[str, Any]:
    """Newest first. ``digest`` of a sealed set is the root of its Merkle tree."""
    pairs = SetPair.objects.select_related("public", "private")
    return {"pairs": [_pair(pair) for pair in pairs.order_by("-pk")]}


@router.get(
    "/sets/{slug}", auth=None, summary="One pair: all that was published about its sealed set"
)
def set_pair(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Return the public record of one pair. Its manifest has an address of its own.

    ``head`` is the sealed set's signed tree head, a C2SP note.

    ``notices`` are as their maintainers signed them, each with its hash. ``season`` counts the
    blocks that self-declared endpoints have had before. ``evidence`` is there once a release is
    proposed, ``release`` once it is published: the signed statement, and the SHA-256 of every file
    of the bundle. All of these are the sealed set's, and the same for every pair over it.
    ``withdrawn`` is there once the pair was withdrawn.
    """
    pair = _known(slug)
    private = pair.private
    notices = [
        {
            "hash": notice.hash,
            "received": notice.received.strftime(MOMENT),
            "notice": notice.data,
        }
        for notice in private.notices.order_by("index")
    ]
    steps = [
        {
            "old": step.old,
            "new": step.new,
            "moment": step.moment.strftime(MOMENT),
        }
        for step in private.steps.order_by("pk")
    ]
    withdrawn = None
    if pair.withdrawn_at:
        withdrawn = {"reason": pair.withdrawn_why, "moment": pair.withdrawn_at.strftime(MOMENT)}
    return _pair(pair) | {
        "season": pair.season,
        "version": private.version,
        "head": private.head,
        "notices": notices,
        "steps": steps,
        "successor": _set(pair.successor) if pair.successor else None,
        "evidence": pair.evidence,
        "release": _release(pair),
        "withdrawn": withdrawn,
    }


@router.get("/sets/{slug}/manifest", auth=None, summary="The sealed set's manifest, byte for byte")
def manifest(request: HttpRequest, slug: str) -> HttpResponse:
    """Return the very file that was sealed: canonical JSON with an end of line.

    Signatures name it by its hash.
    """
    pair = _known(slug)
    if not pair.private.manifest:
        raise refuse(Refusal.NOT_FOUND, "no manifest")
    return HttpResponse(
        canonical_json(pair.private.manifest) + b"\n", content_type="application/json"
    )


class OverlapIn(Strict):
    """Report of ``holdfast overlap`` on a registered public set; ``matches`` may be left out."""

    corpus: str = Field(max_length=120)
    address: str = Field("", max_length=300)
    model: str = Field("", max_length=120, description="Model of the run, if there is a score.")
    report: dict[str, Any]


@router.get("/sets/{slug}/overlaps", auth=None, summary="Overlap of the public set with corpora")
def overlaps(request: HttpRequest, slug: str) -> dict[str, Any]:
    """Return the newest report on each corpus and of each model. A sealed set has none.

    ``right_overlapping`` of ``n_overlapping`` and ``right_others`` of ``n_others`` are the score of
    ``model``.
    """
    public_set = _known(slug).public
    return {"overlaps": [as_json(overlap) for overlap in overlaps_of(public_set)]}


@router.post(
    "/overlaps",
    auth=Bearer(Scope.MANAGE),
    response={201: dict[str, Any], (400, 401, 403, 413, 422): Problem},
    summary="Publish an overlap report",
)
def publish(request: HttpRequest, order: OverlapIn) -> Any:
    """Publish the overlap of a public set with a corpus; for maintainers. Twice changes nothing.

    The set is found by the digest of its items.
    """
    overlap = publish_overlap(
        data=order.report,
        corpus=order.corpus,
        address=order.address,
        model=order.model,
        by=token_user(request),
    )
    return Status(201, as_json(overlap))


def _known(slug: str) -> SetPair:
    pairs = SetPair.objects.select_related("public", "private__successor")
    known = pairs.filter(slug=slug).first()
    if known is None:
        raise refuse(Refusal.NOT_FOUND, "pair")
    return known


def _release(pair: SetPair) -> dict[str, Any] | None:
    """Return the published release of the sealed set; None where there is none."""
    try:
        release = pair.private.release
    except ObjectDoesNotExist:
        return None
    return {
        "statement": release.statement,
        "contents": release.contents,
        "published": release.published_at.strftime(MOMENT),
    }


def _pair(pair: SetPair) -> dict[str, Any]:
    return {
        "slug": pair.slug,
        "title": pair.title,
        "protocol": pair.protocol,
        "also": pair.also,
        "grader": pair.grader,
        "adaptive": pair.adaptive,
        "kind": pair.private.kind,
        "state": pair.published_state,
        "set_state": pair.state,
        "release_rule": pair.private.manifest.get("rule"),
        "public": _set(pair.public),
        "private": _set(pair.private),
    }


def _set(item_set: ItemSet) -> dict[str, Any]:
    names = ("name", "sealed", "n", "digest", "shots", "shots_digest")
    return {name: getattr(item_set, name) for name in names}
