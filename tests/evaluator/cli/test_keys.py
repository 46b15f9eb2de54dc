"""keygen by role, cosign and enrol: what they write, what the journal says first, and what they refuse."""

import json
import shutil
from pathlib import Path

import pytest

from evaluator.contract import Enrolment
from evaluator.ledger.manifests import Identity, Party
from evaluator.sealing import formats
from evaluator.sealing.keys import generate_keys, generate_party_keys, load_keys, load_party_keys
from evaluator.sealing.vault import check_key
from tests.verify.releases import World, done, make_world, refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), people=("ada",), quorum=1)


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    return World(shutil.copytree(made.folder, tmp_path / "world"))


@pytest.mark.parametrize("role", ["maintainer", "witness"])
def test_keys_of_a_party(tmp_path: Path, role: str) -> None:
    shown = done("keygen", tmp_path / "keys", "--role", role)
    party, key = load_party_keys(tmp_path / "keys")
    assert party == Party.from_dict(shown) and party.name == f"{role}-1"
    private, public = tmp_path / "keys" / "sign.key", tmp_path / "keys" / "party.json"
    assert (private.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o400, 0o444)
    assert key.private_bytes_raw().hex() not in json.dumps(shown)
    assert refused("keygen", tmp_path / "keys", "--role", role) == "key_exists"
    assert load_party_keys(tmp_path / "keys")[0] == party


def test_keys_of_an_evaluator(tmp_path: Path) -> None:
    shown = done("keygen", tmp_path / "keys")
    keys = load_keys(tmp_path / "keys")
    assert keys.identity() == Identity.from_dict(shown) and keys.name == "evaluator-1"
    private = [path for path in (tmp_path / "keys").iterdir() if path.suffix == ".key"]
    assert [path.stat().st_mode & 0o777 for path in private] == [0o400] * 3
    assert not [path for path in private if path.read_text().strip() in json.dumps(shown)]
    assert refused("keygen", tmp_path / "other", "--name", "No Name") == "bad_message"


def test_a_party_whose_key_is_another(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate_party_keys(tmp_path / name, name=name)
    (tmp_path / "one" / "sign.key").unlink()
    shutil.copy(tmp_path / "two" / "sign.key", tmp_path / "one" / "sign.key")
    (tmp_path / "head.txt").write_text("no note\n")
    assert refused("cosign", tmp_path / "head.txt", "--keys", tmp_path / "one") == "key_unreadable"
    (tmp_path / "two" / "sign.key").chmod(0o440)
    assert refused("cosign", tmp_path / "head.txt", "--keys", tmp_path / "two") == "key_permissions"


def test_cosign_adds_a_line_once(world: World) -> None:
    head = world.set / "head.txt"
    before = head.read_text()
    assert world.manifest.verify_note(before).keys() == {"wit"}
    generate_party_keys(world.folder / "second", name="second")
    shown = done("cosign", head, "--keys", world.folder / "second")
    assert (shown["n"], shown["root"], shown["cosigned_by"]) == (20, world.manifest.root, "second")
    assert (
        head.read_text().startswith(before)
        and head.read_text().count("\n") == before.count("\n") + 1
    )
    after = head.read_text()
    assert refused("cosign", head, "--keys", world.folder / "second") == "head_invalid"
    assert refused("cosign", head, "--keys", world.keys("wit")) == "head_invalid"
    assert (
        refused("cosign", world.set / "manifest.json", "--keys", world.folder / "second")
        == "head_invalid"
    )
    assert (
        refused("cosign", world.set / "none", "--keys", world.folder / "second") == "head_invalid"
    )
    assert head.read_text() == after and not list(world.set.glob(".*"))


def enrol(world: World, identity: Path) -> tuple[object, ...]:
    return (
        "enrol",
        identity,
        "--set",
        world.set,
        "--keys",
        world.keys("host-a"),
        "--home",
        world.home,
    )


def test_enrol_journals_and_wraps(world: World) -> None:
    other = generate_keys(world.keys("host-b"), name="host-b")
    shown = done(*enrol(world, world.keys("host-b") / "identity.json"))
    journal = world.journal()
    line = journal.entries()[-1]
    assert isinstance(line, Enrolment) and (line.host, line.host_pub) == ("host-b", other.host_pub)
    assert (shown["line"], shown["hash"]) == (line.index, journal.head.hash)
    journal.close()
    check_key(world.set, load_keys(world.keys("host-b")))
    assert refused(*enrol(world, world.keys("host-b") / "identity.json")) == "key_exists"


def test_enrol_refuses_before_the_journal(world: World) -> None:
    generate_keys(world.keys("host-b"), name="host-b")
    before = (world.home / "journal.jsonl").read_bytes()
    with_other = (
        *enrol(world, world.identity)[:4],
        "--keys",
        world.keys("host-b"),
        "--home",
        world.home,
    )
    assert refused(*with_other) == "not_enrolled"
    assert refused(*enrol(world, world.identity)) == "key_exists"
    assert refused(*enrol(world, world.set / "manifest.json")) == "key_unreadable"
    assert (world.home / "journal.jsonl").read_bytes() == before
    assert [path.name for path in (world.set / formats.WRAPS).iterdir()] == ["host-a.json"]
