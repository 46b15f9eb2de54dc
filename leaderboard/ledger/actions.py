"""Registering evaluators and endpoints, recording grants, storing the evaluators' signed logs."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from msgspec import UnsetType

from evaluator.contract import (
    Announcement,
    CountsOpening,
    Endpoint,
    LogLine,
    Recipient,
    Wire,
    fits,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.ledger.closings import counts_commitment
from evaluator.ledger.entries import origin, verify_entry
from evaluator.ledger.manifests import Identity
from evaluator.ledger.notes import verify_head
from evaluator.policy import ENDPOINT_TIERS, recipient_of
from leaderboard.celery import request_log
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry, Evaluator, Grant, Head, ListedEndpoint, Party

LONGEST_URL = 1000
"""Longest address of a listed endpoint: the index holds no longer ones."""
MISSED_ANNOUNCEMENTS = 3
"""Announcements in a row that may be missing before an evaluator counts as away."""


def register_evaluator(*, identity: object, pool: str) -> Evaluator:
    """Register an evaluator's public keys. Its keys can never be changed."""
    try:
        facts = Identity.from_dict(identity)
    except EvaluatorError:
        raise refuse(Refusal.BAD_REGISTRATION, "identity") from None
    keys = {"public_key": facts.report_pub, "host_pub": facts.host_pub}
    with transaction.atomic():
        known, created = Evaluator.objects.get_or_create(
            name=facts.name, defaults=keys | {"pool": pool}
        )
        known_keys = {"public_key": known.public_key, "host_pub": known.host_pub}
        if not created and known_keys != keys:
            raise refuse(Refusal.ALREADY_REGISTERED, facts.name)
        if known.pool != pool:
            known.pool = pool
            known.save(update_fields=["pool"])
    return known


def record_announcement(*, evaluator: Evaluator, announcement: Announcement) -> bool:
    """Store what an evaluator announced. Return False for one that is not newer than the last.

    Compare :meth:`Evaluator.abilities` before and after to see the changes.
    """
    moment = datetime.fromisoformat(announcement.moment)
    allowance = timedelta(seconds=MISSED_ANNOUNCEMENTS * announcement.seconds)
    newer = Evaluator.objects.filter(
        Q(announced_at__isnull=True) | Q(announced_at__lt=moment), pk=evaluator.pk
    )
    stored = newer.update(
        last_seen=Now(),
        expected_by=Now() + allowance,
        announced_at=moment,
        announced_pool=announcement.pool,
        sets=[held.to_dict() for held in announcement.sets],
        reads=list(announcement.reads),
        software=announcement.software,
        out_of_service=announcement.out_of_service or "",
        busy_with=announcement.run,
        host=_stated(announcement.host),
        endpoints=_stated(announcement.endpoints),
        probes=announcement.probes is True,
        state=_stated(announcement.state),
        endpoint_runs=announcement.endpoint_runs or 0,
    )
    return bool(stored)


def _stated(facts: Wire | UnsetType) -> dict[str, Any] | None:
    return None if isinstance(facts, UnsetType) else facts.to_dict()


def record_grant(
    *,
    run: uuid.UUID,
    token: int,
    recipient: str,
    sets: list[dict[str, Any]],
    salt: str,
    digest: str,
    plan: str = "",
) -> Grant:
    """Store the items that an attempt may show to its recipient.

    Must be called in the transaction that starts the attempt.
    """
    return Grant.objects.create(
        run=run,
        token=token,
        recipient=recipient,
        sets=sets,
        salt=salt,
        plan=plan,
        hash=digest,
    )


def register_party(*, recipient: str, name: str, kind: str, tier: str) -> Party:
    """Register the party behind a recipient, or change it. Raises ``bad_registration``.

    The evaluators' own lists decide what is shown; the site's tier can only be stricter.
    """
    known_kind = kind in Party.Kind and tier in ENDPOINT_TIERS
    if not name or not known_kind or not fits(recipient, Recipient):
        raise refuse(Refusal.BAD_REGISTRATION, "party")
    facts = {"name": name, "kind": kind, "tier": tier}
    party, _ = Party.objects.update_or_create(recipient=recipient, defaults=facts)
    return party


def list_endpoint(
    *,
    url: str,
    model: str,
    api: str,
    provider: str = "",
) -> ListedEndpoint:
    """List an endpoint that the evaluators' lists name as T1. Raises ``bad_registration``.

    The evaluators decide: they refuse the runs of an endpoint that their own lists lack.
    """
    about: dict[str, Any] = {"url": url, "model": model, "api": api, "provider": provider}
    try:
        recipient_of(url)
    except EvaluatorError:
        raise refuse(Refusal.BAD_REGISTRATION, "url") from None
    is_endpoint = fits({"kind": "endpoint", **about}, Endpoint)
    if len(url) > LONGEST_URL or not is_endpoint:
        raise refuse(Refusal.BAD_REGISTRATION, "endpoint")
    listed, _ = ListedEndpoint.objects.get_or_create(**about)
    return listed


def delist_endpoint(
    *,
    url: str,
    model: str,
    api: str,
    provider: str = "",
) -> None:
    """Remove an endpoint from the list: its later runs are self-declared. Raises ``not_found``."""
    listed = ListedEndpoint.objects.filter(
        url=url,
        model=model,
        api=api,
        provider=provider,
    )
    deleted, _ = listed.delete()
    if not deleted:
        raise refuse(Refusal.NOT_FOUND, "endpoint")


