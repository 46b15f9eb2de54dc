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
    """The size and root (32 bytes) of a log or set, by its ``origin``, and lines of its own that it commits to."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def body(self) -> str:
        """What is signed: each line with its end of line."""
        lines = (
            self.origin,
            str(self.size),
            base64.b64encode(self.root).decode("ascii"),
            *self.extensions,
        )
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: whose, the key's four-byte id, and what follows it."""

    name: str
    key_id: bytes
    data: bytes


@dataclass(frozen=True)
class OpenNote:
    """A note taken apart, nothing of it verified yet. ``body`` is the very text that is signed."""

    head: TreeHead
    body: str
    signatures: tuple[NoteSignature, ...]


def key_id(name: str, public_hex: str, *, kind: bytes = _ED25519) -> bytes:
    """The first four bytes of SHA-256(name ‖ newline ‖ kind ‖ public key)."""
    return hashlib.sha256(name.encode() + b"\n" + kind + bytes.fromhex(public_hex)).digest()[:4]


def vkey(name: str, public_hex: str) -> str:
    """The verifier key, as a text to publish: ``name+id+key``."""
    key = base64.b64encode(_ED25519 + bytes.fromhex(public_hex)).decode("ascii")
    return f"{name}+{key_id(name, public_hex).hex()}+{key}"


def sign_head(head: TreeHead, *, name: str, private_key: Ed25519PrivateKey) -> str:
    """The note over a head with one signature, by the log's or set's own signer."""
    body = head.body()
    return f"{body}\n{_line(name, private_key, _ED25519, private_key.sign(body.encode()))}"


def cosign(note: str, *, name: str, private_key: Ed25519PrivateKey, moment: datetime) -> str:
    """The note with a witness's cosignature added: this head was seen at this moment (whole seconds).

    Raises ``head_invalid`` for a note that cannot be read.
    """
    seen = int(moment.timestamp())
    signature = private_key.sign(_cosigned_bytes(open_note(note).body, seen))
    return note + _line(name, private_key, _COSIGNATURE, seen.to_bytes(8) + signature)


def open_note(note: str) -> OpenNote:
    """Take a note apart. Raises ``head_invalid`` for any form but the one that the documents allow."""
    text, separator, below = note.rpartition("\n\n")
    if len(note) > _MAX or not separator or not below.endswith("\n"):
        raise error(Code.HEAD_INVALID, "its form")
    body = text + "\n"
    found = tuple(_read_line(line) for line in below[:-1].split("\n"))
    return OpenNote(head=_read_body(body), body=body, signatures=found)


def verify_head(note: str, *, name: str, public_hex: str, origin: str) -> TreeHead:
    """The head of a note that this signer signed for this origin. Raises ``head_invalid``."""
    opened = open_note(note)
    if opened.head.origin != origin:
        raise error(Code.HEAD_INVALID, "its origin")
    mine = key_id(name, public_hex)
    good = [
        signatures.verify(public_hex, opened.body.encode(), one.data.hex())
        for one in opened.signatures
        if (one.name, one.key_id) == (name, mine)
    ]
    if not good or not all(good):
        raise error(Code.HEAD_INVALID, f"its signature by {name}")
    return opened.head


def cosigned_by(note: str, witnesses: Mapping[str, str]) -> dict[str, int]:
    """Which of the witnesses (name → public key) cosigned, and when by their own clock, in seconds since 1970.

    Raises ``head_invalid`` where a line bears a witness's name and does not verify. Other names are passed over.
    """
    opened = open_note(note)
    seen = {}
    for one in opened.signatures:
        public = witnesses.get(one.name)
        if public is None:
            continue
        moment = int.from_bytes(one.data[:8])
        message = _cosigned_bytes(opened.body, moment)
        known = one.key_id == key_id(one.name, public, kind=_COSIGNATURE)
        if not (known and signatures.verify(public, message, one.data[8:].hex())):
            raise error(Code.HEAD_INVALID, f"its cosignature by {one.name}")
        seen[one.name] = moment
    return seen


def equivocate(one: TreeHead, other: TreeHead) -> bool:
    """Whether two heads of one log cannot both be true: the same size and another root."""
    return (one.origin, one.size) == (other.origin, other.size) and one.root != other.root


def _line(name: str, private_key: Ed25519PrivateKey, kind: bytes, data: bytes) -> str:
    known = key_id(name, signatures.public_hex(private_key), kind=kind)
    return f"\N{EM DASH} {name} {base64.b64encode(known + data).decode('ascii')}\n"


def _cosigned_bytes(body: str, moment: int) -> bytes:
    return f"cosignature/v1\ntime {moment}\n{body}".encode()


def _read_line(line: str) -> NoteSignature:
    match = _LINE.fullmatch(line)
    raw = _decode(match[2]) if match else b""
    if not match or len(raw) < 5:
        raise error(Code.HEAD_INVALID, "a signature line")
    return NoteSignature(match[1], raw[:4], raw[4:])


def _read_body(body: str) -> TreeHead:
    lines = body.split("\n")[:-1]
    if len(lines) < 3 or any(
        not line or not line.isprintable() or line != line.strip() for line in lines
    ):
        raise error(Code.HEAD_INVALID, "its lines")
    origin, size, root, *extensions = lines
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or len(raw := _decode(root)) != 32:
        raise error(Code.HEAD_INVALID, "its size or root")
    return TreeHead(origin, int(size), raw, tuple(extensions))


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return raw if base64.b64encode(raw).decode("ascii") == text else b""
