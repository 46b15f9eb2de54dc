"""The manifest commits to the kind of a set; sets of before have numbers and stay what they were."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError
from evaluator.items import KINDS, parse_items
from evaluator.ledger.manifests import Manifest
from evaluator.sealing import formats
from evaluator.sealing.checking import check_folder
from evaluator.sealing.seal import SealedSet, seal_set, wrap_key, write_set
from tests.evaluator.sealing.conftest import ALL, CREATED, ITEMS, SEED, SHOTS, Host
from tests.evaluator.test_item_kinds import line

KEY = bytes(range(32, 64))


def known_key(size: int) -> bytes:
    return KEY if size == len(KEY) else os.urandom(size)


def seal(lines: list[bytes], host: Host, shots: list[bytes] = []) -> SealedSet:  # noqa: B006
    items = parse_items(lines)
    pool = parse_items(shots) if shots else ()
    hosts = [host.identity]
    return seal_set(
        items, name="twin", hosts=hosts, shots=pool, created=CREATED, seed=SEED, shares=ALL,
        randomness=known_key,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sealed_comes_back(kind: str, host: Host, tmp_path: Path) -> None:
    lines = [line(kind, question=f"Question {n}?\n") for n in range(3)]
    shots = [line(kind, question="A shot?\n")]
    write_set(seal(lines, host, shots), tmp_path / "twin")
    checked = check_folder(tmp_path / "twin")
    assert (checked.contents.manifest.version, checked.contents.manifest.kind) == (4, kind)
    assert checked.contents.shots == parse_items(shots)
    assert set(host.opened(tmp_path / "twin")) == set(parse_items(lines))
    secret = [b"A shot", b"assert f(1)", b"import math", b"down"]
    for path in (tmp_path / "twin").rglob("*"):
        if path.is_file() and path.name != formats.SHOTS:
            assert not any(text in path.read_bytes() for text in secret)


def test_items_and_shots_of_two_kinds_are_not_sealed(host: Host) -> None:
    with pytest.raises(EvaluatorError) as caught:
        seal([line("choice")], host, [line("number")])
    assert caught.value.code is Code.SET_MIXED_KINDS
    assert caught.value.detail == "shot 1: number among choice"
    mixed = (*parse_items([line("choice")]), *parse_items([line("number")]))
    with pytest.raises(EvaluatorError) as caught:
        seal_set(mixed, name="twin", hosts=[host.identity], created=CREATED, shares=ALL)
    assert caught.value.detail == "item 2: number among choice"


def test_an_item_of_another_kind_than_the_manifest_names_does_not_open(
    host: Host, tmp_path: Path
) -> None:
    sealed = seal([line("tests")], host)
    lying = msgspec.structs.replace(sealed.manifest, kind="program")
    wraps = (wrap_key(KEY, lying, host.identity),)
    write_set(SealedSet(lying, sealed.items, sealed.seed, wraps, ()), tmp_path / "twin")
    with pytest.raises(EvaluatorError) as caught:
        host.opened(tmp_path / "twin")
    assert caught.value.code is Code.SEAL_BROKEN


@pytest.mark.parametrize(
    "changes",
    [{"kind": None}, {"kind": "essay"}, {"version": 3}, {"version": 5}],
)
def test_a_manifest_is_held_to_its_kind(changes: dict[str, object], host: Host) -> None:
    data = {**seal([line("choice")], host).manifest.to_dict(), **changes}
    with pytest.raises(EvaluatorError) as caught:
        Manifest.from_dict(data).verify()
    assert caught.value.code in (Code.SEAL_BROKEN, Code.BAD_MESSAGE)


def test_a_set_of_version_3_is_verified_and_opened_byte_for_byte(
    host: Host, tmp_path: Path
) -> None:
    sealed = seal_set(
        ITEMS, name="twin", hosts=[host.identity], shots=SHOTS, created=CREATED, seed=SEED,
        shares=ALL, randomness=known_key,
    )  # fmt: skip
    manifest = msgspec.structs.replace(sealed.manifest, version=3, kind=None)
    wraps = (wrap_key(KEY, manifest, host.identity),)
    write_set(
        SealedSet(manifest, sealed.items, sealed.seed, wraps, sealed.shots), tmp_path / "twin"
    )
    content = (tmp_path / "twin" / "manifest.json").read_bytes()
    assert b'"kind"' not in content
    read = check_folder(tmp_path / "twin").contents.manifest
    assert canonical_json(read.to_dict()) + b"\n" == content
    assert read.item_kind() == "number"
    assert json.loads(content)["version"] == 3
    assert host.opened(tmp_path / "twin") == list(ITEMS)


def test_the_deal_of_numbers_is_what_it_was(make_host: Callable[[str], Host]) -> None:
    from evaluator.sealing.allocation import cell

    [item] = parse_items([b'{"question": "a", "answer": "<<1+1=2>> #### 1,234"}'])
    assert cell(item) == (1, 4)
    [item] = parse_items([line("tests")])
    assert cell(item) == (1, 1)
