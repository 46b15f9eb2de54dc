"""Registering evaluators, recording grants, and keeping the lines that evaluators publish."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from evaluator.contract import Announcement, Endpoint, LogLine, OutcomeCounts, Recipient, fits
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
"""Of a listed endpoint: longer ones do not fit the index."""


def register_evaluator(*, identity: object, pool: str) -> Evaluator:
    """Enter an evaluator's public keys. The same once more changes nothing; other keys are refused."""
    try:
        facts = Identity.from_dict(identity)
    except EvaluatorError:
        raise refuse(Refusal.BAD_REGISTRATION, "identity") from None
    keys = {"public_key": facts.report_pub, "host_pub": facts.host_pub}
    with transaction.atomic():
        known, created = Evaluator.objects.get_or_create(
            name=facts.name, defaults=keys | {"pool": pool}
        )
        if not created and (known.public_key, known.host_pub) != (facts.report_pub, facts.host_pub):
            raise refuse(Refusal.ALREADY_REGISTERED, facts.name)
        if known.pool != pool:
            known.pool = pool
            known.save(update_fields=["pool"])
    return known


MISSED_ANNOUNCEMENTS = 3
"""As many announcements in a row may be missing before an evaluator counts as away."""


def record_announcement(*, evaluator: Evaluator, announcement: Announcement) -> bool:
    """Store what an evaluator announced. Return False for one that is not newer than the last.

    Compare :meth:`Evaluator.abilities` before and after to see what is new.
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
    )
    return bool(stored)


def record_grant(
    *,
    run: uuid.UUID,
    token: int,
    recipient: str,
    sets: list[dict[str, Any]],
    salt: str,
    digest: str,
) -> Grant:
    """Write down what an attempt may show to whom. It must be in the same transaction as the
    attempt."""
    facts = {"recipient": recipient, "sets": sets, "salt": salt, "hash": digest}
    return Grant.objects.create(run=run, token=token, **facts)


def register_party(*, recipient: str, name: str, kind: str, tier: str) -> Party:
    """Enter whom the site takes a recipient for, or change it. Raises ``bad_registration``.

    This can only be stricter than the evaluators' own lists: they decide what is shown.
    """
    facts = {"name": name, "kind": kind, "tier": tier}
    if (
        not fits(recipient, Recipient)
        or not name
        or kind not in Party.Kind
        or tier not in ENDPOINT_TIERS
    ):
        raise refuse(Refusal.BAD_REGISTRATION, "party")
    return Party.objects.update_or_create(recipient=recipient, defaults=facts)[0]


def list_endpoint(*, url: str, model: str, api: str, provider: str = "") -> ListedEndpoint:
    """Enter an endpoint that the evaluators' lists name as T1. Raises ``bad_registration``.

    The evaluators decide: an entry that their lists lack leads to runs that they refuse.
    """
    about = {"kind": "endpoint", "url": url, "model": model, "api": api, "provider": provider}
    try:
        recipient_of(url)
    except EvaluatorError:
        raise refuse(Refusal.BAD_REGISTRATION, "url") from None
    if len(url) > LONGEST_URL or not fits(about, Endpoint):
        raise refuse(Refusal.BAD_REGISTRATION, "endpoint")
    return ListedEndpoint.objects.get_or_create(url=url, model=model, api=api, provider=provider)[0]


def delist_endpoint(*, url: str, model: str, api: str, provider: str = "") -> None:
    """Remove an endpoint from the list: its later runs are self-declared. Raises ``not_found``."""
    found = ListedEndpoint.objects.filter(url=url, model=model, api=api, provider=provider)
    if not found.delete()[0]:
        raise refuse(Refusal.NOT_FOUND, "endpoint")


def store_log(
    *,
    evaluator: Evaluator,
    lines: Sequence[LogLine],
    note: str = "",
    opened: Sequence[OutcomeCounts] = (),
) -> None:
    """Keep lines of an evaluator's log, what opens its closings, and a head that it signed over the
    log.

    Raises ``bad_message`` and keeps none.
    """
    if lines:
        store_entries(evaluator=evaluator, entries=lines)
    for one in opened:
        _store_counts(evaluator, one)
    if note:
        _store_head(evaluator, note)
    _compare_heads(evaluator)


def _store_counts(evaluator: Evaluator, told: OutcomeCounts) -> None:
    closing = evaluator.entries.filter(kind="closing", entry_hash=told.line).first()
    counted = told.right + told.wrong + told.no_answer + told.truncated
    if (
        closing is None
        or closing.line["tally"] != counts_commitment(told)
        or counted != closing.counted
    ):
        raise error(Code.BAD_MESSAGE, "a tally is not that of its closing")
    Entry.objects.filter(pk=closing.pk).update(tally=told.to_dict())


def _store_head(evaluator: Evaluator, note: str) -> None:
    try:
        head = verify_head(
            note,
            name=evaluator.name,
            public_hex=evaluator.public_key,
            origin=origin(evaluator.name),
        )
    except EvaluatorError:
        raise error(Code.BAD_MESSAGE, "a head of a journal is not its evaluator's") from None
    facts = {"size": head.size, "root": head.root.hex()}
    Head.objects.get_or_create(evaluator=evaluator, **facts, defaults={"note": note})


def _compare_heads(evaluator: Evaluator) -> None:
    """Compare each head that the site's copy has reached with the copy. One that differs flags its
    evaluator."""
    known = Evaluator.objects.get(pk=evaluator.pk)
    reached = list(known.heads.filter(agrees__isnull=True, size__lte=known.head_index + 1))
    if not reached:
        return
    tree = known.tree()
    for head in reached:
        head.agrees = tree.root(head.size).hex() == head.root
        head.save(update_fields=["agrees"])
    if not all(head.agrees for head in reached):
        Evaluator.objects.filter(pk=known.pk).update(flagged=True)


def ask_logs() -> int:
    """Ask every evaluator for the lines behind the site's copy, and for its newest head. Returns
    how many."""
    known = list(Evaluator.objects.order_by("pk"))
    for evaluator in known:
        request_log(evaluator.name, after=evaluator.head_index)
    return len(known)


def store_entries(*, evaluator: Evaluator, entries: Sequence[LogLine]) -> None:
    """Keep lines of an evaluator's log, whatever became of the attempt they belong to.

    Each must be signed by ``evaluator``, else none is kept: raises ``bad_message``. Lines may come
    twice and in any order; the chain grows as far as it has no gap.
    """
    if any(
        entry.evaluator != evaluator.name or not verify_entry(entry, evaluator.public_key)
        for entry in entries
    ):
        raise error(Code.BAD_MESSAGE, "a line of a journal is not its evaluator's")
    rows = [Entry.of(entry, evaluator=evaluator) for entry in entries]
    with transaction.atomic():
        locked = Evaluator.objects.select_for_update().get(pk=evaluator.pk)
        Entry.objects.bulk_create(rows, ignore_conflicts=True)
        _grow_chain(locked)
        _set_aside(locked)


def _grow_chain(evaluator: Evaluator) -> None:
    """Chain every pending line that follows, and move the evaluator's head to the last of them."""
    pending = evaluator.entries.filter(
        status=Entry.Status.PENDING, index__gt=evaluator.head_index
    ).order_by("index")
    chained = []
    for entry in pending:
        if entry.index > evaluator.head_index + 1:
            break
        if entry.index == evaluator.head_index + 1 and entry.previous == evaluator.head_hash:
            evaluator.head_index, evaluator.head_hash = entry.index, entry.entry_hash
            chained.append(entry.pk)
    Entry.objects.filter(pk__in=chained).update(status=Entry.Status.CHAINED)
    evaluator.save(update_fields=["head_index", "head_hash"])


def _set_aside(evaluator: Evaluator) -> None:
    """Mark lines that can never be chained, since another line has their place or they follow none."""
    astray = evaluator.entries.filter(status=Entry.Status.PENDING, index__lte=evaluator.head_index)
    following = evaluator.entries.filter(
        status=Entry.Status.PENDING, index=evaluator.head_index + 1
    )
    if astray.update(status=Entry.Status.CONFLICTING) + following.update(
        status=Entry.Status.CONFLICTING
    ):
        Evaluator.objects.filter(pk=evaluator.pk).update(flagged=True)
