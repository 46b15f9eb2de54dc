"""Registering sets and pairs. What is registered once is a commitment: it is never changed."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from django.db import transaction
from msgspec import Meta

from evaluator.contract import Hex32, Name, Wire, canonical_json, fits
from evaluator.errors import EvaluatorError
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notices import Notice as SignedNotice
from evaluator.ledger.notices import notice_hash, verify_notices
from leaderboard.benchmarks.models import ItemSet, Notice, SetPair
from leaderboard.benchmarks.states import PairState
from leaderboard.errors import Refusal, refuse

RESERVED = frozenset({"register"})
"""What stands after ``/sets/`` and is no pair."""


class PublicFacts(Wire, frozen=True, kw_only=True):
    """A public set, as ``python -m evaluator inspect --json`` prints it."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Hex32
    sealed: Literal[False] = False


def register_set(*, data: object, sealed: bool, head: str = "") -> ItemSet:
    """Register a set by its manifest (sealed) or its facts (public). The same once more changes nothing.

    ``head`` is a sealed set's signed tree head; one with maintainers needs it. Raises ``bad_registration`` for
    malformed data and for a manifest whose root is not that of its leaves, ``bad_head``, and ``already_registered``
    where the name stands for another set.
    """
    try:
        fields = _sealed_fields(data) if sealed else _public_fields(data)
    except EvaluatorError as failure:
        raise refuse(Refusal.BAD_REGISTRATION, str(failure.code)) from None
    if sealed:
        fields["head"] = _checked_head(Manifest.from_dict(data), head)
    known, created = ItemSet.objects.get_or_create(name=fields.pop("name"), defaults=fields)
    if not created and any(getattr(known, name) != value for name, value in fields.items()):
        raise refuse(Refusal.ALREADY_REGISTERED, known.name)
    return known


def _checked_head(manifest: Manifest, head: str) -> str:
    if not head and not manifest.maintainers:
        return ""
    try:
        manifest.verify_note(head)
    except EvaluatorError:
        raise refuse(Refusal.BAD_HEAD, manifest.name) from None
    return head


def post_notices(*, data: Sequence[object]) -> ItemSet:
    """Take all notices of a sealed set, from its first; those that are known already must be the same.

    Raises ``bad_notice`` for notices that do not verify, that leave out or change a known one, or of an unknown set.
    """
    try:
        signed = [SignedNotice.from_dict(one) for one in data]
    except EvaluatorError:
        raise refuse(Refusal.BAD_NOTICE) from None
    name = signed[0].set if signed else ""
    with transaction.atomic():
        item_set = ItemSet.objects.select_for_update().filter(name=name, sealed=True).first()
        manifest = item_set.facts() if item_set else None
        if item_set is None or manifest is None:
            raise refuse(Refusal.BAD_NOTICE, "no such set")
        try:
            verify_notices(manifest, signed)
        except EvaluatorError:
            raise refuse(Refusal.BAD_NOTICE, name) from None
        known = list(item_set.notices.order_by("index").values_list("hash", flat=True))
        hashes = [notice_hash(one) for one in signed]
        if hashes[: len(known)] != known:
            raise refuse(Refusal.BAD_NOTICE, "a notice that was posted is missing or another one")
        for one, hashed in list(zip(signed, hashes, strict=True))[len(known) :]:
            Notice.objects.create(item_set=item_set, index=one.index, data=one.to_dict(), hash=hashed)
        item_set.version = len(signed)
        item_set.save(update_fields=["version"])
        item_set.as_private.update(stale=True)
    return item_set


def name_successor(*, slug: str, successor: str) -> SetPair:
    """Name the sealed set that takes over once this pair's is released. Raises ``no_successor`` for any that cannot.

    It must be registered, sealed, not the set itself, and the private set of no pair that is on its way to release.
    """
    pair = SetPair.objects.filter(slug=slug).select_related("private").first()
    heir = ItemSet.objects.filter(name=successor, sealed=True).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    if heir is None or heir == pair.private or heir.as_private.exclude(state=PairState.SEALED).exists():
        raise refuse(Refusal.NO_SUCCESSOR, successor)
    pair.successor = heir
    pair.save(update_fields=["successor"])
    return pair


def open_season(*, slug: str) -> SetPair:
    """Give self-declared endpoints the next block. Raises ``pair_retired`` where no further season is in the manifest.

    The evaluators' own configuration names the season too: until both say so, nothing of the new block is shown.
    """
    with transaction.atomic():
        pair = SetPair.objects.select_for_update(of=("self",)).filter(slug=slug).first()
        manifest = pair.private.facts() if pair else None
        if pair is None or manifest is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        if pair.season + 1 >= len(manifest.seasons):
            raise refuse(Refusal.PAIR_RETIRED, f"season {pair.season + 1} of {len(manifest.seasons)}")
        pair.season += 1
        pair.save(update_fields=["season"])
    return pair


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


def register_pair(
    *, slug: str, title: str, public: str, private: str, protocol: str, grader: str, also: Sequence[str] = ()
) -> SetPair:
    """Register a pair of registered sets, the private one sealed. The same once more changes nothing.

    ``also`` are the ids of further protocols that a submission may choose; registered once more, the pair allows more.
    """
    if slug in RESERVED:
        raise refuse(Refusal.BAD_REGISTRATION, "this name is an address of the site itself")
    sets = {item_set.name: item_set for item_set in ItemSet.objects.filter(name__in=[public, private])}
    if public not in sets or private not in sets or sets[public].sealed or not sets[private].sealed:
        raise refuse(Refusal.BAD_REGISTRATION, "a pair needs a registered public set and a registered sealed one")
    manifest = sets[private].facts()
    twins = manifest.twins if manifest else None
    if twins and twins.public != sets[public].digest:
        raise refuse(Refusal.BAD_REGISTRATION, "the sealed set says that it is the twin of another public set")
    fields = {
        "title": title,
        "public": sets[public],
        "private": sets[private],
        "protocol": protocol,
        "grader": grader,
        "twins_by": twins.by if twins else "",
    }
    if not all(fits(other, Name) for other in also):
        raise refuse(Refusal.BAD_REGISTRATION, "a protocol's id has small letters, digits, '.', '_' and '-'")
    with transaction.atomic():
        known, created = SetPair.objects.select_for_update().get_or_create(slug=slug, defaults=fields)
        if not created and any(getattr(known, name) != value for name, value in fields.items()):
            raise refuse(Refusal.ALREADY_REGISTERED, slug)
        known.also = sorted({*known.also, *also} - {protocol})
        known.save(update_fields=["also"])
    return known
