"""Messages from the site to evaluators: jobs, rescoring orders, lease answers."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.core import signing
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerAway

from evaluator import grading, protocols
from evaluator.contract import (
    EVALUATE_TASK,
    LEASE_TASK,
    MOST_TRANSCRIPTS,
    PROBE_TASK,
    RESCORE_TASK,
    AdapterModel,
    Budget,
    Checkpoint,
    Endpoint,
    HubModel,
    JobSpec,
    LeaseAnswer,
    Limits,
    ProbeOrder,
    RescoreOrder,
    SetAsk,
    StoredSet,
    System,
    Tier,
    UploadModel,
    journal_queue,
    lease_queue,
    pack_bits,
)
from evaluator.contract.announcements import JOB_VERSION
from evaluator.contract.hub import ModelFacts
from evaluator.contract.probes import probe_queue
from evaluator.errors import Code
from evaluator.policy import JAIL
from leaderboard.benchmarks.models import SetPair
from leaderboard.celery import (
    BEAT_SECONDS,
    DISPATCH_TASK,
    END_LAPSED_TASK,
    HOUSEKEEPING_QUEUE,
    REBUILD_TASK,
    app,
)
from leaderboard.ledger.models import Evaluator, Grant
from leaderboard.submissions.item_selection import recipient_of
from leaderboard.submissions.models import (
    Outbox,
    Rescoring,
    Run,
    RunOutcomes,
    RunPlan,
    Submission,
)
from leaderboard.submissions.scheduling import Candidate, HeldSet, Needs

_PARTS = {"system": ("generator", "verifier"), "adapter": ("adapter", "base")}
"""Models of which a job's system of a kind is made."""
MOST_WAITING = 4
"""Messages that wait for the housekeeping, of which one surely has it dispatch runs."""
TICKET = "holdfast.upload"
"""Salt of the signature of tickets."""


@dataclass(frozen=True)
class Job:
    """Grant of one attempt, which the site records first, and the specification that is sent."""

    recipient: str
    sets: list[dict[str, Any]]
    salt: str
    grant: str
    payload: dict[str, Any]
    plan: str = ""

    def granted(self) -> dict[str, Any]:
        """Return the recorded fields of the grant, without run and token."""
        return {
            "recipient": self.recipient,
            "sets": self.sets,
            "salt": self.salt,
            "digest": self.grant,
            "plan": self.plan,
        }


def job(
    run: Run,
    *,
    outcomes: Sequence[RunOutcomes] | None = None,
    plan: RunPlan | None = None,
) -> Job:
    """Return the job of the run's current token: the items still open, and the grant's hash.

    ``outcomes``, in the order of their keys, and ``plan`` are those of a new run; of any other they
    are read.

    An endpoint is granted those items. Weights are granted all that the run is scored on: they read
    every item once more after the last is asked, also those that an earlier attempt asked.
    """
    submission = run.submission
    if outcomes is None:
        outcomes = _outcomes(run)
        plan = RunPlan.of_run(run)
    recipient = recipient_of(submission)
    reads_everything = recipient == JAIL
    sets = [_granted(row, everything=reads_everything) for row in outcomes]
    salt = secrets.token_hex(32)
    digest = plan.digest if plan else ""
    grant = Grant.digest(
        run=run.pk,
        token=run.token,
        recipient=recipient,
        sets=sets,
        salt=salt,
        plan=digest,
    )
    system: Checkpoint | HubModel | UploadModel | AdapterModel | Endpoint | System
    system = _model(submission)
    if submission.verifier and not isinstance(system, Endpoint):
        system = System(generator=system, verifier=submission.verifier_model)
    spec = JobSpec(
        run=str(run.pk),
        token=run.token,
        lease_seconds=settings.LEASE_SECONDS,
        system=system,
        protocol=submission.asked_by,
        sets=tuple(_asked(row) for row in outcomes),
        grant=grant,
        limits=Limits(
            seconds=seconds_of(submission.pair),
            concurrency=settings.CONCURRENCY,
            budget=Budget.from_dict(submission.budget) if submission.budget else None,
        ),
        tier=cast("Tier", run.tier),
        adaptive=plan.step() if plan else None,
        transcripts=MOST_TRANSCRIPTS if submission.pair.practice else 0,
    )
    return Job(recipient, sets, salt, grant, spec.to_dict(), digest)


def seconds_of(pair: SetPair) -> float:
    """Return how long one attempt at a run on a pair may take."""
    return settings.PRACTICE_SECONDS if pair.practice else settings.RUN_SECONDS


def rescoring_job(run: Run, exposure_token: int) -> Job:
    """Return the grant of a rescoring: all that the run was scored on, shown to our own jail."""
    sets = [_granted(row, everything=True) for row in _outcomes(run)]
    salt = secrets.token_hex(32)
    grant = Grant.digest(
        run=run.pk,
        token=exposure_token,
        recipient=JAIL,
        sets=sets,
        salt=salt,
    )
    return Job(JAIL, sets, salt, grant, {})


