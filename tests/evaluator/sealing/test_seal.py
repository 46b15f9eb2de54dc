"""Sealing and opening are inverse; what is public commits to the items and says nothing of them."""

import hmac
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item, item_record, set_digest
from evaluator.ledger.manifests import Identity
from evaluator.sealing import formats
from evaluator.sealing.allocation import Shares
from evaluator.sealing.open import open_item, open_secret, open_set_key
from evaluator.sealing.seal import SealedSet, seal_secret, seal_set, write_set
from tests.evaluator.sealing.conftest import CREATED, ITEMS, SEED, SHOTS, Host, dealt
from tests.leaks.canaries import plant
from tests.leaks.scanner import Scanner

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip)


def opened(sealed: SealedSet, host: Host) -> list[Item]:
    key = open_set_key(sealed.wraps[0], sealed.manifest, host.keys.host, host.keys.name)
    return [open_item(key, sealed.manifest, item) for item in sealed.items]


def seal(host: Host, items: list[Item], **options: Any) -> SealedSet:
    fixed = {"seed": SEED, "shares": Shares(cell=1), **options}
    return seal_set(items, name="twin", hosts=[host.identity], created=CREATED, **fixed)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(TEXT, st.integers(-999, 999)), min_size=1, max_size=9))
def test_any_items_round_trip(host: Host, texts: list[tuple[str, int]]) -> None:
    items = [Item(question, f"so\n#### {gold}", str(gold)) for question, gold in texts]
    whole = Shares()
    assert tuple(opened(seal(host, items), host)) == dealt(items, whole)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(secret=TEXT, use=TEXT, other=TEXT)
def test_a_secret_opens_for_its_use_only(host: Host, secret: str, use: str, other: str) -> None:
    sealed = seal_secret(host.identity.host_pub, secret, bound_to=use)
    assert open_secret(host.keys.host, sealed, bound_to=use) == secret
    if other != use:
        with pytest.raises(EvaluatorError) as caught:
            open_secret(host.keys.host, sealed, bound_to=other)
        assert caught.value.code is Code.BAD_MESSAGE


def test_a_secret_opens_at_its_host_only(host: Host, make_host: Callable[[str], Host]) -> None:
    sealed = seal_secret(host.identity.host_pub, "sk-1")
    assert open_secret(host.keys.host, sealed) == "sk-1"
    for wrong in (sealed[:-4], "", "!", sealed + "AAAA", "A" * len(sealed)):
        with pytest.raises(EvaluatorError):
            open_secret(host.keys.host, wrong)
    with pytest.raises(EvaluatorError):
        open_secret(make_host("host-b").keys.host, sealed)


