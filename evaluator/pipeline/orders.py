"""What the site asks for of a run that is over: that its answers be graded again, here, where they are kept.

An order is as hostile as a job. It opens gold answers to our own jail and to nobody else, and what leaves is outcome
codes. One that comes twice is carried out once: the second time the answer is read from what the first one left.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from evaluator import grading, protocols
from evaluator.contract import (
    NO_RUN,
    NotRescored,
    Outcome,
    Rescored,
    RescoredSet,
    RescoreOrder,
    StoredSet,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.pipeline import rescoring
from evaluator.pipeline.claims import Standing
from evaluator.pipeline.host import Host
from evaluator.pipeline.sources import load_public

_log = logging.getLogger(__name__)


def carry_out(data: object, host: Host) -> None:
    """Carry an order out and report it, whatever the message says. Never raises an ``Exception``."""
    try:
        order = RescoreOrder.from_dict(data)
    except EvaluatorError as refused:
        _log.warning("order refused: code=%s", refused.code)
        return
    reporter = host.reporter(order.run, order.token)
    try:
        body = _answer(order, host)
        reporter.send(body)
    except EvaluatorError as failure:
        _log.error("order not answered: order=%s code=%s", order.order, failure.code)
    else:
        _log.info(
            "order answered: order=%s run=%s %s",
            order.order,
            order.run,
            getattr(body, "code", "rescored"),
        )


def _answer(order: RescoreOrder, host: Host) -> Rescored | NotRescored:
    try:
        if host.claims.standing(order.run, order.token) in (Standing.HELD, Standing.OLDER):
            raise error(Code.RUN_UNDER_WAY)
        grader = grading.digest(order.grader)
        sets = tuple(_rescored(ask, order, host) for ask in order.sets)
    except EvaluatorError as failure:
        return NotRescored(order=order.order, code=failure.code)
    except Exception as surprise:  # noqa: BLE001 - as for an attempt: the worker stays alive
        _log.error("order=%s unexpected %s", order.order, type(surprise).__name__)
        return NotRescored(order=order.order, code=Code.INTERNAL)
    return Rescored(order=order.order, grader=order.grader, grader_digest=grader, sets=sets)


def _rescored(ask: StoredSet, order: RescoreOrder, host: Host) -> RescoredSet:
    about = (host.rescored, order.run)
    found = rescoring.find(*about, order=order.order, set_name=ask.name)
    if found is None:
        again = _rescore(ask, order, host)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rescoring.keep(host.rescored, again, moment=now, order=order.order)
        found = {index: (again.before[index], outcome) for index, outcome in again.after.items()}
    return RescoredSet(name=ask.name, outcomes=_triples(found))


def _rescore(ask: StoredSet, order: RescoreOrder, host: Host) -> rescoring.Regrade:
    protocol = protocols.get(order.protocol)
    if not ask.sealed:
        items = load_public(host.sets, ask)
        return rescoring.rescore_public(
            items,
            host.completions,
            set_name=ask.name,
            run=order.run,
            grader=order.grader,
            protocol=protocol,
        )
    manifest = host.vault.facts(ask.name).manifest
    if (manifest.n, manifest.root) != (ask.n, ask.digest):
        raise error(Code.SET_MISMATCH, ask.name)
    with host.leases.permit(run=order.run, token=order.look):
        return rescoring.rescore(
            host.vault,
            host.completions,
            host.entries(),
            set_name=ask.name,
            run=order.run,
            grader=order.grader,
            protocol=protocol,
            token=order.look,
            tell=lambda line: host.tell(
                line, host.reporter(NO_RUN, 1)
            ),  # it is no report of an attempt
        )


def _triples(
    found: Mapping[int, tuple[Outcome, Outcome]],
) -> tuple[tuple[int, Outcome, Outcome], ...]:
    return tuple((index, *found[index]) for index in sorted(found))