def _outcomes(run: Run) -> list[RunOutcomes]:
    return list(run.outcomes.select_related("item_set").order_by("pk"))


def _model(
    submission: Submission,
) -> Checkpoint | HubModel | UploadModel | AdapterModel | Endpoint:
    facts = submission.hub_facts or submission.upload_facts
    base = submission.base_facts
    if facts and base:
        return AdapterModel(adapter=facts.model, base=base.model)
    if facts:
        return facts.model
    if submission.kind == Submission.Kind.CHECKPOINT:
        return Checkpoint(name=submission.checkpoint)
    return Endpoint.from_dict(
        {
            "kind": "endpoint",
            "url": submission.url,
            "model": submission.served_model,
            "api": submission.api,
            "provider": submission.provider,
        }
    )


def _asked(row: RunOutcomes) -> SetAsk:
    item_set = row.item_set
    manifest = item_set.facts()
    done = row.closed()
    left_out: frozenset[int] = frozenset()
    if manifest:
        left_out = manifest.indices(row.blocks) - frozenset(row.assigned())
    elif row.n < row.size:
        left_out = frozenset(range(row.size)) - frozenset(row.assigned())
    return SetAsk(
        name=item_set.name,
        sealed=item_set.sealed,
        digest=item_set.digest,
        n=row.size,
        blocks=tuple(row.blocks),
        done=pack_bits(done, row.size) if done else "",
        without=pack_bits(left_out, row.size) if left_out else "",
    )


def _granted(row: RunOutcomes, *, everything: bool) -> dict[str, Any]:
    items = row.assigned() if everything else row.open()
    item_set = row.item_set
    return {
        "name": item_set.name,
        "digest": item_set.digest,
        "sealed": item_set.sealed,
        "blocks": row.blocks,
        "items": pack_bits(items, row.size),
    }


# --- tickets, with which an evaluator fetches the files of an upload


def ticket_of(outbox: Outbox) -> str:
    """Return the ticket of an attempt, which ends with the attempt."""
    return signing.dumps([str(outbox.run_id), outbox.token], salt=TICKET)


def attempt_of(ticket: str) -> tuple[UUID, int] | None:
    """Return run and token of a ticket, None for a forged or an old one."""
    longest = timedelta(seconds=settings.REDISPATCH_SECONDS + settings.RUN_SECONDS)
    try:
        run, token = signing.loads(ticket, salt=TICKET, max_age=longest)
        return UUID(run), int(token)
    except (signing.BadSignature, ValueError, TypeError):
        return None


# --- sending: each raises the broker's error where it is away


def send_job(outbox: Outbox, queue: str) -> None:
    """Send an attempt's job to a queue, where it expires.

    Its system has the sealed keys and the ticket of the attempt, in all parts that need them. One
    access token opens all parts. It is with the first that is on the hub, whose name it is sealed
    to.
    """
    keys = outbox.run.submission.sealed_keys
    system = outbox.payload["system"]
    holder = None
    for part in _leaves(system):
        if part["kind"] in ("hub", "endpoint"):
            holder = part
            break

    def with_secrets(part: dict[str, Any]) -> dict[str, Any]:
        kind = part["kind"]
        if kind in _PARTS:
            return part | {name: with_secrets(part[name]) for name in _PARTS[kind]}
        if kind == "upload":
            return part | {"ticket": ticket_of(outbox)}
        if keys and part is holder:
            return part | {"sealed_keys": keys}
        return part

    app.send_task(
        EVALUATE_TASK,
        args=[outbox.payload | {"system": with_secrets(system)}],
        queue=queue,
        expires=settings.REDISPATCH_SECONDS,
        retry=False,
    )


