"""Cordons: maintainers' orders that an evaluator takes no runs, and the state of each evaluator.

A cordoned evaluator is given no new run, and one that it begins all the same goes elsewhere. The
runs that it holds finish: then it is drained, and its host can be switched off. Where it is paused,
the recorder refuses to renew their leases, and they go elsewhere with the items that are left.
"""

from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from leaderboard.accounts.models import LONGEST_REASON
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.actions.queue import follow_announcement
from leaderboard.submissions.states import LIVE


def cordon(
    *,
    name: str,
    why: str,
    by: str,
    pause: bool = False,
) -> Evaluator:
    """Have an evaluator take no new runs; with ``pause`` it loses those that it holds.

    ``by`` is the user name of a maintainer. Raises ``not_found``, and ``invalid_field`` for an
    empty ``why``.
    """
    reason = " ".join(why.split())[:LONGEST_REASON]
    if not reason:
        raise refuse(Refusal.INVALID_FIELD, "why: a reason")
    order = Evaluator.Cordon.PAUSED if pause else Evaluator.Cordon.CORDONED
    named = Evaluator.objects.filter(name=name)
    changed = named.update(
        cordon=order,
        cordoned_by=by,
        cordoned_at=Now(),
        cordon_reason=reason,
    )
    if not changed:
        raise refuse(Refusal.NOT_FOUND, name)
    return named.get()


def resume(*, name: str) -> Evaluator:
    """Have a cordoned evaluator take runs again.

    Raises ``not_found``, and ``not_now`` for one that is not cordoned.
    """
    with transaction.atomic():
        evaluator = Evaluator.objects.select_for_update().filter(name=name).first()
        if evaluator is None:
            raise refuse(Refusal.NOT_FOUND, name)
        if not evaluator.cordon:
            raise refuse(Refusal.NOT_NOW)
        evaluator.cordon = ""
        evaluator.cordoned_by = ""
        evaluator.cordon_reason = ""
        evaluator.cordoned_at = None
        changed = ("cordon", "cordoned_by", "cordoned_at", "cordon_reason")
        evaluator.save(update_fields=changed)
        follow_announcement(evaluator=evaluator)
    return evaluator


def with_condition(evaluators: "QuerySet[Evaluator]") -> "QuerySet[Evaluator]":
    """Mark evaluators with what :func:`condition` reads.

    ``alive`` is True for those that announce themselves, ``held`` the number of runs under way.
    """
    alive = Evaluator.objects.live().filter(pk=OuterRef("pk"))
    held = Count("runs", filter=Q(runs__state__in=LIVE))
    return evaluators.annotate(alive=Exists(alive), held=held)


def condition(evaluator: Any) -> str:
    """Return the state of an evaluator of :func:`with_condition` in words."""
    if evaluator.cordon:
        if not evaluator.held:
            return f"{evaluator.cordon}, drained"
        runs = "1 run" if evaluator.held == 1 else f"{evaluator.held} runs"
        return f"{evaluator.cordon}, {runs} left"
    if not evaluator.alive:
        return "silent"
    if evaluator.out_of_service:
        return f"out of service: {evaluator.out_of_service}"
    return "working" if evaluator.held else "ready"
