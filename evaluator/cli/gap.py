"""``gap``: public score, private score, and the gap between them, without a site.

Scores come from the folders of two runs, or from two files of recorded responses. The statistics
are the site's: ``python -m leaderboard.evidence.gap``, a process of its own, since the engine knows
nothing of the site.
"""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from evaluator import grading
from evaluator.cli.grade import graded_lines
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import columns
from evaluator.cli.statistics import ask_statistics
from evaluator.contract import Outcome
from evaluator.errors import Code, error

STATISTICS = "leaderboard.evidence.gap"
PANEL_COLUMNS = ("model", "family", "public_right", "public_n", "private_right", "private_n")
LABELS = {"no_evidence": "no evidence", "cannot_tell": "cannot tell"}
HEADINGS = ("", "gap, pp", "95% interval", "p", "evidence", "visible from")
BY_CONSTRUCTION = (
    "The raw gap is evidence only where both sets are equally hard by construction, such as halves"
    " of one set that was split at random. For other sets give a --panel."
)


def add_commands(commands: Commands) -> None:
    """Add ``gap``."""
    command = commands.add_parser("gap", parents=[JSON_OPTION])
    command.add_argument(
        "public", type=Path, help="folder of a run, or JSON lines with response and gold"
    )
    command.add_argument("private", type=Path, help="the same for the private set")
    command.add_argument(
        "--grader",
        default=grading.HEADLINE,
        help="grader of both (%(default)s); a gap compares two sets under one grader",
    )
    command.add_argument(
        "--panel",
        type=Path,
        metavar="FILE",
        help=f"CSV of clean models with {', '.join(PANEL_COLUMNS)}: for the adjusted gap",
    )
    command.add_argument("--family", default="", help="the model's family, not compared with it")
    command.set_defaults(handler=gap_command)


def gap_command(args: argparse.Namespace) -> int:
    """Print scores, gap, interval and evidence. Returns 0."""
    grader = grading.resolve(args.grader)
    question = {
        "public": _counts(args.public, grader),
        "private": _counts(args.private, grader),
        "family": args.family,
        "panel": _panel(args.panel) if args.panel else [],
    }
    notes = _notes(args.public, args.private)
    found = ask_statistics(STATISTICS, question, Code.RESPONSES_UNREADABLE)
    if args.json:
        print(json.dumps(found | {"grader": grader, "notes": notes}))
        return 0
    for side in ("public", "private"):
        score = found[side]
        low, high = score["interval"]
        print(
            f"{side:8} {100 * score['share']:5.1f}%  {score['right']}/{score['n']}"
            f"  (95% {100 * low:.1f} to {100 * high:.1f})"
        )
    rows: list[tuple[str, ...]] = [HEADINGS]
    raw = _tested(found["raw"])
    rows.append(("raw", *raw))
    adjusted = found["adjusted"]
    if adjusted and adjusted["tested"]:
        tested = _tested(adjusted["tested"])
        rows.append(("adjusted", *tested))
    print(columns(rows, right_aligned=(1, 3, 5)))
    if adjusted is None:
        print(BY_CONSTRUCTION)
    elif adjusted["tested"]:
        print(f"panel: {adjusted['references']} of {len(question['panel'])} references compared")
    else:
        print("Too few references are like this model, so its gap is not adjusted.")
    if adjusted and adjusted["set_aside"]:
        print(f"set aside, since they look fitted too: {', '.join(adjusted['set_aside'])}")
    for note in notes:
        print(f"note: {note}")
    return 0


def _counts(path: Path, grader: str) -> dict[str, int]:
    """Return right and truncated answers of all items. Raises ``responses_unreadable``."""
    if path.is_dir():
        try:
            table = json.loads((path / "graders.json").read_bytes())
            counts = table[grader]
            row = {name: int(counts[name]) for name in ("right", "truncated", "n")}
            open_items = int(counts["not_counted"])
        except (OSError, ValueError, TypeError, KeyError):
            raise error(Code.RESPONSES_UNREADABLE, f"{path}: no finished run") from None
        if open_items:
            raise error(
                Code.RESPONSES_UNREADABLE, f"{path}: {open_items} items have no outcome yet"
            )
        return row
    counted: Counter[Outcome] = Counter()
    try:
        with path.open("rb") as lines:
            for grades in graded_lines(lines, (grader,)):
                counted[grades[0].outcome] += 1
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(path)) from None
    if not counted:
        raise error(Code.RESPONSES_UNREADABLE, f"{path}: no responses")
    return {
        "right": counted[Outcome.RIGHT],
        "truncated": counted[Outcome.TRUNCATED],
        "n": counted.total(),
    }


def _notes(public: Path, private: Path) -> list[str]:
    """Return the facts that two runs should have in common and do not."""
    if not (public.is_dir() and private.is_dir()):
        return []
    try:
        one = json.loads((public / "run.json").read_bytes())
        other = json.loads((private / "run.json").read_bytes())
        differ = []
        for name in ("model", "protocol"):
            if one[name] != other[name]:
                differ.append(name)
        same_set = one["set"] == other["set"]
    except (OSError, ValueError, TypeError, KeyError):
        raise error(Code.RESPONSES_UNREADABLE, f"{public}, {private}: run.json") from None
    notes = [f"the runs differ in their {name}: the gap is not one model's" for name in differ]
    if same_set:
        notes.append("both runs are of the same set")
    return notes


def _panel(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a panel. Raises ``responses_unreadable`` with the line's number."""
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = sorted(set(PANEL_COLUMNS) - set(reader.fieldnames or ()))
            if missing:
                raise error(Code.RESPONSES_UNREADABLE, f"{path}: no column {', '.join(missing)}")
            for record in reader:
                row = {
                    "model": record["model"],
                    "family": record["family"],
                    "public": _cells(record, "public"),
                    "private": _cells(record, "private"),
                }
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error):
        raise error(Code.RESPONSES_UNREADABLE, str(path)) from None
    except (ValueError, TypeError):
        raise error(Code.RESPONSES_UNREADABLE, f"{path}: row {len(rows) + 1}") from None
    return rows


def _cells(record: dict[str, str], side: str) -> dict[str, int]:
    right = int(record[f"{side}_right"])
    n = int(record[f"{side}_n"])
    if not 0 <= right <= n or n == 0:
        raise ValueError(side)
    return {"right": right, "n": n}


def _tested(test: dict[str, Any]) -> tuple[str, ...]:
    low, high = test["interval"]
    p = "< .001" if test["p"] < 0.001 else f"{test['p']:.3f}"
    level = LABELS.get(test["evidence"], test["evidence"])
    return (
        f"{100 * test['gap']:+.1f}",
        f"{100 * low:+.1f} to {100 * high:+.1f}",
        p,
        level,
        f"{100 * test['visible']:.1f} pp",
    )