def _leaves(system: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the models of a system, in the order in which they are fetched."""
    if system["kind"] not in _PARTS:
        yield system
        return
    for name in _PARTS[system["kind"]]:
        yield from _leaves(system[name])


def send_lease_answer(evaluator: str, slot: int, answer: LeaseAnswer) -> None:
    """Answer one process of an evaluator."""
    app.send_task(
        LEASE_TASK,
        args=[answer.to_dict()],
        queue=lease_queue(evaluator, slot),
        expires=settings.LEASE_SECONDS,
        retry=False,
    )


def send_rescoring(order: Rescoring) -> None:
    """Ask the evaluator that stores a run's answers to grade them again."""
    sets = []
    for row in _outcomes(order.run):
        item_set = row.item_set
        sets.append(
            StoredSet(
                name=item_set.name,
                sealed=item_set.sealed,
                digest=item_set.digest,
                n=item_set.n,
            )
        )
    payload = RescoreOrder(
        order=order.pk,
        run=str(order.run_id),
        token=order.token,
        exposure_token=order.exposure_token,
        grader=order.grader,
        protocol=order.run.submission.asked_by,
        sets=tuple(sets),
    )
    app.send_task(
        RESCORE_TASK,
        args=[payload.to_dict()],
        queue=journal_queue(order.evaluator.name),
        expires=settings.REDISPATCH_SECONDS,
        retry=False,
    )


def send_probe(evaluator: str, order: ProbeOrder) -> None:
    """Send an order of public items to an evaluator."""
    app.send_task(
        PROBE_TASK,
        args=[order.to_dict()],
        queue=probe_queue(evaluator),
        expires=order.seconds,
        retry=False,
    )


def send_rebuild(pair: str) -> None:
    """Ask for a new ranking of a pair."""
    app.send_task(
        REBUILD_TASK,
        args=[pair],
        expires=settings.REDISPATCH_SECONDS,
        retry=False,
    )


def send_end_lapsed(moment: datetime) -> None:
    """Ask for the end of the leases that are over at ``moment``, behind the reports that wait."""
    app.send_task(
        END_LAPSED_TASK,
        args=[moment.isoformat()],
        expires=settings.REDISPATCH_SECONDS,
        retry=False,
    )


def request_dispatch() -> None:
    """Have the housekeeping dispatch the runs that are due, unless so many messages wait for it.

    Many requests in a second are a few decisions: one that waits has not begun, so it sees what all
    of them stored.
    """
    if depth(HOUSEKEEPING_QUEUE) < MOST_WAITING:
        app.send_task(DISPATCH_TASK, expires=2 * BEAT_SECONDS, retry=False)


def depth(queue: str) -> int:
    """Return the number of messages in a queue, expired ones too."""
    with app.pool.acquire(block=True) as connection:
        # One that has failed stays closed unless it is asked for.
        connection.ensure_connection(max_retries=1, interval_start=0)
        try:
            with connection.channel() as channel:
                return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except ChannelError:  # no such queue
            return 0
        except connection.connection_errors as failure:  # the transport's own, as for Redis
            raise BrokerAway(type(failure).__name__) from failure


# --- facts for scheduling


def needs(outbox: Outbox, declined: Mapping[str, Code]) -> Needs:
    """Return what an evaluator must have for an attempt, and those that ``declined`` it."""
    asked = [_held_set(ask) for ask in outbox.payload["sets"]]
    protocol = protocols.get(outbox.payload["protocol"])
    submission = outbox.run.submission
    facts = submission.hub_facts or submission.upload_facts
    verifier = submission.verifier_facts
    return Needs(
        version=outbox.payload["version"],
        sets=frozenset(asked),
        executes=grading.needs_jail(protocol.grader),
        sealed_to=frozenset(submission.sealed_keys),
        declined=declined,
        model=_sizes(facts) if isinstance(facts, ModelFacts) else None,
        verifier=_sizes(verifier) if verifier else None,
        artefact=_artefact(submission),
        endpoint=submission.kind == Submission.Kind.ENDPOINT,
    )


def _held_set(facts: Mapping[str, Any]) -> HeldSet:
    return (facts["name"], facts["sealed"], facts["digest"])


def _artefact(submission: Submission) -> str:
    """Return the name of the weights of a submission in a store; empty where none are fetched.

    Of an adapter it is the base, which is by far the larger part, of a system the generator.
    """
    model = _model(submission)
    if isinstance(model, AdapterModel):
        model = model.base
    return model.id if isinstance(model, HubModel | UploadModel) else ""


def needs_of_new(pair: SetPair, protocol: str, facts: ModelFacts | None) -> Needs:
    """Return what an evaluator must have for a run that is not submitted yet.

    ``facts`` are those of its weights, None for an endpoint.
    """
    asked = [(item_set.name, item_set.sealed, item_set.digest) for item_set in pair.sets()]
    return Needs(
        version=JOB_VERSION,
        sets=frozenset(asked),
        executes=grading.needs_jail(protocols.get(protocol).grader),
        model=_sizes(facts) if facts else None,
        endpoint=facts is None,
    )


def _sizes(facts: ModelFacts) -> ModelFacts:
    """Return what decides which hosts hold a model, without its name and its files.

    Models of one size are one to the scheduler.
    """
    return ModelFacts(
        architecture=facts.architecture,
        parameters=facts.parameters,
        weights=facts.weights,
        cached=facts.cached,
        context=facts.context,
        heads=facts.heads,
        quantisation=facts.quantisation,
        chat=False,
    )


def candidates(pool: str) -> list[Candidate]:
    """Return the live evaluators of a pool."""
    result = []
    for evaluator in Evaluator.objects.of_pool(pool).live():
        sets = [_held_set(held) for held in evaluator.sets]
        state = evaluator.host_state()
        result.append(
            Candidate(
                name=evaluator.name,
                in_service=evaluator.takes_runs,
                sets=frozenset(sets),
                reads=frozenset(evaluator.reads),
                executes=evaluator.executes,
                host=evaluator.host_facts(),
                fetched=frozenset(state.models if state else ()),
                endpoint_runs=evaluator.endpoint_runs,
            )
        )
    return result
