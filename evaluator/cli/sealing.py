"""The commands that make keys, seal a set and say what a set is: keygen, seal, inspect."""

import argparse
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluator.items import load_items, set_digest
from evaluator.sealing import formats
from evaluator.sealing.keys import generate_keys
from evaluator.sealing.seal import seal_set, write_set


def add_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add keygen, seal and inspect to the parser."""
    keygen = subparsers.add_parser("keygen", help="make an evaluator's keys in a new folder")
    keygen.add_argument("folder", type=Path, metavar="DIR")
    keygen.add_argument("--name", default="evaluator-1", help="the evaluator's name (default: %(default)s)")
    keygen.set_defaults(handler=_keygen)

    seal = subparsers.add_parser("seal", help="encrypt a set and commit to it")
    seal.add_argument("items", type=Path, metavar="ITEMS.jsonl")
    seal.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the host's keys (public ones are read)")
    seal.add_argument("--out", type=Path, required=True, metavar="SET", help="the new set's folder")
    seal.add_argument("--name", required=True, help="the set's name")
    seal.add_argument("--shots", type=Path, metavar="FILE", help="the set's public pool of shots")
    seal.add_argument(
        "--seed", type=_seed, metavar="HEX", help="32 secret bytes that fix the salts and so the root (default: new)"
    )
    seal.set_defaults(handler=_seal)

    inspect = subparsers.add_parser("inspect", help="say what a set is, sealed or not, without opening it")
    inspect.add_argument("path", type=Path, metavar="SET", help="a sealed set's folder or a file of JSON lines")
    inspect.set_defaults(handler=_inspect)
    for command in (keygen, seal, inspect):
        command.add_argument("--json", action="store_true", help="print one JSON object")


def _keygen(args: argparse.Namespace) -> int:
    identity = generate_keys(args.folder, name=args.name)
    return _show(args, identity.to_dict())


def _seal(args: argparse.Namespace) -> int:
    host = formats.read_identity(args.keys / formats.IDENTITY)
    items = load_items(args.items)
    shots = load_items(args.shots) if args.shots else ()
    sealed = seal_set(items, name=args.name, hosts=[host], shots=shots, seed=args.seed, created=datetime.now(UTC))
    write_set(sealed, args.out)
    return _show(args, _sealed_facts(args.out))


def _inspect(args: argparse.Namespace) -> int:
    path: Path = args.path
    if not path.is_dir():
        return _show(args, _public_facts(path))
    sealed = (path / formats.MANIFEST).exists() or (path / formats.ITEMS).exists()
    return _show(args, _sealed_facts(path) if sealed else _public_facts(path / "items.jsonl"))


def _sealed_facts(folder: Path) -> dict[str, Any]:
    manifest = formats.read_manifest(folder)
    formats.read_items(folder, manifest)
    hosts = sorted(path.stem for path in (folder / formats.WRAPS).glob("*.json"))
    for host in hosts:
        formats.read_wrap(folder, host)
    return {
        "name": manifest.name,
        "n": manifest.n,
        "digest": manifest.root,
        "sealed": True,
        "shots": manifest.shots.n if manifest.shots else 0,
        "hosts": hosts,
        "created": manifest.created,
    }


def _public_facts(file: Path) -> dict[str, Any]:
    items = load_items(file)
    # As the evaluator names a public set: after its folder, else after the file itself.
    name = file.resolve().parent.name if file.name == "items.jsonl" else file.stem
    return {"name": name.lower(), "n": len(items), "digest": set_digest(items), "sealed": False}


def _seed(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("64 lower-case hexadecimal digits are needed")
    return bytes.fromhex(text)


def _show(args: argparse.Namespace, facts: dict[str, Any]) -> int:
    if args.json:
        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        print(f"{name:12} {', '.join(value) if isinstance(value, list) else value}")
    return 0
