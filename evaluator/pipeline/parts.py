"""The system under test: its models are found or fetched, inspected, identified and served.

- All parts of a system are inspected before the first is served, and identified together: the
  digest of the system is over the digests of its parts, its tensors are those of all parts.
- Each part is served by a block of its own (``pipeline.turns`` orders them).
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from evaluator.artefacts import CheckpointFacts
from evaluator.artefacts.placement import Placement
from evaluator.backends import HttpBackend, Served, Usage, serve_checkpoint, serve_endpoint
from evaluator.backends.inspection import inspect_checkpoint
from evaluator.contract import (
    Endpoint,
    Identified,
    JobSpec,
    Part,
    Role,
    Weights,
    canonical_json,
    unpack_bits,
)
from evaluator.contract.announcements import Library
from evaluator.jail import is_jailed
from evaluator.pipeline.context import Context
from evaluator.pipeline.leases import Lease, send_until_answered
from evaluator.pipeline.plan import PublicSource, SealedSource
from evaluator.pipeline.remote import caps_left, target_of
from evaluator.pipeline.sink import ResultSink
from evaluator.pipeline.spool import Reporter
from evaluator.pipeline.weights import access_token, bring, models_of
from evaluator.protocols import Protocol

READY_SECONDS = 600.0
"""Seconds that a model server may take until it answers; the attempt's limit may be shorter."""

Sources = Sequence[PublicSource | SealedSource]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Attempt that holds its claim and its lease."""

    spec: JobSpec
    protocol: Protocol
    sources: Sources
    context: Context
    reporter: Reporter
    lease: Lease


@dataclass(slots=True, kw_only=True)
class Model:
    """Model on this host that has been inspected. ``seconds`` is how long it was served, by an
    ``engine``."""

    role: Role
    folder: Path
    facts: CheckpointFacts
    engine: str = ""
    seconds: float = 0.0


@asynccontextmanager
async def find_models(attempt: Attempt, sink: ResultSink) -> AsyncIterator[tuple[Model, ...]]:
    """Find or fetch all models that run here, and identify them; none for an endpoint.

    Raises ``lease_lost`` where the site ends the run, since the same weights have one.
    """
    models = []
    token = access_token(attempt.spec.system, attempt.context)
    async with AsyncExitStack() as stack:
        for role, model in models_of(attempt.spec.system):
            folder = await bring(model, attempt.context, stack, token=token)
            models.append(await asyncio.to_thread(inspect_part, role, folder))
        if models:
            await asyncio.to_thread(_identify, attempt, sink, models)
        yield tuple(models)


def inspect_part(role: Role, folder: Path) -> Model:
    """Return a model of a system. Raises the CHECKPOINT_* codes."""
    facts = inspect_checkpoint(folder, verifier=role == "verifier")
    return Model(role=role, folder=folder, facts=facts)


def _identify(attempt: Attempt, sink: ResultSink, models: Sequence[Model]) -> None:
    """Report the weights until the site answers. Raises ``lease_lost`` unless the run goes on.

    The site ends the run where these weights have one already. Nothing has been revealed by then.
    """
    weights = Weights.together(model.facts.weights for model in models)
    sink.artefact = artefact_of(models)
    sink.weights = weights
    sink.template = models[0].facts.template
    attempt.context.claims.note_weights(
        attempt.spec.run,
        attempt.spec.token,
        artefact=sink.artefact,
        weights=weights.digest(),
    )
    identified = Identified(
        artefact=sink.artefact,
        weights=weights.digest(),
        layers=sum(model.facts.layers for model in models),
    )
    send_until_answered(
        attempt.lease,
        partial(attempt.reporter.send, identified),
        stopping=attempt.context.stopping,
        longest=attempt.spec.limits.seconds,
    )


def artefact_of(models: Sequence[Model]) -> str:
    """Return the digest of a model's files; of a system the SHA-256 of its parts' digests, by role.

    It is over canonical JSON.
    """
    if len(models) == 1:
        return models[0].facts.digest
    digests = {model.role: model.facts.digest for model in models}
    return hashlib.sha256(canonical_json(digests)).hexdigest()


def parts_of(
    models: Sequence[Model],
    *,
    written: Usage,
    scored: int,
) -> tuple[Part, ...]:
    """Return what a run reports about each part of a system.

    ``written`` are the generator's tokens, ``scored`` those that the verifier read.
    """
    tokens = {
        "generator": (written.tokens_in, written.tokens_out),
        "verifier": (scored, 0),
    }
    return tuple(
        Part(
            role=model.role,
            artefact=model.facts.digest,
            weights=model.facts.weights.digest(),
            parameters=model.facts.parameters,
            engine=model.engine,
            tokens_in=tokens[model.role][0],
            tokens_out=tokens[model.role][1],
            seconds=round(model.seconds, 1),
        )
        for model in models
    )


# --- serving


@asynccontextmanager
async def serve_part(
    model: Model,
    placement: Placement | None = None,
    *,
    trusted: frozenset[str],
    workdir: Path,
    api: Literal["completions", "chat"],
    failing: frozenset[Library] = frozenset(),
) -> AsyncIterator[HttpBackend]:
    """Serve a model for one block, and measure how long.

    Without a ``placement`` it has the machine for itself. ``trusted`` are the digests of models
    that may run without a jail, ``failing`` the engines that did not pass the self-test.
    """
    begin = time.monotonic()
    server = serve_checkpoint(
        model.folder,
        jailed=is_jailed(model.facts.digest, trusted=trusted),
        ready_seconds=READY_SECONDS,
        workdir=workdir,
        api=api,
        verifier=model.role == "verifier",
        placement=placement,
        failing=failing,
    )
    try:
        async with server as backend:
            served: Served = getattr(backend, "served", Served())
            model.engine = served.engine
            yield backend
    finally:
        model.seconds += time.monotonic() - begin


def serve_model(
    attempt: Attempt, model: Model, placement: Placement | None = None
) -> AbstractAsyncContextManager[HttpBackend]:
    """Serve a model of an attempt for one block."""
    context = attempt.context
    return serve_part(
        model,
        placement,
        trusted=context.trusted,
        workdir=context.work,
        api=attempt.protocol.api,
        failing=context.failing,
    )


def serve_remote(
    attempt: Attempt, system: Endpoint, sink: ResultSink
) -> AbstractAsyncContextManager[HttpBackend]:
    """Return the gateway to an endpoint, as a block."""
    spec = attempt.spec
    context = attempt.context
    budget = spec.limits.budget
    answered_before = 0
    for ask in spec.sets:
        answered_before += len(unpack_bits(ask.done, ask.n))
    key = ""
    if system.sealed_keys:  # the submitter's own
        sealed_key = system.sealed_keys[context.evaluator]
        key = context.vault.open_key(sealed_key, bound_to=system.url)
    elif listed := context.recipients.listed(system, tier=spec.tier):
        key = listed.key()  # the maintainers', for an endpoint asked as T1
    return serve_endpoint(
        target_of(system),
        key=key,
        allow_private=context.recipients.may_be_private(system.url),
        ready_seconds=READY_SECONDS,
        workdir=context.work,
        concurrency=spec.limits.concurrency,
        caps=caps_left(budget, sink.spent()) if budget else None,
        answers=sink.answers() + answered_before,
        settings={**context.patience, "run_seconds": spec.limits.seconds},
    )
