"""One attempt at one run: from a hostile ``JobSpec`` to its last report.

Every attempt ends in ``Finished`` or ``Failed``, whatever happens, unless its process is killed; then the
lease ends it. Nothing is logged but codes, counts, ids, and of an unexpected error its type and place.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from evaluator import protocols
from evaluator.backends import (
    Caps,
    EndpointTarget,
    HttpBackend,
    Reader,
    Usage,
    serve_checkpoint,
    serve_endpoint,
)
from evaluator.backends.inspection import inspect_checkpoint
from evaluator.contract import (
    JOB_VERSION,
    BlockId,
    Budget,
    Checkpoint,
    Declined,
    Endpoint,
    Failed,
    Finished,
    JobSpec,
    OutOfService,
    RunId,
    SetAsk,
    SetLikelihood,
    Started,
    Tier,
    Token,
    fits,
    unpack_bits,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import load_items
from evaluator.jail import is_jailed
from evaluator.ledger.manifests import Manifest
from evaluator.pipeline.ask import beside, run, watch_endpoint
from evaluator.pipeline.context import Host
from evaluator.pipeline.leases import LONGEST_BEGIN, Lease, Standing
from evaluator.pipeline.likelihood import read_sets
from evaluator.pipeline.plan import (
    Policy,
    PublicSource,
    SealedSource,
    find_checkpoint,
    for_endpoint,
    load_public,
)
from evaluator.pipeline.sink import Keeper, record_of
from evaluator.pipeline.spool import Reporter
from evaluator.policy import JAIL, recipient_of, stricter
from evaluator.protocols.likelihood import LOGLIK_1

_log = logging.getLogger(__name__)

READY_SECONDS = 600.0
"""How long a model server may take until it answers; the attempt's own limit may be shorter."""
GRACE_SECONDS = 15.0
"""How long an attempt goes on once the worker was told to stop, in the hope of finishing."""


BEGIN_TRIES = 3
"""Times that an attempt reports its begin until the site answers."""

DECLINED = frozenset(
    {
        Code.UNKNOWN_SET,
        Code.SET_MISMATCH,
        Code.SEAL_BROKEN,
        Code.NOT_ENROLLED,
        Code.NOTICE_INVALID,
        Code.KEY_NOT_SEALED,
        Code.UNKNOWN_VERSION,
        Code.CHECKPOINT_UNKNOWN,
        Code.DISK_FULL,
        Code.OUT_UNWRITABLE,
    }
)
"""Codes of what another evaluator may have: the attempt is declined before it begins, and costs nothing."""


def run_job(data: object, host: Host) -> None:
    """Do one attempt, whatever the message says. Never raises an ``Exception``."""
    try:
        spec = JobSpec.from_dict(data)
        standing = host.claims.standing(spec.run, spec.token)
    except EvaluatorError as refused:
        _log.warning("message refused: code=%s", refused.code)
        _decline_unread(data, host)
        return
    if standing in (Standing.HELD, Standing.OLDER):
        _log.info("dropped: run=%s token=%s is %s", spec.run, spec.token, standing.name.lower())
        return
    reporter = host.reporter(spec.run, spec.token)
    # The site rings again only for an attempt it has heard nothing of. If this one is over, its reports are
    # lost: saying so, behind them, makes the site begin another; where they were not lost it is too late.
    with host.presence.working_on(spec.run):
        code = Code.LOST if standing is Standing.OVER else _attempt(spec, host, reporter)
    if code is not None:
        _log.warning("failed: run=%s token=%s code=%s", spec.run, spec.token, code)
        _last_words(host, reporter, code)


def _decline_unread(data: object, host: Host) -> None:
    """Answer a job that cannot be read, as one of another release, by as much of it as names the attempt."""
    if (
        not isinstance(data, dict)
        or not fits(data.get("run"), RunId)
        or not fits(data.get("token"), Token)
    ):
        return
    code = Code.BAD_MESSAGE if data.get("version") == JOB_VERSION else Code.UNKNOWN_VERSION
    _decline(host, host.reporter(data["run"], data["token"]), code)


def _decline(host: Host, reporter: Reporter, code: Code) -> None:
    """Say that another evaluator is to do it. Past the spool: a disk that is full is one of the reasons."""
    _log.warning("declined: code=%s", code)
    try:
        host.publish(reporter.sealed(Declined(code=code)))
    except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises; the site sends it again
        _log.warning("not declined: %s", type(failure).__name__)


