"""``seal``, ``inspect``, ``verify``: seal a set, describe one, check one."""

import argparse
import json
import re
from contextlib import closing
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from evaluator import grading, protocols
from evaluator.authoring.check import check, read_lines
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import show
from evaluator.contract import MIN_CELL_SIZE
from evaluator.errors import Code, error
from evaluator.items import load_items, set_digest
from evaluator.ledger.entries import entry_hash
from evaluator.ledger.manifests import Terms, Twins
from evaluator.ledger.rules import Rule, default_rule, in_words, moment_of, read_rule
from evaluator.sealing import formats
from evaluator.sealing.allocation import Shares
from evaluator.sealing.checking import check_folder
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import load_keys, load_party_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.seal import Covenant, seal_set, write_set
from evaluator.sealing.vault import Vault, check_key


def add_commands(commands: Commands) -> None:
    """Add seal, inspect and verify to the parser."""
    seal = commands.add_parser("seal", parents=[JSON_OPTION])
    _add_seal_options(seal)
    seal.set_defaults(handler=seal_command)

    inspect = commands.add_parser("inspect", parents=[JSON_OPTION])
    inspect.add_argument(
        "path", type=Path, metavar="SET", help="a sealed set's folder or a file of JSON lines"
    )
    inspect.set_defaults(handler=inspect_command)

    verify = commands.add_parser("verify", parents=[JSON_OPTION])
    verify.add_argument("path", type=Path, metavar="SET", help="a sealed set's folder")
    verify.add_argument(
        "--keys", type=Path, metavar="DIR", help="keys that should open it; no item is opened"
    )
    verify.add_argument(
        "--all",
        action="store_true",
        help="a drill: decrypt every item in memory and compare it with its leaf; needs --keys and"
        " --home",
    )
    verify.add_argument(
        "--home",
        type=Path,
        metavar="HOME",
        help="where the keys' journal is, which records the drill",
    )
    verify.set_defaults(handler=verify_command)


def _add_seal_options(seal: argparse.ArgumentParser) -> None:
    seal.add_argument("items", type=Path, metavar="ITEMS.jsonl")
    hosts = "a host's keys folder or identity.json (public keys are read); once for each host"
    seal.add_argument(
        "--keys", type=Path, required=True, action="append", metavar="DIR", help=hosts
    )
    out = "the new set's folder"
    seal.add_argument("--out", type=Path, required=True, metavar="SET", help=out)
    seal.add_argument("--name", required=True, help="the set's name")
    seal.add_argument("--shots", type=Path, metavar="FILE", help="the set's public pool of shots")
    seal.add_argument(
        "--public", type=Path, metavar="FILE", help="check the items against this public set too"
    )
    twin = "the public set that it is exchangeable with by construction, if it is: see --twins-by"
    seal.add_argument("--twin-of", type=Path, metavar="FILE", help=twin)
    how = "how: one generator with other seeds, or one set split at random (default: %(default)s)"
    seal.add_argument("--twins-by", choices=("generator", "split"), default="split", help=how)
    seal.add_argument(
        "--seed",
        type=_seed,
        metavar="HEX",
        help="32 secret bytes to deal the items with (default: new)",
    )
    seal.add_argument(
        "--local", type=_share, default=Fraction(1, 5), help="share never sent to endpoints (0.2)"
    )
    seal.add_argument(
        "--spare",
        type=_share,
        default=Fraction(1, 10),
        help="share left unused until release (0.1)",
    )
    seal.add_argument("--blocks", type=int, default=8, help="number of exposed blocks (8)")
    seal.add_argument(
        "--seasons", type=int, help="how many of them for self-declared endpoints (2 of 8)"
    )
    seal.add_argument(
        "--stages",
        type=int,
        help="groups of exposed blocks that listed endpoints are asked, one more each run; 1 asks"
        " all at once (3, or fewer where a group would be too small)",
    )
    seal.add_argument(
        "--smallest-cell",
        type=int,
        default=MIN_CELL_SIZE,
        metavar="N",
        help="the fewest items that a published number is over; lower only where little is guarded"
        " (%(default)s)",
    )
    seal.add_argument("--protocol", help="the published protocol that the set is asked with")
    seal.add_argument("--grader", help="the grader (default: the protocol's)")
    seal.add_argument("--rule", type=Path, metavar="RULE.json", help="when the set may be released")
    after = "GSM1k's rule: three open models of distinct lineages at 95%%, or this moment (UTC)"
    seal.add_argument("--release-after", metavar="MOMENT", help=after)
    parties = {
        "--maintainer": "who may release the set",
        "--witness": "who may cosign its tree head",
    }
    for option, role in parties.items():
        seal.add_argument(
            option, type=Path, action="append", default=[], metavar="PARTY.json", help=role
        )
    seal.add_argument(
        "--quorum", type=int, help="how many maintainers release it (default: more than half)"
    )
    seal.add_argument(
        "--sign", type=Path, metavar="DIR", help="keys of the maintainer who signs the tree head"
    )
    seal.add_argument(
        "--licence", default="CC-BY-4.0", help="what it is released under (default: %(default)s)"
    )


