"""Re-scoring: what a run's kept completions come to under another grader. No model is asked anything.

It happens where the completions are. The gold answers have to be opened for it, to our own jail and nobody else, and
the journal says so first, as for any other look. What the run came to when it was made stays as it is; the new
outcomes stand beside it, item by item in a file of this evaluator's own, and only counts leave this module.
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
from evaluator.grading import ballots, controls
from evaluator.grading.ballots import Said
from evaluator.items import Item, set_digest
from evaluator.pipeline.context import Host, Opener
from evaluator.pipeline.disk import disk_errors
from evaluator.pipeline.leases import Standing
from evaluator.pipeline.plan import load_public
from evaluator.policy import JAIL
from evaluator.protocols import Protocol
from evaluator.sealing import appending
from evaluator.sealing.completions import Answered, CompletionStore, StoredCompletion

_log = logging.getLogger(__name__)


UNSCORED = 255
"""In a packed column: no completion of this item was graded again."""


@dataclass(frozen=True, slots=True)
class Regrade:
    """One run on one set under another grader. ``before`` and ``after`` are outcomes by index, never text.

    ``left_out`` completions were not graded again: their block has been retired. ``entry`` is the journal's line;
    None for a public set, which is not opened.
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
        """Counts only: of each outcome before and after, and of each change, as ``wrong to right``."""
        changed = Counter(
            f"{old.name.lower()} to {self.after[index].name.lower()}"
            for index, old in self.before.items()
            if old is not self.after[index]
        )
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
    tell: Callable[[Exposure], None] | None = None,
) -> Regrade:
    """Grade the last completion of each item of a sealed set again; of several samples each, and they vote again.

    ``protocol`` is the run's, if it says what of a completion is graded; without it all of it is. ``token`` is what
    the look is granted under, else that of the run's last attempt; ``tell`` is given the journal's line before anything
    is graded. Raises ``unknown_grader``, ``control_failed``, ``completions_missing`` where none are kept of this run on
    this very set, and what the vault and the store raise.
    """
    controls.check(grading.grade, grader)
    manifest = vault.facts(set_name).manifest
    kept = store.answered(run, set_name)
    looks = [
        e
        for e in log
        if isinstance(e, Exposure) and (e.run, e.set, e.root) == (run, set_name, manifest.root)
    ]
    seen = manifest.indices(vault.allowed(set_name, to=JAIL, tier="T0"))
    indices = sorted(kept.keys() & seen)
    if not indices or not looks:  # completions of an earlier set of this name are not this set's
        raise error(Code.COMPLETIONS_MISSING, f"run {run} on {set_name}")
    token = token or max(look.token for look in looks)
    revealed = vault.reveal(set_name, indices, to=JAIL, run=run, token=token, tier="T0")
    if tell is not None:
        tell(revealed.entry)
    golds = {index: item.gold for index, item in zip(indices, revealed.items, strict=True)}
    after = _all_again(grader, kept, golds, protocol)
    return Regrade(
        run=run,
        set=set_name,
        root=manifest.root,
        n=manifest.n,
        grader=grader,
        grader_digest=grading.digest(grader),
        before={index: kept[index].outcome for index in indices},
        after=after,
        left_out=len(kept) - len(indices),
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
    """The same for a public set, whose items lie open: there is nothing to journal. Raises as above."""
    controls.check(grading.grade, grader)
    kept = {
        index: one for index, one in store.answered(run, set_name).items() if index < len(items)
    }
    if not kept:
        raise error(Code.COMPLETIONS_MISSING, f"run {run} on {set_name}")
    after = _all_again(grader, kept, {index: items[index].gold for index in kept}, protocol)
    return Regrade(
        run=run,
        set=set_name,
        root=set_digest(items),
        n=len(items),
        grader=grader,
        grader_digest=grading.digest(grader),
        before={index: one.outcome for index, one in kept.items()},
        after=after,
        left_out=0,
        entry=None,
    )


def _all_again(
    grader: str, kept: Mapping[int, Answered], golds: Mapping[int, str], protocol: Protocol | None
) -> dict[int, Outcome]:
    after = {index: _again(grader, kept[index], gold, protocol) for index, gold in golds.items()}
    controls.check(grading.grade, grader)
    return after


def _again(grader: str, kept: Answered, gold: str, protocol: Protocol | None) -> Outcome:
    """The outcome of the only answer, or of the vote on several."""
    return ballots.decide(
        [_said(grader, answer, gold, protocol) for answer in kept.answers]
    ).outcome


def _said(grader: str, answer: StoredCompletion, gold: str, protocol: Protocol | None) -> Said:
    text = protocol.graded(answer.text) if protocol else answer.text
    graded = grading.grade(grader, text, gold, cut=answer.was_cut)
    return Said(graded.extracted, graded.outcome)


def keep(folder: Path, rescored: Regrade, *, moment: str, order: int | None = None) -> Path:
    """Add the outcomes, packed, as one line to ``FOLDER/RUN.jsonl``; lines before it stay. Returns the path.

    ``order`` is the number of the site's wish that was carried out, if it was one. Raises ``disk_full``,
    ``out_unwritable``.
    """
    path = folder / f"{rescored.run}.jsonl"
    packed = {
        "before": _packed(rescored.before, rescored.n),
        "after": _packed(rescored.after, rescored.n),
    }
    facts = {
        "version": 1,
        "moment": moment,
        "order": order,
        **rescored.difference(),
        "outcomes": packed,
    }
    line = canonical_json(facts) + b"\n"
    with disk_errors(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = appending.open_for_appending(path)
        try:
            with appending.locked(descriptor):
                appending.append(descriptor, line, durable=True)
        finally:
            os.close(descriptor)
    return path


def find(
    folder: Path, run: str, *, order: int, set_name: str
) -> Mapping[int, tuple[Outcome, Outcome]] | None:
    """What an order has come to on a set, as before and after by index; None where it was not carried out here."""
    path = folder / f"{run}.jsonl"
    with disk_errors(path):
        lines = path.read_bytes().splitlines() if path.exists() else []
    for line in map(json.loads, lines):
        if (line.get("order"), line["set"]) == (order, set_name):
            before, after = (
                base64.b64decode(line["outcomes"][name]) for name in ("before", "after")
            )
            pairs = enumerate(zip(before, after, strict=True))
            return {i: (Outcome(old), Outcome(new)) for i, (old, new) in pairs if new != UNSCORED}
    return None


def _counts(outcomes: Mapping[int, Outcome]) -> dict[str, int]:
    counted = Counter(outcomes.values())
    return {outcome.name.lower(): counted[outcome] for outcome in Outcome}


def _packed(outcomes: Mapping[int, Outcome], n: int) -> str:
    """One byte an item in base64, ``UNSCORED`` where there is none."""
    return base64.b64encode(bytes(outcomes.get(index, UNSCORED) for index in range(n))).decode()


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
    found = find(*about, order=order.order, set_name=ask.name)
    if found is None:
        again = _regrade(ask, order, host)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        keep(host.rescored, again, moment=now, order=order.order)
        found = {index: (again.before[index], outcome) for index, outcome in again.after.items()}
    return RescoredSet(name=ask.name, outcomes=_triples(found))


def _regrade(ask: StoredSet, order: RescoreOrder, host: Host) -> Regrade:
    protocol = protocols.get(order.protocol)
    if not ask.sealed:
        items = load_public(host.sets, ask)
        return rescore_public(
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
        return rescore(
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