def _attempt(spec: JobSpec, host: Host, reporter: Reporter) -> Code | None:
    """The attempt, up to ``Finished``. Returns the code of what ended it before, where the site has to know."""
    lease: Lease | None = None
    try:
        _require_service(host)
        protocol = _protocol(spec)
        _require_here(spec, host)
        sources = _sources(spec, host, reporter)
        claim = host.claims.claim(spec.run, spec.token)
        if claim is None:
            return None
        held = host.leases.hold(
            run=spec.run, token=spec.token, worker=reporter.worker, seconds=spec.lease_seconds
        )
        with claim, held as lease:
            reporter.lease = lease
            _begin(spec, protocol, host, reporter)
            _carry_on(
                spec, host, protocol=protocol, sources=sources, reporter=reporter, lease=lease
            )
    except EvaluatorError as failure:
        return _ended(failure.code, spec, host, reporter, lease)
    except Exception as surprise:  # noqa: BLE001 - the boundary of an attempt: the worker stays alive
        _log.error("run=%s token=%s %s", spec.run, spec.token, _describe(surprise))
        return Code.INTERNAL
    _log.info("finished: run=%s token=%s", spec.run, spec.token)
    return None


def _ended(
    code: Code, spec: JobSpec, host: Host, reporter: Reporter, lease: Lease | None
) -> Code | None:
    """Return the code that the site has to know, None where it knows already or another evaluator may do it."""
    if lease is None and code in DECLINED:
        _decline(host, reporter, code)
        return None
    if lease is not None and lease.refusal is not None:
        _log.warning("ended: run=%s token=%s refusal=%s", spec.run, spec.token, lease.refusal)
        _ship(host)
        return None
    return code


def _require_service(host: Host) -> None:
    """Raise ``disk_full`` or ``out_unwritable`` where a write shows that this evaluator cannot work."""
    reason = host.presence.out_of_service()
    if reason in (OutOfService.DISK_FULL, OutOfService.OUT_UNWRITABLE):
        raise error(Code(reason.value))


def _protocol(spec: JobSpec) -> protocols.Protocol:
    try:
        protocol = protocols.get(spec.protocol)
    except EvaluatorError as failure:  # the site knows it, so it is one of a newer release
        raise error(Code.UNKNOWN_VERSION, failure.detail) from None
    if not protocol.fits("checkpoint" if isinstance(spec.system, Checkpoint) else spec.system.api):
        raise error(Code.PROTOCOL_UNFIT, protocol.id)
    return protocol


def _require_here(spec: JobSpec, host: Host) -> None:
    """Raise ``checkpoint_unknown``, ``key_not_sealed`` where this evaluator lacks what another may have."""
    if isinstance(spec.system, Checkpoint):
        find_checkpoint(host.checkpoints, spec.system.name)
    elif spec.system.sealed_keys and host.evaluator not in spec.system.sealed_keys:
        raise error(Code.KEY_NOT_SEALED)


def _begin(spec: JobSpec, protocol: protocols.Protocol, host: Host, reporter: Reporter) -> None:
    """Report the begin until the site answers. Raises ``lease_lost`` unless it grants the lease."""
    started = Started(grant=spec.grant, protocol_digest=protocol.digest, grader=protocol.grader)
    lease = reporter.lease
    assert lease is not None  # noqa: S101 - the caller holds it
    patience = min(LONGEST_BEGIN, spec.lease_seconds) / BEGIN_TRIES
    for _ in range(BEGIN_TRIES):
        reporter.send(started)
        if lease.wait(patience) or host.stopping():
            break
    lease.check()


def _carry_on(
    spec: JobSpec,
    host: Host,
    *,
    protocol: protocols.Protocol,
    sources: Sequence[PublicSource | SealedSource],
    reporter: Reporter,
    lease: Lease,
) -> None:
    """All that comes after the grant, up to ``Finished``."""
    begin = time.monotonic()
    sink = Keeper(spec, host, reporter, sources, lease)
    with sink.heartbeat:
        try:
            asyncio.run(
                _evaluate(spec, host, protocol=protocol, sources=sources, sink=sink, lease=lease)
            )
        finally:
            sink.close()
        votes = sink.votes(
            protocol, sources
        )  # takes seconds for a thousand items: the heart still beats
        graders = sink.graders(protocol.grader)
        reasons = sink.reasons(sources) if isinstance(spec.system, Endpoint) else ()
    reporter.send(
        Finished(
            artefact=sink.artefact,
            weights=sink.weights,
            sets=sink.counts(),
            votes=votes,
            graders=graders,
            reasons=reasons,
            record=sink.record,
            likelihoods=sink.likelihoods,
            likelihood_failed=sink.likelihood_failed,
            seconds=time.monotonic() - begin,
        )
    )


def _ship(host: Host) -> None:
    """Report what the journal holds and the site may lack, after an attempt that it does not want to hear of."""
    try:
        host.ship_lines()
    except EvaluatorError as failure:
        _log.error("not reported: code=%s", failure.code)


