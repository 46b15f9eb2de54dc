"""The commands that make a private twin: brief, check, select. Their files hold plaintext and have mode 0600."""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from evaluator.authoring import oddone, sheets
from evaluator.authoring.check import CheckReport, check, read_lines
from evaluator.authoring.select import Funnel, dropped, passed_audit, select, solved_alike, targets
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.items import Item, item_record, load_items

SHEET = ("task", "steps_wanted", "question", "answer", "author", "no_model_used")
SECOND = ("item", "question", "solution")
AUDIT = ("item", "question", "answer", "verdict", "reason")


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add brief, check and select to the parser."""
    brief = subparsers.add_parser(
        "brief", help="give authors their tasks, or collect what they wrote"
    )
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
    brief.set_defaults(handler=_brief)

    checked = subparsers.add_parser(
        "check", help="check new items against a public set, before sealing"
    )
    checked.add_argument("items", type=Path, nargs="?", metavar="ITEMS.jsonl")
    checked.add_argument("--public", type=Path, metavar="FILE", help="the public set")
    checked.add_argument(
        "--out", type=Path, metavar="DIR", help="a new folder for pictures and annotators' pack"
    )
    checked.add_argument(
        "--score", type=Path, metavar="PACK.csv", help="score an annotators' pack ..."
    )
    checked.add_argument("--key", type=Path, metavar="KEY.csv", help="... against its key")
    checked.set_defaults(handler=_check)

    chosen = subparsers.add_parser(
        "select", help="second solve and audit as sheets, and the selection"
    )
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
    chosen.add_argument("--n", type=int, help="how many items to keep")
    chosen.add_argument(
        "--out", type=Path, metavar="ITEMS.jsonl", help="a new file of the items that are kept"
    )
    chosen.set_defaults(handler=_select)
    for command in (brief, checked, chosen):
        command.add_argument(
            "--draw", type=int, default=1, metavar="N", help="the number that fixes what is drawn"
        )
        command.add_argument("--json", action="store_true", help="print one JSON object")


def _brief(args: argparse.Namespace) -> int:
    if args.collect:
        return _collect(args)
    if not (args.public and args.author and args.count and args.count > 0):
        raise error(Code.BAD_MESSAGE, "brief needs --public, --author and --count, or --collect")
    public = load_items(args.public)
    steps = targets(public, args.count, seed=args.draw)
    draw = random.Random(args.draw)  # noqa: S311 - a draw that can be repeated, not a secret
    tasks = [draw.sample(public, min(3, len(public))) for _ in steps]
    sheets.write_text(args.out / "brief.md", _brief_text(args.author, steps, tasks))
    blank = {"question": "", "answer": "", "author": args.author, "no_model_used": ""}
    rows = [
        {"task": number, "steps_wanted": wanted} | blank
        for number, wanted in enumerate(steps, start=1)
    ]
    sheets.write_rows(args.out / "sheet.csv", SHEET, rows)
    return show(
        args,
        {"author": args.author, "tasks": len(steps), "steps": sorted(steps), "out": str(args.out)},
    )


def _brief_text(author: str, steps: Sequence[int], tasks: Sequence[Sequence[Item]]) -> str:
    parts = [
        f"# Brief for {author}\n",
        "Write one new problem for each task, on a subject of your own, that takes the given number of steps. Put one "
        "`<<sum=result>>` behind each step of the solution and end it with `####` and the number. Write into "
        "`sheet.csv`; put `yes` into the column `no_model_used` to say:\n",
        f"> {sheets.ATTESTATION}\n",
    ]
    for number, (wanted, examples) in enumerate(zip(steps, tasks, strict=True), start=1):
        parts.append(f"\n## Task {number}: {wanted} step{'' if wanted == 1 else 's'}\n")
        parts += [f"\n- {one.question}\n\n  {one.answer}\n" for one in examples]
    return "\n".join(parts)


def _collect(args: argparse.Namespace) -> int:
    """Every written row, with its author's attestation kept beside. Raises ``attestation_missing`` with the row."""
    items, records = [], []
    for path in args.collect:
        for number, row in enumerate(sheets.read_rows(path, SHEET), start=1):
            if not row["question"].strip():
                continue
            if row["no_model_used"].strip().lower() != sheets.YES or not row["author"].strip():
                raise error(Code.ATTESTATION_MISSING, f"{path.name} row {number}")
            items.append({"question": row["question"].strip(), "answer": row["answer"].strip()})
            facts = {
                "line": len(items),
                "author": row["author"].strip(),
                "attests": sheets.ATTESTATION,
            }
            records.append(facts | {"task": row["task"], "steps_wanted": row["steps_wanted"]})
    if not items:
        raise error(Code.SET_EMPTY)
    sheets.write_lines(args.out, items)
    sheets.write_lines(args.out.with_suffix(".authors.jsonl"), records)
    return show(
        args, {"written": len(items), "authors": sorted({one["author"] for one in records})}
    )


