"""Registering evaluators, recording grants, and keeping the lines that evaluators publish."""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from evaluator.contract import Exposure
from evaluator.errors import Code, EvaluatorError, error
from evaluator.ledger.entries import verify_entry
from evaluator.ledger.manifests import Identity
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry, Evaluator, Grant


def register_evaluator(*, identity: object, pool: str) -> Evaluator:
    """Enter an evaluator's public keys. The same once more changes nothing; other keys are refused."""
    try:
        facts = Identity.from_dict(identity)
    except EvaluatorError:
        raise refuse(Refusal.BAD_REGISTRATION, "identity") from None
    keys = {"public_key": facts.report_pub, "host_pub": facts.host_pub}
    with transaction.atomic():
        known, created = Evaluator.objects.get_or_create(name=facts.name, defaults=keys | {"pool": pool})
        if not created and (known.public_key, known.host_pub) != (facts.report_pub, facts.host_pub):
            raise refuse(Refusal.ALREADY_REGISTERED, facts.name)
        if known.pool != pool:
            known.pool = pool
            known.save(update_fields=["pool"])
    return known


def record_grant(*, run: uuid.UUID, token: int, recipient: str, sets: list[dict[str, Any]], digest: str) -> Grant:
    """Write down what an attempt may show to whom. It must be in the same transaction as the attempt."""
    return Grant.objects.create(run=run, token=token, recipient=recipient, sets=sets, hash=digest)


def keep_entries(*, evaluator: Evaluator, entries: Sequence[Exposure]) -> None:
    """Keep lines of an evaluator's journal, whatever became of the attempt they belong to.

    Each must be signed by ``evaluator``, else none is kept: raises ``bad_message``. Lines may come twice
    and in any order; the chain grows as far as it has no gap.
    """
    if any(entry.evaluator != evaluator.name or not verify_entry(entry, evaluator.public_key) for entry in entries):
        raise error(Code.BAD_MESSAGE, "a line of a journal is not its evaluator's")
    rows = [Entry.of(entry, evaluator=evaluator) for entry in entries]
    if any(row.exposure() != entry for row, entry in zip(rows, entries, strict=True)):
        raise error(Code.BAD_MESSAGE, "a bitmap of a journal is not in its one form")
    with transaction.atomic():
        locked = Evaluator.objects.select_for_update().get(pk=evaluator.pk)
        Entry.objects.bulk_create(rows, ignore_conflicts=True)
        _grow_chain(locked)
        _set_aside(locked)


def _grow_chain(evaluator: Evaluator) -> None:
    """Chain every pending line that follows, and move the evaluator's head to the last of them."""
    pending = evaluator.entries.filter(status=Entry.Status.PENDING, index__gt=evaluator.head_index).order_by("index")
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
    following = evaluator.entries.filter(status=Entry.Status.PENDING, index=evaluator.head_index + 1)
    if astray.update(status=Entry.Status.CONFLICTING) + following.update(status=Entry.Status.CONFLICTING):
        Evaluator.objects.filter(pk=evaluator.pk).update(flagged=True)
