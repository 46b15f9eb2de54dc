"""``import-set``: make a set of items from a file in a published form."""

import argparse
from pathlib import Path

from evaluator.authoring import sheets
from evaluator.authoring.check import read_lines
from evaluator.authoring.forms import FORMS, read_form
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import show
from evaluator.items import item_record, set_digest


def add_commands(commands: Commands) -> None:
    """Add ``import-set``."""
    command = commands.add_parser("import-set", parents=[JSON_OPTION])
    command.add_argument("file", type=Path, metavar="FILE.jsonl", help="JSON lines of that form")
    command.add_argument("--form", required=True, choices=sorted(FORMS))
    command.add_argument(
        "--out", type=Path, required=True, metavar="ITEMS.jsonl", help="the new set's file"
    )
    command.set_defaults(handler=import_set_command)


def import_set_command(args: argparse.Namespace) -> int:
    """Write the items as JSON lines, with mode 0600; ``check`` and ``seal`` read them.

    Raises ``set_unreadable``, ``out_unwritable`` and as ``forms.read_form``.
    """
    items = read_form(args.form, read_lines(args.file))
    sheets.write_lines(args.out, [item_record(item) for item in items])
    facts = {
        "n": len(items),
        "kind": items[0].kind,
        "digest": set_digest(items),
        "out": str(args.out),
    }
    return show(args, facts)
