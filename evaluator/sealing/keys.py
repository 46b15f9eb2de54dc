"""Keys: made once, never overwritten; private ones readable by their owner alone.

Folder of an evaluator:

- ``host.key``, ``host.pub``: X25519, for sets and secrets that are sealed to it.
- ``report.key``, ``report.pub``: Ed25519, signs reports and the journal.
- ``completions.key``: encrypts completions of sealed items.
- ``identity.json``: name and public keys, registered with the site.

Folder of a maintainer or witness:

- ``sign.key``, ``sign.pub``: Ed25519.
- ``party.json``: name and public key, named when a set is sealed.

Key files hold 32 bytes in hexadecimal.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from evaluator.errors import Code, error
from evaluator.ledger import signatures
from evaluator.ledger.manifests import Identity, Party
from evaluator.sealing.formats import IDENTITY, KEY_BYTES, PARTY, read_identity, read_party, to_line

_HOST_KEY = "host.key"
_REPORT_KEY = "report.key"
_COMPLETIONS_KEY = "completions.key"
_SIGN_KEY = "sign.key"


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Private keys of an evaluator; ``repr`` shows only its name."""

    name: str
    host: X25519PrivateKey
    report: Ed25519PrivateKey
    completions: bytes

    def __repr__(self) -> str:
        return f"Keys({self.name})"

    def identity(self) -> Identity:
        """Return the name and the public keys."""
        host_pub = self.host.public_key().public_bytes_raw().hex()
        return Identity(
            name=self.name,
            host_pub=host_pub,
            report_pub=signatures.public_hex(self.report),
        )


def generate_keys(folder: Path, *, name: str) -> Identity:
    """Create a new evaluator's keys in ``folder`` and return its public identity.

    Raises ``key_exists`` if any of the files is there already, ``out_unwritable``,
    ``bad_message`` for a name that does not fit.
    """
    keys = Keys(
        name=name,
        host=X25519PrivateKey.generate(),
        report=signatures.generate(),
        completions=os.urandom(KEY_BYTES),
    )
    identity = Identity.from_dict(keys.identity().to_dict())
    _write_folder(
        folder,
        private={
            _HOST_KEY: _hex_line(keys.host.private_bytes_raw()),
            _REPORT_KEY: _hex_line(keys.report.private_bytes_raw()),
            _COMPLETIONS_KEY: _hex_line(keys.completions),
        },
        public={
            "host.pub": _hex_line(bytes.fromhex(identity.host_pub)),
            "report.pub": _hex_line(bytes.fromhex(identity.report_pub)),
            IDENTITY: to_line(identity),
        },
    )
    return identity


def generate_party_keys(folder: Path, *, name: str) -> Party:
    """Create a maintainer's or witness's keys in ``folder``. Raises as :func:`generate_keys`."""
    key = signatures.generate()
    party = Party.from_dict({"name": name, "public": signatures.public_hex(key)})
    _write_folder(
        folder,
        private={_SIGN_KEY: _hex_line(key.private_bytes_raw())},
        public={
            "sign.pub": _hex_line(bytes.fromhex(party.public)),
            PARTY: to_line(party),
        },
    )
    return party


def load_party_keys(folder: Path) -> tuple[Party, Ed25519PrivateKey]:
    """Return a maintainer's or witness's name and signing key.

    Raises ``key_unreadable``, ``key_permissions``.
    """
    party = read_party(folder / PARTY)
    key = Ed25519PrivateKey.from_private_bytes(_read_private(folder / _SIGN_KEY))
    if signatures.public_hex(key) != party.public:
        raise error(Code.KEY_UNREADABLE, f"{folder}: the key is not that of {PARTY}")
    return party, key


def load_keys(folder: Path) -> Keys:
    """Return an evaluator's keys.

    Raises ``key_unreadable``, ``key_permissions``, with the name of the key file.
    """
    identity = read_identity(folder / IDENTITY)
    keys = Keys(
        name=identity.name,
        host=X25519PrivateKey.from_private_bytes(_read_private(folder / _HOST_KEY)),
        report=Ed25519PrivateKey.from_private_bytes(_read_private(folder / _REPORT_KEY)),
        completions=_read_private(folder / _COMPLETIONS_KEY),
    )
    if keys.identity() != identity:
        raise error(Code.KEY_UNREADABLE, f"{folder}: the keys are not those of {IDENTITY}")
    return keys


def _hex_line(raw: bytes) -> bytes:
    return raw.hex().encode("ascii") + b"\n"


def _write_folder(
    folder: Path,
    *,
    private: Mapping[str, bytes],
    public: Mapping[str, bytes],
) -> None:
    """Write new key files. Raises ``key_exists``, ``out_unwritable``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file_name in (*private, *public):
            path = folder / file_name
            if path.exists():
                raise error(Code.KEY_EXISTS, str(path))
        for file_name, content in private.items():
            _write_new(folder / file_name, content, 0o400)
        for file_name, content in public.items():
            _write_new(folder / file_name, content, 0o444)
    except FileExistsError:
        raise error(Code.KEY_EXISTS, str(folder)) from None
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(folder)) from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # independent of the umask
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _read_private(path: Path) -> bytes:
    """Return the bytes of a key that only its owner may read.

    Raises ``key_unreadable``, ``key_permissions``.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(1024)
    except OSError:
        raise error(Code.KEY_UNREADABLE, str(path)) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        del content
        raise error(Code.KEY_PERMISSIONS, str(path))
    try:
        raw = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES or _hex_line(raw) != content:
        del raw, content
        raise error(Code.KEY_UNREADABLE, str(path))
    return raw
