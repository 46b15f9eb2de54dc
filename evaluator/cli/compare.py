"""``compare``: two runs on the same items, of one lineage or of any two models.

- Two local runs, each a folder that ``run`` wrote or a file of responses. The statistics are the
  site's: ``python -m leaderboard.evidence.pairs``, a process of its own, since the engine knows
  nothing of the site.
- Two runs or two models on a site: its API, which publishes of a sealed set what its page does.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from evaluator import grading
from evaluator.cli.answers import ComparedModels, ComparedSet, RunFacts, read_as
from evaluator.cli.client import Site, site_of
from evaluator.cli.failures import DONE, CommandFailed
from evaluator.cli.grade import graded_lines
from evaluator.cli.options import SITE_OPTIONS, Commands
from evaluator.cli.recorded import identity_of, lines_of
from evaluator.cli.runs import run_id
from evaluator.cli.show import columns, printable
from evaluator.cli.statistics import ask_statistics
from evaluator.contract import Outcome
from evaluator.errors import Code, error
from evaluator.items import gold_of

STATISTICS = "leaderboard.evidence.pairs"
Marks = list[bool | None]
"""Right, wrong or missing, by item."""
HEADINGS = ("items", "n", "first less second, pp", "95% interval", "only first", "only second", "p")
RIGHT_ALIGNED = (1, 2, 4, 5, 6)


def add_commands(commands: Commands) -> None:
    """Add ``compare``."""
    command = commands.add_parser("compare", parents=[SITE_OPTIONS])
    command.add_argument(
        "first", help="folder of a run, file of responses, or a run or model on a site"
    )
    command.add_argument("second", help="the same, of the other model: the parent, for instance")
    command.add_argument(
        "--private",
        nargs=2,
        type=Path,
        metavar=("FIRST", "SECOND"),
        help="both on the private set, for the gap of each",
    )
    command.add_argument(
        "--others",
        nargs="+",
        type=Path,
        default=[],
        metavar="RUN",
        help="runs of other models on the same items, five or more: they state how hard each is",
    )
    command.add_argument(
        "--grader",
        default=grading.HEADLINE,
        help="grader of files of responses (%(default)s); a run keeps that of its protocol",
    )
    command.add_argument("--pair", default="", help="benchmark of two models on a site")
    command.set_defaults(handler=compare_command)


def compare_command(args: argparse.Namespace) -> int:
    """Print the comparison. Returns 0."""
    places = [Path(args.first), Path(args.second)]
    if any(place.exists() for place in places):
        return _compare_local(args, places)
    return _compare_on_site(args)


# --- two runs that lie here


def _compare_local(args: argparse.Namespace, places: list[Path]) -> int:
    grader = grading.resolve(args.grader)
    first, second, *others = _aligned([*places, *args.others], grader)
    question: dict[str, Any] = {
        "public": {"first": first, "second": second},
        "others": others,
    }
    if args.private:
        one, other = _aligned(args.private, grader)
        question["private"] = {"first": one, "second": other}
    notes = _notes(places)
    if args.private:
        notes += _notes(args.private)
    found = ask_statistics(STATISTICS, question, Code.COMPARE_UNFIT)
    if args.json:
        print(json.dumps(found | {"notes": notes}))
        return DONE
    results = [("private", found["private"])] if found["private"] else []
    results.append(("public", found["public"]))
    for group in found["difficulty"]:
        results.append((f"public, {group['name']}", group["result"]))
    rows = [(name, msgspec.convert(result, ComparedSet)) for name, result in results]
    print(_table(rows))
    if gap := found["gap"]:
        change = _points(gap["difference"], gap["interval"])
        print(f"gap: {100 * gap['first']:+.1f} pp and {100 * gap['second']:+.1f} pp")
        print(f"difference of the gaps: {change}")
    for note in notes:
        print(f"note: {note}")
    return DONE


def _aligned(paths: list[Path], grader: str) -> list[Marks]:
    """Return the outcomes of runs on the same items, in the order of the set.

    Raises ``responses_unreadable``, and ``compare_unfit`` where the items are not the same.
    """
    _check_kinds(paths)
    if paths[0].is_dir():
        marks = [_of_run(path) for path in paths]
    else:
        marks = [_of_responses(path, grader) for path in paths]
    first = marks[0]
    for path, one in zip(paths, marks, strict=True):
        if one.keys() != first.keys():
            raise error(Code.COMPARE_UNFIT, f"{paths[0]}: {len(first)}, {path}: {len(one)} items")
    items = sorted(first)
    return [[one[item] for item in items] for one in marks]


def _check_kinds(paths: Sequence[Path]) -> None:
    """Raise unless all paths are there, and all are runs on one set or all are files."""
    for path in paths:
        if not path.exists():
            raise error(Code.RESPONSES_UNREADABLE, str(path))
    runs = [path for path in paths if path.is_dir()]
    sets = {identity_of(path).set for path in runs}
    is_mixed = 0 < len(runs) < len(paths)
    if is_mixed or len(sets) > 1:
        raise error(Code.COMPARE_UNFIT)


def _of_run(folder: Path) -> dict[str, bool | None]:
    """Return the outcomes of a run by the item's number; None for one that is not counted."""
    marks: dict[str, bool | None] = {}
    for line in lines_of(folder):
        if line.sample is not None:
            continue
        counted = line.outcome != "not_counted"
        marks[f"{line.index:09}"] = line.outcome == "right" if counted else None
    return marks


