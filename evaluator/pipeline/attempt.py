"""One attempt at one run: from a hostile ``JobSpec`` to its last report.

The order of steps matters. An attempt

- reads the job strictly, and is dropped where this host works on it or has begun a later one;
- declines, before it begins, what another evaluator may have: a set, a protocol, a checkpoint, a
  sandbox for programs;
- compares each set with its own copy, the recipient with its own list, and the items of an
  adaptive run with the plan that it began with;
- claims the attempt on this host, reports ``Started`` and waits until the site grants the lease;
- reads a checkpoint, reports ``Identified`` and waits until the site has compared its weights;
- starts the model server, and reports the outcomes that an earlier attempt has stored;
- asks and grades every open item;
- has weights read every item, by the same load of the engine;
- has the verifier of a system score all candidates, alongside its generator or after it;
- commits to the outcomes in the journal, and reports ``Finished``.

Every attempt ends in ``Finished`` or ``Failed``, unless its process is killed; then the lease ends
it. Only codes, counts, ids and, of an unexpected error, its type and place are logged.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path

from msgspec import UNSET

from evaluator import protocols
from evaluator.backends import Backend, HttpBackend, Reader
from evaluator.contract import (
    JOB_VERSION,
    Candidates,
    Declined,
    Endpoint,
    Failed,
    Finished,
    JobSpec,
    OutOfService,
    RunId,
    SetAsk,
    Started,
    System,
    Token,
    fits,
    unpack_bits,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import load_items
from evaluator.pipeline.ask import ask_items, in_background, watch_endpoint
from evaluator.pipeline.context import Context
from evaluator.pipeline.graders import check_executes, check_kind
from evaluator.pipeline.leases import Lease, Standing, send_until_answered
from evaluator.pipeline.likelihood import read_sets
from evaluator.pipeline.parts import (
    Attempt,
    Model,
    Sources,
    find_models,
    parts_of,
    serve_model,
    serve_remote,
)
from evaluator.pipeline.plan import (
    Policy,
    PublicSource,
    SealedSource,
    for_endpoint,
    for_run,
    load_public,
)
from evaluator.pipeline.planned import check_plan, plan_of
from evaluator.pipeline.record import record_of
from evaluator.pipeline.sink import ResultSink
from evaluator.pipeline.spool import Reporter
from evaluator.pipeline.turns import Turns, take_turns
from evaluator.pipeline.verify import verify_items
from evaluator.pipeline.weights import check_system
from evaluator.policy import JAIL, recipient_of, stricter
from evaluator.protocols import Protocol
from evaluator.protocols.likelihood import LOGLIK_1

_log = logging.getLogger(__name__)

GRACE_SECONDS = 15.0
"""Seconds that an attempt may take to finish once the worker is to stop: at most, and no longer
than a third of its lease."""

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
        Code.STORE_TOO_SMALL,
        Code.UPLOAD_NO_SITE,
        Code.DISK_FULL,
        Code.OUT_UNWRITABLE,
        Code.SANDBOX_MISSING,
        Code.ENGINE_WRONG,
        Code.OUT_OF_SERVICE,
    }
)
"""Codes of things that another evaluator may have.

