"""``sign``, ``countersign``, ``release``: release a set, offline, by files."""

import argparse
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.outfile import replace_file
from evaluator.cli.show import columns, show
from evaluator.contract import Closing, LogLine, Moment, Outcome, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger.closings import closing_root
from evaluator.ledger.entries import entry_hash
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notices import retired
from evaluator.ledger.releases import (
    SignedStatement,
    check_statement,
    check_votes,
    make_statement,
    statement_digest,
    vote,
)
from evaluator.ledger.rules import (
    Evidence,
    RunFact,
    Verdict,
    copies,
    decide,
    in_words,
    moment_of,
    read_evidence,
)
from evaluator.sealing import bundle, formats
from evaluator.sealing.allocation import deal
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import Keys, load_keys, load_party_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.vault import OpenedSet, Vault, check_key


def add_commands(commands: Commands) -> None:
    """Add sign, countersign and release to the parser."""
    evidence = argparse.ArgumentParser(add_help=False, parents=[JSON_OPTION])
    evidence.add_argument(
        "--evidence",
        type=Path,
        required=True,
        metavar="FILE",
        help="the evidence that the site froze",
    )
    voting = argparse.ArgumentParser(add_help=False, parents=[evidence])
    voting.add_argument(
        "--set",
        type=Path,
        required=True,
        metavar="SET",
        help="the set's folder, or its manifest.json",
    )
    voting.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="the maintainer's keys"
    )

    sign = commands.add_parser("sign", parents=[voting])
    sign.add_argument(
        "--evaluator",
        type=Path,
        required=True,
        metavar="IDENTITY.json",
        help="who is to open the set",
    )
    sign.add_argument(
        "--out", type=Path, required=True, metavar="STATEMENT.json", help="a new file"
    )
    sign.set_defaults(handler=sign_command)

    counter = commands.add_parser("countersign", parents=[voting])
    counter.add_argument("statement", type=Path, metavar="STATEMENT.json")
    counter.set_defaults(handler=countersign_command)

    release = commands.add_parser("release", parents=[evidence])
    release.add_argument("set", type=Path, metavar="SET")
    release.add_argument("--statement", type=Path, required=True, metavar="FILE")
    release.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="the evaluator's keys"
    )
    release.add_argument(
        "--home", type=Path, required=True, metavar="HOME", help="the evaluator's journal and store"
    )
    release.add_argument("--licence-file", type=Path, metavar="FILE", help="the licence's text")
    release.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="BUNDLE",
        help="a new folder",
    )
    release.set_defaults(handler=release_command)


def sign_command(args: argparse.Namespace) -> int:
    """Make the statement of a release, with the first signature."""
    manifest = _manifest(args.set)
    evidence = _evidence(args.evidence)
    now = datetime.now(UTC)
    identity = formats.read_identity(args.evaluator)
    if args.out.exists():
        raise error(Code.OUT_UNWRITABLE, str(args.out))
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    statement = make_statement(manifest, evidence, identity, moment=moment)
    unsigned = SignedStatement(statement=statement)
    return _vote(args, manifest, evidence, unsigned, out=args.out)


def countersign_command(args: argparse.Namespace) -> int:
    """Check a statement and add another signature."""
    manifest = _manifest(args.set)
    evidence = _evidence(args.evidence)
    signed = _statement(args.statement)
    check_statement(signed, manifest, evidence)
    return _vote(args, manifest, evidence, signed, out=args.statement)


def _vote(
    args: argparse.Namespace,
    manifest: Manifest,
    evidence: Evidence,
    signed: SignedStatement,
    *,
    out: Path,
) -> int:
    """Sign if the rule is met at the statement's own moment, which later checks use too.

    Raises ``rule_not_met``, ``not_a_maintainer``, ``statement_unreadable``.
    """
    party, key = load_party_keys(args.keys)
    if party not in manifest.maintainers:
        raise error(Code.NOT_A_MAINTAINER, party.name)
    moment = _past(signed.statement.moment, datetime.now(UTC))
    # The runs with enough right answers for any clause, each once.
    runs: dict[str, RunFact] = {}
    if manifest.rule is not None:
        for clause in decide(manifest.rule, evidence, now=moment).clauses:
            for run in clause.qualifying:
                runs[run.run] = run
    qualifying = tuple(runs.values())
    warnings = _warnings(qualifying)
    if not args.json:
        print(_table(qualifying), *warnings, sep="\n")
    verdict = _verdict(manifest, evidence, moment)
    voted = vote(signed, maintainer=party.name, private_key=key)
    replace_file(out, formats.to_line(voted))
    facts = {
        "set": manifest.name,
        "root": manifest.root,
        "n": manifest.n,
        "rule": in_words(manifest.rule) if manifest.rule else "",
        "met_by": list(verdict.models) or ["the date"],
        "opened_by": signed.statement.evaluator.name,
        "statement": statement_digest(voted.statement),
        "votes": [signature.maintainer for signature in voted.votes],
        "quorum": manifest.quorum,
        "warnings": warnings,
    }
    if args.json:
        facts["runs"] = [_row(run) for run in qualifying]
    return show(args, facts)


