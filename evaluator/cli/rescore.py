"""``rescore``: grade a run's stored completions of a sealed set again."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from evaluator import grading, protocols
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.pipeline.rescore import rescore, store_regrade
from evaluator.sealing import formats
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import Vault


def add_commands(commands: Commands) -> None:
    """Add ``rescore``."""
    command = commands.add_parser("rescore", parents=[JSON_OPTION])
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
    command.set_defaults(handler=rescore_command)


def rescore_command(args: argparse.Namespace) -> int:
    """Print what changed, as counts. The outcomes stay in HOME, with the earlier ones."""
    grader = grading.resolve(args.grader)
    protocol = protocols.get(args.protocol) if args.protocol else None
    name = formats.read_manifest(args.set).name
    keys = load_keys(args.keys)
    # A mistyped folder must not begin a second journal.
    if not (args.home / "journal.jsonl").is_file():
        raise error(Code.COMPLETIONS_MISSING, f"{args.home} has no journal")
    journal = Journal(args.home / "journal.jsonl", keys.name, keys.report)
    folders = {name: args.set}
    vault = Vault(keys, folders.get, journal, Recipients())
    store = CompletionStore(args.home / "completions", keys.completions)
    result = rescore(
        vault,
        store,
        journal.entries(),
        set_name=name,
        run=args.run,
        grader=grader,
        protocol=protocol,
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    store_regrade(args.home / "rescored", result, moment=now)
    return show(args, result.difference())
