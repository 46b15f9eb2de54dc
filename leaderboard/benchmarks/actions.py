"""Registering sets and pairs. What is registered once is a commitment: it is never changed."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from django.db import transaction
from msgspec import Meta

from evaluator import grading, protocols
from evaluator.contract import Hex32, Name, Wire, canonical_json
from evaluator.errors import EvaluatorError
from evaluator.ledger.manifests import Manifest, Terms
from evaluator.ledger.notices import Notice as SignedNotice
from evaluator.ledger.notices import notice_hash, retired_blocks, verify_notices
from leaderboard.benchmarks.models import ItemSet, Notice, SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, refuse

FIXED = ("title", "public", "private", "protocol", "grader", "twins_by")
"""Fields of a pair that never change, besides its name."""
RESERVED = frozenset({"register"})
"""Words that stand after ``/sets/`` and are no pair."""


class PublicFacts(Wire, frozen=True, kw_only=True):
    """A public set, as ``python -m evaluator inspect --json`` prints it."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Hex32
    sealed: Literal[False] = False


def register_set(*, data: object, sealed: bool, head: str = "") -> ItemSet:
    """Register a set by its manifest (sealed) or its facts (public). The same once more changes
    nothing.

    ``head`` is a sealed set's signed tree head; one with maintainers needs it. Raises
    ``bad_registration`` for malformed data and for a manifest whose root is not that of its leaves,
    ``bad_head``, and ``already_registered`` where the name stands for another set.
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
    """Take all notices of a sealed set, from its first; those that are known already must be the
    same.

    Raises ``bad_notice`` for notices that do not verify, that leave out or change a known one, or
    of an unknown set.
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
            Notice.objects.create(
                item_set=item_set, index=one.index, data=one.to_dict(), hash=hashed
            )
        item_set.version = len(signed)
        item_set.save(update_fields=["version"])
        item_set.as_private.update(stale=True)
    return item_set


def name_successor(*, slug: str, successor: str) -> SetPair:
    """Name the sealed set that takes over once this pair's is released. Raises ``no_successor`` for
    any that cannot.

    It must be registered, sealed, not the set itself, and not on its way to release.
    """
    pair = SetPair.objects.filter(slug=slug).select_related("private").first()
    heir = ItemSet.objects.filter(name=successor, sealed=True).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    if heir is None or heir == pair.private or heir.state != SetState.SEALED:
        raise refuse(Refusal.NO_SUCCESSOR, successor)
    pair.private.successor = heir
    pair.private.save(update_fields=["successor"])
    return pair


def open_season(*, slug: str) -> SetPair:
    """Give self-declared endpoints the next block. Raises ``pair_retired`` where no further season
    is in the manifest.

    The evaluators' own configuration names the season too: until both say so, nothing of the new
    block is shown.
    """
    with transaction.atomic():
        pair = SetPair.objects.filter(slug=slug).first()
        if pair is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        pair.private = lock_set(pair.private_id)
        manifest = pair.private.facts()
        if manifest is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        if pair.private.season + 1 >= len(manifest.seasons):
            raise refuse(
                Refusal.PAIR_RETIRED, f"season {pair.season + 1} of {len(manifest.seasons)}"
            )
        pair.private.season += 1
        pair.private.save(update_fields=["season"])
    return pair


def lock_set(item_set: int) -> ItemSet:
    """Return the set, locked until the transaction ends.

    Its release, its seasons and its notices change under this lock.
    """
    return ItemSet.objects.select_for_update(of=("self",)).get(pk=item_set)


def _sealed_fields(data: object) -> dict[str, Any]:
    manifest = Manifest.from_dict(data)
    manifest.verify()
    fields: dict[str, Any] = {
        "name": manifest.name,
        "sealed": True,
        "n": manifest.n,
        "digest": manifest.root,
    }
    fields["manifest"] = json.loads(canonical_json(manifest.to_dict()))
    if manifest.shots:
        fields |= {"shots": manifest.shots.n, "shots_digest": manifest.shots.digest}
    return fields


def _public_fields(data: object) -> dict[str, Any]:
    facts = PublicFacts.from_dict(data)
    return {"name": facts.name, "sealed": False, "n": facts.n, "digest": facts.digest}


def check_pair(
    *,
    slug: str,
    title: str,
    public: str,
    private: str,
    protocol: str,
    grader: str,
    also: Sequence[str] = (),
) -> SetPair:
    """Return the pair as it would be registered, not saved, so that its facts can be confirmed
    before they are fixed.

    Raises ``bad_registration``, ``already_registered``, ``protocol_unpublished``,
    ``grader_unpublished``, ``terms_differ`` and ``set_over``.
    """
    if slug in RESERVED:
        raise refuse(Refusal.BAD_REGISTRATION, "this name is an address of the site itself")
    public_set, private_set = _sets_of_pair(public, private)
    _check_published([protocol, *also], grader)
    manifest = private_set.facts()
    if manifest and manifest.terms:
        _check_terms(manifest.terms, protocol, grader)
    pair = SetPair(
        slug=slug,
        title=title,
        public=public_set,
        private=private_set,
        protocol=protocol,
        grader=grader,
        also=sorted({*also} - {protocol}),
        twins_by=_twins_by(manifest, public_set),
    )
    _check_known(pair, SetPair.objects.filter(slug=slug).first())
    return pair


