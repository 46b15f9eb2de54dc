"""``settings``: the table of the environment variables that the evaluator reads, for the manual."""

import argparse
import json
from dataclasses import asdict

from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.config import SETTINGS

HEAD = "| evaluator setting | default | meaning |\n|---|---|---|\n"


def add_commands(commands: Commands) -> None:
    """Add ``settings``."""
    command = commands.add_parser("settings", parents=[JSON_OPTION])
    command.set_defaults(handler=settings_command)


def settings_command(args: argparse.Namespace) -> int:
    """Print the table in Markdown. No value of this environment is shown. Returns 0."""
    if args.json:
        settings = {name: asdict(setting) for name, setting in SETTINGS.items()}
        print(json.dumps(settings))
    else:
        print(table(), end="")
    return 0


def table() -> str:
    """Return the settings as a Markdown table, as docs/operations.md has it."""
    rows = []
    for name, setting in SETTINGS.items():
        default = setting.default.strip("<>") or "must be set"
        rows.append(f"| `{name}` | {default} | {setting.about} |\n")
    return HEAD + "".join(rows)
