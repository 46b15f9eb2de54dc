"""Rescoring: the stored completions of a run graded again by another grader. No model is asked.

It happens on the evaluator that stores the completions, by an order of the site (``handle_order``)
or from the command line:

- the order is as hostile as a job: it is read strictly, and a run that is under way is refused;
- the gold answers are opened to our own jail and to no other recipient;
- the journal records that exposure first, and the site gets its line;
- the outcomes of the run stay as they are; the new ones are stored alongside, in a file of this
  evaluator;
- only outcome codes and counts leave this module.

An order that comes twice is carried out once: the second time the answer is read from that file.
"""

import base64
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluator import grading, protocols
from evaluator.contract import (
    NO_RUN,
    Exposure,
    LogLine,
    NotRescored,
    Outcome,
    Rescored,
    RescoredSet,
    RescoreOrder,
    StoredSet,
    canonical_json,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import candidates
from evaluator.grading.ballots import Vote
from evaluator.items import Item, set_digest
from evaluator.pipeline.context import Context, Opener
from evaluator.pipeline.disk import disk_errors
from evaluator.pipeline.graders import GradeAgain, regrade_by
from evaluator.pipeline.leases import Standing
from evaluator.pipeline.plan import load_public
from evaluator.policy import JAIL
from evaluator.protocols import Protocol
from evaluator.sealing import appending
from evaluator.sealing.completions import Answered, CompletionStore

_log = logging.getLogger(__name__)

UNSCORED = 255
"""Code, in a packed column, of an item without a completion that was graded again."""


# --- orders of the site


def handle_order(data: object, context: Context) -> None:
    """Carry out an order and report its result, for any message. Never raises an ``Exception``."""
    try:
        order = RescoreOrder.from_dict(data)
    except EvaluatorError as refused:
        _log.warning("order refused: code=%s", refused.code)
        return
    reporter = context.reporter(order.run, order.token)
    try:
        body = _result(order, context)
        reporter.send(body)
    except EvaluatorError as failure:
        _log.error("order not answered: order=%s code=%s", order.order, failure.code)
        return
    outcome = body.code if isinstance(body, NotRescored) else "rescored"
    _log.info("order answered: order=%s run=%s %s", order.order, order.run, outcome)


def _result(order: RescoreOrder, context: Context) -> Rescored | NotRescored:
    try:
        standing = context.claims.standing(order.run, order.token)
        if standing in (Standing.HELD, Standing.OLDER):
            raise error(Code.RUN_UNDER_WAY)
        grader = grading.digest(order.grader)
        sets = []
        for ask in order.sets:
            outcomes = find_stored(
                context.rescored,
                order.run,
                order=order.order,
                set_name=ask.name,
            )
            if outcomes is None:  # else the order was carried out before
                regrade = _regrade(ask, order, context)
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                store_regrade(context.rescored, regrade, moment=now, order=order.order)
                outcomes = {
                    index: (regrade.before[index], outcome)
                    for index, outcome in regrade.after.items()
                }
            in_order = sorted(outcomes)
            triples = tuple((index, *outcomes[index]) for index in in_order)
            sets.append(RescoredSet(name=ask.name, outcomes=triples))
    except EvaluatorError as failure:
        return NotRescored(order=order.order, code=failure.code)
    except Exception as surprise:  # noqa: BLE001 - as for an attempt: the worker stays alive
        _log.error("order=%s unexpected %s", order.order, type(surprise).__name__)
        return NotRescored(order=order.order, code=Code.INTERNAL)
    return Rescored(
        order=order.order,
        grader=order.grader,
        grader_digest=grader,
        sets=tuple(sets),
    )


def _regrade(ask: StoredSet, order: RescoreOrder, context: Context) -> "Regrade":
    protocol = protocols.get(order.protocol)
    if not ask.sealed:
        return rescore_public(
            load_public(context.sets, ask),
            context.completions,
            set_name=ask.name,
            run=order.run,
            grader=order.grader,
            protocol=protocol,
        )
    manifest = context.vault.facts(ask.name).manifest
    if (manifest.n, manifest.root) != (ask.n, ask.digest):
        raise error(Code.SET_MISMATCH, ask.name)
    # The exposure is no report of an attempt, so it goes out under no run.
    reporter = context.reporter(NO_RUN, 1)
    with context.leases.permit(run=order.run, token=order.exposure_token):
        return rescore(
            context.vault,
            context.completions,
            context.entries(),
            set_name=ask.name,
            run=order.run,
            grader=order.grader,
            protocol=protocol,
            token=order.exposure_token,
            report=lambda line: context.report_line(line, reporter),
        )


# --- grading again


@dataclass(frozen=True, slots=True)
class Regrade:
    """One run on one set under another grader. ``before`` and ``after`` are outcomes by index.

    ``left_out`` completions were not graded again: their block has been retired. ``entry`` is the
    index of the journal's line; None for a public set, which is not opened.
    """

    run: str
    set: str
    root: str
    n: int
    grader: str
    grader_digest: str
    before: Mapping[int, Outcome]
    after: Mapping[int, Outcome]
    left_out: int
    entry: int | None

    def difference(self) -> dict[str, Any]:
        """Return counts only: of outcomes before and after, and of changes (``wrong to right``)."""
        changed: Counter[str] = Counter()
        for index, old in self.before.items():
            new = self.after[index]
            if old is not new:
                changed[f"{old.name.lower()} to {new.name.lower()}"] += 1
        return {
            "run": self.run,
            "set": self.set,
            "root": self.root,
            "grader": self.grader,
            "grader_digest": self.grader_digest,
            "n": len(self.after),
            "left_out": self.left_out,
            "before": _counts(self.before),
            "after": _counts(self.after),
            "changed": dict(sorted(changed.items())),
            "entry": self.entry,
        }


def rescore(
    vault: Opener,
    store: CompletionStore,
    log: Sequence[LogLine],
    *,
    set_name: str,
    run: str,
    grader: str,
    protocol: Protocol | None = None,
    token: int | None = None,
    report: Callable[[Exposure], None] | None = None,
) -> Regrade:
    """Grade the last completion of each item of a sealed set again; several samples vote again.

    ``protocol`` is the run's, where it decides which part of a completion is graded. ``token`` is
    the one that the exposure is granted under, else that of the run's last attempt. ``report`` is
    given the journal's line before anything is graded.

    Raises as ``regrade_by`` before anything is opened, ``completions_missing`` where none are
    stored of this run on this very set, and the errors of the vault and the store.
    """
    with regrade_by(grader, protocol) as grade_again:
        manifest = vault.facts(set_name).manifest
        stored = store.answered(run, set_name)
        tokens = []
        for line in log:
            if not isinstance(line, Exposure):
                continue
            exposed = (line.run, line.set, line.root)
            if exposed == (run, set_name, manifest.root):
                tokens.append(line.token)
        blocks = vault.allowed(set_name, to=JAIL, tier="T0")
        visible = manifest.indices(blocks)
        indices = sorted(stored.keys() & visible)
        # Without an exposure of this root, the completions are of an earlier set of this name.
        if not indices or not tokens:
            raise error(Code.COMPLETIONS_MISSING, f"run {run} on {set_name}")
        revealed = vault.reveal(
            set_name,
            indices,
            to=JAIL,
            run=run,
            token=token or max(tokens),
            tier="T0",
        )
        if report is not None:
            report(revealed.entry)
        opened = dict(zip(indices, revealed.items, strict=True))
        return Regrade(
            run=run,
            set=set_name,
            root=manifest.root,
            n=manifest.n,
            grader=grader,
            grader_digest=grading.digest(grader),
            before={index: stored[index].outcome for index in indices},
            after=_outcomes(stored, opened, grade_again),
            left_out=len(stored) - len(indices),
            entry=revealed.entry.index,
        )


def rescore_public(
    items: Sequence[Item],
    store: CompletionStore,
    *,
    set_name: str,
    run: str,
    grader: str,
    protocol: Protocol | None = None,
) -> Regrade:
    """Grade the completions of a public set again: its items lie open, so nothing is journalled.

    Raises as :func:`rescore`.
    """
    with regrade_by(grader, protocol) as grade_again:
        answered = store.answered(run, set_name)
        stored = {index: item for index, item in answered.items() if index < len(items)}
        if not stored:
            raise error(Code.COMPLETIONS_MISSING, f"run {run} on {set_name}")
        asked = {index: items[index] for index in stored}
        return Regrade(
            run=run,
            set=set_name,
            root=set_digest(items),
            n=len(items),
            grader=grader,
            grader_digest=grading.digest(grader),
            before={index: item.outcome for index, item in stored.items()},
            after=_outcomes(stored, asked, grade_again),
            left_out=0,
            entry=None,
        )


def _outcomes(
    stored: Mapping[int, Answered],
    items: Mapping[int, Item],
    grade_again: GradeAgain,
) -> dict[int, Outcome]:
    """Return the outcome of each item's only answer, of the vote on several, or of a verifier's
    choice."""
    outcomes = {}
    for index, item in items.items():
        votes = []
        for answer in stored[index].answers:
            grade = grade_again(answer.text, item, answer.was_cut)
            votes.append(Vote(grade.extracted, grade.outcome))
        outcomes[index] = candidates.decide(votes, stored[index].scores).outcome
    return outcomes


# --- the file of rescored outcomes


def store_regrade(
    folder: Path,
    regrade: Regrade,
    *,
    moment: str,
    order: int | None = None,
) -> Path:
    """Append the outcomes, packed, as one line to ``FOLDER/RUN.jsonl``. Return the path.

    ``order`` is the number of the site's order that was carried out, if there was one. Raises
    ``disk_full``, ``out_unwritable``.
    """
    path = folder / f"{regrade.run}.jsonl"
    packed = {
        "before": _packed(regrade.before, regrade.n),
        "after": _packed(regrade.after, regrade.n),
    }
    record = {
        "version": 1,
        "moment": moment,
        "order": order,
        **regrade.difference(),
        "outcomes": packed,
    }
    line = canonical_json(record) + b"\n"
    with disk_errors(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = appending.open_for_appending(path)
        try:
            with appending.locked(descriptor):
                appending.append(descriptor, line, durable=True)
        finally:
            os.close(descriptor)
    return path


def find_stored(
    folder: Path,
    run: str,
    *,
    order: int,
    set_name: str,
) -> Mapping[int, tuple[Outcome, Outcome]] | None:
    """Return the outcomes of an order on a set, as (before, after) by index.

    None where the order was not carried out here.
    """
    path = folder / f"{run}.jsonl"
    with disk_errors(path):
        lines = path.read_bytes().splitlines() if path.exists() else []
    for record in map(json.loads, lines):
        if (record.get("order"), record["set"]) != (order, set_name):
            continue
        before = base64.b64decode(record["outcomes"]["before"])
        after = base64.b64decode(record["outcomes"]["after"])
        pairs = zip(before, after, strict=True)
        outcomes = {}
        for index, (old, new) in enumerate(pairs):
            if new != UNSCORED:
                outcomes[index] = (Outcome(old), Outcome(new))
        return outcomes
    return None


def _counts(outcomes: Mapping[int, Outcome]) -> dict[str, int]:
    counted = Counter(outcomes.values())
    return {outcome.name.lower(): counted[outcome] for outcome in Outcome}


def _packed(outcomes: Mapping[int, Outcome], n: int) -> str:
    """Return one byte an item in base64, ``UNSCORED`` where there is none."""
    values = bytes(outcomes.get(index, UNSCORED) for index in range(n))
    return base64.b64encode(values).decode()
