"""``brief``, ``check``, ``select``: make a private twin. Their files have mode 0600."""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from evaluator.authoring import oddone, sheets
from evaluator.authoring.check import CheckReport, check, read_lines
from evaluator.authoring.distributions import p_values
from evaluator.authoring.select import Funnel, dropped, passed_audit, select, solved_alike, targets
from evaluator.cli.failures import report
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.items import Item, asked, item_record, load_items

SHEET = ("task", "steps_wanted", "question", "answer", "author", "no_model_used")
SECOND = ("item", "question", "solution")
AUDIT = ("item", "question", "answer", "verdict", "reason")


def add_commands(commands: Commands) -> None:
    """Add brief, check and select to the parser."""
    drawing = argparse.ArgumentParser(add_help=False, parents=[JSON_OPTION])
    drawing.add_argument(
        "--draw", type=int, default=1, metavar="N", help="the number that fixes what is drawn"
    )

    brief = commands.add_parser("brief", parents=[drawing])
    brief.add_argument(
        "--public", type=Path, metavar="FILE", help="the public set that the twin resembles"
    )
    brief.add_argument("--author", help="who will write")
    brief.add_argument("--count", type=int, help="how many tasks")
    brief.add_argument(
        "--collect", type=Path, nargs="+", metavar="SHEET.csv", help="sheets that authors gave back"
    )
    brief.add_argument(
        "--out", type=Path, required=True, help="a new folder for the brief, or a new file of items"
    )
    brief.set_defaults(handler=brief_command)

    checked = commands.add_parser("check", parents=[drawing])
    checked.add_argument("items", type=Path, nargs="?", metavar="ITEMS.jsonl")
    checked.add_argument("--public", type=Path, metavar="FILE", help="the public set")
    checked.add_argument(
        "--out", type=Path, metavar="DIR", help="a new folder for pictures and annotators' pack"
    )
    checked.add_argument(
        "--score", type=Path, metavar="PACK.csv", help="score an annotators' pack ..."
    )
    checked.add_argument("--key", type=Path, metavar="KEY.csv", help="... against its key")
    checked.set_defaults(handler=check_command)

    chosen = commands.add_parser("select", parents=[drawing])
    chosen.add_argument("items", type=Path, metavar="WRITTEN.jsonl")
    chosen.add_argument(
        "--second-solve", type=Path, metavar="OUT.csv", help="write the blind second solver's sheet"
    )
    chosen.add_argument("--audit", type=Path, metavar="OUT.csv", help="write the auditor's sheet")
    chosen.add_argument(
        "--solved", type=Path, metavar="SHEET.csv", help="the second solver's sheet, filled in"
    )
    chosen.add_argument(
        "--audited", type=Path, metavar="SHEET.csv", help="the auditor's sheet, filled in"
    )
    chosen.add_argument(
        "--public", type=Path, metavar="FILE", help="the public set whose mix is matched"
    )
    chosen.add_argument("--n", type=int, help="how many items to select")
    chosen.add_argument(
        "--out", type=Path, metavar="ITEMS.jsonl", help="a new file of the selected items"
    )
    chosen.set_defaults(handler=select_command)


def brief_command(args: argparse.Namespace) -> int:
    """Write an author's brief and sheet, or collect sheets that authors returned."""
    if args.collect:
        return _collect(args)
    is_complete = args.public and args.author and args.count
    if not is_complete or args.count <= 0:
        raise error(Code.BAD_MESSAGE, "brief needs --public, --author and --count, or --collect")
    public = load_items(args.public)
    steps = targets(public, args.count, seed=args.draw)
    draw = random.Random(args.draw)  # noqa: S311 - a draw that can be repeated, not a secret
    examples = min(3, len(public))
    tasks = [draw.sample(public, examples) for _ in steps]
    brief = _brief_text(args.author, steps, tasks)
    sheets.write_text(args.out / "brief.md", brief)
    rows = []
    for number, wanted in enumerate(steps, start=1):
        row = {
            "task": number,
            "steps_wanted": wanted,
            "question": "",
            "answer": "",
            "author": args.author,
            "no_model_used": "",
        }
        rows.append(row)
    sheets.write_rows(args.out / "sheet.csv", SHEET, rows)
    facts = {
        "author": args.author,
        "tasks": len(steps),
        "steps": sorted(steps),
        "out": str(args.out),
    }
    return show(args, facts)


def _brief_text(
    author: str,
    steps: Sequence[int],
    tasks: Sequence[Sequence[Item]],
) -> str:
    parts = [
        f"# Brief for {author}\n",
        "Write one new problem for each task, on a subject of your own, that takes the given number"
        " of steps. Put one `<<sum=result>>` behind each step of the solution and end it with"
        " `####` and the number. Write into `sheet.csv`; put `yes` into the column `no_model_used`"
        " to say:\n",
        f"> {sheets.ATTESTATION}\n",
    ]
    briefed = zip(steps, tasks, strict=True)
    for number, (wanted, examples) in enumerate(briefed, start=1):
        ending = "" if wanted == 1 else "s"
        parts.append(f"\n## Task {number}: {wanted} step{ending}\n")
        parts += [f"\n- {item.question}\n\n  {item.answer}\n" for item in examples]
    return "\n".join(parts)


