"""Every file of a sealed set, changed byte by byte: each of eight places is refused by every reader.

Nonces, ciphertexts, wraps and leaves are read when a run opens items (test_tampering.py); the seed when a set is
released; the head by ``verify`` and by the site; notices whenever anybody is shown anything.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Manifest, Party
from evaluator.ledger.notes import cosign
from evaluator.ledger.notices import notice_hash, sign_notice
from evaluator.sealing import formats
from evaluator.sealing.seal import Covenant, seal_set, write_set
from tests.evaluator.sealing.conftest import ALL, CREATED, ITEMS, RUN, SEED, SHOTS, Host


@dataclass
class StoredSet:
    """A set with a maintainer, a witness, a cosigned head and two notices."""

    folder: Path
    host: Host

    def manifest(self) -> Manifest:
        return formats.read_manifest(self.folder)

    def facts(self) -> tuple[object, ...]:
        """All that a reader takes from the set: what is shown, released, said and witnessed."""
        with closing(self.host.journal()) as journal:
            vault = self.host.vault(self.folder, journal=journal)
            shown = vault.facts("twin")
            items = vault.reveal("twin", range(4), to="jail", run=RUN, token=1).items
            opened = vault.open_all("twin", statement="ab" * 32)
            allowed = vault.allowed("twin", to="jail")
        cosigned = shown.manifest.verify_note(formats.read_head(self.folder))
        return items, opened.seed, opened.items, shown.shots, allowed, cosigned

    def refusal(self) -> Code | None:
        """Why the set is refused; None where every fact is as it was."""
        (self.host.folder / "journal.jsonl").unlink(missing_ok=True)
        try:
            facts = self.facts()
        except EvaluatorError as refused:
            assert "CNRY" not in str(refused)
            return refused.code
        assert facts[:4] == (list(ITEMS[:4]), SEED, facts[2], SHOTS) and [
            item for _, item in facts[2]
        ] == [*ITEMS]  # type: ignore[attr-defined]
        return None if facts[4:] == ((0,), {"wanda": 1_767_323_045}) else Code.INTERNAL


@pytest.fixture
def stored(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredSet:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    ada, wanda = signatures.generate(), signatures.generate()
    parties = [
        Party(name=name, public=signatures.public_hex(key))
        for name, key in (("ada", ada), ("wanda", wanda))
    ]
    covenant = Covenant(
        maintainers=(parties[0],), quorum=1, witnesses=(parties[1],), signer=("ada", ada)
    )
    about = {
        "hosts": [host.identity],
        "created": CREATED,
        "seed": SEED,
        "shares": ALL,
        "covenant": covenant,
    }
    write_set(seal_set(ITEMS, name="twin", shots=SHOTS, **about), tmp_path / "twin")  # type: ignore[arg-type]
    found = StoredSet(tmp_path / "twin", host)
    note = cosign(formats.read_head(found.folder), name="wanda", private_key=wanda, moment=CREATED)
    (found.folder / formats.HEAD).write_text(note, encoding="utf-8")
    (found.folder / formats.NOTICES).write_bytes(b"".join(notices(found.manifest(), ada)))
    assert found.refusal() is None
    return found


def notices(manifest: Manifest, key: Ed25519PrivateKey) -> Iterator[bytes]:
    """Two errata, chained."""
    previous = GENESIS
    for index, item in enumerate((2, 5)):
        about = {"set": manifest.name, "root": manifest.root, "index": index, "previous": previous}
        one = sign_notice(
            key,
            **about,
            moment="2026-02-01T00:00:00Z",
            kind="erratum",
            item=item,
            reason="wrong_gold",
            maintainer="ada",
        )
        previous = notice_hash(one)
        yield formats.to_line(one)


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("seed.sealed", {Code.SEAL_BROKEN}),
        ("head.txt", {Code.HEAD_INVALID, Code.SEAL_BROKEN, Code.INTERNAL}),
        ("notices.jsonl", {Code.NOTICE_INVALID}),
    ],
)
def test_every_flipped_byte_is_found(stored: StoredSet, name: str, codes: set[Code]) -> None:
    """``internal`` stands for a head that is sound and no longer cosigned: a witness's line that names another."""
    file = stored.folder / name
    original = file.read_bytes()
    for place in range(len(original)):
        changed = bytearray(original)
        changed[place] ^= (0x01, 0x20, 0x80)[place % 3]
        file.write_bytes(changed)
        assert stored.refusal() in codes, f"byte {place} of {name}"
    file.write_bytes(original)
    assert stored.refusal() is None


def field(folder: Path, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Change a field of the first line of a file, keeping its canonical form: only cryptography can tell."""
    first, *rest = (folder / name).read_bytes().splitlines(keepends=True)
    record = json.loads(first)
    line = (
        json.dumps(record | change(record), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    assert line != first
    (folder / name).write_bytes(b"".join([line, *rest]))


def flipped(text: str) -> str:
    """Hexadecimal with one bit of its first byte turned."""
    return f"{int(text[:2], 16) ^ 1:02x}{text[2:]}"


def damaged(base64: str) -> str:
    raw = formats.from_base64(base64)
    assert raw
    return formats.to_base64(bytes([raw[0] ^ 1]) + raw[1:])


PLACES: dict[str, tuple[Callable[[Path], None], Code]] = {
    "nonce": (
        lambda folder: field(folder, "items.sealed", lambda one: {"nonce": flipped(one["nonce"])}),
        Code.SEAL_BROKEN,
    ),
    "ciphertext": (
        lambda folder: field(
            folder, "items.sealed", lambda one: {"ciphertext": damaged(one["ciphertext"])}
        ),
        Code.SEAL_BROKEN,
    ),
    "wrap": (
        lambda folder: field(
            folder, "wraps/host-a.json", lambda one: {"wrapped": damaged(one["wrapped"])}
        ),
        Code.NOT_ENROLLED,
    ),
    "leaf": (
        lambda folder: field(
            folder,
            "manifest.json",
            lambda one: {"leaves": [flipped(one["leaves"][0]), *one["leaves"][1:]]},  # type: ignore[dict-item]
        ),
        Code.SEAL_BROKEN,
    ),
    "seed": (
        lambda folder: field(
            folder, "seed.sealed", lambda one: {"ciphertext": damaged(one["ciphertext"])}
        ),
        Code.SEAL_BROKEN,
    ),
    "shots": (
        lambda folder: field(
            folder, "shots.jsonl", lambda one: {"question": one["question"] + "?"}
        ),
        Code.SEAL_BROKEN,
    ),
    "head": (
        lambda folder: (
            (folder / "head.txt").write_text(
                (folder / "head.txt").read_text().replace("\n6\n", "\n7\n")
            )
            and None
        ),
        Code.HEAD_INVALID,
    ),
    "notices": (
        lambda folder: field(folder, "notices.jsonl", lambda one: {"reason": "ambiguous"}),
        Code.NOTICE_INVALID,
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_change_that_keeps_the_form_is_found(stored: StoredSet, place: str) -> None:
    change, code = PLACES[place]
    change(stored.folder)
    assert stored.refusal() is code


def test_a_notice_that_is_dropped_or_moved_is_found(stored: StoredSet) -> None:
    file = stored.folder / formats.NOTICES
    first, second = file.read_bytes().splitlines(keepends=True)
    for content in (second, second + first, first + first, first + second[:-1]):
        file.write_bytes(content)
        assert stored.refusal() is Code.NOTICE_INVALID
    file.write_bytes(first)
    assert stored.refusal() is None, (
        "the last ones can be held back: the site's copy of them is what counts"
    )
