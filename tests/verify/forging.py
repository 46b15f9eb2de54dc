"""A dishonest evaluator at work on a bundle: it signs anew whatever its own keys can sign, and more where a test lends
it maintainers' keys. Also the verifier with one of its checks taken out, which then has to be deceived."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from evaluator.contract import canonical_json
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.notes import TreeHead, sign_head
from evaluator.ledger.releases import SignedStatement, statement_digest, vote
from evaluator.ledger.rules import Evidence, evidence_digest
from evaluator.ledger.tree import leaf_hash, root
from tests.verify.releases import World, load_verifier

Rows = list[dict[str, Any]]


def read_bundle(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_bundle(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def to_lines(rows: Sequence[object]) -> bytes:
    return b"".join(canonical_json(row) + b"\n" for row in rows)


def sign_contents(files: dict[str, bytes], world: World) -> dict[str, bytes]:
    """The files under a list of contents that is made and signed anew."""
    rest = {name: data for name, data in files.items() if not name.startswith("contents.")}
    contents = (
        canonical_json({name: hashlib.sha256(data).hexdigest() for name, data in rest.items()})
        + b"\n"
    )
    signature = signatures.sign(world.evaluator.report, b"holdfast/contents/v1\n" + contents)
    return {**rest, "contents.json": contents, "contents.sig": f"{signature}\n".encode()}


@dataclass
class Forger:
    """Edits a bundle's files. ``voters`` are the maintainers who sign what they should not, or were deceived."""

    world: World
    files: dict[str, bytes]
    voters: tuple[str, ...] = ("ada", "ben", "cleo")
    closings: dict[str, str] = field(default_factory=dict)

    def lines(self, name: str, edit: Callable[[Rows], object]) -> None:
        """Change the values of a file of lines in place."""
        rows = [msgspec.json.decode(line) for line in self.files[name].splitlines()]
        edit(rows)
        self.files[name] = to_lines(rows)

    def value(self, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
        """Change the value of a file in place."""
        value = msgspec.json.decode(self.files[name])
        edit(value)
        self.files[name] = canonical_json(value) + b"\n"

    def log(self, edit: Callable[[Rows], object], *, chain: bool = True) -> None:
        """Change the log and sign its head anew, and its lines too where they are chained anew.

        ``closings`` then tells the old hash of each closing and its new one.
        """
        key, before, hashes = self.world.evaluator.report, self.files["log.jsonl"].splitlines(), []
        self.lines("log.jsonl", edit)
        rows, previous = (
            [msgspec.json.decode(line) for line in self.files["log.jsonl"].splitlines()],
            GENESIS,
        )
        for place, row in enumerate(rows):
            if chain:
                body = {**row, "index": place, "previous": previous}
                del body["signature"]
                row.update(
                    body,
                    signature=signatures.sign(key, b"holdfast/log/v2\n" + canonical_json(body)),
                )
            previous = leaf_hash(canonical_json(row)).hex()
            hashes.append(bytes.fromhex(previous))
        old = {
            _about(row): leaf_hash(line).hex()
            for line in before
            for row in [msgspec.json.decode(line)]
        }
        self.closings = {
            old[_about(row)]: one.hex()
            for row, one in zip(rows, hashes, strict=True)
            if row["kind"] == "closing"
        }
        self.files["log.jsonl"] = to_lines(rows)
        head = TreeHead("holdfast/log/host-a", len(rows), root(hashes))
        self.files["log.head.txt"] = sign_head(head, name="host-a", private_key=key).encode()

    def evidence(self, edit: Callable[[dict[str, Any]], object]) -> None:
        """Change the evidence, have it voted for, and open the set under that statement."""
        self.value("evidence.json", edit)
        self.statement()

    def statement(self, **changes: object) -> None:
        """A statement over the evidence as it is now, with these changes, signed by the voters and opened under."""
        evidence = Evidence.from_dict(msgspec.json.decode(self.files["evidence.json"]))
        old = SignedStatement.from_dict(msgspec.json.decode(self.files["statement.json"])).statement
        new = msgspec.structs.replace(old, **{"evidence": evidence_digest(evidence), **changes})
        signed = SignedStatement(statement=new)
        for name in self.voters:
            signed = vote(signed, maintainer=name, private_key=self.world.signer(name))
        self.files["statement.json"] = canonical_json(signed.to_dict()) + b"\n"
        self.log(lambda rows: rows[-1].update(statement=statement_digest(new)))

    def rename_closings(self, evidence: dict[str, Any]) -> None:
        """The evidence names the closings as the forged log has them."""
        for run in evidence["runs"]:
            run["closings"] = [self.closings.get(one, one) for one in run["closings"]]

    def bundle(self, folder: Path) -> Path:
        """The files on disk, their list of contents signed anew."""
        return write_bundle(folder, sign_contents(self.files, self.world))


def _about(row: dict[str, Any]) -> tuple[object, ...]:
    return (row["kind"], row.get("run"), row.get("token"))


def blind(reason: str) -> ModuleType:
    """The verifier without the checks whose reason matches."""
    module = load_verifier()
    need = module.need

    def lenient(holds: object, code: str, **details: object) -> None:
        if not re.search(reason, module.FINDINGS[code].format(**details)):
            need(holds, code, **details)

    module.need = lenient  # type: ignore[attr-defined]
    return module


def verdict(module: ModuleType, folder: Path) -> str:
    """Why a bundle is refused; empty where it is accepted."""
    try:
        module.verify(folder)
    except (module.Refused, *module.MALFORMED) as refused:
        return str(refused) or type(refused).__name__
    return ""