def _collect(args: argparse.Namespace) -> int:
    """Write every row with a question, and its author's attestation to a second file.

    Raises ``attestation_missing`` with the row.
    """
    items = []
    records = []
    for path in args.collect:
        for number, row in enumerate(sheets.read_rows(path, SHEET), start=1):
            question = row["question"].strip()
            answer = row["answer"].strip()
            author = row["author"].strip()
            attested = row["no_model_used"].strip().lower() == sheets.YES
            if not question:
                continue
            if not attested or not author:
                raise error(Code.ATTESTATION_MISSING, f"{path.name} row {number}")
            items.append({"question": question, "answer": answer})
            record = {
                "line": len(items),
                "author": author,
                "attests": sheets.ATTESTATION,
                "task": row["task"],
                "steps_wanted": row["steps_wanted"],
            }
            records.append(record)
    if not items:
        raise error(Code.SET_EMPTY)
    sheets.write_lines(args.out, items)
    sheets.write_lines(args.out.with_suffix(".authors.jsonl"), records)
    authors = sorted({str(record["author"]) for record in records})
    return show(args, {"written": len(items), "authors": authors})


def check_command(args: argparse.Namespace) -> int:
    """Check new items against a public set. An error is reported with the whole report."""
    if args.score:
        return _score(args)
    if not (args.items and args.public):
        raise error(Code.BAD_MESSAGE, "check needs ITEMS.jsonl and --public, or --score and --key")
    public = load_items(args.public)
    checked = check(read_lines(args.items), public)
    if args.out:
        _write_report(args, checked, public)
    if not args.json:
        for finding in checked.errors:
            print(f"error: {finding}")
        for finding in checked.warnings:
            print(f"warning: {finding}")
        print("\n".join(comparison.line() for comparison in checked.comparisons))
    facts = checked.to_dict()
    if checked.errors:
        failure = error(Code.CHECK_FAILED, "; ".join(facts["errors"]))
        return report(args, failure, facts)
    return show(args, facts) if args.json else 0


def _write_report(
    args: argparse.Namespace,
    checked: CheckReport,
    public: Sequence[Item],
) -> None:
    for comparison in checked.comparisons:
        sheets.write_text(args.out / f"{comparison.name}.svg", comparison.svg())
    if checked.errors:
        return
    questions = []
    key = []
    items = load_items(args.items)
    for row in oddone.make_pack(items, public, seed=args.draw):
        texts = dict(zip(oddone.CHOICES, row.texts, strict=True))
        questions.append({"number": row.number, **texts, "odd": ""})
        key.append({"number": row.number, "odd": row.odd})
    columns = ("number", *oddone.CHOICES, "odd")
    sheets.write_rows(args.out / "oddone.csv", columns, questions)
    sheets.write_rows(args.out / "oddone.key.csv", ("number", "odd"), key)


def _score(args: argparse.Namespace) -> int:
    if not args.key:
        raise error(Code.BAD_MESSAGE, "--score needs --key")
    score = oddone.score(_letters(args.score), _letters(args.key))
    low, high = score.interval
    facts = {
        "found": score.right,
        "n": score.n,
        "share": score.share,
        "by_guessing": 1 / (oddone.OTHERS + 1),
        "interval": [low, high],
        "p": score.p,
    }
    return show(args, facts)


def _letters(path: Path) -> dict[int, str]:
    rows = sheets.read_numbered(path, ("number", "odd"))
    letters = {}
    for number, row in rows.items():
        letters[number] = row["odd"].strip().upper()
    return letters


def select_command(args: argparse.Namespace) -> int:
    """Write a sheet for second solve or audit, or select the items that passed both."""
    items = dict(enumerate(load_items(args.items), start=1))
    if args.second_solve or args.audit:
        return _write_sheet(args, items)
    if not (args.public and args.n and args.out):
        raise error(
            Code.BAD_MESSAGE, "select needs --public, --n and --out, or --second-solve or --audit"
        )
    survivors = set(items)
    # A count is None where that step was not taken.
    n_solved = n_audited = None
    verdicts: dict[int, tuple[str, str]] = {}
    if args.solved:
        solved = sheets.read_numbered(args.solved, SECOND)
        solutions = {number: row["solution"] for number, row in solved.items()}
        survivors = set(solved_alike(items, solutions))
        n_solved = len(survivors)
    if args.audited:
        audited = sheets.read_numbered(args.audited, ("item", "verdict", "reason"))
        for number, row in audited.items():
            verdict = row["verdict"].strip()
            reason = row["reason"].strip()
            verdicts[number] = (verdict, reason)
        survivors &= passed_audit(items, verdicts)
        n_audited = len(survivors)
    left = [items[number] for number in sorted(survivors)]
    public = load_items(args.public)
    chosen, mix = select(left, public, args.n, seed=args.draw)
    records = [item_record(left[place]) for place in chosen]
    sheets.write_lines(args.out, records)
    funnel = Funnel(
        written=len(items),
        solved=n_solved,
        audited=n_audited,
        selected=len(chosen),
    )
    facts = asdict(funnel)
    facts["dropped"] = dropped(verdicts)
    facts["p"] = p_values(mix)
    text = json.dumps(facts, indent=1) + "\n"
    sheets.write_text(args.out.with_suffix(".funnel.json"), text)
    return show(args, facts)


def _write_sheet(args: argparse.Namespace, items: Mapping[int, Item]) -> int:
    """Write the sheet of the second solver, or else of the auditor.

    The second solver works blind: the questions are in another order and without their answers.
    """
    rows: list[dict[str, object]] = []
    columns: Sequence[str] = AUDIT
    out = args.audit
    if args.second_solve:
        columns = SECOND
        out = args.second_solve
        order = list(items)
        random.Random(args.draw).shuffle(order)  # noqa: S311 - as above
        for number in order:
            question = asked(items[number])
            rows.append({"item": number, "question": question, "solution": ""})
    else:
        for number, item in items.items():
            row = {
                "item": number,
                "question": asked(item),
                "answer": item.answer,
                "verdict": "",
                "reason": "",
            }
            rows.append(row)
    sheets.write_rows(out, columns, rows)
    return show(args, {"rows": len(rows), "out": str(out)})
