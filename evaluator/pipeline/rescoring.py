"""Re-scoring: what a run's kept completions come to under another grader. No model is asked anything.

It happens where the completions are. The gold answers have to be opened for it, to our own jail and nobody else, and
the journal says so first, as for any other look. What the run came to when it was made stays as it is; the new
outcomes stand beside it, item by item in a file of this evaluator's own, and only counts leave this module.
"""

import base64
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator import grading
from evaluator.contract import Exposure, LogLine, Outcome, canonical_json
from evaluator.errors import Code, error
from evaluator.grading import ballots, controls
from evaluator.grading.ballots import Said
from evaluator.items import Item, set_digest
from evaluator.pipeline.disk import disk_errors
from evaluator.pipeline.host import Opener
from evaluator.policy import JAIL
from evaluator.protocols import Protocol
from evaluator.sealing import appending
from evaluator.sealing.completions import Answered, CompletionStore, StoredCompletion

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
