"""Signed tree heads as text: C2SP signed notes, tlog checkpoints and cosignatures.

Sources: the C2SP documents ``signed-note``, ``tlog-checkpoint`` and ``tlog-cosignature``.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.errors import Code, error
from evaluator.ledger import signatures

_MAX = 4000
_ED25519 = b"\x01"
_COSIGNATURE = b"\x04"
_LINE = re.compile(r"\N{EM DASH} ([^\s+]{1,200}) ([A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True)
class TreeHead:
    """Size and root (32 bytes) of the log or set ``origin``, and further lines that are signed."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def body(self) -> str:
        """Return the text that is signed: each line with its end of line."""
        root = base64.b64encode(self.root).decode("ascii")
        lines = (self.origin, str(self.size), root, *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class NoteSignature:
    """Signature line: the signer's name, the four-byte id of the key, and the data behind it."""

    name: str
    key_id: bytes
    data: bytes


@dataclass(frozen=True)
class OpenNote:
    """Parsed note, not yet verified. ``body`` is the very text that is signed."""

    head: TreeHead
    body: str
    signatures: tuple[NoteSignature, ...]


def key_id(name: str, public_hex: str, *, kind: bytes = _ED25519) -> bytes:
    """Return the first four bytes of SHA-256(name ‖ newline ‖ kind ‖ public key)."""
    public = bytes.fromhex(public_hex)
    named = name.encode() + b"\n" + kind + public
    return hashlib.sha256(named).digest()[:4]


def vkey(name: str, public_hex: str) -> str:
    """Return the verifier key, as a text to publish: ``name+id+key``."""
    raw = _ED25519 + bytes.fromhex(public_hex)
    key = base64.b64encode(raw).decode("ascii")
    known = key_id(name, public_hex).hex()
    return f"{name}+{known}+{key}"


def sign_head(head: TreeHead, *, name: str, private_key: Ed25519PrivateKey) -> str:
    """Return the note over a head with one signature, by the signer of the log or set."""
    body = head.body()
    signature = private_key.sign(body.encode())
    signature_line = _line(name, private_key, _ED25519, signature)
    return f"{body}\n{signature_line}"


def cosign(
    note: str,
    *,
    name: str,
    private_key: Ed25519PrivateKey,
    moment: datetime,
) -> str:
    """Return the note with a witness's cosignature of this moment (whole seconds) added.

    Raises ``head_invalid`` for a note that cannot be read.
    """
    seen = int(moment.timestamp())
    message = _cosigned_bytes(open_note(note).body, seen)
    signature = private_key.sign(message)
    timed_signature = seen.to_bytes(8) + signature
    return note + _line(name, private_key, _COSIGNATURE, timed_signature)


def open_note(note: str) -> OpenNote:
    """Parse a note. Raises ``head_invalid`` for any form but the one that the documents allow."""
    text, separator, below = note.rpartition("\n\n")
    if len(note) > _MAX or not separator or not below.endswith("\n"):
        raise error(Code.HEAD_INVALID, "its form")
    body = text + "\n"
    lines: list[NoteSignature] = []
    for line in below[:-1].split("\n"):
        match = _LINE.fullmatch(line)
        raw = _decode(match[2]) if match else b""
        if not match or len(raw) < 5:
            raise error(Code.HEAD_INVALID, "a signature line")
        signature = NoteSignature(
            name=match[1],
            key_id=raw[:4],
            data=raw[4:],
        )
        lines.append(signature)
    return OpenNote(
        head=_read_body(body),
        body=body,
        signatures=tuple(lines),
    )


def verify_head(
    note: str,
    *,
    name: str,
    public_hex: str,
    origin: str,
) -> TreeHead:
    """Return the head of a note, signed by ``name`` for ``origin``. Raises ``head_invalid``."""
    opened = open_note(note)
    if opened.head.origin != origin:
        raise error(Code.HEAD_INVALID, "its origin")
    known = (name, key_id(name, public_hex))
    lines = [line for line in opened.signatures if (line.name, line.key_id) == known]
    message = opened.body.encode()
    if not lines:
        raise error(Code.HEAD_INVALID, f"its signature by {name}")
    for line in lines:
        if not signatures.verify(public_hex, message, line.data.hex()):
            raise error(Code.HEAD_INVALID, f"its signature by {name}")
    return opened.head


def cosigned_by(
    note: str,
    witnesses: Mapping[str, str],
) -> dict[str, int]:
    """Return the moment of each cosignature by one of the witnesses (name → public key).

    Moments are by the witness's own clock, in seconds since 1970. Raises ``head_invalid`` if a line
    with a witness's name does not verify. Lines with other names are ignored.
    """
    opened = open_note(note)
    moments: dict[str, int] = {}
    for line in opened.signatures:
        public = witnesses.get(line.name)
        if public is None:
            continue
        moment = int.from_bytes(line.data[:8])
        message = _cosigned_bytes(opened.body, moment)
        signature = line.data[8:].hex()
        known = line.key_id == key_id(line.name, public, kind=_COSIGNATURE)
        if not (known and signatures.verify(public, message, signature)):
            raise error(Code.HEAD_INVALID, f"its cosignature by {line.name}")
        moments[line.name] = moment
    return moments


def equivocate(first: TreeHead, second: TreeHead) -> bool:
    """Return True if two heads of one log contradict each other: the same size and another root."""
    same_log = first.origin == second.origin
    same_size = first.size == second.size
    return same_log and same_size and first.root != second.root


def _line(
    name: str,
    private_key: Ed25519PrivateKey,
    kind: bytes,
    data: bytes,
) -> str:
    public_hex = signatures.public_hex(private_key)
    known = key_id(name, public_hex, kind=kind)
    encoded = base64.b64encode(known + data).decode("ascii")
    return f"\N{EM DASH} {name} {encoded}\n"


def _cosigned_bytes(body: str, moment: int) -> bytes:
    return f"cosignature/v1\ntime {moment}\n{body}".encode()


def _read_body(body: str) -> TreeHead:
    lines = body.split("\n")[:-1]
    if len(lines) < 3:
        raise error(Code.HEAD_INVALID, "its lines")
    for line in lines:
        if line == "" or not line.isprintable() or line != line.strip():
            raise error(Code.HEAD_INVALID, "its lines")
    origin, size, encoded_root, *extensions = lines
    root = _decode(encoded_root)
    is_size = re.fullmatch(r"0|[1-9][0-9]{0,18}", size)
    if not is_size or len(root) != 32:
        raise error(Code.HEAD_INVALID, "its size or root")
    return TreeHead(origin, int(size), root, tuple(extensions))


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    canonical = base64.b64encode(raw).decode("ascii")
    return raw if canonical == text else b""