def seal_command(args: argparse.Namespace) -> int:
    """Check, encrypt and commit to a set; write its folder.

    Raises ``check_failed`` where the authoring check finds errors.
    """
    hosts = []
    for path in args.keys:
        identity = path / formats.IDENTITY if path.is_dir() else path
        hosts.append(formats.read_identity(identity))
    lines = read_lines(args.items)
    public = load_items(args.public) if args.public else ()
    report = check(lines, public)
    if report.errors:
        listed = [str(problem) for problem in report.errors[:5]]
        raise error(Code.CHECK_FAILED, "; ".join(listed))
    items = load_items(args.items)
    shots = load_items(args.shots) if args.shots else ()
    now = datetime.now(UTC)
    covenant = _covenant(args, now)
    terms = covenant.terms
    kind = items[0].kind
    if terms and kind not in grading.kinds(terms.grader):
        raise error(Code.GRADER_UNFIT, f"{terms.grader} of kind {kind}")
    shares = Shares(
        local=args.local,
        spare=args.spare,
        blocks=args.blocks,
        seasons=args.seasons,
        stages=args.stages,
        cell=args.smallest_cell,
    )
    sealed = seal_set(
        items,
        name=args.name,
        hosts=hosts,
        shots=shots,
        seed=args.seed,
        created=now,
        shares=shares,
        covenant=covenant,
    )
    write_set(sealed, args.out)
    facts = _sealed_facts(args.out)
    if args.public:
        facts["warnings"] = [str(warning) for warning in report.warnings]
    return show(args, facts)


def _covenant(args: argparse.Namespace, now: datetime) -> Covenant:
    maintainers = tuple(formats.read_party(path) for path in args.maintainer)
    majority = len(maintainers) // 2 + 1 if maintainers else 0
    signer = None
    signing_party = None
    if args.sign:
        signing_party, private_key = load_party_keys(args.sign)
        signer = (signing_party.name, private_key)
    if (signing_party or maintainers) and signing_party not in maintainers:
        raise error(Code.NOT_A_MAINTAINER, "a set with maintainers is signed by one of them")
    twins = None
    if args.twin_of:
        public = load_items(args.twin_of)
        twins = Twins(public=set_digest(public), by=args.twins_by)
    terms = None
    if args.protocol:
        protocol = protocols.get(args.protocol)
        grader = args.grader or protocol.grader
        terms = Terms(
            protocol=args.protocol,
            protocol_digest=protocol.digest,
            grader=grader,
            grader_digest=grading.digest(grader),
        )
    return Covenant(
        terms=terms,
        rule=_rule(args, now),
        maintainers=maintainers,
        quorum=majority if args.quorum is None else args.quorum,
        witnesses=tuple(formats.read_party(path) for path in args.witness),
        licence=args.licence,
        twins=twins,
        signer=signer,
    )


