"""Re-scoring: what a run's kept completions come to under another grader. No model is asked anything.

It happens where the completions are. The gold answers have to be opened for it, to our own jail and nobody else, and
the journal says so first, as for any other look. What the run came to when it was made stays as it is; the new
outcomes stand beside it, item by item in a file of this evaluator's own, and only counts leave this module.
"""

import base64
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Protocol as Shape

from evaluator import grading
from evaluator.contract import BlockId, Exposure, LogLine, Outcome, canonical_json
from evaluator.errors import Code, error
from evaluator.grading import ballots, controls
from evaluator.grading.ballots import Said
from evaluator.items import Item
from evaluator.ledger.manifests import Manifest
from evaluator.pipeline.disk import disk_errors
from evaluator.protocols import Protocol
from evaluator.sealing import appending
from evaluator.sealing.completions import Answered, CompletionStore, StoredCompletion
from evaluator.sealing.recipients import JAIL

UNSCORED = 255
"""In a packed column: no completion of this item was graded again."""


class Facts(Shape):
    """What a vault tells of a sealed set without opening it."""

    @property
    def manifest(self) -> Manifest:
        """What commits to it, and its blocks."""


class Revealed(Shape):
    """Opened items and the journal's line about it."""

    @property
    def items(self) -> list[Item]:
        """In the order they were asked for."""

    @property
    def entry(self) -> Exposure:
        """The line that was on disk before."""


class Opener(Shape):
    """The vault, as re-scoring sees it."""

    def facts(self, name: str, /) -> Facts:
        """Public facts of a set."""

    def allowed(self, set_name: str, /, *, to: str) -> tuple[BlockId, ...]:
        """The blocks that a recipient may see."""

    def reveal(self, set_name: str, indices: Sequence[int], /, *, to: str, run: str, token: int) -> Revealed:
        """Items, once the journal has the exposure."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """One run on one set under another grader. ``before`` and ``after`` are outcomes by index, never text.

    ``left_out`` completions were not graded again: their block has been retired. ``entry`` is the journal's line.
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
    entry: int

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
) -> Rescored:
    """Grade the last completion of each item of a sealed set again; of several samples each, and they vote again.

    ``protocol`` is the run's, if it says what of a completion is graded; without it all of it is.
    Raises ``unknown_grader``, ``control_failed``, ``completions_missing`` where none are kept of this run on this very
    set, and what the vault and the store raise.
    """
    controls.check(grading.grade, grader)
    manifest = vault.facts(set_name).manifest
    kept = store.answered(run, set_name)
    looks = [e for e in log if isinstance(e, Exposure) and (e.run, e.set, e.root) == (run, set_name, manifest.root)]
    seen = manifest.indices(vault.allowed(set_name, to=JAIL))
    indices = sorted(kept.keys() & seen)
    if not indices or not looks:  # completions of an earlier set of this name are not this set's
        raise error(Code.COMPLETIONS_MISSING, f"run {run} on {set_name}")
    revealed = vault.reveal(set_name, indices, to=JAIL, run=run, token=max(look.token for look in looks))
    golds = {index: item.gold for index, item in zip(indices, revealed.items, strict=True)}
    after = {index: _again(grader, kept[index], gold, protocol) for index, gold in golds.items()}
    controls.check(grading.grade, grader)
    return Rescored(
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


def _again(grader: str, kept: Answered, gold: str, protocol: Protocol | None) -> Outcome:
    """The outcome of the only answer, or of the vote on several."""
    return ballots.decide([_said(grader, answer, gold, protocol) for answer in kept.answers]).outcome


def _said(grader: str, answer: StoredCompletion, gold: str, protocol: Protocol | None) -> Said:
    """The store does not say which completions were cut. Where it matters most the old outcome does: truncated."""
    text = protocol.graded(answer.text) if protocol else answer.text
    graded = grading.grade(grader, text, gold, cut=answer.outcome is Outcome.TRUNCATED)
    return Said(graded.extracted, graded.outcome)


def keep(folder: Path, rescored: Rescored, *, moment: str) -> Path:
    """Add the outcomes, packed, as one line to ``FOLDER/RUN.jsonl``; lines before it stay. Returns the path.

    Raises ``disk_full``, ``out_unwritable``.
    """
    path = folder / f"{rescored.run}.jsonl"
    packed = {"before": _packed(rescored.before, rescored.n), "after": _packed(rescored.after, rescored.n)}
    line = canonical_json({"version": 1, "moment": moment, **rescored.difference(), "outcomes": packed}) + b"\n"
    with disk_errors(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = appending.open_for_appending(path)
        try:
            with appending.locked(descriptor):
                appending.append(descriptor, line, durable=True)
        finally:
            os.close(descriptor)
    return path


def _counts(outcomes: Mapping[int, Outcome]) -> dict[str, int]:
    counted = Counter(outcomes.values())
    return {outcome.name.lower(): counted[outcome] for outcome in Outcome}


def _packed(outcomes: Mapping[int, Outcome], n: int) -> str:
    """One byte an item in base64, ``UNSCORED`` where there is none."""
    return base64.b64encode(bytes(outcomes.get(index, UNSCORED) for index in range(n))).decode()
