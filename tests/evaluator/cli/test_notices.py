"""notice: a signed line more in the set's folder, and nothing at all where it does not fit."""

import shutil
from pathlib import Path

import pytest

from evaluator.ledger.notices import retired, retired_blocks
from evaluator.sealing import formats
from tests.verify.releases import World, done, make_world, refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    return World(shutil.copytree(made.folder, tmp_path / "world"))


def notice(
    world: World, kind: str, reason: str, *more: object, by: str = "ada"
) -> tuple[object, ...]:
    return (
        "notice",
        world.set,
        "--kind",
        kind,
        "--reason",
        reason,
        "--keys",
        world.keys(by),
        *more,
    )


def test_one_after_the_other(world: World) -> None:
    """The first was made with the set, about item 3, which lies in block 1. A set's version counts its notices."""
    block = done(*notice(world, "retire_block", "spent", "--block", 1))
    assert (block["version"], block["active"], block["index"], block["maintainer"]) == (
        2,
        17,
        1,
        "ada",
    )
    assert block["wait"] == 0, "the set's smallest cell is one item"
    again = done(*notice(world, "erratum", "duplicate", "--item", 0, by="ben"))
    assert (again["version"], again["active"]) == (3, 16)
    known = formats.read_notices(world.set, world.manifest)
    assert [one.kind for one in known] == ["erratum", "retire_block", "erratum"]
    assert retired_blocks(world.manifest, known) == {1} and retired(world.manifest, known) == {
        0,
        3,
        4,
        5,
    }
    gone = done(*notice(world, "compromise", "leaked"))
    assert (gone["version"], gone["active"]) == (4, 0)


def test_what_is_refused_leaves_the_file_as_it_was(world: World) -> None:
    path = world.set / "notices.jsonl"
    before = path.read_bytes()
    assert (
        refused(*notice(world, "erratum", "wrong_gold", "--item", 1, by="mallory"))
        == "not_a_maintainer"
    )
    assert (
        refused(*notice(world, "erratum", "wrong_gold", "--item", 1, by="wit"))
        == "not_a_maintainer"
    )
    assert refused(*notice(world, "erratum", "wrong_gold", "--item", 20)) == "notice_invalid"
    assert refused(*notice(world, "erratum", "wrong_gold", "--item", -1)) == "bad_message"
    assert refused(*notice(world, "erratum", "wrong_gold")) == "notice_invalid"
    assert refused(*notice(world, "retire_block", "spent", "--block", 99)) == "notice_invalid"
    assert (
        refused(*notice(world, "retire_block", "spent", "--block", 1, "--item", 1))
        == "notice_invalid"
    )
    assert refused(*notice(world, "compromise", "leaked", "--block", 1)) == "notice_invalid"
    assert path.read_bytes() == before and not list(world.set.glob(".*"))
    path.write_bytes(before + before)
    assert refused(*notice(world, "compromise", "leaked")) == "notice_invalid"
    assert path.read_bytes() == before + before


def test_a_reason_is_one_of_a_list(world: World) -> None:
    with pytest.raises(SystemExit) as left:
        refused(*notice(world, "erratum", "the answer is 7", "--item", 1))
    assert left.value.code == 2