def _rule(args: argparse.Namespace, now: datetime) -> Rule | None:
    """Return the rule of the options. Raises ``rule_invalid``, also for a date that has passed."""
    if args.rule and args.release_after:
        raise error(Code.RULE_INVALID, "--rule and --release-after are one or the other")
    if args.rule:
        try:
            rule = read_rule(json.loads(args.rule.read_bytes()))
        except (OSError, ValueError, RecursionError):
            raise error(Code.RULE_INVALID, f"{args.rule} cannot be read as JSON") from None
    elif args.release_after:
        clauses = default_rule(args.release_after).any_of
        rule = read_rule({"any_of": [clause.to_dict() for clause in clauses]})
    else:
        return None
    dates = [clause.moment for clause in rule.any_of if hasattr(clause, "moment")]
    if any(moment_of(date) <= now for date in dates):
        raise error(Code.RULE_INVALID, "its date has passed")
    return rule


def inspect_command(args: argparse.Namespace) -> int:
    """Print facts of a set, sealed or not, without opening it."""
    path: Path = args.path
    if not path.is_dir():
        return show(args, _public_facts(path))
    has_manifest = (path / formats.MANIFEST).exists()
    if has_manifest or (path / formats.ITEMS).exists():
        return show(args, _sealed_facts(path))
    return show(args, _public_facts(path / "items.jsonl"))


def verify_command(args: argparse.Namespace) -> int:
    """Check every file of a sealed set, and that keys open it if they are given."""
    if args.all and not (args.keys and args.home):
        raise error(Code.MISCONFIGURED, "--all needs --keys and --home")
    facts = _sealed_facts(args.path)
    if args.keys:
        keys = load_keys(args.keys)
        check_key(args.path, keys)
        facts["opens_for"] = keys.name
        if args.all:
            # Opens every item in memory only, once that is journalled. The place of the journal's
            # line is the maintainer's receipt.
            name = facts["name"]
            folders = {name: args.path}
            journal = Journal(args.home / "journal.jsonl", keys.name, keys.report)
            with closing(journal):
                vault = Vault(keys, folders.get, journal, Recipients())
                line = vault.drill(name)
            facts["opened"] = line.count
            facts["line"] = line.index
            facts["hash"] = entry_hash(line)
    return show(args, facts)


def _sealed_facts(folder: Path) -> dict[str, Any]:
    checked = check_folder(folder)
    manifest = checked.contents.manifest
    return {
        "name": manifest.name,
        "kind": manifest.item_kind(),
        "n": manifest.n,
        "digest": manifest.root,
        "sealed": True,
        "version": manifest.version,
        "uncovered": list(checked.uncovered),
        "shots": manifest.shots.n if manifest.shots else 0,
        "hosts": list(checked.hosts),
        "created": manifest.created,
        "manifest": manifest.digest(),
        "strata": {
            name: len(manifest.indices(manifest.block_ids((name,))))
            for name in ("exposed", "local", "spare")
        },
        "blocks": [block.n for block in manifest.blocks],
        "seasons": list(manifest.seasons),
        "stages": [list(stage) for stage in manifest.stages],
        "cap": manifest.cap,
        "smallest_cell": manifest.cell,
        "rule": in_words(manifest.rule) if manifest.rule else "",
        "maintainers": [party.name for party in manifest.maintainers],
        "quorum": manifest.quorum,
        "cosigned": list(checked.cosigned),
        "notices": len(checked.notices),
        "licence": manifest.licence,
        "twins_by": manifest.twins.by if manifest.twins else "",
    }


def _public_facts(file: Path) -> dict[str, Any]:
    items = load_items(file)
    # As the evaluator names a public set: after its folder, else after the file itself.
    name = file.resolve().parent.name if file.name == "items.jsonl" else file.stem
    return {
        "name": name.lower(),
        "kind": items[0].kind,
        "n": len(items),
        "digest": set_digest(items),
        "sealed": False,
    }


def _seed(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("64 lower-case hexadecimal digits are needed")
    return bytes.fromhex(text)


def _share(text: str) -> Fraction:
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError):
        share = Fraction(-1)
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError("a share from 0 to below 1")
    return share