def _sets_of_pair(public: str, private: str) -> tuple[ItemSet, ItemSet]:
    """Return a registered public set and a registered sealed one, by their names."""
    public_set = ItemSet.objects.filter(name=public, sealed=False).first()
    private_set = ItemSet.objects.filter(name=private, sealed=True).first()
    if public_set is None or private_set is None:
        raise refuse(
            Refusal.BAD_REGISTRATION,
            "a pair needs a registered public set and a registered sealed one",
        )
    return public_set, private_set


def _twins_by(manifest: Manifest | None, public_set: ItemSet) -> str:
    """Return what made the two sets twins; empty where the manifest names no twin."""
    if manifest is None or manifest.twins is None:
        return ""
    if manifest.twins.public != public_set.digest:
        raise refuse(Refusal.BAD_REGISTRATION, "the sealed set is the twin of another public set")
    return manifest.twins.by


def _check_published(protocol_ids: Sequence[str], grader: str) -> None:
    for name in protocol_ids:
        if name not in protocols.ids():
            raise refuse(Refusal.PROTOCOL_UNPUBLISHED, name)
    if grader not in grading.ids():
        raise refuse(Refusal.GRADER_UNPUBLISHED, grader)


def _check_terms(terms: Terms, protocol: str, grader: str) -> None:
    """Hold the protocol and the grader against what the sealed set committed to, by their digests
    as well."""
    if (terms.protocol, terms.grader) != (protocol, grader):
        raise refuse(Refusal.TERMS_DIFFER, f"{terms.protocol} and {terms.grader}")
    if terms.protocol_digest != protocols.get(protocol).digest:
        raise refuse(Refusal.TERMS_DIFFER, f"another {protocol} than this site knows")
    if terms.grader_digest != grading.digest(grader):
        raise refuse(Refusal.TERMS_DIFFER, f"another {grader} than this site knows")


def register_pair(
    *,
    slug: str,
    title: str,
    public: str,
    private: str,
    protocol: str,
    grader: str,
    also: Sequence[str] = (),
) -> SetPair:
    """Register a pair of registered sets, the private one sealed. The same once more changes
    nothing.

    ``also`` are the ids of further protocols that a submission may choose; registered once more,
    the pair allows more. A released, retired or compromised set has no new pair. Raises as
    :func:`check_pair`.
    """
    made = check_pair(
        slug=slug,
        title=title,
        public=public,
        private=private,
        protocol=protocol,
        grader=grader,
        also=also,
    )
    with transaction.atomic():
        made.private = lock_set(made.private_id)
        known = SetPair.objects.select_for_update(of=("self",)).filter(slug=slug).first()
        _check_known(made, known)
        if known is None:
            known = _saved(made)
            _check_known(made, known)
        known.also = sorted({*known.also, *made.also} - {protocol})
        known.save(update_fields=["also"])
    return known


def _saved(made: SetPair) -> SetPair:
    """The pair of this name, whoever of two that register it at once was first."""
    facts = {name: getattr(made, name) for name in (*FIXED, "also")}
    return SetPair.objects.get_or_create(slug=made.slug, defaults=facts)[0]


def _check_known(made: SetPair, known: SetPair | None) -> None:
    """Refuse another pair under a known name, and a new one over a set that is over or asked
    otherwise."""
    if known is None:
        _check_live(made)
    elif any(getattr(known, name) != getattr(made, name) for name in FIXED) or known.withdrawn_at:
        raise refuse(Refusal.ALREADY_REGISTERED, made.slug)


def _check_live(made: SetPair) -> None:
    """Refuse a new pair over a set that is over, or that another pair has asked and graded
    otherwise before."""
    item_set, manifest = made.private, made.private.facts()
    if item_set.state == SetState.RELEASED:
        raise refuse(Refusal.SET_OVER, f"{item_set.name} is released")
    if manifest:
        gone = retired_blocks(manifest, item_set.signed_notices())
        asked = {block.id for block in manifest.blocks if block.stratum != "spare"}
        if asked <= gone:
            raise refuse(
                Refusal.SET_OVER, f"every item of {item_set.name} that models are asked is retired"
            )
    other = SetPair.objects.filter(private=item_set, withdrawn_at=None).first()
    if other and (other.protocol, other.grader) != (made.protocol, made.grader):
        raise refuse(Refusal.TERMS_DIFFER, f"{other.protocol} and {other.grader}, as {other.slug}")