def _row(run: RunFact) -> dict[str, Any]:
    """Return the facts about a run that a maintainer needs before signing."""
    return {
        "run": run.run,
        "model": run.model,
        "lineage": run.lineage or "",
        "base_model": run.base_model or "",
        "right": f"{run.right}/{run.n}",
        "artefact": run.artefact,
        "weights": run.weights_digest,
    }


def _table(runs: Sequence[RunFact]) -> str:
    """Return the qualifying runs, one a line, with the first digits of both digests."""
    table = [["run", "model", "lineage", "base model", "right", "artefact", "weights"]]
    for run in runs:
        *facts, artefact, weights = _row(run).values()
        cells = [value or "-" for value in facts]
        digests = [digest[:12] or "unknown" for digest in (artefact, weights)]
        table.append([*cells, *digests])
    return columns(table)


def _warnings(runs: Sequence[RunFact]) -> list[str]:
    """Return the pairs of qualifying models that are, or may be, the same weights."""
    warnings = []
    for run, other in copies(runs):
        if run.artefact and run.artefact == other.artefact:
            reason = "their files are identical"
        elif run.weights and other.weights:
            reason = "their tensors overlap"
        else:
            reason = "the tensors of one are unknown"
        warnings.append(f"warning: {run.model} and {other.model} count as one: {reason}")
    return warnings


def _verdict(manifest: Manifest, evidence: Evidence, now: datetime) -> Verdict:
    if manifest.rule is None:
        raise error(Code.RULE_INVALID, f"{manifest.name} has no rule")
    verdict = decide(manifest.rule, evidence, now=now)
    if not verdict.met:
        raise error(Code.RULE_NOT_MET, in_words(manifest.rule))
    return verdict


def release_command(args: argparse.Namespace) -> int:
    """Check everything, journal the opening, and only then write."""
    manifest = _manifest(args.set)
    evidence = _evidence(args.evidence)
    now = datetime.now(UTC)
    signed = _statement(args.statement)
    keys = load_keys(args.keys)
    check_statement(signed, manifest, evidence)
    voters = check_votes(signed, manifest)
    if signed.statement.evaluator != keys.identity():
        raise error(
            Code.EVIDENCE_DIFFERS,
            f"the statement names {signed.statement.evaluator.name} to open the set",
        )
    moment = _past(signed.statement.moment, now)
    _verdict(manifest, evidence, moment)
    notices = formats.read_notices(args.set, manifest)
    head = formats.read_head(args.set)
    manifest.verify_note(head)
    check_key(args.set, keys)
    journal = Journal(args.home / "journal.jsonl", keys.name, keys.report)
    store = CompletionStore(args.home / "completions", keys.completions)
    log = journal.entries()
    gone = retired(manifest, notices)
    _check_closings(log, store, manifest, evidence, gone)
    files = _public_files(signed, manifest, evidence, head, args.licence_file)
    if notices:
        files["notices.jsonl"] = bundle.json_lines(notice.to_dict() for notice in notices)
    folders = {manifest.name: args.set}
    vault = Vault(keys, folders.get, journal, Recipients())
    with bundle.draft_folder(args.out) as draft:
        opened = vault.open_all(manifest.name, statement=statement_digest(signed.statement))
        # The items lie where the committed seed deals them.
        items = [item for _, item in opened.items]
        dealt = deal(items, opened.seed, opened.manifest.blocks)
        if dealt != list(range(opened.manifest.n)):
            raise error(Code.SEAL_BROKEN, "the items lie where the seed does not deal them")
        files |= _opened_files(opened, journal, keys, store, evidence)
        bundle.write_bundle(draft, files, keys.report)
    runs = sum(name.startswith("completions/") for name in files)
    facts = {
        "set": manifest.name,
        "root": manifest.root,
        "n": manifest.n,
        "signed_by": list(voters),
        "runs": runs,
    }
    return show(args, facts | {"out": str(args.out)})


