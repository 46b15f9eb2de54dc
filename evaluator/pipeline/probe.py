"""Probes: the first items of a public set, as a protocol asks them, and an endpoint's answers.

An order is as hostile as a job, and no part of a run: no lease, no journal, no outcome.

- It is read strictly, and dropped where its time is over.
- Its set is looked for among the public ones of this host: a folder with a manifest holds a sealed
  set and is none of them, whatever else lies in it. The items must have the order's digest.
- The vault is used for one thing: to open the key that is sealed for the endpoint.
- The gateway asks, so the address is checked, and the key is on its standard input only.

A thread reads the orders, so that they are answered while a run is under way.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from evaluator import protocols
from evaluator.backends import Backend, Sampling, serve_endpoint
from evaluator.backends.prices import listed_prices
from evaluator.contract import (
    NO_RUN,
    Endpoint,
    ListedPrices,
    Probed,
    ProbedItem,
    ProbeOrder,
)
from evaluator.contract.probes import MOST_ANSWER, MOST_PROMPT, ProbeAnswer
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, load_items
from evaluator.pipeline.context import Context
from evaluator.pipeline.graders import RunGrader, grader_of
from evaluator.pipeline.plan import folder_inside, load_public
from evaluator.pipeline.remote import target_of
from evaluator.protocols import Protocol
from evaluator.sealing.formats import MANIFEST

_log = logging.getLogger(__name__)

_LONGEST_EXTRACTED = 200
_READY_SECONDS = 30.0
"""Time for the start of the gateway."""


@dataclass(frozen=True, slots=True, repr=False)
class _Question:
    """Public item, its index and its prompt."""

    index: int
    prompt: str
    item: Item


def handle_probe(data: object, context: Context) -> None:
    """Carry out an order and report its result, for any message. Never raises an ``Exception``."""
    try:
        order = ProbeOrder.from_dict(data)
    except EvaluatorError as refused:
        _log.warning("probe refused: code=%s", refused.code)
        return
    if datetime.fromisoformat(order.until) < datetime.now(UTC):
        _log.info("probe dropped: its time is over")
        return
    body = probe(order, context)
    try:
        context.publish(context.reporter(NO_RUN, 1).sealed(body))
    except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
        _log.warning("probe not answered: %s", type(failure).__name__)
        return
    _log.info("probe answered: probe=%s code=%s", order.probe, body.code or "none")


def probe(order: ProbeOrder, context: Context) -> Probed:
    """Return the answer to an order; where there is none, the code of the reason."""
    answer = Probed(
        probe=order.probe,
        set=order.set,
        protocol=order.protocol,
    )
    try:
        protocol = protocols.get(order.protocol)
        questions = _questions(order, protocol, context.sets)
        if order.endpoint is None:
            shown = []
            for question in questions:
                shown.append(ProbedItem(index=question.index, prompt=question.prompt))
            return replace(answer, items=tuple(shown))
        asking = _ask_all(order.endpoint, questions, protocol, order.seconds, context)
        asked = asyncio.run(asking)
        listed = None
        if order.endpoint.provider:
            listed = listed_prices(target_of(order.endpoint).model)
        prices = None
        if listed:
            price_in, price_out = listed
            prices = ListedPrices(price_in=price_in, price_out=price_out)
        return replace(answer, items=asked, prices=prices)
    except EvaluatorError as failure:
        return replace(answer, code=failure.code)
    except Exception as surprise:  # noqa: BLE001 - as for an attempt: the thread stays alive
        _log.error("probe: unexpected %s", type(surprise).__name__)
        return replace(answer, code=Code.INTERNAL)


def _questions(order: ProbeOrder, protocol: Protocol, sets: Path) -> list[_Question]:
    """Return the first items of the public set of an order.

    Raises ``unknown_set`` for every other set, ``set_mismatch``.
    """
    folder = folder_inside(sets, order.set.name)
    if folder is None or (folder / MANIFEST).exists():
        raise error(Code.UNKNOWN_SET, order.set.name)
    items = load_public(sets, order.set)
    pool = folder / "shots.jsonl"
    shots = load_items(pool) if pool.exists() else ()
    drawn = protocol.draws(len(items), len(shots))
    questions = []
    for index, item in enumerate(items[: order.items]):
        shown = [shots[shot] for shot in drawn[index]]
        prompt = protocol.prompt(item, shown)
        questions.append(_Question(index, prompt[:MOST_PROMPT], item))
    return questions


async def _ask_all(
    endpoint: Endpoint,
    questions: list[_Question],
    protocol: Protocol,
    seconds: float,
    context: Context,
) -> tuple[ProbedItem, ...]:
    """Ask an endpoint all questions at once. One without an answer in time has a code.

    Raises ``protocol_unfit``, ``key_not_sealed``, ``probe_needs_key``, and the codes of an endpoint
    that cannot be called at all.
    """
    if not protocol.fits(endpoint.api):
        raise error(Code.PROTOCOL_UNFIT, protocol.id)
    target = target_of(endpoint)
    key = ""
    if endpoint.sealed_keys:  # the submitter's own
        if context.evaluator not in endpoint.sealed_keys:
            raise error(Code.KEY_NOT_SEALED)
        sealed_key = endpoint.sealed_keys[context.evaluator]
        key = context.vault.open_key(sealed_key, bound_to=endpoint.url)
    else:
        listed = context.recipients.listed(endpoint)
        if listed and not listed.no_key:  # the maintainers' is not spent on probes
            raise error(Code.PROBE_NEEDS_KEY)
    patience = {"outage_seconds": 0.0, "start_seconds": 0.0, "run_seconds": seconds}
    server = serve_endpoint(
        target,
        key=key,
        allow_private=context.recipients.may_be_private(endpoint.url),
        ready_seconds=_READY_SECONDS,
        workdir=context.work,
        concurrency=len(questions),
        settings={**patience, "timeout_seconds": seconds},
    )
    async with grader_of(protocol) as grader, server as backend:
        tasks = []
        for question in questions:
            asking = _ask(question, protocol, backend, grader)
            tasks.append(asyncio.create_task(asking))
        try:
            await asyncio.wait(tasks, timeout=seconds)
            answered = []
            for question, task in zip(questions, tasks, strict=True):
                if task.done():
                    answered.append(task.result())
                else:
                    answered.append(_unanswered(question, Code.ENDPOINT_TIMEOUT))
            return tuple(answered)
        finally:
            for task in tasks:
                task.cancel()


async def _ask(
    question: _Question,
    protocol: Protocol,
    backend: Backend,
    grader: RunGrader,
) -> ProbedItem:
    sampling = Sampling(
        max_tokens=protocol.max_tokens,
        stop=protocol.stop,
        temperature=protocol.temperature,
        bos=protocol.bos,
        stops=protocol.stops,
        limit=protocol.limit,
    )
    begin = time.monotonic()
    try:
        completion = await backend.complete(question.prompt, sampling)
        seconds = time.monotonic() - begin
        graded, _ = await grader.grade(question.item, completion)
    except EvaluatorError as failure:
        return _unanswered(question, failure.code)
    usage = completion.usage
    answer = ProbeAnswer(
        text=completion.text[:MOST_ANSWER],
        cut=completion.cut,
        extracted=graded.extracted[:_LONGEST_EXTRACTED],
        outcome=graded.outcome,
        seconds=round(seconds, 3),
        tokens_in=usage.tokens_in if usage else None,
        tokens_out=usage.tokens_out if usage else None,
    )
    return ProbedItem(index=question.index, prompt=question.prompt, answer=answer)


def _unanswered(question: _Question, code: Code) -> ProbedItem:
    return ProbedItem(index=question.index, prompt=question.prompt, code=code)
