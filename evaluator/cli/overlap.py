"""``overlap``: items of a set that stand in a corpus, whole, in parts or rewritten."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluator.authoring.corpus import find_corpus
from evaluator.authoring.overlap import load_subjects, scan, summary
from evaluator.cli.options import Commands
from evaluator.cli.overlap_page import page
from evaluator.cli.recorded import lines_of
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import load_items, set_digest

CAUTION = (
    "A match is a reason to read both texts. It is not evidence that a model was trained on it."
)


def add_commands(commands: Commands) -> None:
    """Add ``overlap``."""
    command = commands.add_parser("overlap")
    command.add_argument(
        "--set",
        required=True,
        type=Path,
        metavar="FILE",
        help="JSON lines: question, or prompt and canonical_solution, or text and code",
    )
    command.add_argument(
        "--corpus",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder or file: .jsonl, .txt, .md, .py, each also as .gz",
    )
    command.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for state and report; a later start goes on from there",
    )
    command.add_argument(
        "--run",
        type=Path,
        metavar="DIR",
        help="folder of a run on this set: its score with and without the overlapping items",
    )
    command.add_argument(
        "--processes",
        type=_processes,
        default=len(os.sched_getaffinity(0)),
        help="processes that compare (%(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object last")
    command.set_defaults(handler=overlap_command)


def overlap_command(args: argparse.Namespace) -> int:
    """Scan the corpus, write ``report.json`` and ``report.html``, and print the rows. Returns 0."""
    subjects = load_subjects(args.set)
    # Outcomes of the run by the item's number from 1, True for right.
    right: dict[int, bool] | None = None
    if args.run:
        lines = [line for line in lines_of(args.run) if line.sample is None]
        right = {line.index + 1: line.outcome == "right" for line in lines}
    corpus = find_corpus(args.corpus)
    bar = tqdm(
        total=None,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
    )
    with bar:
        state = scan(
            subjects,
            corpus,
            args.out,
            processes=args.processes,
            progress=bar.update,
        )
    try:
        digest = set_digest(load_items(args.set))
    except EvaluatorError:
        digest = ""  # a file of programs in another form
    matches = []
    for item, measure, found in state.matches:
        best = []
        for match in found:
            place = {
                "file": match.file,
                "document": match.document,
                "value": match.value,
            }
            best.append(place)
        matches.append({"item": item, "measure": measure, "best": best})
    report = {
        "set": digest,
        "items": len(subjects),
        "files": len(corpus.files),
        "files_of_another_kind": corpus.other_files,
        "characters": state.characters,
        "rows": summary(state, items=len(subjects), right=right),
        "matches": matches,
        "caution": CAUTION,
    }
    _write(args.out / "report.json", json.dumps(report, indent=1) + "\n")
    _write(args.out / "report.html", page(report, set_name=args.set.name))
    if args.json:
        print(json.dumps(report))
    else:
        _print(report)
    return 0


def _processes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 256:
        raise argparse.ArgumentTypeError("give a number from 1 to 256")
    return number


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(path.parent)) from None


def _print(report: dict[str, Any]) -> None:
    scored = any("n_others" in row for row in report["rows"])
    heading = f"{'measure':18} {'at least':>8} {'items':>13}"
    if scored:
        heading += f" {'their score':>14} {'the others':>14}"
    print(heading)
    for row in report["rows"]:
        share = 100 * row["overlapping"] / row["items"]
        text = f"{row['measure']:18} {row['threshold']:8.2f} {row['overlapping']:5} ({share:4.1f}%)"
        if scored:
            text += f" {_score(row, 'overlapping')} {_score(row, 'others')}"
        print(text)
    if report["files_of_another_kind"]:
        print(f"not read: {report['files_of_another_kind']} files of another kind")
    print(CAUTION)


def _score(row: dict[str, Any], part: str) -> str:
    right = row[f"right_{part}"]
    n = row[f"n_{part}"]
    if not n:
        return f"{'–':>14}"
    return f"{right:5}/{n:<5}{100 * right / n:4.0f}%"
