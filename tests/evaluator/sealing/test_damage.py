"""Damage of every file of a set's folder is found without a key, with exit 2; and by an evaluator that is running.

D12 of the faults, and finding 5 of the issue: ``verify`` accepted damaged ciphertexts and a damaged seed.
"""

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from evaluator.cli import main
from evaluator.contract import Drill
from evaluator.errors import Code, EvaluatorError, Fault
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Party
from evaluator.ledger.notes import cosign
from evaluator.ledger.notices import notice_hash, sign_notice
from evaluator.sealing import checking, formats
from evaluator.sealing.formats import SealedSeed
from evaluator.sealing.keys import generate_party_keys
from evaluator.sealing.seal import Covenant, SealedSet, seal_set, wrap_key, write_set
from tests.evaluator.sealing.conftest import ALL, CREATED, ITEMS, RUN, SEED, SHOTS, Host
from tests.leaks.canaries import plant
from tests.leaks.scanner import Scanner

SCANNER = Scanner([*plant(6, seed=1).canaries])
KEY = bytes(range(32, 64))


def known_key(size: int) -> bytes:
    """Randomness of which the first 32 bytes are the set's key, so that a test can seal by an older form."""
    return KEY if size == len(KEY) else os.urandom(size)


def as_version_2(sealed: SealedSet, hosts: list[Host]) -> SealedSet:
    """The set as it was sealed before manifests committed to their files."""
    about = {"version": 2, "kind": None, "ciphertexts": None, "sealed_seed": None}
    manifest = msgspec.structs.replace(sealed.manifest, **about)
    nonce = os.urandom(12)
    raw = AESGCM(KEY).encrypt(nonce, SEED, formats.seed_context_of(manifest))
    seed = SealedSeed(nonce=nonce.hex(), ciphertext=formats.to_base64(raw))
    wraps = tuple(wrap_key(KEY, manifest, host.identity) for host in hosts)
    return SealedSet(manifest, sealed.items, seed, wraps, sealed.shots, sealed.head)


@pytest.fixture
def hosts(make_host: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch) -> list[Host]:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return [make_host("host-a"), make_host("host-b")]


@pytest.fixture
def folder(hosts: list[Host], tmp_path: Path) -> Path:
    """A set with every file that a set can have: two wraps, shots, a cosigned head and two notices."""
    return full_set(tmp_path / "twin", hosts)


def full_set(folder: Path, hosts: list[Host]) -> Path:
    ada, wanda = signatures.generate(), signatures.generate()
    parties = [
        Party(name=name, public=signatures.public_hex(key))
        for name, key in (("ada", ada), ("wanda", wanda))
    ]
    covenant = Covenant(
        maintainers=(parties[0],), quorum=1, witnesses=(parties[1],), signer=("ada", ada)
    )
    identities = [host.identity for host in hosts]
    sealed = seal_set(
        ITEMS, name="twin", hosts=identities, shots=SHOTS, created=CREATED, seed=SEED, shares=ALL, covenant=covenant,
    )  # fmt: skip
    write_set(sealed, folder)
    note = cosign(sealed.head, name="wanda", private_key=wanda, moment=CREATED)
    (folder / formats.HEAD).write_text(note, encoding="utf-8")
    previous, lines = GENESIS, []
    for index, item in enumerate((2, 5)):
        about = {"set": "twin", "root": sealed.manifest.root, "index": index, "previous": previous}
        said = {"kind": "erratum", "item": item, "reason": "wrong_gold", "maintainer": "ada"}
        made = sign_notice(ada, moment="2026-02-01T00:00:00Z", **about, **said)
        previous = notice_hash(made)
        lines.append(formats.to_line(made))
    (folder / formats.NOTICES).write_bytes(b"".join(lines))
    assert verify(folder) == 0
    return folder


def verify(folder: Path, *options: object) -> int:
    """The exit code of the command, which shows nothing of an item."""
    return answer(folder, *options)[0]


