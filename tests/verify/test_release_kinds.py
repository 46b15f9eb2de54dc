"""Sets of every kind are sealed, released and verified; a bundle that says another kind is not."""

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.items import KINDS, parse_items
from tests.verify.forging import Forger, Rows, read_bundle, verdict
from tests.verify.releases import VERIFIER, World, done, items_of, load_verifier, make_world

OTHERS = tuple(kind for kind in KINDS if kind != "number")
FIELDS = {
    "expression": set(),
    "choice": {"choices"},
    "program": {"entry"},
    "tests": {"entry", "tests", "prelude"},
}
HONEST = load_verifier()


def released(folder: Path, kind: str) -> World:
    world = make_world(folder, kind=kind)
    statement = world.sign(world.folder / "statement.json", "ada", "ben", "cleo")
    done(*world.release(statement, world.folder / "bundle"))
    return world


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> World:
    return released(tmp_path_factory.mktemp("world"), "tests")


@pytest.mark.parametrize("kind", OTHERS)
def test_a_set_of_this_kind_from_the_seal_to_the_verified_bundle(kind: str, tmp_path: Path) -> None:
    world = released(tmp_path, kind)
    assert (world.manifest.version, world.manifest.kind) == (4, kind)
    facts = done("inspect", world.set)
    assert (facts["kind"], facts["version"], facts["uncovered"]) == (kind, 4, [])
    lines = (world.folder / "bundle" / "items.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    common = {"index", "salt", "kind", "question", "answer"}
    assert all(set(record) == common | FIELDS[kind] for record in records)
    opened = parse_items(line.encode() for line in lines)
    assert set(opened) == set(parse_items(items_of(kind)))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda rows: rows[5].update(tests="assert True"), "item_differs"),
        (lambda rows: rows[5].update(entry="g"), "item_differs"),
        (lambda rows: rows[5].pop("prelude"), "item_differs"),
        (lambda rows: rows[5].update(more="text"), "item_differs"),
        (lambda rows: rows[5].update(kind="program"), "kind_differs"),
        (lambda rows: rows[5].pop("kind"), "kind_differs"),
    ],
)
def test_a_changed_field_is_found(
    change: Callable[[Rows], object], finding: str, tested: World, tmp_path: Path
) -> None:
    forger = Forger(tested, read_bundle(tested.folder / "bundle"))
    forger.lines("items.jsonl", change)
    found = verdict(HONEST, forger.bundle(tmp_path))
    assert found == HONEST.FINDINGS[finding].format(index=5)


@pytest.mark.parametrize("kind", [None, "essay", "number"])
def test_the_manifest_is_held_to_its_kind(kind: str | None, tested: World) -> None:
    manifest = json.loads((tested.set / "manifest.json").read_bytes())
    changed = {**manifest, "kind": kind}
    if kind == "number":
        changed["version"] = 3
    with pytest.raises(HONEST.Refused):
        HONEST.check_manifest(changed)
    assert HONEST.check_manifest(manifest) == tested.manifest.digest()


def test_the_verifier_knows_every_kind() -> None:
    log = VERIFIER.with_name("verify_log.py").read_text()
    [line] = [line for line in log.splitlines() if line.startswith("KINDS = ")]
    assert set(KINDS) == HONEST.KINDS == ast.literal_eval(line.partition(" = ")[2])
