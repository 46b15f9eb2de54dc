"""Registering sets and pairs. A registration is a commitment and never changes."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from django.db import transaction
from msgspec import Meta

from evaluator import grading, protocols
from evaluator.contract import ADAPTIVE_1, Hex32, ItemKind, Name, Wire, canonical_json
from evaluator.errors import EvaluatorError
from evaluator.ledger.manifests import Manifest, Terms
from evaluator.ledger.notices import Notice as SignedNotice
from evaluator.ledger.notices import notice_hash, retired_blocks, verify_notices
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import Refusal, refuse

FIXED = ("title", "public", "private", "protocol", "grader", "twins_by", "adaptive", "practice")
"""Fields of a pair that never change, besides its name."""
RESERVED = frozenset({"register"})
"""Words that stand after ``/sets/`` and are no pair."""


class PublicFacts(Wire, frozen=True, kw_only=True):
    """Facts of a public set, as written by ``python -m evaluator inspect --json``."""

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    digest: Hex32
    kind: ItemKind = "number"
    sealed: Literal[False] = False


def register_set(*, data: object, sealed: bool, head: str = "") -> ItemSet:
    """Register a set by its manifest (sealed) or facts (public). Doing it twice changes nothing.

    ``head`` is a sealed set's signed tree head; one with maintainers needs it. Raises
    ``bad_registration`` for malformed data and for a manifest whose root is not that of its leaves,
    ``bad_head``, and ``already_registered`` where the name stands for another set.
    """
    manifest = None
    fields: dict[str, Any]
    try:
        if sealed:
            manifest = Manifest.from_dict(data)
            manifest.verify()
            fields = {
                "name": manifest.name,
                "kind": manifest.item_kind(),
                "sealed": True,
                "n": manifest.n,
                "digest": manifest.root,
                "manifest": json.loads(canonical_json(manifest.to_dict())),
                "head": head,
            }
            if manifest.shots:
                fields["shots"] = manifest.shots.n
                fields["shots_digest"] = manifest.shots.digest
        else:
            facts = PublicFacts.from_dict(data)
            fields = {
                "name": facts.name,
                "kind": facts.kind,
                "sealed": False,
                "n": facts.n,
                "digest": facts.digest,
            }
    except EvaluatorError as failure:
        raise refuse(Refusal.BAD_REGISTRATION, str(failure.code)) from None
    if manifest and (head or manifest.maintainers):
        try:
            manifest.verify_note(head)
        except EvaluatorError:
            raise refuse(Refusal.BAD_HEAD, manifest.name) from None
    set_name = fields.pop("name")
    known, created = ItemSet.objects.get_or_create(name=set_name, defaults=fields)
    if created:
        return known
    known_fields = {name: getattr(known, name) for name in fields}
    if known_fields != fields:
        raise refuse(Refusal.ALREADY_REGISTERED, known.name)
    return known


def post_notices(*, data: Sequence[object]) -> ItemSet:
    """Store the new ones of all notices of a sealed set, from its first; known ones must be equal.

    Raises ``bad_notice`` for notices that do not verify, that leave out or change a known one, or
    of an unknown set.
    """
    try:
        signed = [SignedNotice.from_dict(notice) for notice in data]
    except EvaluatorError:
        raise refuse(Refusal.BAD_NOTICE) from None
    name = signed[0].set if signed else ""
    with transaction.atomic():
        sealed_sets = ItemSet.objects.filter(name=name, sealed=True)
        item_set = sealed_sets.select_for_update().first()
        manifest = item_set.facts() if item_set else None
        if item_set is None or manifest is None:
            raise refuse(Refusal.BAD_NOTICE, "no such set")
        try:
            verify_notices(manifest, signed)
        except EvaluatorError:
            raise refuse(Refusal.BAD_NOTICE, name) from None
        posted = item_set.notices.order_by("index")
        known = list(posted.values_list("hash", flat=True))
        hashes = [notice_hash(notice) for notice in signed]
        if hashes[: len(known)] != known:
            raise refuse(Refusal.BAD_NOTICE, "a notice that was posted is missing or another one")
        for notice in signed[len(known) :]:
            item_set.notices.create(
                index=notice.index, data=notice.to_dict(), hash=notice_hash(notice)
            )
        item_set.version = len(signed)
        item_set.save(update_fields=["version"])
        item_set.as_private.update(stale=True)
    return item_set


def name_successor(*, slug: str, successor: str) -> SetPair:
    """Name the sealed set that takes over once this pair's set is released.

    It must be registered, sealed, not the set itself, and not on its way to release: raises
    ``no_successor`` for any other.
    """
    pair = SetPair.objects.filter(slug=slug).select_related("private").first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    sealed = ItemSet.objects.filter(sealed=True, state=SetState.SEALED)
    others = sealed.exclude(pk=pair.private_id)
    candidate = others.filter(name=successor).first()
    if candidate is None:
        raise refuse(Refusal.NO_SUCCESSOR, successor)
    pair.private.successor = candidate
    pair.private.save(update_fields=["successor"])
    return pair


def open_season(*, slug: str) -> SetPair:
    """Give self-declared endpoints the next block.

    The evaluators' own configuration names the season too: nothing of the new block is shown until
    both name it. Raises ``pair_retired`` where the manifest has no further season.
    """
    with transaction.atomic():
        pair = SetPair.objects.filter(slug=slug).first()
        if pair is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        pair.private = lock_set(pair.private_id)
        manifest = pair.private.facts()
        if manifest is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        seasons = len(manifest.seasons)
        if pair.private.season + 1 >= seasons:
            raise refuse(Refusal.PAIR_RETIRED, f"season {pair.season + 1} of {seasons}")
        pair.private.season += 1
        pair.private.save(update_fields=["season"])
    return pair


def lock_set(item_set: int) -> ItemSet:
    """Return the set, locked until the transaction ends.

    Its release, its seasons and its notices change under this lock.
    """
    return ItemSet.objects.select_for_update(of=("self",)).get(pk=item_set)


def check_pair(
    *,
    slug: str,
    title: str,
    public: str,
    private: str,
    protocol: str,
    grader: str,
    also: Sequence[str] = (),
    adaptive: str = "",
    practice: bool = False,
) -> SetPair:
    """Return the pair as it would be registered, not saved, for a page that asks to confirm it.

    Raises ``bad_registration``, ``already_registered``, ``protocol_unpublished``,
    ``grader_unpublished``, ``terms_differ`` and ``set_over``.
    """
    if slug in RESERVED:
        raise refuse(Refusal.BAD_REGISTRATION, "this name is an address of the site itself")
    public_set = ItemSet.objects.filter(name=public, sealed=False).first()
    private_set = ItemSet.objects.filter(name=private, sealed=not practice).first()
    if public_set is None or private_set is None or public_set == private_set:
        kinds = "a registered public set and a registered sealed one"
        if practice:
            kinds = "two registered public sets"
        raise refuse(Refusal.BAD_REGISTRATION, f"a pair needs {kinds}")
    _check_grader(grader, (protocol, *also), (private_set, public_set))
    manifest = private_set.facts()
    if manifest and manifest.terms:
        _check_terms(manifest.terms, protocol, grader)
    # What made the two sets twins; empty where the manifest names no twin.
    twins_by = ""
    if manifest and manifest.twins:
        if manifest.twins.public != public_set.digest:
            raise refuse(
                Refusal.BAD_REGISTRATION, "the sealed set is the twin of another public set"
            )
        twins_by = manifest.twins.by
    pair = SetPair(
        slug=slug,
        title=title,
        public=public_set,
        private=private_set,
        protocol=protocol,
        grader=grader,
        also=sorted({*also} - {protocol}),
        twins_by=twins_by,
        adaptive=adaptive,
        practice=practice,
    )
    _check_adaptive(pair)
    _check_known(pair, SetPair.with_practice.filter(slug=slug).first())
    return pair


def _check_grader(
    grader: str,
    asked: Sequence[str],
    sets: Sequence[ItemSet],
) -> None:
    """Refuse protocols and graders that are not published, or that do not fit each other."""
    for name in asked:
        if name not in protocols.ids():
            raise refuse(Refusal.PROTOCOL_UNPUBLISHED, name)
    if grader not in grading.ids():
        raise refuse(Refusal.GRADER_UNPUBLISHED, grader)
    for name in asked:
        if grader not in grading.alternatives(protocols.get(name).grader):
            raise refuse(Refusal.BAD_REGISTRATION, f"{grader} does not grade the answers to {name}")
    for item_set in sets:
        if item_set.kind not in grading.kinds(grader):
            detail = f"{grader} does not grade items of the kind {item_set.kind}"
            raise refuse(Refusal.BAD_REGISTRATION, detail)
    if len({item_set.kind for item_set in sets}) > 1:
        raise refuse(Refusal.BAD_REGISTRATION, "the two sets have items of different kinds")


def _check_adaptive(pair: SetPair) -> None:
    """Refuse an adaptive test that the site does not know, or that the pair's verdicts cannot use.

    It compares with references, which twins by construction are not; and it needs one answer to
    each item.
    """
    if not pair.adaptive:
        return
    if pair.practice:
        raise refuse(Refusal.BAD_REGISTRATION, "a practice pair is asked whole")
    if pair.adaptive != ADAPTIVE_1:
        raise refuse(Refusal.BAD_REGISTRATION, f"an adaptive test is {ADAPTIVE_1} or none")
    if pair.twins_by:
        raise refuse(
            Refusal.BAD_REGISTRATION,
            "twins by construction are tested by the raw gap, which needs every item",
        )
    if protocols.get(pair.protocol).samples > 1:
        raise refuse(
            Refusal.BAD_REGISTRATION, "an adaptive test needs a protocol of one answer to each item"
        )


def _check_terms(terms: Terms, protocol: str, grader: str) -> None:
    """Refuse a protocol or a grader other than the sealed set committed to, by name and digest."""
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
    adaptive: str = "",
    practice: bool = False,
) -> SetPair:
    """Register a pair of registered sets, the private one sealed. Doing it twice changes nothing.

    Both sets of a ``practice`` pair are public.

    ``also`` are the ids of further protocols that a submission may choose; a second registration
    can add more of them. ``adaptive`` names the test by which listed endpoints are asked a part of
    the sealed set only; empty for all of it. A released, retired or compromised set gets no new
    pair. Raises as :func:`check_pair`.
    """
    wanted = check_pair(
        slug=slug,
        title=title,
        public=public,
        private=private,
        protocol=protocol,
        grader=grader,
        also=also,
        adaptive=adaptive,
        practice=practice,
    )
    with transaction.atomic():
        wanted.private = lock_set(wanted.private_id)
        locked = SetPair.with_practice.select_for_update(of=("self",))
        known = locked.filter(slug=slug).first()
        _check_known(wanted, known)
        if known is None:
            columns = (*FIXED, "also")
            facts = {name: getattr(wanted, name) for name in columns}
            # Another process may register a pair of this name meanwhile.
            known, _ = SetPair.with_practice.get_or_create(slug=slug, defaults=facts)
            _check_known(wanted, known)
        also_asked = {*known.also, *wanted.also}
        known.also = sorted(also_asked - {protocol})
        known.save(update_fields=["also"])
    return known


def _check_known(wanted: SetPair, known: SetPair | None) -> None:
    """Refuse a name that stands for another pair, and a new pair over a set that allows none."""
    if known is None:
        if not wanted.practice:
            _check_set_allows(wanted)
        return
    differs = any(getattr(known, name) != getattr(wanted, name) for name in FIXED)
    if differs or known.withdrawn_at:
        raise refuse(Refusal.ALREADY_REGISTERED, wanted.slug)


def _check_set_allows(pair: SetPair) -> None:
    """Refuse a new pair over a sealed set that is released or retired, or that another pair asks
    by another protocol or grader."""
    item_set = pair.private
    manifest = item_set.facts()
    if item_set.state == SetState.RELEASED:
        raise refuse(Refusal.SET_OVER, f"{item_set.name} is released")
    if manifest:
        retired = retired_blocks(manifest, item_set.signed_notices())
        asked = {block.id for block in manifest.blocks if block.stratum != "spare"}
        if asked <= retired:
            detail = f"every item of {item_set.name} that models are asked is retired"
            raise refuse(Refusal.SET_OVER, detail)
    other = SetPair.objects.filter(private=item_set, withdrawn_at=None).first()
    if other is None:
        return
    if other.protocol != pair.protocol or other.grader != pair.grader:
        raise refuse(Refusal.TERMS_DIFFER, f"{other.protocol} and {other.grader}, as {other.slug}")