def answer(folder: Path, *options: object) -> tuple[int, dict[str, Any]]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["verify", str(folder), *map(str, options), "--json"])
    assert (
        SCANNER.scan_bytes((out.getvalue() + err.getvalue()).encode()) == []
        and "Traceback" not in err.getvalue()
    )
    return code, json.loads(out.getvalue().splitlines()[-1])


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """Another content for as long as the block lasts, under the same times: nothing but the bytes says so."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    yield
    path.write_bytes(before)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def accepted(folder: Path, flips: int) -> list[tuple[str, int]]:
    """The flips that are not refused, of so many that are spread evenly over the files."""
    source, found = random.Random(12), []
    files = files_of(folder)
    for number in range(flips):
        path = files[number % len(files)]
        content = path.read_bytes()
        bit = source.randrange(8 * len(content))
        with changed(path, flipped(content, bit)):
            if is_accepted(folder) or (number % 20 == 0 and verify(folder) != 2):
                found.append((path.name, bit))
    return found


def is_accepted(folder: Path) -> bool:
    """Whether the check behind ``verify`` finds nothing; what it raises is the command's exit code 2."""
    try:
        checking.check_folder(folder)
    except EvaluatorError:
        return False
    return True


@pytest.mark.slow
def test_fault_d12_a_thousand_random_flips_over_all_files_are_refused(folder: Path) -> None:
    names = {path.relative_to(folder).as_posix() for path in files_of(folder)}
    wraps = {"wraps/host-a.json", "wraps/host-b.json"}
    assert names == {
        *wraps,
        "manifest.json",
        "items.sealed",
        "seed.sealed",
        "shots.jsonl",
        "head.txt",
        "notices.jsonl",
    }
    assert accepted(folder, 1000) == []
    assert verify(folder) == 0, "it was the flips that were refused"


@pytest.mark.parametrize(
    ("guard", "damaged"),
    [
        ("ciphertext_root", "items.sealed"),
        ("_belongs", "host-a.json"),
        ("read_seed", "seed.sealed"),
    ],
)
def test_the_flips_are_accepted_where_a_commitment_is_not_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, guard: str, damaged: str
) -> None:
    known = formats.read_manifest(folder)
    blind = {"ciphertext_root": known.ciphertexts, "_belongs": True, "read_seed": None}[guard]
    monkeypatch.setattr(formats, guard, lambda *_: blind)
    assert damaged in {name for name, _ in accepted(folder, 160)}


def test_every_file_cut_anywhere_or_with_something_appended(folder: Path) -> None:
    """A cut at the end of a whole line leaves of head and notices what the folder held before: see the module."""
    source = random.Random(5)
    for path in files_of(folder):
        content = path.read_bytes()
        older = {len(content) - len(rest) for rest in content.split(b"\n")} | {
            at + 1 for at in range(len(content)) if content[at : at + 1] == b"\n"
        }
        cuts = {
            0,
            1,
            len(content) // 2,
            len(content) - 1,
            *(source.randrange(len(content)) for _ in range(20)),
        }
        for cut in cuts - (older - {0} if path.name in (formats.HEAD, formats.NOTICES) else set()):
            with changed(path, content[:cut]):
                assert verify(folder) == 2, f"{path.name} cut at {cut}"
        for more in (b"\n", b" ", b"\0", content[-40:], content):
            with changed(path, content + more):
                assert verify(folder) == 2, f"{path.name} with {more[:10]!r}"


def test_every_file_in_the_place_of_every_other(folder: Path) -> None:
    contents = {path: path.read_bytes() for path in files_of(folder)}
    for path in contents:
        for other, content in contents.items():
            if other != path:
                with changed(path, content):
                    assert verify(folder) == 2, f"{other.name} as {path.name}"


