"""Writing the bundle of a release: a folder that holds all a stranger needs to check it, or nothing."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import evaluator
from evaluator.contract import LogLine, canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item, item_record
from evaluator.ledger import signatures
from evaluator.ledger.entries import entry_hash, origin
from evaluator.ledger.notes import TreeHead, sign_head
from evaluator.ledger.tree import Tree
from evaluator.sealing.completions import StoredCompletion

VERIFIER = Path(evaluator.__file__).parent.parent / "verify" / "verify_release.py"
CONTENTS, SIGNATURE = "contents.json", "contents.sig"
_DOMAIN = b"holdfast/contents/v1\n"
_SECONDS = 600.0

README = """# {name}, released

{n} items under the root `{root}`, as it was published before the first run. Licence: {licence} (`LICENSE.txt`).

Check all of it, without trusting whoever gave it to you:

    python3 verify_release.py . --root ROOT

with the root from where you kept it, not from here. `items.jsonl` holds every item with its salt, the spare ones too;
`completions/` what models answered; `log.jsonl` the evaluator's whole log; `statement.json` what its maintainers
signed; `evidence.json` on what grounds.
"""


def item_lines(items: Sequence[tuple[bytes, Item]]) -> bytes:
    """Every item with its salt, in order of their indices."""
    rows = (
        {"index": index, "salt": salt.hex(), **item_record(item)}
        for index, (salt, item) in enumerate(items)
    )
    return lines(rows)


def completion_lines(answers: Iterable[tuple[bytes, StoredCompletion]]) -> bytes:
    """What a model answered, item by item. A text is JSON in JSON: it may hold half a surrogate pair."""
    return lines(
        {
            "index": one.index,
            "outcome": int(one.outcome),
            "salt": salt.hex(),
            "text": json.dumps(one.text),
        }
        for salt, one in answers
    )


def log_head(evaluator_name: str, log: Sequence[LogLine], key: Ed25519PrivateKey) -> str:
    """The signed head over exactly these lines, which are a log from its first."""
    tree = Tree(bytes.fromhex(entry_hash(line)) for line in log)
    return sign_head(
        TreeHead(origin(evaluator_name), len(tree), tree.root()),
        name=evaluator_name,
        private_key=key,
    )


def lines(rows: Iterable[object]) -> bytes:
    """Canonical JSON lines."""
    return b"".join(canonical_json(row) + b"\n" for row in rows)


@contextmanager
def drafted(out: Path) -> Iterator[Path]:
    """A folder to write a bundle in, which becomes ``out`` at the end; where the body raises, nothing is left of it.

    Raises ``out_unwritable``, also where ``out`` exists.
    """
    if out.exists():
        raise error(Code.OUT_UNWRITABLE, str(out))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".release-", dir=out.parent))
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(out)) from None
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(out)
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(out)) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_bundle(folder: Path, files: Mapping[str, bytes], key: Ed25519PrivateKey) -> None:
    """Write the files with the verifier and their signed list, then check them as a stranger would.

    Raises ``out_unwritable``, ``bundle_broken``.
    """
    try:
        _write(folder, {**files, VERIFIER.name: VERIFIER.read_bytes()}, key)
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None
    check_bundle(folder)


def check_bundle(folder: Path, *options: str) -> None:
    """Run the stranger's verifier, in a process of its own. Raises ``bundle_broken`` with its reason."""
    command = [sys.executable, "-I", str(VERIFIER), str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise error(Code.BUNDLE_BROKEN, done.stderr.strip()[-200:])


def _write(folder: Path, files: Mapping[str, bytes], key: Ed25519PrivateKey) -> None:
    contents = (
        canonical_json({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        + b"\n"
    )
    signature = signatures.sign(key, _DOMAIN + contents)
    for name, data in {
        **files,
        CONTENTS: contents,
        SIGNATURE: signature.encode("ascii") + b"\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
