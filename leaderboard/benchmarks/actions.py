"""Registering sets and pairs. What is registered once is a commitment: it is never changed."""

import json
from typing import Annotated, Any, Literal

from msgspec import Meta

from evaluator.contract import Hex32, Name, Wire, canonical_json
from evaluator.errors import EvaluatorError
from evaluator.ledger.manifests import Manifest
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.errors import Refusal, refuse


class PublicFacts(Wire, frozen=True, kw_only=True):
    """A public set, as ``python -m evaluator inspect --json`` prints it."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Hex32
    sealed: Literal[False] = False


def register_set(*, data: object, sealed: bool) -> ItemSet:
    """Register a set by its manifest (sealed) or its facts (public). The same once more changes nothing.

    Raises ``bad_registration`` for malformed data and for a manifest whose root is not that of its leaves,
    ``already_registered`` where the name stands for another set.
    """
    try:
        fields = _sealed_fields(data) if sealed else _public_fields(data)
    except EvaluatorError as failure:
        raise refuse(Refusal.BAD_REGISTRATION, str(failure.code)) from None
    known, created = ItemSet.objects.get_or_create(name=fields.pop("name"), defaults=fields)
    if not created and any(getattr(known, name) != value for name, value in fields.items()):
        raise refuse(Refusal.ALREADY_REGISTERED, known.name)
    return known


def _sealed_fields(data: object) -> dict[str, Any]:
    manifest = Manifest.from_dict(data)
    manifest.verify()
    fields: dict[str, Any] = {"name": manifest.name, "sealed": True, "n": manifest.n, "digest": manifest.root}
    fields["manifest"] = json.loads(canonical_json(manifest.to_dict()))
    if manifest.shots:
        fields |= {"shots": manifest.shots.n, "shots_digest": manifest.shots.digest}
    return fields


def _public_fields(data: object) -> dict[str, Any]:
    facts = PublicFacts.from_dict(data)
    return {"name": facts.name, "sealed": False, "n": facts.n, "digest": facts.digest}


def register_pair(*, slug: str, title: str, public: str, private: str, protocol: str, grader: str) -> SetPair:
    """Register a pair of registered sets, the private one sealed. The same once more changes nothing."""
    sets = {item_set.name: item_set for item_set in ItemSet.objects.filter(name__in=[public, private])}
    if public not in sets or private not in sets or sets[public].sealed or not sets[private].sealed:
        raise refuse(Refusal.BAD_REGISTRATION, "a pair needs a registered public set and a registered sealed one")
    fields = {
        "title": title,
        "public": sets[public],
        "private": sets[private],
        "protocol": protocol,
        "grader": grader,
    }
    known, created = SetPair.objects.get_or_create(slug=slug, defaults=fields)
    if not created and any(getattr(known, name) != value for name, value in fields.items()):
        raise refuse(Refusal.ALREADY_REGISTERED, slug)
    return known