def _of_responses(path: Path, grader: str) -> dict[str, bool | None]:
    """Return outcomes by the number of the line and its gold answer: other golds, other items."""
    try:
        with path.open("rb") as lines:
            graded = [grade for (grade,) in graded_lines(lines, (grader,))]
            lines.seek(0)
            golds = []
            for line in lines:
                if line.strip():
                    record = json.loads(line)
                    golds.append(gold_of(record["gold"]))
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(path)) from None
    marks: dict[str, bool | None] = {}
    answers = zip(golds, graded, strict=True)
    for number, (gold, grade) in enumerate(answers):
        marks[f"{number:09} {gold}"] = grade.outcome is Outcome.RIGHT
    return marks


def _notes(paths: Sequence[Path]) -> list[str]:
    """Return what two runs should have in common and have not."""
    if not all(path.is_dir() for path in paths):
        return []
    one, other = map(identity_of, paths)
    notes = []
    if one.protocol != other.protocol:
        notes.append("the runs differ in their protocol, which may be the whole difference")
    if one.model == other.model:
        notes.append("both runs are of the same model")
    return notes


# --- two runs or models on a site


def _compare_on_site(args: argparse.Namespace) -> int:
    if args.private or args.others:
        raise error(Code.COMPARE_UNFIT, "--private and --others are for runs that lie here")
    site = site_of(args, token=False)
    first = _on_board(site, args.first, args.pair)
    second = _on_board(site, args.second, args.pair)
    pair = first.pair
    if second.pair != pair:
        raise error(Code.COMPARE_UNFIT, "the runs are on two benchmarks")
    data = site.get(
        "/board/compare",
        pair=pair,
        a=first.model,
        b=second.model,
    )
    found = read_as(ComparedModels, data)
    if args.json:
        print(json.dumps(data))
        return DONE
    results = [("private", found.private), ("public", found.public)]
    for group in found.difficulty:
        results.append((f"public, {group.name}", group.result))
    print(_table([(name, result) for name, result in results if result]))
    rows = (found.first, found.second)
    for side, row in zip((first, second), rows, strict=True):
        print(printable(f"gap of {row.model}: {100 * row.gap:+.1f} pp, {row.evidence}"))
        if side.run not in ("", row.run):
            print(printable(f"note: the board ranks another run of {row.model}: {row.run}"))
    if found.gap:
        print(f"difference of the gaps: {_points(found.gap.difference, found.gap.interval)}")
    if found.not_compared:
        print(f"note: the sealed set is not compared ({printable(found.not_compared)})")
    models = {"a": found.first.model, "b": found.second.model}
    address = urlencode(models)
    print(site.page(f"/boards/{printable(pair)}/compare/?{address}"))
    return DONE


class _Side(NamedTuple):
    """Model on a benchmark; ``run`` is empty where none was named."""

    pair: str
    model: str
    run: str = ""


def _on_board(site: Site, text: str, pair: str) -> _Side:
    """Return the model that a person names, as a run's id or address, or with its benchmark."""
    try:
        run = run_id(text)
    except CommandFailed:
        if not pair:
            raise CommandFailed(
                "run_unknown",
                "This is no run: no folder or file here, and no id on a site.",
                "Give two folders, two ids, or two models with --pair.",
                detail=text,
            ) from None
        return _Side(pair, text)
    facts = read_as(RunFacts, site.get(f"/runs/{run}"))
    return _Side(facts.pair, facts.model, run)


# --- output


def _table(rows: Sequence[tuple[str, ComparedSet]]) -> str:
    cells = [HEADINGS]
    for name, result in rows:
        low, high = (f"{100 * end:+.1f}" for end in result.interval)
        difference = f"{100 * result.difference:+.1f}"
        wins = "–" if result.wins is None else str(result.wins)
        losses = "–" if result.losses is None else str(result.losses)
        row = (
            name,
            str(result.n),
            difference,
            f"{low} to {high}",
            wins,
            losses,
            result.p_value,
        )
        cells.append(row)
    return columns(cells, RIGHT_ALIGNED)


def _points(difference: float, interval: tuple[float, float]) -> str:
    low, high = (f"{100 * end:+.1f}" for end in interval)
    return f"{100 * difference:+.1f} pp (95% {low} to {high})"