def test_every_file_of_another_set_of_the_same_items_name_and_seed(
    folder: Path, hosts: list[Host]
) -> None:
    other = full_set(folder.parent / "other" / "twin", hosts)
    for path in files_of(folder):
        content = (other / path.relative_to(folder)).read_bytes()
        if path.name != formats.SHOTS:  # public, and the same
            with changed(path, content):
                assert verify(folder) == 2, path.name


def test_missing_and_extra_files_links_and_folders(folder: Path) -> None:
    for path in files_of(folder):
        if path.parent.name == formats.WRAPS or path.name == formats.NOTICES:
            continue  # one wrap may go, and a set without notices is what it was before the first
        moved = path.rename(folder.parent / "moved")
        assert verify(folder) == 2, f"without {path.name}"
        path.symlink_to(moved)
        assert verify(folder) == 2, f"{path.name} is a link"
        path.unlink()
        moved.rename(path)
    for name in (
        "README.md",
        ".DS_Store",
        "items.sealed.orig",
        "wraps/host-c.json.draft",
        "wraps/NOT A NAME.json",
    ):
        (folder / name).write_bytes(b"x")
        assert verify(folder) == 2, name
        (folder / name).unlink()
    (folder / "more").mkdir()
    assert verify(folder) == 2
    (folder / "more").rmdir()
    shutil.rmtree(folder / formats.WRAPS)
    assert verify(folder) == 2


def test_a_set_of_version_2_is_checked_as_far_as_it_can_be_and_verify_says_what_is_not(
    hosts: list[Host], tmp_path: Path
) -> None:
    about: dict[str, Any] = {
        "hosts": [host.identity for host in hosts],
        "created": CREATED,
        "seed": SEED,
    }
    sealed = seal_set(ITEMS, name="twin", shots=SHOTS, shares=ALL, randomness=known_key, **about)
    folder = tmp_path / "twin"
    write_set(as_version_2(sealed, hosts), folder)
    code, facts = answer(folder)
    assert (code, facts["version"], facts["uncovered"]) == (0, 2, ["ciphertexts", "seed", "wraps"])
    assert hosts[0].opened(folder) == [*ITEMS], "and it is used as before"
    content = (folder / formats.ITEMS).read_bytes()
    at = content.index(b'"ciphertext":"') + 20
    with changed(
        folder / formats.ITEMS,
        content[:at] + (b"A" if content[at : at + 1] != b"A" else b"B") + content[at + 1 :],
    ):
        assert verify(folder) == 0, "which is why there is a version 3"
        keys = ("--keys", hosts[0].folder / "keys", "--all", "--home", hosts[0].folder)
        code, facts = answer(folder, *keys)
        assert (code, facts["error"]) == (2, "seal_broken"), "a drill finds it"
    write_set(sealed, tmp_path / "new")
    assert answer(tmp_path / "new")[1]["uncovered"] == []


# --- a drill


