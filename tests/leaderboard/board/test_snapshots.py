"""What is ranked, in which order, and that equal counts give equal rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.contract import Outcome, OutcomeCounts
from leaderboard.board.snapshot import rank
from leaderboard.evidence.entries import Entry
from leaderboard.submissions.models import UNASSIGNED, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import drafted
from tests.leaderboard.sample import make_board, make_pair, make_run


def entry(model: str, public: int, private: int, *, n: int = 400, truncated: int = 0) -> Entry:
    def counts(right: int) -> OutcomeCounts:
        return OutcomeCounts(
            n=n, right=right, wrong=n - right - truncated, no_answer=0, truncated=truncated
        )

    return Entry(
        model, "Holdfast demo", "weights", f"run-of-{model}", counts(public), counts(private)
    )


entries = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=12).map(
    lambda pairs: [entry(f"m{i}", a, b, n=80) for i, (a, b) in enumerate(pairs)]
)


def test_rows_stand_by_private_score_and_equal_ones_by_name() -> None:
    rows = rank([entry("b", 10, 200), entry("c", 390, 300), entry("a", 300, 200)])
    assert [(row.model, row.rank) for row in rows] == [("c", 1), ("a", 2), ("b", 2)]


def test_a_row_holds_counts_gap_interval_and_word() -> None:
    (row,) = rank([entry("contaminated", 397, 262)])
    assert (row.public.right, row.public.n, row.private.right, row.private.n) == (
        397,
        400,
        262,
        400,
    )
    assert row.gap == pytest.approx(135 / 400)
    assert row.interval[0] == pytest.approx(0.2904, abs=5e-4)
    assert row.interval[0] < row.gap < row.interval[1]
    assert row.private.interval[0] < 262 / 400 < row.private.interval[1]
    assert (row.evidence, row.evidence.label, row.rank_range) == (
        "pending",
        "not decided yet",
        (1, 1),
    )


@given(entries)
def test_the_order_of_the_inputs_does_not_matter(board: list[Entry]) -> None:
    assert rank(board) == rank(board[::-1])


@given(entries)
def test_every_model_has_one_row_and_swapping_the_sets_turns_the_gap_round(
    board: list[Entry],
) -> None:
    rows = {row.model: row for row in rank(board)}
    turned = {
        row.model: row
        for row in rank(
            [Entry(e.model, e.organisation, e.access, e.run, e.private, e.public) for e in board]
        )
    }
    assert rows.keys() == {one.model for one in board}
    for model, row in rows.items():
        assert turned[model].gap == pytest.approx(-row.gap)
        assert turned[model].interval == pytest.approx((-row.interval[1], -row.interval[0]))


@pytest.mark.django_db
def test_models_are_told_apart_by_the_items_that_both_were_asked() -> None:
    """All that is right for one is right for the next as well, so that few items tell them apart: the intervals of
    the two scores overlap widely, and yet chance would not favour the same one a dozen times out of a dozen."""
    pair = make_pair()
    for model, right in (("best", 224), ("middle", 200), ("equal", 200)):
        make_run(pair, model, public=200, private=right)
    rows = {row.model: row for row in drafted(pair).rows}
    assert rows["best"].private.interval[0] < rows["middle"].private.interval[1]
    assert [rows[model].rank_range for model in ("best", "middle", "equal")] == [
        (1, 1),
        (2, 3),
        (2, 3),
    ]
    counts_only = rank(
        [
            entry(model, 200, right)
            for model, right in (("best", 224), ("middle", 200), ("equal", 200))
        ]
    )
    assert {row.rank_range for row in counts_only} == {(1, 3)}


@pytest.mark.django_db
def test_a_rank_lies_in_its_range_whatever_blocks_were_asked() -> None:
    pair = make_pair()
    for number in range(6):
        run = make_run(pair, f"m{number}", public=200, private=40 * number)
        if number % 2:
            row = run.outcomes.get(item_set=pair.private)
            row.packed, row.blocks = bytes([UNASSIGNED] * 200) + bytes(row.packed)[200:], [1]
            row.n, row.right = 200, bytes(row.packed).count(Outcome.RIGHT)
            row.wrong = 200 - row.right
            row.save()
    rows = drafted(pair).rows
    assert len(rows) == 6
    assert all(1 <= row.rank_range[0] <= row.rank <= row.rank_range[1] <= 6 for row in rows)
    assert drafted(pair).rows == rows


@pytest.mark.django_db
def test_only_complete_runs_are_ranked() -> None:
    pair = make_pair()
    make_board(pair)
    make_run(pair, "graded-with-a-hole", public=100, private=100, left_open=1)
    draft = drafted(pair)
    assert [row.model for row in draft.rows] == [
        "replay-strong", "demo-honest", "replay-cut", "demo-contaminated", "demo-small",
    ]  # fmt: skip
    assert {row.evidence for row in draft.rows} <= {"overfit", "no_evidence", "cannot_tell"}
    assert {row.model: row.access for row in draft.rows}["replay-cut"] == "endpoint"


@pytest.mark.django_db
def test_the_first_run_of_a_model_ranks_and_the_second_has_had_its_turn() -> None:
    pair = make_pair()
    first = make_run(pair, "again", public=100, private=100)
    make_run(pair, "again", public=300, private=299)
    make_run(pair, "again", state=RunState.RUNNING, left_open=400)
    draft = drafted(pair)
    assert [(row.model, row.private.right, row.run) for row in draft.rows] == [
        ("again", 100, str(first.pk))
    ]
    assert Run.objects.filter(state=RunState.RANKED).count() == 2


@pytest.mark.django_db
def test_other_pairs_do_not_mix() -> None:
    one, other = make_pair("one"), make_pair("other")
    make_run(one, "here", public=10, private=10)
    make_run(other, "there", public=10, private=10)
    assert [row.model for row in drafted(one).rows] == ["here"]


@pytest.mark.django_db
def test_the_hash_changes_with_any_count_and_with_nothing_else() -> None:
    pair = make_pair()
    make_run(pair, "one", public=10, private=10)
    before = drafted(pair).inputs_hash
    assert drafted(pair).inputs_hash == before
    make_run(pair, "one", public=10, private=11)
    assert drafted(pair).inputs_hash != before
