"""From a run's rows to the job specification that crosses the wall, and the bell that announces it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from kombu.exceptions import ChannelError

from evaluator import policy
from evaluator.contract import (
    EVALUATE_TASK,
    LEASE_TASK,
    RESCORE_TASK,
    BlockId,
    Budget,
    Checkpoint,
    Endpoint,
    JobSpec,
    LeaseAnswer,
    Limits,
    RescoreOrder,
    SetAsk,
    StoredSet,
    Tier,
    journal_queue,
    lease_queue,
    pack_bits,
)
from evaluator.errors import Code
from evaluator.ledger.notices import retired, retired_blocks
from evaluator.policy import JAIL, EndpointId
from leaderboard.celery import REBUILD_TASK, app
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Evaluator, Grant, ListedEndpoint, Party
from leaderboard.submissions.models import Outbox, Rescoring, Run, RunOutcomes, Submission
from leaderboard.submissions.scheduling import Candidate, Needs


@dataclass(frozen=True)
class Job:
    """What one attempt is to be sent: the grant that the site records first, and the specification."""

    recipient: str
    sets: list[dict[str, Any]]
    salt: str
    grant: str
    payload: dict[str, Any]

    def granted(self) -> dict[str, Any]:
        """Return what is recorded of the grant besides run and token."""
        return {
            "recipient": self.recipient,
            "sets": self.sets,
            "salt": self.salt,
            "digest": self.grant,
        }


def recipient(submission: Submission) -> str:
    """Who will see the items: ``jail`` for weights that an evaluator runs, else the endpoint's host and port."""
    if submission.kind == Submission.Kind.CHECKPOINT:
        return JAIL
    return policy.recipient_of(submission.url)


@dataclass(frozen=True)
class Form:
    """What of a sealed set a run is scored on: blocks, ascending, and the items in them that still count."""

    tier: Tier
    blocks: tuple[BlockId, ...]
    items: frozenset[int]


def tier_of(submission: Submission) -> Tier:
    """Return the tier that the site grants. The evaluator's own list decides; this may only be stricter.

    An endpoint is T1 where it is listed exactly as it was submitted and comes without a key of the submitter's. The
    tier of its party, where one is registered, lowers that.
    """
    if submission.kind == Submission.Kind.CHECKPOINT:
        return policy.JAIL_TIER
    asked = EndpointId(submission.url, submission.served_model, submission.api, submission.provider)
    listed = [one.identity for one in ListedEndpoint.objects.filter(url=submission.url)]
    tier = policy.endpoint_tier(
        asked, own_key=bool(submission.sealed_keys), listed=listed, season_open=True
    )
    known = (
        Party.objects.filter(recipient=recipient(submission)).values_list("tier", flat=True).first()
    )
    return policy.stricter(tier, cast("Tier", known or tier))


def form(submission: Submission) -> Form:
    """The form of a new run: what still counts of the blocks of its tier.

    All self-declared endpoints of a season have the same one. Raises ``public_only`` where the tier sees nothing of
    the set, ``pair_retired`` where nothing is left.
    """
    pair = submission.pair
    manifest = pair.private.facts()
    if manifest is None:
        raise refuse(Refusal.BAD_REGISTRATION, pair.private.name)
    tier = tier_of(submission)
    usual = policy.blocks(tier, manifest, season=pair.season)
    if not usual:
        raise refuse(Refusal.PUBLIC_ONLY)
    notices = pair.private.signed_notices()
    spent = retired_blocks(manifest, notices)
    blocks = tuple(block for block in usual if block not in spent)
    if not blocks:
        raise refuse(Refusal.PAIR_RETIRED)
    return Form(tier, blocks, manifest.indices(blocks) - retired(manifest, notices))


def job(run: Run) -> Job:
    """The job of the run's current token: the items still open, and the hash of the grant.

    An endpoint is granted those items. Weights are granted all that the run is scored on: they read every item once
    more after the last is asked, also those that an earlier attempt asked.
    """
    submission = run.submission
    outcomes = _rows(run)
    shown_to = recipient(submission)
    sets = [_granted(row, everything=shown_to == JAIL) for row in outcomes]
    salt = secrets.token_hex(32)
    grant = Grant.digest(run=run.pk, token=run.token, recipient=shown_to, sets=sets, salt=salt)
    spec = JobSpec(
        run=str(run.pk),
        token=run.token,
        lease_seconds=settings.LEASE_SECONDS,
        system=_system(submission),
        protocol=submission.asked_by,
        sets=tuple(_asked(row) for row in outcomes),
        grant=grant,
        limits=Limits(
            seconds=settings.RUN_SECONDS,
            concurrency=settings.CONCURRENCY,
            budget=Budget.from_dict(submission.budget) if submission.budget else None,
        ),
        tier=cast("Tier", run.tier),
    )
    return Job(shown_to, sets, salt, grant, spec.to_dict())