def _check(args: argparse.Namespace) -> int:
    if args.score:
        return _score(args)
    if not (args.items and args.public):
        raise error(Code.BAD_MESSAGE, "check needs ITEMS.jsonl and --public, or --score and --key")
    public = load_items(args.public)
    report = check(read_lines(args.items), public)
    if args.out:
        _write_report(args, report, public)
    facts = {
        "n": report.n,
        "errors": [str(one) for one in report.errors],
        "warnings": [str(one) for one in report.warnings],
        "p": {one.name: round(one.p, 4) for one in report.comparisons},
    }
    if not args.json:
        for finding in (*report.errors, *report.warnings):
            print(f"{'error' if finding in report.errors else 'warning'}: {finding}")
        print("\n".join(one.line() for one in report.comparisons))
    if report.errors:
        raise error(Code.CHECK_FAILED, "; ".join(str(one) for one in report.errors))
    return show(args, facts) if args.json else 0


def _write_report(args: argparse.Namespace, report: CheckReport, public: Sequence[Item]) -> None:
    for comparison in report.comparisons:
        sheets.write_text(args.out / f"{comparison.name}.svg", comparison.svg())
    if report.errors:
        return
    rows = oddone.make_pack(load_items(args.items), public, seed=args.draw)
    columns = ("number", *oddone.CHOICES, "odd")
    asked = [
        {"number": row.number, **dict(zip(oddone.CHOICES, row.texts, strict=True)), "odd": ""}
        for row in rows
    ]
    sheets.write_rows(args.out / "oddone.csv", columns, asked)
    sheets.write_rows(
        args.out / "oddone.key.csv",
        ("number", "odd"),
        [{"number": r.number, "odd": r.odd} for r in rows],
    )


def _score(args: argparse.Namespace) -> int:
    if not args.key:
        raise error(Code.BAD_MESSAGE, "--score needs --key")
    letters = [_letters(path) for path in (args.score, args.key)]
    found = oddone.score(*letters)
    low, high = found.interval
    facts = {
        "found": found.right,
        "n": found.n,
        "share": found.share,
        "by_guessing": 1 / (oddone.OTHERS + 1),
    }
    return show(args, facts | {"interval": [low, high], "p": found.p})


def _letters(path: Path) -> dict[int, str]:
    rows = sheets.numbered(path, sheets.read_rows(path, ("number", "odd")), "number")
    return {number: row["odd"].strip().upper() for number, row in rows.items()}


def _select(args: argparse.Namespace) -> int:
    items = dict(enumerate(load_items(args.items), start=1))
    if args.second_solve:
        return _second_sheet(args, items)
    if args.audit:
        rows = [
            {"item": number, **item_record(item), "verdict": "", "reason": ""}
            for number, item in items.items()
        ]
        sheets.write_rows(args.audit, AUDIT, rows)
        return show(args, {"rows": len(rows), "out": str(args.audit)})
    if not (args.public and args.n and args.out):
        raise error(
            Code.BAD_MESSAGE, "select needs --public, --n and --out, or --second-solve or --audit"
        )
    solved = solved_alike(items, _filled(args.solved, SECOND, "solution")) if args.solved else None
    verdicts = _verdicts(args.audited) if args.audited else None
    fine = set(items) if solved is None else solved
    kept = fine if verdicts is None else fine & passed_audit(items, verdicts)
    left = [items[number] for number in sorted(kept)]
    chosen, mix = select(left, load_items(args.public), args.n, seed=args.draw)
    sheets.write_lines(args.out, [item_record(left[place]) for place in chosen])
    counts = (None if solved is None else len(solved), None if verdicts is None else len(kept))
    facts = asdict(Funnel(len(items), *counts, len(chosen))) | {"dropped": dropped(verdicts or {})}
    facts |= {"p": {one.name: round(one.p, 4) for one in mix}}
    sheets.write_text(args.out.with_suffix(".funnel.json"), json.dumps(facts, indent=1) + "\n")
    return show(args, facts)


def _second_sheet(args: argparse.Namespace, items: Mapping[int, Item]) -> int:
    """Questions in another order and without their answers: what a second solver writes is his own."""
    order = list(items)
    random.Random(args.draw).shuffle(order)  # noqa: S311 - as above
    rows = [
        {"item": number, "question": items[number].question, "solution": ""} for number in order
    ]
    sheets.write_rows(args.second_solve, SECOND, rows)
    return show(args, {"rows": len(rows), "out": str(args.second_solve)})


def _filled(path: Path, columns: Sequence[str], column: str) -> dict[int, str]:
    rows = sheets.numbered(path, sheets.read_rows(path, columns), "item")
    return {number: row[column] for number, row in rows.items()}


def _verdicts(path: Path) -> dict[int, tuple[str, str]]:
    rows = sheets.numbered(path, sheets.read_rows(path, ("item", "verdict", "reason")), "item")
    return {number: (row["verdict"].strip(), row["reason"].strip()) for number, row in rows.items()}
