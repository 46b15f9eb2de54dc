"""``distil``: the self-training file of LMSI, from the sampled paths of a recorded run.

1. The run's protocol and set are read; the set must be the one that the run was asked.
2. The paths of an item vote. Those whose answer won are selected, if its share of all paths, the
   confidence, is large enough. Gold answers are not read: they only state how often the vote is
   right.
3. Each path becomes four examples (``evaluator.protocols.self_training``).

Completions of a sealed set stay encrypted with their evaluator, and this command refuses them.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from evaluator import grading, protocols
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.recorded import identity_of, lines_of
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.grading import voting
from evaluator.items import Item, load_items, set_digest
from evaluator.pipeline.disk import disk_errors
from evaluator.protocols import Protocol, self_training
from evaluator.sealing.formats import MANIFEST

LMSI = "lmsi-5shot-sc32"
"""Protocol by which examples are drawn for a file of responses."""
STATE_IT = (
    "A model that learned the items of a benchmark's public set is submitted with"
    " --trained-on-public yes."
)
COUNTED = (
    "items",
    "incomplete",
    "in_own_shots",
    "no_answer",
    "below_confidence",
    "selected_items",
    "votes_right",
    "cut_paths",
    "selected_paths",
    "examples",
)
"""Counts that are printed, in this order."""


@dataclass(frozen=True, slots=True, repr=False)
class ReasoningPath:
    """One sampled answer: its text, the answer that the grader read, true if it was cut."""

    text: str
    answer: str
    cut: bool


class Response(msgspec.Struct, frozen=True):
    """Line of a file of responses: one path of one question."""

    question: str
    response: str | None
    cut: bool = False


@dataclass(frozen=True)
class Sampled:
    """Paths of a run by the item's index; ``votes_right`` is the outcome of votes, where known."""

    protocol: Protocol
    items: Sequence[Item]
    paths: Mapping[int, Sequence[ReasoningPath]]
    votes_right: Mapping[int, bool] = field(default_factory=dict)


def add_commands(commands: Commands) -> None:
    """Add ``distil``."""
    command = commands.add_parser("distil", parents=[JSON_OPTION])
    command.add_argument(
        "run",
        type=Path,
        help="folder of a run with several samples, or JSON lines with question and response",
    )
    command.add_argument("--set", type=Path, metavar="FILE", help="the run's set, JSON lines")
    command.add_argument(
        "--shots",
        type=Path,
        metavar="FILE",
        help="shot pool; by default train.jsonl in the folder of the set",
    )
    command.add_argument(
        "--confidence",
        type=_confidence,
        default=0.0,
        metavar="SHARE",
        help="least share of an item's paths for the answer that won (%(default)s: every vote)",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="file to write, JSON lines"
    )
    command.set_defaults(handler=distil_command)


def distil_command(args: argparse.Namespace) -> int:
    """Write the file, print counts. Returns 0.

    Raises ``set_too_few_shots`` where no shot pool is named or found.
    """
    paths = (args.run, args.set, args.shots)
    _refuse_sealed([path for path in paths if path])
    sampled = _from_folder(args) if args.run.is_dir() else _from_responses(args.run)
    shots: Path | None = args.shots
    if shots is None and args.set:
        shots = args.set.with_name("train.jsonl")
    if shots is None or not shots.exists():
        raise error(Code.SET_TOO_FEW_SHOTS, "name a shot pool with --shots")
    pool = load_items(shots)
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    # A file that was there stays until the new one is whole.
    draft = args.out.with_name(f"{args.out.name}.tmp")
    with disk_errors(args.out):
        try:
            with draft.open("w", encoding="utf-8") as file:
                for record in _examples(sampled, pool, args.confidence, counts):
                    file.write(json.dumps(record) + "\n")
            draft.rename(args.out)
        finally:
            draft.unlink(missing_ok=True)
    facts: dict[str, Any] = {
        "file": str(args.out),
        "confidence": args.confidence,
        **counts,
    }
    if not sampled.votes_right:
        del facts["votes_right"]
    return show(args, facts | {"note": STATE_IT})


