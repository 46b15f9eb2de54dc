"""No changed byte, swapped item or foreign file ever opens to something else: it is refused, with a code."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item
from evaluator.sealing.seal import seal_set, write_set
from tests.evaluator.sealing.conftest import ALL, CREATED, ITEMS, RUN, SHOTS, Host

REFUSALS = {Code.SEAL_BROKEN, Code.NOT_ENROLLED, Code.ALLOCATION_INVALID}


def refusal(host: Host, folder: Path) -> Code | None:
    """Why the set does not open; None where it opened to exactly what was sealed."""
    (host.folder / "journal.jsonl").unlink(missing_ok=True)  # a long one takes long to verify
    with closing(host.journal()) as journal:
        vault = host.vault(folder, journal=journal)
        try:
            facts = vault.facts("twin")
            items = vault.reveal("twin", range(facts.manifest.n), to="jail", run=RUN, token=1).items
        except EvaluatorError as refused:
            assert "CNRY" not in str(refused)
            return refused.code
    assert (items, facts.shots) == (list(ITEMS), SHOTS), "a changed file opened to something else"
    return None


@pytest.mark.parametrize("name", ["items.sealed", "manifest.json", "wraps/host-a.json"])
def test_every_flipped_byte_is_found(
    host: Host, set_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "os.fsync", lambda descriptor: None
    )  # thousands of openings; the order is tested elsewhere
    original = (set_folder / name).read_bytes()
    for place in range(len(original)):
        mask = (0x01, 0x20, 0x80)[place % 3]
        changed = bytearray(original)
        changed[place] ^= mask
        (set_folder / name).write_bytes(changed)
        assert refusal(host, set_folder) in REFUSALS, f"byte {place} of {name}"
    (set_folder / name).write_bytes(original)
    assert refusal(host, set_folder) is None


def test_a_flipped_byte_in_the_shots_changes_nothing_or_is_found(
    host: Host, set_folder: Path
) -> None:
    file = set_folder / "shots.jsonl"
    original = file.read_bytes()
    for place in range(0, len(original), 3):
        changed = bytearray(original)
        changed[place] ^= 0x01
        file.write_bytes(changed)
        assert refusal(host, set_folder) in {Code.SEAL_BROKEN, None}
    file.unlink()
    assert refusal(host, set_folder) is Code.SEAL_BROKEN


@pytest.mark.parametrize("size", [0, 1, 100, -1, -2, -100])
@pytest.mark.parametrize("name", ["items.sealed", "manifest.json", "wraps/host-a.json"])
def test_a_file_cut_short_is_found(host: Host, set_folder: Path, name: str, size: int) -> None:
    file = set_folder / name
    file.write_bytes(file.read_bytes()[:size])
    assert refusal(host, set_folder) in REFUSALS


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "items.sealed").read_bytes().splitlines(keepends=True)


def renumbered(line: bytes, index: int) -> bytes:
    record = {**json.loads(line), "index": index}
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_items_cannot_change_places(host: Host, set_folder: Path) -> None:
    first, second, *rest = lines_of(set_folder)
    for start in (
        [second, first],
        [renumbered(second, 0), renumbered(first, 1)],
        [first, renumbered(first, 1)],
        [first],
    ):
        (set_folder / "items.sealed").write_bytes(b"".join([*start, *rest]))
        assert refusal(host, set_folder) is Code.SEAL_BROKEN


def test_o05_another_set_under_the_name_is_refused(
    host: Host, set_folder: Path, tmp_path: Path
) -> None:
    """O05: the items of one set cannot stand under the root of another, even by a writer of the folder."""
    other = tmp_path / "other"
    items = [Item(f"{item.question}!", item.answer, item.gold) for item in ITEMS]
    write_set(
        seal_set(
            items, name="twin", hosts=[host.identity], shots=SHOTS, created=CREATED, shares=ALL
        ),
        other,
    )
    manifest, wrap = (
        (set_folder / "manifest.json").read_bytes(),
        (set_folder / "wraps/host-a.json").read_bytes(),
    )
    (set_folder / "items.sealed").write_bytes((other / "items.sealed").read_bytes())
    assert refusal(host, set_folder) is Code.SEAL_BROKEN
    (set_folder / "wraps/host-a.json").write_bytes((other / "wraps/host-a.json").read_bytes())
    assert refusal(host, set_folder) is Code.SEAL_BROKEN
    (set_folder / "wraps/host-a.json").write_bytes(wrap)
    (set_folder / "manifest.json").write_bytes((other / "manifest.json").read_bytes())
    assert refusal(host, set_folder) is Code.SEAL_BROKEN
    (set_folder / "seed.sealed").write_bytes((other / "seed.sealed").read_bytes())
    assert refusal(host, set_folder) is Code.NOT_ENROLLED
    assert manifest != (other / "manifest.json").read_bytes()


def test_a_set_under_another_name_is_refused(host: Host, set_folder: Path) -> None:
    with pytest.raises(EvaluatorError) as caught:
        host.vault(set_folder, name="triplet").facts("triplet")
    assert caught.value.code is Code.SEAL_BROKEN


def test_a_host_that_is_not_enrolled(
    host: Host, set_folder: Path, make_host: Callable[[str], Host]
) -> None:
    unenrolled = make_host("host-b")
    assert refusal(unenrolled, set_folder) is Code.NOT_ENROLLED
    wrap = (set_folder / "wraps/host-a.json").read_bytes()
    (set_folder / "wraps/host-b.json").write_bytes(wrap)
    assert refusal(unenrolled, set_folder) is Code.NOT_ENROLLED
    renamed = wrap.replace(b'"host":"host-a"', b'"host":"host-b"')
    renamed = renamed.replace(
        host.identity.host_pub.encode(), unenrolled.identity.host_pub.encode()
    )
    (set_folder / "wraps/host-b.json").write_bytes(renamed)
    assert refusal(unenrolled, set_folder) is Code.NOT_ENROLLED


def test_an_unknown_set(host: Host, set_folder: Path, tmp_path: Path) -> None:
    for vault, name in (
        (host.vault(set_folder), "nowhere"),
        (host.vault(tmp_path / "none"), "twin"),
    ):
        with pytest.raises(EvaluatorError) as caught:
            vault.facts(name)
        assert caught.value.code is Code.UNKNOWN_SET
