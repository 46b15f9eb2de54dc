"""Bundle of a release: a folder that third parties verify, written as a whole or not at all."""

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
CONTENTS = "contents.json"
SIGNATURE = "contents.sig"
_DOMAIN = b"holdfast/contents/v1\n"
_VERIFIER_SECONDS = 600.0

README = """# {name}, released

{n} items under the root `{root}`, as it was published before the first run.
Licence: {licence} (`LICENSE.txt`).

Verify the whole bundle, without trust in its source:

    python3 verify_release.py . --root ROOT

Take the root from your own copy, not from here.

- `items.jsonl`: every item with its salt, the spare ones too.
- `completions/`: what models answered.
- `log.jsonl`: the whole log of the evaluator.
- `statement.json`: the statement that its maintainers signed.
- `evidence.json`: the evidence for the release.
"""


def item_lines(items: Sequence[tuple[bytes, Item]]) -> bytes:
    """Return every item with its salt as JSON lines, in order of their indices."""
    return json_lines(
        {
            "index": index,
            "salt": salt.hex(),
            **item_record(item),
        }
        for index, (salt, item) in enumerate(items)
    )


def completion_lines(answers: Iterable[tuple[bytes, StoredCompletion]]) -> bytes:
    """Return a model's answers as JSON lines, item by item.

    A text is JSON in JSON, since it may hold half a surrogate pair.
    """
    return json_lines(
        {
            "index": answer.index,
            "outcome": int(answer.outcome),
            "salt": salt.hex(),
            "text": json.dumps(answer.text),
        }
        for salt, answer in answers
    )


def log_head(
    evaluator_name: str,
    log: Sequence[LogLine],
    key: Ed25519PrivateKey,
) -> str:
    """Return the signed head over exactly these lines, which are the log from its first."""
    tree = Tree(bytes.fromhex(entry_hash(line)) for line in log)
    head = TreeHead(origin(evaluator_name), len(tree), tree.root())
    return sign_head(head, name=evaluator_name, private_key=key)


def json_lines(rows: Iterable[object]) -> bytes:
    """Return canonical JSON lines."""
    return b"".join(canonical_json(row) + b"\n" for row in rows)


@contextmanager
def draft_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder that is renamed to ``out`` at the end, or removed if the body raises.

    Raises ``out_unwritable``, also if ``out`` exists.
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


def write_bundle(
    folder: Path,
    files: Mapping[str, bytes],
    key: Ed25519PrivateKey,
) -> None:
    """Write the files, the verifier and the signed list of all, then run the verifier.

    Raises ``out_unwritable``, ``bundle_broken``.
    """
    try:
        written = {**files, VERIFIER.name: VERIFIER.read_bytes()}
        digests = {}
        for name, data in written.items():
            digests[name] = hashlib.sha256(data).hexdigest()
        contents = canonical_json(digests) + b"\n"
        written[CONTENTS] = contents
        signature = signatures.sign(key, _DOMAIN + contents)
        written[SIGNATURE] = signature.encode("ascii") + b"\n"
        for name, data in written.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None
    check_bundle(folder)


def check_bundle(folder: Path, *options: str) -> None:
    """Run the verifier in its own process. Raises ``bundle_broken`` with its reason."""
    command = [
        sys.executable,
        "-I",
        str(VERIFIER),
        str(folder),
        *options,
    ]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_VERIFIER_SECONDS,
        check=False,
    )
    if result.returncode:
        reason = result.stderr.strip()
        raise error(Code.BUNDLE_BROKEN, reason[-200:])