Such an attempt is declined before it begins, and costs nothing.
"""


def run_job(data: object, context: Context) -> None:
    """Make one attempt, for any message. Never raises an ``Exception``."""
    try:
        spec = JobSpec.from_dict(data)
        standing = context.claims.standing(spec.run, spec.token)
    except EvaluatorError as refused:
        _log.warning("message refused: code=%s", refused.code)
        _decline_unread(data, context)
        return
    if standing is Standing.HELD:
        _log.info("dropped: run=%s token=%s is held", spec.run, spec.token)
        return
    reporter = context.reporter(spec.run, spec.token)
    with context.presence.working_on(spec.run):
        if standing in (Standing.OVER, Standing.OLDER):
            # The site sends a job again only where no report of the attempt has reached it. This
            # one is over, so its reports are lost: the site begins another attempt once it knows.
            # Where they were only late, they stand in the spool before this report. A site that
            # has begun a later attempt counts it as stale; one whose database was restored has not.
            code: Code | None = Code.LOST
        else:
            code = _attempt(spec, context, reporter)
    if code is not None:
        _log.warning("failed: run=%s token=%s code=%s", spec.run, spec.token, code)
        _report(lambda: reporter.send(Failed(code=code)))
        # The journal may have lines that no report has, as of an item that could not be opened.
        _report(context.ship_lines)


def _decline_unread(data: object, context: Context) -> None:
    """Decline a job that cannot be read, where its run and token can."""
    if not isinstance(data, dict):
        return
    run = data.get("run")
    token = data.get("token")
    if fits(run, RunId) and fits(token, Token):
        known = data.get("version") == JOB_VERSION
        code = Code.BAD_MESSAGE if known else Code.UNKNOWN_VERSION
        _decline(code, context, context.reporter(data["run"], data["token"]))


def _decline(code: Code, context: Context, reporter: Reporter) -> None:
    """Ask the site for another evaluator.

    The report bypasses the spool, since a full disk is one of the reasons.
    """
    _log.warning("declined: code=%s", code)
    try:
        context.publish(reporter.sealed(Declined(code=code)))
    except Exception as failure:  # noqa: BLE001 - a broker's client raises anything
        _log.warning("not declined: %s", type(failure).__name__)


def _attempt(spec: JobSpec, context: Context, reporter: Reporter) -> Code | None:
    """Make an attempt, up to ``Finished``.

    Returns the code of the error that ended it earlier; None where the site need not know it.
    """
    lease: Lease | None = None
    try:
        _check_service(context)
        protocol = _protocol(spec)
        check_executes(protocol.grader)
        check_system(spec, context)
        sources = _sources(spec, context, reporter)
        claim = context.claims.claim(spec.run, spec.token)
        if claim is None:
            return None
        holding = context.leases.hold(
            run=spec.run,
            token=spec.token,
            worker=reporter.worker,
            seconds=spec.lease_seconds,
        )
        with claim, holding as lease:
            reporter.lease = lease
            attempt = Attempt(
                spec=spec,
                protocol=protocol,
                sources=sources,
                context=context,
                reporter=reporter,
                lease=lease,
            )
            _evaluate(attempt)
    except EvaluatorError as failure:
        if lease is None and failure.code in DECLINED:
            _decline(failure.code, context, reporter)
            return None
        if lease is not None and lease.refusal is not None:
            # The site has ended the attempt itself.
            _log.warning("ended: run=%s token=%s refusal=%s", spec.run, spec.token, lease.refusal)
            _report(context.ship_lines)
            return None
        return failure.code
    except Exception as surprise:  # noqa: BLE001 - boundary of an attempt: the worker lives on
        _log.error("run=%s token=%s %s", spec.run, spec.token, _describe(surprise))
        return Code.INTERNAL
    _log.info("finished: run=%s token=%s", spec.run, spec.token)
    return None


def _report(send: Callable[[], object]) -> None:
    """Send a report at the end of an attempt. An error is logged: the worker stays alive."""
    try:
        send()
    except EvaluatorError as failure:
        _log.error("not reported: code=%s", failure.code)
    except Exception as surprise:  # noqa: BLE001 - the boundary of an attempt
        _log.error("not reported: %s", _describe(surprise))


def _describe(surprise: Exception) -> str:
    """Return type and place of an error. Its message could hold a prompt."""
    place = traceback.extract_tb(surprise.__traceback__)[-1]
    return f"unexpected {type(surprise).__name__} at {Path(place.filename).name}:{place.lineno}"


# --- before the claim: the job against this evaluator's own configuration


def _check_service(context: Context) -> None:
    """Raise ``out_of_service`` where this worker takes no more runs.

    Raise ``disk_full`` or ``out_unwritable`` where a test write fails.
    """
    if context.draining():
        raise error(Code.OUT_OF_SERVICE)
    reason = context.presence.out_of_service()
    if reason in (OutOfService.DISK_FULL, OutOfService.OUT_UNWRITABLE):
        raise error(Code(reason.value))


def _protocol(spec: JobSpec) -> Protocol:
    try:
        protocol = protocols.get(spec.protocol)
    except EvaluatorError as failure:  # the site knows it, so it is one of a newer release
        raise error(Code.UNKNOWN_VERSION, failure.detail) from None
    asked: protocols.Asked = "checkpoint"
    if isinstance(spec.system, Endpoint):
        asked = spec.system.api
    elif isinstance(spec.system, System):
        asked = "system"
    if not protocol.fits(asked):
        raise error(Code.PROTOCOL_UNFIT, protocol.id)
    return protocol


def _sources(spec: JobSpec, context: Context, reporter: Reporter) -> Sources:
    """Return the sets of a job, each compared with the job's facts about it.

    Raises ``unknown_set``, ``set_mismatch``, ``bad_message``, ``grader_unfit`` and, before any
    model is started, ``recipient_refused`` and ``block_refused`` where this evaluator's own list
    does not let the system see a sealed set, or all the blocks that are to be asked, and
    ``plan_differs`` where the items are not those of the plan that the run began with.
    """
    names = {ask.name for ask in spec.sets}
    if len(names) != len(spec.sets):
        raise error(Code.BAD_MESSAGE, "a set is named twice")
    sources: list[PublicSource | SealedSource] = []
    for ask in spec.sets:
        if ask.sealed:
            sources.append(_sealed_source(ask, spec, context, reporter))
        else:
            sources.append(_public_source(ask, context))
    for source in sources:
        check_kind(protocols.get(spec.protocol).grader, source.kind)
    check_plan(spec, sources, context)
    return sources


def _public_source(ask: SetAsk, context: Context) -> PublicSource:
    items = load_public(context.sets, ask)
    path = context.sets / ask.name / "shots.jsonl"
    shots = load_items(path) if path.exists() else ()
    source = PublicSource(
        name=ask.name,
        items=items,
        shots=shots,
        done=unpack_bits(ask.done, ask.n),
        without=unpack_bits(ask.without, ask.n),
    )
    if source.done - source.selection:
        raise error(Code.BAD_MESSAGE, "an item is done that is not asked")
    return source


def _sealed_source(
    ask: SetAsk,
    spec: JobSpec,
    context: Context,
    reporter: Reporter,
) -> SealedSource:
    facts = context.vault.facts(ask.name)
    manifest = facts.manifest
    if (manifest.n, manifest.root) != (ask.n, ask.digest):
        raise error(Code.SET_MISMATCH, ask.name)
    context.vault.require_key(ask.name)
    recipient = JAIL
    tier = spec.tier
    if isinstance(spec.system, Endpoint):
        # Its tier follows from its whole identity, and from whose key it is asked with.
        recipient = recipient_of(spec.system.url)
        tier = stricter(spec.tier, context.recipients.tier_of(spec.system))
    allowed = context.vault.allowed(ask.name, to=recipient, tier=tier)
    if not allowed:
        raise error(Code.RECIPIENT_REFUSED)
    blocks = ask.blocks or tuple(block.id for block in manifest.blocks)
    if not set(blocks) <= set(allowed):
        raise error(Code.BLOCK_REFUSED)
    selection = manifest.indices(blocks) - unpack_bits(ask.without, ask.n)
    done = unpack_bits(ask.done, ask.n)
    if done - selection:
        raise error(Code.BAD_MESSAGE, "an item is done that is not asked")
    return SealedSource(
        name=ask.name,
        n=ask.n,
        kind=manifest.item_kind(),
        selection=selection,
        open_items=lambda indices: context.vault.reveal(
            ask.name,
            indices,
            to=recipient,
            run=spec.run,
            token=spec.token,
            tier=tier,
            plan=plan_of(spec),
        ),
        report=lambda line: context.report_line(line, reporter),
        shots=facts.shots,
        done=done,
        cache=None if isinstance(spec.system, Endpoint) else {},
    )


# --- after the claim


def _evaluate(attempt: Attempt) -> None:
    """Ask and grade, commit to the outcomes in the journal, report ``Finished``.

    First reports ``Started`` until the site answers. Raises as :func:`send_until_answered`.
    """
    spec = attempt.spec
    protocol = attempt.protocol
    sources = attempt.sources
    started = Started(
        grant=spec.grant,
        protocol_digest=protocol.digest,
        grader=protocol.grader,
    )
    send_until_answered(
        attempt.lease,
        partial(attempt.reporter.send, started),
        stopping=attempt.context.stopping,
        longest=spec.limits.seconds,
    )
    begin = time.monotonic()
    sink = ResultSink(spec, attempt.context, attempt.reporter, sources, attempt.lease)
    with sink.heartbeat:
        try:
            asyncio.run(_ask_and_read(attempt, sink))
        finally:
            sink.close()
        # These take seconds for a thousand items, so the heartbeat still runs.
        votes = sink.votes(protocol, sources)
        graders = sink.graders(protocol.grader)
        usage = sink.usage(sources)
        reasons = sink.reasons(sources) if isinstance(spec.system, Endpoint) else ()
        candidates: tuple[Candidates, ...] = ()
        if isinstance(spec.system, System):
            candidates = sink.summarise_candidates(sources, protocol.samples)
        for transcripts in sink.transcripts(protocol, sources):
            attempt.reporter.send(transcripts)
    attempt.reporter.send(
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
            parts=sink.parts or UNSET,
            candidates=candidates or UNSET,
            usage=usage or UNSET,
        )
    )


async def _ask_and_read(attempt: Attempt, sink: ResultSink) -> None:
    """Ask every open item, then have weights read every item, in one load of the engine.

    A system has its verifier's choice as well. Once everything is asked, an error costs no outcome
    any more: the code of one that ends the reading is reported alongside the outcomes.
    """
    spec = attempt.spec
    asked = False
    try:
        async with (
            asyncio.timeout(spec.limits.seconds),
            in_background(_stop_in_time(attempt.context.stopping, spec.lease_seconds)),
            in_background(attempt.lease.watch()),
            find_models(attempt, sink) as models,
        ):
            if isinstance(spec.system, System):
                await _take_turns(attempt, models, sink)
                return
            model: Model | None = None
            if isinstance(spec.system, Endpoint):
                server = serve_remote(attempt, spec.system, sink)
            else:
                model = models[0]
                server = serve_model(attempt, model)
            async with server as backend:
                sources = sink.resume(attempt.sources, attempt.protocol)
                await _ask(attempt, sink, backend, sources)
                asked = True
                if model is not None:
                    await _read(attempt, backend, sink)
    except (TimeoutError, EvaluatorError) as problem:
        failure = error(Code.DEADLINE)
        if isinstance(problem, EvaluatorError):
            failure = problem
        if not asked or failure.code is Code.LEASE_LOST:
            raise failure from None
        if not sink.likelihoods:
            _note_unread(attempt, sink, failure.code)


async def _ask(
    attempt: Attempt,
    sink: ResultSink,
    backend: HttpBackend,
    sources: Sources,
) -> None:
    """Ask every item without an outcome, and note the record of the attempt."""
    spec = attempt.spec
    context = attempt.context
    policy = _policy(attempt)
    watched: Backend | None = None
    sharing: AbstractAsyncContextManager[Backend] = nullcontext(backend)
    if isinstance(spec.system, Endpoint):
        policy = for_endpoint(policy)
        watched = backend
        sharing = context.requests.sharing(spec.system, backend)
    watch = watch_endpoint(watched, sink.waiting, seconds=policy.watch_seconds)
    async with in_background(watch), sharing as asked:
        await ask_items(
            sources,
            attempt.protocol,
            asked,
            sink,
            policy=policy,
            secret=context.vault.order_secret(spec.run, spec.token),
            check=attempt.lease.check,
        )
    sink.record = record_of(
        attempt.protocol,
        attempt.sources,
        backend,
        remote=isinstance(spec.system, Endpoint),
        template=sink.template,
        budget=spec.limits.budget,
    )


def _policy(attempt: Attempt) -> Policy:
    spec = attempt.spec
    return for_run(
        attempt.context.policy,
        concurrency=spec.limits.concurrency,
        lease_seconds=spec.lease_seconds,
    )


async def _take_turns(
    attempt: Attempt,
    models: Sequence[Model],
    sink: ResultSink,
) -> None:
    """Have the generator write and the verifier choose, and note what each part computed."""
    sources = sink.resume(attempt.sources, attempt.protocol)
    policy = _policy(attempt)

    async def write(backend: HttpBackend, written: asyncio.Event) -> None:
        await _ask(attempt, sink, backend, sources)
        written.set()
        await _read(attempt, backend, sink)

    async def score(scorer: HttpBackend, written: asyncio.Event) -> None:
        await verify_items(
            sources,
            attempt.protocol,
            scorer,
            sink,
            policy=policy,
            check=attempt.lease.check,
            written=written,
        )

    turns = Turns(
        serve=partial(serve_model, attempt),
        write=write,
        score=score,
        failing=attempt.context.failing,
    )
    generator, verifier = models
    await take_turns(turns, generator, verifier)
    sink.parts = parts_of(
        models,
        written=sink.spent(),
        scored=sink.tokens_scored(),
    )


async def _read(attempt: Attempt, reader: Reader, sink: ResultSink) -> None:
    """Read all sets. An error is noted and costs no outcome, but for the loss of the lease."""
    policy = _policy(attempt)
    check = attempt.lease.check
    try:
        sink.likelihoods = await read_sets(
            attempt.sources,
            LOGLIK_1,
            reader,
            policy=policy,
            check=check,
        )
    except EvaluatorError as failure:
        if failure.code is Code.LEASE_LOST:
            raise
        _note_unread(attempt, sink, failure.code)
    except Exception as surprise:  # noqa: BLE001 - the boundary of the reading, as of the attempt
        _log.error("not read: %s", _describe(surprise))
        _note_unread(attempt, sink, Code.INTERNAL)


def _note_unread(attempt: Attempt, sink: ResultSink, code: Code) -> None:
    sink.likelihood_failed = code
    _log.warning("not read: run=%s token=%s code=%s", attempt.spec.run, attempt.spec.token, code)


async def _stop_in_time(stopping: Callable[[], bool], lease_seconds: float) -> None:
    """Raise ``handed_back`` some time after the worker is to stop: the site begins another attempt.

    By then the outcomes so far are in the spool.
    """
    while not stopping():
        await asyncio.sleep(0.2)
    await asyncio.sleep(min(GRACE_SECONDS, lease_seconds / 3))
    raise error(Code.HANDED_BACK)