def _confidence(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("give a share from 0 to 1")
    return share


def _refuse_sealed(paths: Sequence[Path]) -> None:
    """Raise ``distil_sealed`` for a sealed set, and for an evaluator's store of completions."""
    for path in paths:
        for folder in (path, path.parent):
            has_sealed = any(folder.glob("*.sealed"))
            is_store = has_sealed or (folder / "journal.jsonl").exists()
            if is_store or (folder / MANIFEST).exists():
                raise error(Code.DISTIL_SEALED)


def _from_folder(args: argparse.Namespace) -> Sampled:
    """Read a run. Raises ``responses_unreadable`` and ``distil_unfit``."""
    identity = identity_of(args.run)
    published = {}
    for name in protocols.ids():
        known = protocols.get(name)
        published[known.digest] = known
    protocol = published.get(identity.protocol)
    if protocol is None:
        raise error(Code.DISTIL_UNFIT, "unknown protocol")
    if not self_training.fits(protocol):
        raise error(Code.DISTIL_UNFIT, protocol.id)
    if args.set is None:
        raise error(Code.SET_UNREADABLE, "name the run's set with --set")
    items = load_items(args.set)
    if set_digest(items) != identity.set:
        raise error(Code.DISTIL_UNFIT, f"the run is of another set than {args.set}")
    paths: dict[int, list[ReasoningPath]] = defaultdict(list)
    right: dict[int, bool] = {}
    lines = sorted(lines_of(args.run), key=lambda line: line.sample or 0)
    for line in lines:
        if line.index >= len(items):
            raise error(Code.RESPONSES_UNREADABLE, f"{args.run}: item {line.index + 1}")
        if line.sample is None:
            right[line.index] = line.outcome == "right"
            continue
        text = protocol.graded(line.completion)
        path = ReasoningPath(text, line.extracted, line.cut)
        paths[line.index].append(path)
    return Sampled(protocol, items, paths, right)


def _from_responses(path: Path) -> Sampled:
    """Read a file of responses. Raises ``responses_unreadable`` with the line's number."""
    paths: dict[str, list[ReasoningPath]] = defaultdict(list)
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(path)) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            response = msgspec.json.decode(line, type=Response)
        except msgspec.DecodeError:
            place = f"{path}: line {number} needs question and response"
            raise error(Code.RESPONSES_UNREADABLE, place) from None
        text = response.response or ""
        # What a grader reads does not depend on the gold answer.
        read = grading.grade(grading.HEADLINE, text, "0", cut=response.cut)
        answer = ReasoningPath(text, read.extracted, response.cut)
        paths[response.question].append(answer)
    most = max(map(len, paths.values()), default=0)
    if most < 2:
        raise error(Code.DISTIL_UNFIT, f"{path}: no question has two responses")
    items = [Item(question=question, answer="", gold="") for question in paths]
    protocol = replace(protocols.get(LMSI), samples=most)
    return Sampled(protocol, items, dict(enumerate(paths.values())))


def _examples(
    sampled: Sampled,
    pool: Sequence[Item],
    confidence: float,
    counts: Counter[str],
) -> Iterator[dict[str, Any]]:
    """Yield the records of the file, in the order of items and samples, and count."""
    protocol = self_training.with_shots(sampled.protocol)
    drawn = protocol.draws(len(sampled.items), len(pool))
    for index, item in enumerate(sampled.items):
        counts["items"] += 1
        shots = [pool[place] for place in drawn[index]]
        vote = _vote(sampled, index, shots, confidence, counts)
        if vote is None:
            continue
        counts["votes_right"] += sampled.votes_right.get(index, False)
        for sample, path in enumerate(sampled.paths[index]):
            if path.answer != vote.answer:
                continue
            if path.cut:
                counts["cut_paths"] += 1
                continue
            counts["selected_paths"] += 1
            examples = self_training.examples(
                protocol,
                item,
                shots,
                path.text,
                path.answer,
            )
            for example in examples:
                counts["examples"] += 1
                yield {
                    "item": index + 1,
                    "sample": sample,
                    "confidence": float(vote.share),
                    "answer": vote.answer,
                    **example._asdict(),
                }


def _vote(
    sampled: Sampled,
    index: int,
    shots: Sequence[Item],
    confidence: float,
    counts: Counter[str],
) -> voting.Majority | None:
    """Return the vote on an item, None where its paths are left out; count the reason."""
    paths = sampled.paths.get(index, ())
    if len(paths) < sampled.protocol.samples:
        counts["incomplete"] += 1
        return None
    question = sampled.items[index].question
    if any(shot.question == question for shot in shots):
        # The prompt would hold the item's own answer.
        counts["in_own_shots"] += 1
        return None
    vote = voting.majority([path.answer for path in paths])
    if vote.answer == voting.NONE:
        counts["no_answer"] += 1
        return None
    if vote.share < confidence:
        counts["below_confidence"] += 1
        return None
    counts["selected_items"] += 1
    return vote
