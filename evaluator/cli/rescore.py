"""``rescore``: grade what a run answered to a sealed set again, on the evaluator that keeps the completions."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from evaluator import grading, protocols
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.pipeline.rescore import rescore, store_regrade
from evaluator.sealing import formats
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import Vault


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``rescore``."""
    command = subparsers.add_parser(
        "rescore", help="grade a run's kept completions of a sealed set again"
    )
    command.add_argument(
        "--home", type=Path, required=True, metavar="HOME", help="the evaluator's journal and store"
    )
    command.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="the evaluator's keys"
    )
    command.add_argument(
        "--set", type=Path, required=True, metavar="SET", help="the sealed set's folder"
    )
    command.add_argument("--run", required=True, metavar="RUN", help="the run's id")
    command.add_argument("--grader", required=True, help=f"one of: {', '.join(grading.ids())}")
    command.add_argument(
        "--protocol", help="the run's protocol, which says whether thinking is graded"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(handler=_rescore)


def _rescore(args: argparse.Namespace) -> int:
    """Print what changed, as counts. The outcomes themselves stay in HOME, beside what the run came to before."""
    grader = grading.resolve(args.grader)
    protocol = protocols.get(args.protocol) if args.protocol else None
    name, keys = formats.read_manifest(args.set).name, load_keys(args.keys)
    if not (
        args.home / "journal.jsonl"
    ).is_file():  # a slip of the pen must not begin a second journal
        raise error(Code.COMPLETIONS_MISSING, f"{args.home} has no journal")
    journal = Journal(args.home / "journal.jsonl", keys.name, keys.report)
    vault = Vault(keys, {name: args.set}.get, journal, Recipients())
    store = CompletionStore(args.home / "completions", keys.completions)
    found = rescore(
        vault,
        store,
        journal.entries(),
        set_name=name,
        run=args.run,
        grader=grader,
        protocol=protocol,
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    store_regrade(args.home / "rescored", found, moment=now)
    return show(args, found.difference())
