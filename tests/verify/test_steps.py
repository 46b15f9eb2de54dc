"""What no longer counts is the same for the evaluator, the site and both of the stranger's scripts."""

from typing import Any

import pytest
from hypothesis import given, settings

from evaluator.contract import canonical_json
from evaluator.ledger.notices import Notice, named, retired
from tests.evaluator.ledger.test_steps import NOTICES, SET, errata, said
from tests.verify.releases import load_verifier
from tests.verify.test_verify_log import VERIFIER as OF_LOGS
from tests.verify.test_verify_log import Stranger
from tests.verify.world import honest, sealed

OF_RELEASES = load_verifier()


@settings(max_examples=100, deadline=None)
@given(NOTICES)
def test_of_a_release(notices: list[Notice]) -> None:
    assert OF_RELEASES.retired(SET.to_dict(), list(map(set, named(SET, notices)))) == retired(
        SET, notices
    )


def test_the_usual_cell_is_a_hundred_where_a_manifest_says_nothing() -> None:
    usual = {name: value for name, value in SET.to_dict().items() if name != "cell"}
    assert OF_RELEASES.retired(usual, [{0, 1, 6, 7, 8}]) == set()
    assert OF_RELEASES.retired(usual, [set(range(27))]) == set(range(27))


def on_the_log(notices: list[Notice], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the watcher of the log makes of them, notice by notice; who signed them is looked at elsewhere."""
    monkeypatch.setattr(OF_LOGS, "signed", lambda *_: True)
    facts = {
        "private": {"digest": SET.root, "n": SET.n},
        "public": {"name": "p", "digest": "a" * 64, "n": 7},
    }
    facts |= {"season": 0, "head": "", "protocol": "demo-0shot", "grader": "numeric-1"}
    facts |= {"state": "sealed", "evidence": None, "release": None, "withdrawn": None}
    told = [{"hash": "0" * 64, "notice": one.to_dict()} for one in notices]
    files = {
        "sets/twin.json": facts | {"notices": told},
        "sets/twin.manifest.json": SET.to_dict() | {"terms": None},
    }
    files["sets/twin.manifest.json"] |= {"maintainers": [], "witnesses": [], "quorum": 0}
    visit = OF_LOGS.Visit(
        {name: canonical_json(value) + b"\n" for name, value in files.items()}, {}, 0.0
    )
    visit.check_set("twin")
    gone: list[int] = visit.sets["twin"].retired
    return gone


@settings(max_examples=60, deadline=None)
@given(NOTICES)
def test_of_the_log(notices: list[Notice]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = on_the_log(notices, patch)
    wanted = [
        sum(1 << item for item in retired(SET, notices[:size])) for size in range(len(notices) + 1)
    ]
    assert found == wanted


def test_a_compromise_is_everything_for_all() -> None:
    notices = [*errata(0), said("compromise")]
    assert OF_RELEASES.retired(SET.to_dict(), list(map(set, named(SET, notices)))) == set(range(27))
    with pytest.MonkeyPatch.context() as patch:
        assert on_the_log(notices, patch) == [0, 0, (1 << 27) - 1]


def test_an_honest_board_over_an_erratum_that_waits(tmp_path: Any, capsys: Any) -> None:
    """Under a cell of two the erratum of one item waits: rows are over all that was asked, and any other is found."""
    world = honest()
    world.sets["private"]["cell"] = 2
    for row, counts in zip(world.rows, ((15, 2, 1), (4, 1, 0), (8, 4, 0)), strict=True):
        right, wrong, no_answer = counts
        n = right + wrong + no_answer + row["private"]["truncated"]
        more = {
            "right": right,
            "wrong": wrong,
            "no_answer": no_answer,
            "n": n,
            "accuracy": right / n,
        }
        row["private"] |= more
    assert sealed(world.sets["private"]).cell == 2
    assert Stranger(tmp_path).visit(world.files(), capsys) == (0, set())
    world.row(1, "alpha", "T0", (14, 2, 1, 0))
    world.rows[0] = world.rows.pop()
    assert "form_differs" in Stranger(tmp_path / "other").visit(world.files(), capsys)[1]


@pytest.mark.parametrize(("left_out", "found"), [(1, set()), (2, {"form_not_exposed"})])
def test_an_item_that_counted_no_longer_need_not_have_been_granted(
    left_out: int, found: set[str], tmp_path: Any, capsys: Any
) -> None:
    """The world's erratum of item 1 counts at once, so a later run is not asked it; item 2 counts, and has to be."""
    world = honest()
    asked = [item for item in range(18) if item != left_out]
    world.grants[0]["sets"][1]["items"] = world.expose(1, asked)["items"]
    world.lines[3], world.lines[4] = world.expose(1, asked[:9]), world.expose(1, asked[9:])
    world.lines[6] = world.close(1, (14, 2, 1, 0, 0))
    assert Stranger(tmp_path).visit(world.files(), capsys)[1] == found