def _last_words(host: Host, reporter: Reporter, code: Code) -> None:
    """Say why; then what the journal holds and nobody was told, as where an item could not be opened."""
    sayings: list[Callable[[], None]] = [lambda: reporter.send(Failed(code=code)), host.ship_lines]
    for say in sayings:
        try:
            say()
        except EvaluatorError as failure:
            _log.error("not reported: code=%s", failure.code)
        except Exception as surprise:  # noqa: BLE001 - as above
            _log.error("not reported: %s", _describe(surprise))


def _describe(surprise: Exception) -> str:
    """Type and place. Its message could hold a prompt."""
    place = traceback.extract_tb(surprise.__traceback__)[-1]
    return f"unexpected {type(surprise).__name__} at {Path(place.filename).name}:{place.lineno}"


async def _evaluate(
    spec: JobSpec,
    host: Host,
    *,
    protocol: protocols.Protocol,
    sources: Sequence[PublicSource | SealedSource],
    sink: Keeper,
    lease: Lease,
) -> None:
    """Ask all, then have weights read all, in one load. Once all is asked, nothing costs an outcome any more: what
    ends the reading is told beside them."""
    policy = replace(host.policy, concurrency=spec.limits.concurrency)
    if isinstance(spec.system, Endpoint):
        policy = for_endpoint(policy)
    secret = host.vault.order_secret(spec.run, spec.token)
    asked = False
    try:
        async with (
            asyncio.timeout(spec.limits.seconds),
            beside(_until_told(host.stopping)),
            beside(lease.watch()),
            _serve(spec, protocol, host, sink) as backend,
        ):
            questions = sink.resume(sources, protocol)
            watched = backend if isinstance(spec.system, Endpoint) else None
            async with beside(watch_endpoint(watched, sink.waiting, seconds=policy.watch_seconds)):
                await run(
                    questions,
                    protocol,
                    backend,
                    sink,
                    policy=policy,
                    secret=secret,
                    check=lease.check,
                )
            sink.record = record_of(
                protocol,
                sources,
                backend,
                remote=isinstance(spec.system, Endpoint),
                template=sink.template,
                budget=spec.limits.budget,
            )
            asked = True
            if isinstance(spec.system, Checkpoint):
                sink.likelihoods = await _read(sources, backend, policy, lease)
    except (TimeoutError, EvaluatorError) as problem:
        failure = problem if isinstance(problem, EvaluatorError) else error(Code.DEADLINE)
        if not asked or failure.code is Code.LEASE_LOST:
            raise failure from None
        if not sink.likelihoods:
            sink.likelihood_failed = failure.code
            _log.warning("not read: run=%s token=%s code=%s", spec.run, spec.token, failure.code)


async def _read(
    sources: Sequence[PublicSource | SealedSource], reader: Reader, policy: Policy, lease: Lease
) -> tuple[SetLikelihood, ...]:
    """The likelihoods of all sets. Raises EvaluatorError only."""
    try:
        return await read_sets(sources, LOGLIK_1, reader, policy=policy, check=lease.check)
    except EvaluatorError:
        raise
    except Exception as surprise:  # noqa: BLE001 - the boundary of the reading, as of the attempt
        _log.error("not read: %s", _describe(surprise))
        raise error(Code.INTERNAL) from None


async def _until_told(stopping: Callable[[], bool]) -> None:
    """Give the attempt up some time after the worker was told to stop; the site gives it to another then."""
    while not stopping():
        await asyncio.sleep(0.2)
    await asyncio.sleep(GRACE_SECONDS)
    raise error(Code.LOST)


def _sources(spec: JobSpec, host: Host, reporter: Reporter) -> list[PublicSource | SealedSource]:
    """The sets of a job, each compared with what the job says of it.

    Raises ``unknown_set``, ``set_mismatch``, ``bad_message`` and, before any model is started,
    ``recipient_refused`` and ``block_refused`` where this evaluator's own list does not let the system see a sealed
    set, or all that it is to be asked of it.
    """
    if len({ask.name for ask in spec.sets}) != len(spec.sets):
        raise error(Code.BAD_MESSAGE, "a set is named twice")
    return [
        _sealed_source(ask, spec, host, reporter) if ask.sealed else _public_source(ask, host)
        for ask in spec.sets
    ]


def _recipient(spec: JobSpec, host: Host) -> tuple[str, Tier]:
    """Return the party that will be asked, and its tier: of an endpoint by its whole identity, and by whose key."""
    if isinstance(spec.system, Checkpoint):
        return JAIL, spec.tier
    return recipient_of(spec.system.url), stricter(spec.tier, host.recipients.tier_of(spec.system))