def _system(submission: Submission) -> Checkpoint | Endpoint:
    if submission.kind == Submission.Kind.CHECKPOINT:
        return Checkpoint(name=submission.checkpoint)
    about = {"url": submission.url, "model": submission.served_model, "api": submission.api}
    return Endpoint.from_dict({"kind": "endpoint", **about, "provider": submission.provider})


def _asked(row: RunOutcomes) -> SetAsk:
    done = row.closed()
    item_set = row.item_set
    manifest = item_set.facts()
    without = manifest.indices(row.blocks) - frozenset(row.assigned()) if manifest else ()
    return SetAsk(
        name=item_set.name,
        sealed=item_set.sealed,
        digest=item_set.digest,
        n=row.size,
        blocks=tuple(row.blocks),
        done=pack_bits(done, row.size) if done else "",
        without=pack_bits(without, row.size) if without else "",
    )


def _granted(row: RunOutcomes, *, everything: bool) -> dict[str, Any]:
    items = pack_bits(row.assigned() if everything else row.open(), row.size)
    item_set = row.item_set
    return {
        "name": item_set.name,
        "digest": item_set.digest,
        "sealed": item_set.sealed,
        "blocks": row.blocks,
        "items": items,
    }


def ring(outbox: Outbox, queue: str) -> None:
    """Send an attempt's job to a queue, where it expires. Raises the broker's error where it is away."""
    payload = outbox.payload
    if keys := outbox.run.submission.sealed_keys:
        payload = payload | {"system": payload["system"] | {"sealed_keys": keys}}
    app.send_task(
        EVALUATE_TASK, args=[payload], queue=queue, expires=settings.RING_SECONDS, retry=False
    )


def depth(queue: str) -> int:
    """Return how many messages a queue holds, expired ones too. Raises the broker's error where it is away."""
    with app.pool.acquire(block=True) as connection, connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except ChannelError:  # no such queue
            return 0


def answer(evaluator: str, slot: int, lease: LeaseAnswer) -> None:
    """Answer one process of an evaluator. Raises the broker's error where it is away."""
    queue = lease_queue(evaluator, slot)
    app.send_task(
        LEASE_TASK, args=[lease.to_dict()], queue=queue, expires=settings.LEASE_SECONDS, retry=False
    )


def needs(outbox: Outbox, declined: Mapping[str, Code]) -> Needs:
    """Return what an evaluator must have for an attempt. ``declined`` are those that lack something, and what."""
    return Needs(
        version=outbox.payload["version"],
        sets=frozenset(
            (ask["name"], ask["sealed"], ask["digest"]) for ask in outbox.payload["sets"]
        ),
        sealed_to=frozenset(outbox.run.submission.sealed_keys),
        declined=declined,
    )


def candidates(pool: str) -> list[Candidate]:
    """Return the live evaluators of a pool."""
    serving = set(Evaluator.objects.of_pool(pool).in_service().values_list("pk", flat=True))
    return [
        Candidate(
            name=one.name,
            in_service=one.pk in serving,
            sets=frozenset((held["name"], held["sealed"], held["digest"]) for held in one.sets),
            reads=frozenset(one.reads),
        )
        for one in Evaluator.objects.of_pool(pool).live()
    ]


def rescoring_job(run: Run, exposure_token: int) -> Job:
    """What grading a run again may show, and to whom: all that it was scored on, to our own jail."""
    sets = [_granted(row, everything=True) for row in _rows(run)]
    salt = secrets.token_hex(32)
    grant = Grant.digest(run=run.pk, token=exposure_token, recipient=JAIL, sets=sets, salt=salt)
    return Job(JAIL, sets, salt, grant, {})


def _rows(run: Run) -> list[RunOutcomes]:
    return list(run.outcomes.select_related("item_set").order_by("pk"))


def ring_rescore(order: Rescoring) -> None:
    """Ask the evaluator that keeps a run's answers to grade them again. Raises the broker's error where it is away."""
    sets = [
        StoredSet(name=one.name, sealed=one.sealed, digest=one.digest, n=one.n)
        for one in (row.item_set for row in _rows(order.run))
    ]
    payload = RescoreOrder(
        order=order.pk,
        run=str(order.run_id),
        token=order.token,
        look=order.exposure_token,
        grader=order.grader,
        protocol=order.run.submission.asked_by,
        sets=tuple(sets),
    ).to_dict()
    queue = journal_queue(order.evaluator.name)
    app.send_task(
        RESCORE_TASK, args=[payload], queue=queue, expires=settings.RING_SECONDS, retry=False
    )


def ring_rebuild(pair: str) -> None:
    """Ask for a new ranking of a pair. Raises the broker's error where it is away."""
    app.send_task(REBUILD_TASK, args=[pair], expires=settings.RING_SECONDS, retry=False)