def test_a_drill_decrypts_all_and_is_on_the_log_before(
    folder: Path, hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = hosts[0]
    home = folder.parent / "home"
    home.mkdir()
    opened: list[int] = []
    real = Host.vault.__globals__["Vault"]._key

    def seen(self: Any, loaded: Any) -> Any:
        opened.append((home / "journal.jsonl").read_bytes().count(b'"kind":"drill"'))
        return real(self, loaded)

    monkeypatch.setattr("evaluator.sealing.vault.Vault._key", seen)
    code, facts = answer(folder, "--keys", host.folder / "keys", "--all", "--home", home)
    assert (code, facts["opens_for"], facts["opened"], facts["line"]) == (0, "host-a", 6, 0)
    [line] = [json.loads(one) for one in (home / "journal.jsonl").read_bytes().splitlines()]
    drill = Drill.from_dict(line)
    assert (drill.set, drill.count, drill.evaluator) == ("twin", 6, "host-a")
    assert SCANNER.scan_bytes((home / "journal.jsonl").read_bytes()) == []


def test_a_drill_that_fails_is_on_the_log_too_and_one_without_keys_or_home_is_refused(
    folder: Path, hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, keys = folder.parent / "home", hosts[0].folder / "keys"
    home.mkdir()
    monkeypatch.setattr("evaluator.sealing.vault.open_item", lambda *_: (_ for _ in ()).throw(
        EvaluatorError(Code.SEAL_BROKEN, "item 3 of twin")
    ))  # fmt: skip
    assert answer(folder, "--keys", keys, "--all", "--home", home)[1]["error"] == "seal_broken"
    assert (home / "journal.jsonl").read_bytes().count(b'"kind":"drill"') == 1
    for options in (("--all",), ("--all", "--keys", keys), ("--all", "--home", home)):
        assert answer(folder, *options)[1]["error"] == "misconfigured"


# --- a running evaluator


def refused_with(work: Callable[[], object]) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        work()
    assert caught.value.fault is Fault.OURS
    return caught.value.code


@pytest.mark.parametrize("name", [formats.MANIFEST, formats.ITEMS, formats.SEED, formats.SHOTS])
def test_a_running_evaluator_sees_a_flipped_bit_before_the_next_run_is_shown_anything(
    folder: Path, hosts: list[Host], name: str
) -> None:
    journal = hosts[0].folder / "journal.jsonl"
    journal.unlink(missing_ok=True)
    vault = hosts[0].vault(folder)
    others = ["12345678-1234-1234-1234-12345678901" + digit for digit in "3456"]
    assert vault.reveal("twin", [0], to="jail", run=RUN, token=1).items == [ITEMS[0]]
    content = (folder / name).read_bytes()
    with changed(folder / name, flipped(content, 8 * (len(content) // 2))):
        lines = journal.read_bytes()
        assert refused_with(lambda: vault.facts("twin")) is Code.SEAL_BROKEN
        assert (
            refused_with(lambda: vault.reveal("twin", [0], to="jail", run=others[0], token=1))
            is Code.SEAL_BROKEN
        )
        assert (
            refused_with(lambda: vault.reveal("twin", [1], to="jail", run=RUN, token=2))
            is Code.SEAL_BROKEN
        )
        assert refused_with(lambda: vault.open_all("twin", statement="ab" * 32)) is Code.SEAL_BROKEN
        assert refused_with(lambda: vault.drill("twin")) is Code.SEAL_BROKEN
        assert journal.read_bytes() == lines, "nothing was shown, and nothing said to be"
    assert vault.reveal("twin", [0], to="jail", run=others[1], token=1).items == [ITEMS[0]], (
        "once it is restored"
    )


def test_it_is_not_seen_where_the_files_are_not_compared(
    folder: Path, hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.sealing.vault._digests", lambda folder: ())
    vault = hosts[0].vault(folder)
    vault.reveal("twin", [0], to="jail", run=RUN, token=1)
    content = (folder / formats.ITEMS).read_bytes()
    with changed(folder / formats.ITEMS, flipped(content, 80)):
        assert vault.facts("twin").manifest.n == 6


def test_another_set_in_the_folder_between_two_reveals(folder: Path, hosts: list[Host]) -> None:
    """A run is planned over one set; another one in its place is refused, not shown."""
    other = full_set(folder.parent / "other" / "twin", hosts)
    vault = hosts[0].vault(folder)
    assert vault.facts("twin").manifest == checking.read_contents(folder).manifest
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    assert (
        refused_with(lambda: vault.reveal("twin", [0], to="jail", run=RUN, token=1))
        is Code.SEAL_BROKEN
    )
    vault.facts("twin")
    assert vault.reveal("twin", [0], to="jail", run=RUN, token=2).items == [ITEMS[0]], (
        "a new run plans over it"
    )


def test_party_keys_are_no_keys_of_a_set(folder: Path, tmp_path: Path) -> None:
    generate_party_keys(tmp_path / "party", name="ada")
    assert answer(folder, "--keys", tmp_path / "party")[0] == 2