def _past(moment: Moment, now: datetime) -> datetime:
    """Return the moment of a statement.

    Raises ``statement_unreadable`` for one from the future, ``rule_invalid``.
    """
    if moment_of(moment) > now:
        raise error(Code.STATEMENT_UNREADABLE, "it is from the future")
    return moment_of(moment)


def _check_closings(
    log: Sequence[LogLine],
    store: CompletionStore,
    manifest: Manifest,
    evidence: Evidence,
    gone: Collection[int],
) -> None:
    """Compare the evidence with every closing of this log about its runs: weights and counts.

    Of a run that other evaluators took part in, fewer than its n items are here; as many are the
    very same. Raises ``evidence_differs``, and ``seal_broken`` where the stored answers are not
    those that a closing commits to.
    """
    facts = {fact.run: fact for fact in evidence.runs}
    last: dict[str, Closing] = {}
    for line in log:
        if not isinstance(line, Closing):
            continue
        if (line.set, line.root) != (manifest.name, manifest.root):
            continue
        if line.run in facts:
            if entry_hash(line) not in facts[line.run].closings:
                raise error(Code.EVIDENCE_DIFFERS, f"it lacks a closing of run {line.run}")
            last[line.run] = line
    for run, closing in last.items():
        fact = facts[run]
        if (closing.artefact, closing.weights) != (fact.artefact, fact.weights_digest):
            raise error(Code.EVIDENCE_DIFFERS, f"run {run} was of other weights")
        closed = store.closed(run, manifest.name)
        if closing_root(closed) != closing.outcomes:
            raise error(Code.SEAL_BROKEN, f"the completions of run {run}")
        active = [item.outcome for item in closed if item.index not in gone]
        _check_counts(active, fact)


def _check_counts(active: Sequence[Outcome], fact: RunFact) -> None:
    right = active.count(Outcome.RIGHT)
    too_many = len(active) > fact.n
    differs = len(active) == fact.n and right != fact.right
    if too_many or differs:
        raise error(Code.EVIDENCE_DIFFERS, f"it counts run {fact.run} otherwise")


def _public_files(
    signed: SignedStatement,
    manifest: Manifest,
    evidence: Evidence,
    head: str,
    licence: Path | None,
) -> dict[str, bytes]:
    text = f"{manifest.licence}\n".encode()
    if licence:
        try:
            text = licence.read_bytes()
        except OSError:
            raise error(Code.OUT_UNWRITABLE, f"{licence} cannot be read") from None
    return {
        "statement.json": formats.to_line(signed),
        "manifest.json": formats.to_line(manifest),
        "evidence.json": formats.to_line(evidence),
        "head.txt": head.encode(),
        "LICENSE.txt": text,
        "README.md": bundle.README.format(**manifest.to_dict()).encode(),
    }


def _opened_files(
    opened: OpenedSet,
    journal: Journal,
    keys: Keys,
    store: CompletionStore,
    evidence: Evidence,
) -> dict[str, bytes]:
    log = journal.entries()[: opened.journal.index + 1]
    name = opened.manifest.name
    root = opened.manifest.root
    closed = set()
    for line in log:
        if not isinstance(line, Closing):
            continue
        if (line.set, line.root) == (name, root):
            closed.add(line.run)
    runs = sorted(closed & {fact.run for fact in evidence.runs})
    files = {
        "seed.json": canonical_json({"seed": opened.seed.hex()}) + b"\n",
        "items.jsonl": bundle.item_lines(opened.items),
        "log.jsonl": bundle.json_lines(line.to_dict() for line in log),
        "log.head.txt": bundle.log_head(keys.name, log, keys.report).encode(),
    }
    for run in runs:
        released = store.released(run, name)
        files[f"completions/{run}.jsonl"] = bundle.completion_lines(released)
    return files


def _manifest(path: Path) -> Manifest:
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and path.name != formats.MANIFEST:
        raise error(Code.UNKNOWN_SET, str(path))
    return formats.read_manifest(folder)


def _evidence(path: Path) -> Evidence:
    try:
        return read_evidence(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        raise error(Code.EVIDENCE_UNREADABLE, str(path)) from None


def _statement(path: Path) -> SignedStatement:
    try:
        signed = formats.from_line(SignedStatement, path.read_bytes())
    except OSError:
        signed = None
    if signed is None:
        raise error(Code.STATEMENT_UNREADABLE, str(path))
    return signed
