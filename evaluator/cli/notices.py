"""``notice``: retire a block, an item or a whole sealed set."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.outfile import replace_file
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.notices import (
    Kind,
    Reason,
    notice_hash,
    retired,
    sign_notice,
    verify_notices,
    waiting,
)
from evaluator.sealing import formats
from evaluator.sealing.keys import load_party_keys


def add_commands(commands: Commands) -> None:
    """Add notice to the parser."""
    notice = commands.add_parser("notice", parents=[JSON_OPTION])
    notice.add_argument(
        "set", type=Path, metavar="SET", help="the sealed set's folder; its notices.jsonl grows"
    )
    notice.add_argument("--kind", choices=get_args(Kind), required=True)
    notice.add_argument("--reason", choices=get_args(Reason), required=True)
    notice.add_argument("--block", type=int, help="the block that is retired")
    notice.add_argument("--item", type=int, help="the item with an erratum, by index")
    notice.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="a maintainer's keys"
    )
    notice.set_defaults(handler=notice_command)


def notice_command(args: argparse.Namespace) -> int:
    """Append a signed notice to the set's notices and print the counts that follow from it."""
    manifest = formats.read_manifest(args.set)
    party, key = load_party_keys(args.keys)
    if party not in manifest.maintainers:
        raise error(Code.NOT_A_MAINTAINER, party.name)
    known = formats.read_notices(args.set, manifest)
    fields: dict[str, Any] = {
        "set": manifest.name,
        "root": manifest.root,
        "index": len(known),
        "maintainer": party.name,
        "previous": notice_hash(known[-1]) if known else GENESIS,
        "kind": args.kind,
        "reason": args.reason,
        "moment": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "block": args.block,
        "item": args.item,
    }
    notice = sign_notice(key, **fields)
    notices = (*known, notice)
    verify_notices(manifest, notices)
    lines = b"".join(formats.to_line(signed) for signed in notices)
    replace_file(args.set / formats.NOTICES, lines)
    counts = {
        "active": manifest.n - len(retired(manifest, notices)),
        "wait": len(waiting(manifest, notices)),
    }
    facts = notice.to_dict() | {"version": len(notices)}
    return show(args, facts | counts)
