"""One artefact, one run: weights that have a run on a pair by a protocol get no second one.

A practice pair is left out: the same weights may be run there again.

Equal weights are the same tensors in as many layers, whatever their names, shards and other files.
An evaluator reports them before it reveals an item, and waits for the site's answer. Both checks
hold a lock on the weights until the transaction ends, so that of two equal runs at once one goes
on.
"""

from django.db import connection

from evaluator.contract import Identified, LeaseRefusal
from evaluator.errors import Code, error
from leaderboard.submissions.actions.attempts import erase_key, revoke_lease
from leaderboard.submissions.actions.quotas import refund
from leaderboard.submissions.models import QuotaEntry, Run
from leaderboard.submissions.states import RunState

_LOCKS = 0x5EA2


def identify(run: Run, body: Identified) -> None:
    """Store the weights of a run, which is locked, and end it where they have a run already.

    It ends as cancelled, without a party at fault and without a score. Raises ``bad_message`` for
    an endpoint.
    """
    if run.submission.is_endpoint:
        raise error(Code.BAD_MESSAGE, "an endpoint has no weights")
    run.change(
        artefact=body.artefact,
        weights=body.weights,
        layers=body.layers,
    )
    first = _first_of_weights(run)
    if first is None:
        return
    revoke_lease(run, LeaseRefusal.CANCELLED)
    run.move(RunState.CANCELLED, waiting="", same_as=first)
    refund(run, QuotaEntry.Reason.SAME_WEIGHTS)
    erase_key(run)


def check_identity(run: Run, weights: str) -> None:
    """Check the weights of a finished run against those that were identified.

    A release of the evaluator that does not identify weights is compared here: a second run of
    theirs keeps its counts and is not ranked. Raises ``bad_message`` where the weights differ.
    """
    if run.weights and run.layers is not None:
        if run.weights != weights:
            raise error(Code.BAD_MESSAGE, "other weights were identified")
        return
    run.change(weights=weights)
    run.change(same_as=_first_of_weights(run))


def _first_of_weights(run: Run) -> Run | None:
    """Return the earliest other run of the same weights; None where this one is the first."""
    if run.submission.pair.practice:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCKS, run.weights])
    others = Run.objects.of_weights(run)
    return others.order_by("queued_at", "pk").first()
