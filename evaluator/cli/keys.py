"""``keygen``, ``cosign``, ``enrol``: commands about keys."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.outfile import replace_file
from evaluator.cli.show import show
from evaluator.errors import Code, error
from evaluator.ledger.manifests import Identity
from evaluator.ledger.notes import cosign, cosigned_by, open_note
from evaluator.sealing import formats
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import generate_keys, generate_party_keys, load_keys, load_party_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import Vault, check_key


def add_commands(commands: Commands) -> None:
    """Add keygen, cosign and enrol to the parser."""
    keygen = commands.add_parser("keygen", parents=[JSON_OPTION])
    keygen.add_argument("folder", type=Path, metavar="DIR")
    keygen.add_argument(
        "--role", choices=("evaluator", "maintainer", "witness"), default="evaluator"
    )
    keygen.add_argument("--name", help="whose keys they are (default: the role and -1)")
    keygen.set_defaults(handler=keygen_command)

    witness = commands.add_parser("cosign", parents=[JSON_OPTION])
    witness.add_argument("head", type=Path, metavar="SET/head.txt")
    witness.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="the witness's keys"
    )
    witness.set_defaults(handler=cosign_command)

    enrol = commands.add_parser("enrol", parents=[JSON_OPTION])
    enrol.add_argument(
        "identity", type=Path, metavar="IDENTITY.json", help="the other evaluator's identity.json"
    )
    enrol.add_argument(
        "--set", type=Path, required=True, metavar="SET", help="the sealed set's folder"
    )
    enrol.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="keys that the set is wrapped for"
    )
    enrol.add_argument(
        "--home",
        type=Path,
        required=True,
        metavar="HOME",
        help="where their evaluator's journal is",
    )
    enrol.set_defaults(handler=enrol_command)


def keygen_command(args: argparse.Namespace) -> int:
    """Make the keys of an evaluator, a maintainer or a witness in a new folder."""
    name = args.name or f"{args.role}-1"
    if args.role == "evaluator":
        return show(args, generate_keys(args.folder, name=name).to_dict())
    return show(args, generate_party_keys(args.folder, name=name).to_dict())


def cosign_command(args: argparse.Namespace) -> int:
    """Add the cosignature of a witness to a tree head, once."""
    party, key = load_party_keys(args.keys)
    try:
        note = args.head.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise error(Code.HEAD_INVALID, f"{args.head} cannot be read") from None
    signatures = open_note(note).signatures
    if party.name in {signature.name for signature in signatures}:
        raise error(Code.HEAD_INVALID, f"{party.name} has signed it already")
    now = datetime.now(UTC)
    signed = cosign(note, name=party.name, private_key=key, moment=now)
    replace_file(args.head, signed.encode("utf-8"))
    head = open_note(signed).head
    seen = cosigned_by(signed, {party.name: party.public})[party.name]
    facts = {
        "origin": head.origin,
        "n": head.size,
        "root": head.root.hex(),
        "cosigned_by": party.name,
        "seen": seen,
    }
    return show(args, facts)


def enrol_command(args: argparse.Namespace) -> int:
    """Journal the new host before the key is wrapped; write the file whole or not at all."""
    host: Identity = formats.read_identity(args.identity)
    keys = load_keys(args.keys)
    manifest = formats.read_manifest(args.set)
    check_key(args.set, keys)
    path = args.set / formats.WRAPS / f"{host.name}.json"
    if path.exists():
        raise error(Code.KEY_EXISTS, str(path))
    journal = Journal(args.home / "journal.jsonl", keys.name, keys.report)
    folders = {manifest.name: args.set}
    vault = Vault(keys, folders.get, journal, Recipients())
    wrap = vault.enrol(manifest.name, host)
    replace_file(path, formats.to_line(wrap))
    facts = {
        "set": manifest.name,
        "host": host.name,
        "line": journal.head.index,
        "hash": journal.head.hash,
    }
    return show(args, facts)