def _public_source(ask: SetAsk, host: Host) -> PublicSource:
    items = load_public(host.sets, ask)
    path = host.sets / ask.name / "shots.jsonl"
    shots = load_items(path) if path.exists() else ()
    return PublicSource(name=ask.name, items=items, shots=shots, done=unpack_bits(ask.done, ask.n))


def _sealed_source(ask: SetAsk, spec: JobSpec, host: Host, reporter: Reporter) -> SealedSource:
    facts = host.vault.facts(ask.name)
    manifest = facts.manifest
    if (manifest.n, manifest.root) != (ask.n, ask.digest):
        raise error(Code.SET_MISMATCH, ask.name)
    host.vault.require_key(ask.name)
    recipient, tier = _recipient(spec, host)
    blocks = _form(ask, manifest, host.vault.allowed(ask.name, to=recipient, tier=tier))
    form = manifest.indices(blocks) - unpack_bits(ask.without, ask.n)
    done = unpack_bits(ask.done, ask.n)
    if done - form:
        raise error(Code.BAD_MESSAGE, "an item is done that is not asked")
    return SealedSource(
        name=ask.name,
        n=ask.n,
        form=form,
        open_items=lambda indices: host.vault.reveal(
            ask.name, indices, to=recipient, run=spec.run, token=spec.token, tier=tier
        ),
        tell=lambda line: host.tell(line, reporter),
        shots=facts.shots,
        done=done,
        seen={} if isinstance(spec.system, Checkpoint) else None,
    )


def _form(ask: SetAsk, manifest: Manifest, allowed: Sequence[BlockId]) -> Sequence[BlockId]:
    """The blocks that are asked. Raises ``recipient_refused`` where none is allowed, ``block_refused`` for others."""
    asked = ask.blocks or tuple(block.id for block in manifest.blocks)
    if not allowed:
        raise error(Code.RECIPIENT_REFUSED)
    if not set(asked) <= set(allowed):
        raise error(Code.BLOCK_REFUSED)
    return asked


@asynccontextmanager
async def _serve(
    spec: JobSpec, protocol: protocols.Protocol, host: Host, sink: Keeper
) -> AsyncIterator[HttpBackend]:
    """The system under test, started for this attempt and ended with it."""
    system = spec.system
    if isinstance(system, Checkpoint):
        folder = find_checkpoint(host.checkpoints, system.name)
        facts = await asyncio.to_thread(inspect_checkpoint, folder)
        sink.artefact, sink.template, sink.weights = facts.digest, facts.template, facts.weights
        jailed = is_jailed(facts.digest, trusted=host.trusted)
        server = serve_checkpoint(
            folder, jailed=jailed, ready_seconds=READY_SECONDS, workdir=host.work, api=protocol.api
        )
    else:
        key = _key(system, spec.tier, host)
        server = serve_endpoint(
            _target(system),
            key=key,
            allow_private=host.recipients.may_be_private(system.url),
            ready_seconds=READY_SECONDS,
            workdir=host.work,
            concurrency=spec.limits.concurrency,
            caps=_left(spec.limits.budget, sink.spent()) if spec.limits.budget else None,
            answers=sink.answers() + sum(len(unpack_bits(ask.done, ask.n)) for ask in spec.sets),
            settings={**host.patience, "run_seconds": spec.limits.seconds},
        )
        del key
    async with server as backend:
        yield backend


def _key(system: Endpoint, tier: Tier, host: Host) -> str:
    """Return the submitter's own key, the maintainers' for an endpoint that is asked as T1, or none."""
    if system.sealed_keys:
        return host.vault.open_key(system.sealed_keys[host.evaluator], bound_to=system.url)
    listed = host.recipients.listed(system, tier=tier)
    return listed.key() if listed else ""


def _target(system: Endpoint) -> EndpointTarget:
    """Where the gateway asks, and how. LiteLLM takes a provider by the beginning of the model's name."""
    if not system.provider:
        return EndpointTarget(url=system.url, model=system.model, api=system.api)
    name = f"{system.provider}/{system.model}"
    return EndpointTarget(url=system.url, model=name, api=system.api, adapter="litellm")


def _left(budget: Budget, spent: Usage) -> Caps:
    """What this attempt may still spend, once those before it on this host have spent so much."""
    paid = (spent.tokens_in * budget.price_in + spent.tokens_out * budget.price_out) / 1_000_000
    tokens = (
        None
        if budget.tokens is None
        else max(0, budget.tokens - spent.tokens_in - spent.tokens_out)
    )
    cost = None if budget.cost is None else max(0.0, budget.cost - paid)
    return Caps(tokens, cost, budget.price_in, budget.price_out)
