"""The funnel's stages, and a selection whose mix is the public set's or is refused."""

from collections import Counter
from pathlib import Path

import pytest
from scipy import stats

from evaluator.authoring.distributions import MEASURES
from evaluator.authoring.select import agrees, dropped, passed_audit, select, solved_alike, targets
from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item, load_items
from evaluator.sealing.allocation import cell
from tests.evaluator.authoring.problems import item, mixed

PUBLIC = mixed(200)


@pytest.mark.parametrize(
    ("solution", "agree"), [("18", True), (" 18.0 ", True), ("$18", True), ("18 apples", True)]
)
def test_a_second_solver_may_write_the_number_in_his_way(solution: str, agree: bool) -> None:
    assert agrees(Item("q", "#### 18", "18"), solution) is agree


@pytest.mark.parametrize(
    "solution", ["", " ", "17", "18 or 19", "eighteen", "-18", "1,8", "#### 17", "18\n#### 17"]
)
def test_anything_else_does_not_agree(solution: str) -> None:
    assert not agrees(Item("q", "#### 18", "18"), solution)


def test_who_solved_alike() -> None:
    items = dict(enumerate(mixed(4), start=1))
    solutions = {1: items[1].gold, 2: "999999", 3: items[3].gold + ".0"}
    assert solved_alike(items, solutions) == {1, 3}, "what was not solved does not pass"
    with pytest.raises(EvaluatorError) as caught:
        solved_alike(items, {5: "1"})
    assert caught.value.code is Code.SHEET_UNREADABLE


def test_what_the_audit_keeps() -> None:
    items = dict(enumerate(mixed(4), start=1))
    verdicts = {
        1: ("keep", ""),
        2: ("drop", "ambiguous"),
        3: ("drop", ""),
        4: ("drop", "ambiguous"),
    }
    assert passed_audit(items, verdicts) == {1}
    assert dropped(verdicts) == {"ambiguous": 2, "unsaid": 1}
    for bad in (
        {9: ("keep", "")},
        {1: ("", "")},
        {1: ("Keep", "")},
        {1: ("drop", "I did not like it")},
    ):
        with pytest.raises(EvaluatorError) as caught:
            passed_audit(items, bad)
        assert caught.value.code is Code.SHEET_UNREADABLE
        assert "like it" not in str(caught.value)


def test_a_selection_has_the_public_mix() -> None:
    """Out of three times as many, most of them far too hard, comes the public set's mix of both measures at once."""
    written = [*mixed(150, start=1000), *(item(2000 + k, steps=7, digits=4) for k in range(300))]
    chosen, mix = select(written, PUBLIC, 90, seed=3)
    assert chosen == sorted(set(chosen)) and len(chosen) == 90
    assert Counter(cell(written[place]) for place in chosen) == dict.fromkeys(
        {cell(one) for one in PUBLIC}, 6
    )
    assert [one.name for one in mix] == ["steps", "magnitude"] and min(one.p for one in mix) > 0.9
    unmatched = [MEASURES["steps"](one) for one in written]
    assert stats.ks_2samp(unmatched, [MEASURES["steps"](one) for one in PUBLIC]).pvalue < 1e-9


def test_the_draw_can_be_repeated_and_changed() -> None:
    written = mixed(150, start=1000)
    assert select(written, PUBLIC, 50, seed=1)[0] == select(written, PUBLIC, 50, seed=1)[0]
    assert select(written, PUBLIC, 50, seed=1)[0] != select(written, PUBLIC, 50, seed=2)[0]


def test_a_kind_that_is_missing_is_taken_from_its_neighbours() -> None:
    written = [one for one in mixed(150, start=1000) if cell(one) != (3, 2)]
    chosen, mix = select(written, PUBLIC, 90, seed=1)
    taken = Counter(cell(written[place]) for place in chosen)
    near = {(2, 2), (4, 2), (3, 1), (3, 3)}
    assert {kind for kind, count in taken.items() if count > 6} <= near
    assert not any(one.unlike for one in mix)


@pytest.mark.parametrize("n", [0, -1, 31])
def test_more_than_there_are_is_impossible(n: int) -> None:
    with pytest.raises(EvaluatorError) as caught:
        select(mixed(30), PUBLIC, n, seed=1)
    assert caught.value.code is Code.SELECTION_IMPOSSIBLE


@pytest.mark.parametrize("change", [{"steps": 8}, {"digits": 6}])
def test_items_of_one_kind_cannot_be_matched(change: dict[str, int]) -> None:
    written = [item(k, **change) for k in range(200)]
    with pytest.raises(EvaluatorError) as caught:
        select(written, PUBLIC, 100, seed=1)
    assert caught.value.code is Code.SELECTION_IMPOSSIBLE


@pytest.mark.parametrize("n", [1, 7, 15, 100, 333])
def test_briefs_ask_for_the_public_steps(n: int) -> None:
    wanted = targets(PUBLIC, n, seed=1)
    assert len(wanted) == n and set(wanted) <= {1, 2, 3, 4, 5}
    assert max(Counter(wanted).values()) <= n / 5 + 3
    assert n < 100 or wanted != sorted(wanted)


def test_an_empty_public_set_has_no_mix() -> None:
    with pytest.raises(EvaluatorError) as caught:
        targets((), 3, seed=1)
    assert caught.value.code is Code.SET_EMPTY


@pytest.mark.data
def test_a_twin_of_gsm8k_out_of_its_training_set(data_dir: Path) -> None:
    """1,205 of 7,473, drawn to match: by the code's own test and by scipy's exact one."""
    written = load_items(data_dir / "gsm8k" / "train.jsonl")
    public = load_items(data_dir / "gsm8k" / "test.jsonl")
    chosen, mix = select(written, public, 1205, seed=1)
    assert len(chosen) == 1205 and not any(one.unlike for one in mix)
    for name in ("steps", "magnitude"):
        sides = [
            [MEASURES[name](one) for one in side]
            for side in ([written[place] for place in chosen], public)
        ]
        assert stats.ks_2samp(*sides).pvalue > 0.9