def store_log(
    *,
    evaluator: Evaluator,
    lines: Sequence[LogLine],
    notes: Sequence[str] = (),
    opened: Sequence[CountsOpening] = (),
) -> None:
    """Store lines of an evaluator's log, the counts behind its closings, and signed heads.

    Raises ``bad_message`` where one of them does not verify.
    """
    if lines:
        evaluator = store_entries(evaluator=evaluator, entries=lines)
    else:
        evaluator = Evaluator.objects.get(pk=evaluator.pk)
    for counts in opened:
        closings = evaluator.entries.filter(kind="closing", entry_hash=counts.line)
        closing = closings.first()
        counted = counts.right + counts.wrong + counts.no_answer + counts.truncated
        if closing is None or counted != closing.counted:
            raise error(Code.BAD_MESSAGE, "a tally is not that of its closing")
        if closing.line["tally"] != counts_commitment(counts):
            raise error(Code.BAD_MESSAGE, "a tally is not that of its closing")
        Entry.objects.filter(pk=closing.pk).update(tally=counts.to_dict())
    for note in filter(None, notes):
        try:
            head = verify_head(
                note,
                name=evaluator.name,
                public_hex=evaluator.public_key,
                origin=origin(evaluator.name),
            )
        except EvaluatorError:
            raise error(Code.BAD_MESSAGE, "a head of a journal is not its evaluator's") from None
        Head.objects.get_or_create(
            evaluator=evaluator,
            size=head.size,
            root=head.root.hex(),
            defaults={"note": note},
        )
    _compare_heads(evaluator)


def _compare_heads(evaluator: Evaluator) -> None:
    """Compare each head that the site's copy has reached with the copy's own root.

    A head that differs flags its evaluator.
    """
    lines = evaluator.head_index + 1
    reached = list(evaluator.heads.filter(agrees__isnull=True, size__lte=lines))
    if not reached:
        return
    tree = evaluator.tree()
    for head in reached:
        head.agrees = tree.root(head.size).hex() == head.root
        head.save(update_fields=["agrees"])
    if not all(head.agrees for head in reached):
        Evaluator.objects.filter(pk=evaluator.pk).update(flagged=True)


def ask_logs() -> int:
    """Ask every evaluator for the lines that the site's copy lacks, and for its newest head.

    Return the number of evaluators.
    """
    evaluators = list(Evaluator.objects.order_by("pk"))
    for evaluator in evaluators:
        request_log(evaluator.name, after=evaluator.head_index)
    return len(evaluators)


def store_entries(*, evaluator: Evaluator, entries: Sequence[LogLine]) -> Evaluator:
    """Store lines of an evaluator's log, also those of attempts that have ended.

    Each must be signed by ``evaluator``, else none is stored: raises ``bad_message``. Lines may
    arrive twice and in any order; the chain grows as far as it has no gap. Returns the evaluator as
    it is then, locked until the caller's transaction ends.
    """
    rows = {}  # by their hashes
    for entry in entries:
        is_its_own = entry.evaluator == evaluator.name
        if not is_its_own or not verify_entry(entry, evaluator.public_key):
            raise error(Code.BAD_MESSAGE, "a line of a journal is not its evaluator's")
        row = Entry.of(entry, evaluator=evaluator)
        rows[row.entry_hash] = row
    with transaction.atomic():
        locked = Evaluator.objects.select_for_update().get(pk=evaluator.pk)
        pending = Q(status=Entry.Status.PENDING)
        known = locked.entries.filter(pending | Q(entry_hash__in=rows))
        columns = ("index", "previous", "entry_hash", "status")
        stored = list(known.only(*columns).order_by("pk"))
        hashes = {entry.entry_hash for entry in stored}
        new = [row for row in rows.values() if row.entry_hash not in hashes]
        waiting = [entry for entry in stored if entry.status == Entry.Status.PENDING]
        _place(locked, [*waiting, *new])
        Entry.objects.bulk_create(new)
        placed = [entry for entry in waiting if entry.status != Entry.Status.PENDING]
        Entry.objects.bulk_update(placed, ["status"])
    return locked


def _place(evaluator: Evaluator, pending: Sequence[Entry]) -> None:
    """Chain every pending line that follows, and mark those that can never be chained.

    The evaluator's head moves to the last line that follows. A line conflicts where another has its
    index, or where it does not continue the line before it; then its evaluator is flagged. The
    lines themselves are not saved.
    """
    before = evaluator.head_index
    for entry in sorted(pending, key=lambda entry: entry.index):
        continues = entry.previous == evaluator.head_hash
        if continues and entry.index == evaluator.head_index + 1:
            evaluator.head_index = entry.index
            evaluator.head_hash = entry.entry_hash
            entry.status = Entry.Status.CHAINED
    left = [entry for entry in pending if entry.status == Entry.Status.PENDING]
    conflicting = [entry for entry in left if entry.index <= evaluator.head_index + 1]
    for entry in conflicting:
        entry.status = Entry.Status.CONFLICTING
        evaluator.flagged = True
    if conflicting or evaluator.head_index != before:
        evaluator.save(update_fields=["head_index", "head_hash", "flagged"])