@pytest.mark.parametrize("public", ["", "zz", "00" * 31, "00" * 32])
def test_sealing_to_what_is_no_key_is_refused(public: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        seal_secret(public, "sk-1")
    assert caught.value.code is Code.KEY_UNREADABLE


def test_the_leaf_is_as_published(host: Host) -> None:
    """SHA256(0x00 ‖ domain ‖ salt ‖ canonical JSON), computed here without the package."""
    made = seal(host, list(ITEMS))
    for index, (leaf, item) in enumerate(
        zip(made.manifest.leaves, dealt(ITEMS, Shares()), strict=True)
    ):
        info = b'{"domain":"holdfast/salt/v1","index":%d,"set":"twin"}' % index
        salt = hmac.digest(SEED, info + b"\x01", "sha256")  # HKDF-Expand of one block, RFC 5869
        text = json.dumps(
            item_record(item), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert leaf == sha256(b"\x00holdfast/item/v1\n" + salt + text.encode()).hexdigest()


def test_a_seed_fixes_the_root_and_nothing_else(host: Host) -> None:
    first, again = (seal(host, list(ITEMS), seed=b"s" * 32) for _ in range(2))
    of_the_key = {"key_check": "", "ciphertexts": None, "sealed_seed": None}
    assert replace(first.manifest, **of_the_key) == replace(again.manifest, **of_the_key)
    assert seal(host, list(ITEMS), seed=b"t" * 32).manifest.root != first.manifest.root
    assert (
        seal(host, list(ITEMS), seed=None).manifest.root
        != seal(host, list(ITEMS), seed=None).manifest.root
    )
    assert seal(host, list(ITEMS)[::-1]).manifest.root == seal(host, list(ITEMS)).manifest.root
    assert len({item.ciphertext for item in first.items + again.items}) == 2 * len(ITEMS)
    assert len({item.nonce for item in first.items + again.items}) == 2 * len(ITEMS)
    assert len(set(first.manifest.leaves)) == len(ITEMS)


def test_equal_items_have_different_leaves(host: Host) -> None:
    twice = seal(host, [ITEMS[0], ITEMS[0]], seed=b"s" * 32)
    assert len(set(twice.manifest.leaves)) == 2


def test_the_folder(host: Host, set_folder: Path) -> None:
    manifest = formats.read_manifest(set_folder)
    assert (manifest.name, manifest.n, manifest.created) == ("twin", 6, "2026-01-02T03:04:05Z")
    assert manifest.shots and (manifest.shots.n, manifest.shots.digest) == (4, set_digest(SHOTS))
    names = {str(path.relative_to(set_folder)) for path in set_folder.rglob("*") if path.is_file()}
    assert names == {
        "manifest.json",
        "items.sealed",
        "seed.sealed",
        "shots.jsonl",
        "wraps/host-a.json",
    }
    assert stat.S_IMODE(set_folder.stat().st_mode) == 0o755
    assert host.opened(set_folder) == list(ITEMS)


def test_nothing_of_the_items_is_in_the_folder(set_folder: Path) -> None:
    planted = plant(6, seed=1)
    scanner = Scanner(planted.canaries)
    assert scanner.scan_tree(set_folder) == []
    assert scanner.surfaces == 5 and not scanner.unopened
    (set_folder / "control").write_bytes(planted.jsonl())
    assert {hit.canary for hit in scanner.scan_tree(set_folder)} == set(planted.canaries)


def test_nothing_is_overwritten_or_left_behind(host: Host, set_folder: Path) -> None:
    before = {path: path.read_bytes() for path in set_folder.rglob("*") if path.is_file()}
    with pytest.raises(EvaluatorError) as caught:
        write_set(seal(host, list(ITEMS)), set_folder)
    assert caught.value.code is Code.OUT_UNWRITABLE
    assert {path: path.read_bytes() for path in set_folder.rglob("*") if path.is_file()} == before
    assert list(set_folder.parent.iterdir()) == [set_folder]


def test_a_full_disk_leaves_nothing(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EvaluatorError):
        write_set(seal(host, list(ITEMS)), tmp_path / "sets" / "twin")
    assert list((tmp_path / "sets").iterdir()) == []


def test_times_are_written_in_utc(host: Host) -> None:
    abroad = datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    whole = Shares(cell=1)
    assert (
        seal_set(ITEMS, name="twin", hosts=[], created=abroad, shares=whole).manifest.created
        == "2026-01-02T03:04:05Z"
    )
    assert CREATED.tzinfo is UTC


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"items": []}, Code.SET_EMPTY),
        ({"name": "../twin"}, Code.BAD_MESSAGE),
        ({"name": ""}, Code.BAD_MESSAGE),
        ({"shots": [Item(f" {ITEMS[4].question}\n", "#### 1", "1")]}, Code.SET_DUPLICATE_QUESTION),
        (
            {"hosts": [Identity(name="h", host_pub="00" * 32, report_pub="00" * 32)]},
            Code.KEY_UNREADABLE,
        ),
    ],
)
def test_what_cannot_be_sealed(options: dict[str, object], code: Code) -> None:
    usual: dict[str, object] = {
        "items": ITEMS,
        "name": "twin",
        "hosts": [],
        "created": CREATED,
        "shares": Shares(cell=1),
    }
    usual.update(options)
    with pytest.raises(EvaluatorError) as caught:
        seal_set(usual.pop("items"), **usual)  # type: ignore[arg-type]
    assert caught.value.code is code
    assert "CNRY" not in str(caught.value)


@pytest.mark.timeout(120)
def test_ten_thousand_items(host: Host) -> None:
    items = [Item(f"question {number}", str(number), str(number)) for number in range(10_000)]
    sealed = seal(host, items)
    sealed.manifest.verify()
    assert set(opened(sealed, host)) == set(items)


def test_every_file_is_canonical(set_folder: Path) -> None:
    for name in ("manifest.json", "items.sealed", "seed.sealed", "wraps/host-a.json"):
        for line in (set_folder / name).read_bytes().splitlines(keepends=True):
            assert canonical_json(json.loads(line)) + b"\n" == line
