"""A sort is a stored order and a filter a mask: they give what a look at every row would give."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.board.columns import BOARD_SORTS, HOTTEST, Columns, searched
from leaderboard.board.forms import BOARD_SORT_CHOICES, PAGE_ROWS, BoardQuery
from leaderboard.board.rows import Row, Score
from leaderboard.evidence.summaries import Likelihoods, Likely
from leaderboard.evidence.vocabulary import LABELS

NAMES = st.sampled_from(["", "Llama", "llama-2", "Qwen", "Été", "ß Labor", "a\u0130b", "x" * 30])
DAYS = st.sampled_from(["", "2025-12-31", "2026-01-01", "2026-02-03"])


def score(right: int, n: int = 100) -> Score:
    side = {"wrong": n - right, "no_answer": 0, "truncated": 0}
    return Score(
        right=right, n=n, accuracy=right / n, interval=(right / n - 0.01, right / n + 0.01), **side
    )


def row(number: int, **changes: Any) -> Row:
    fields: dict[str, Any] = {
        "model": f"Model-{number}", "organisation": "Lab", "access": "weights", "run": str(number), "rank": number + 1,
        "rank_range": (1, 9), "public_rank": 1, "private": score(50), "public": score(60), "gap": 0.1,
        "interval": (0.0, 0.2), "worst": (0.0, 0.2), "smallest_visible_gap": 0.05, "evidence": "watch",
    }  # fmt: skip
    return Row(**fields | changes)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Row, ...]:
    rows = []
    for number in range(draw(st.integers(0, 12))):
        gap = draw(st.sampled_from([-0.1, 0.0, 0.05, 0.2]))
        rows.append(
            row(
                number,
                model=draw(st.sampled_from(["Alpha", "beta", "Alpha.2", "GAMMA"])) + f"-{number}",
                organisation=draw(NAMES.filter(bool)),
                family=draw(NAMES),
                access=draw(st.sampled_from(["weights", "endpoint"])),
                protocol=draw(st.sampled_from(["one", "two"])),
                evidence=draw(st.sampled_from(list(LABELS))),
                parameters=draw(
                    st.sampled_from([None, 1, 500_000_000, 7_000_000_000, 70_000_000_000])
                ),
                ended=draw(DAYS),
                tries=draw(st.integers(1, 3)),
                public_rank=draw(st.integers(1, 4)),
                gap=gap,
                interval=(gap - 0.1, gap + 0.1),
            )
        )
    return tuple(rows)


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "q": st.sampled_from(["a", "alpha", "ÉTÉ", "lab", "b qwen", "ß", "2", "zz", "-1", "\n", "i̇"]),
        "family": NAMES, "organisation": NAMES, "access": st.sampled_from(["weights", "endpoint", "none"]),
        "protocol": st.sampled_from(["one", "two", "three"]), "evidence": st.sampled_from([*LABELS, "none"]),
        "min": st.sampled_from(["0.5", "7", "x"]), "max": st.sampled_from(["0.5", "7.0", "100"]), "since": DAYS,
        "sort": st.sampled_from([*BOARD_SORTS, "none"]), "page": st.sampled_from(["1", "2", "0", "-1", "99"]),
    },
)  # fmt: skip


def read(choices: dict[str, str]) -> BoardQuery:
    data = QueryDict(mutable=True)
    data.update(choices)
    return BoardQuery.from_dict(data)


def plainly(query: BoardQuery, ranking: Sequence[Row]) -> list[Row]:
    """The same by a look at every row."""
    found = [one for one in ranking if wanted(query, one)]
    return found if query.sort == "private" else sorted(found, key=BOARD_SORTS[query.sort][1])


def wanted(query: BoardQuery, one: Row) -> bool:
    size = one.parameters / 1e9 if one.parameters else None
    same = all(
        getattr(query, name) in ("", getattr(one, name))
        for name in ("family", "organisation", "access", "protocol", "evidence")
    )
    return (
        same
        and query.q.lower() in searched(one)
        and (query.smallest is None or (size is not None and size >= query.smallest))
        and (query.largest is None or (size is not None and size <= query.largest))
        and one.ended >= query.since
    )


@settings(max_examples=300)
@given(ranking=rankings(), choices=QUERIES)
def test_positions_are_those_of_a_plain_filter_and_sort(
    ranking: tuple[Row, ...], choices: dict[str, str]
) -> None:
    columns, query = Columns.unpack(Columns.of(ranking).pack()), read(choices)
    assert [ranking[at] for at in query.positions(columns).tolist()] == plainly(query, ranking)


@given(choices=QUERIES)
def test_an_address_leads_to_the_same_choices_and_equal_choices_have_one(
    choices: dict[str, str],
) -> None:
    query = read(choices)
    again = BoardQuery.from_dict(QueryDict(query.address()))
    assert again == query and again.address() == query.address()


def test_what_the_address_leaves_open_is_not_in_it() -> None:
    assert (
        read({"sort": "private", "axis": "fit", "page": "1", "q": " ", "unknown": "x"}).address()
        == ""
    )
    assert read({"min": "7.50", "page": "3"}).address(page=1) == "min=7.5"


def test_a_page_is_a_part_of_the_order() -> None:
    columns = Columns.of([row(number) for number in range(PAGE_ROWS + 3)])
    pages = [read({"page": page}).of_page(read({}).positions(columns)) for page in ("1", "2", "3")]
    assert [len(one) for one in pages] == [PAGE_ROWS, 3, 0]
    assert [at for one in pages for at in one] == list(range(PAGE_ROWS + 3))


def test_every_choice_of_an_order_is_one() -> None:
    assert [name for name, _ in BOARD_SORT_CHOICES] == list(BOARD_SORTS)


@pytest.mark.parametrize("text", ["del-0", "model-00", "lab qwen", "odel-00 lab"])
def test_a_text_is_found_across_the_parts_of_a_name_but_not_across_rows(text: str) -> None:
    rows = [
        row(number, model=f"Model-{number:03}", family="Qwen" if number % 2 else "")
        for number in range(20)
    ]
    assert Columns.of(rows).texts_with(text).tolist() == [text in searched(one) for one in rows]


def test_the_hottest_the_near_and_the_ticks_are_bounded() -> None:
    likely = Likely(per_character=-0.5, standard_error=None, n=3)
    both = Likelihoods(definition="d", public=likely, private=likely)
    rows = [
        row(number, evidence="overfit", family="F", gap=number / 100, interval=(number / 100, 1.0), public=score(number),
            likelihood=both if number % 2 else None)
        for number in range(60)
    ]  # fmt: skip
    columns = Columns.of(rows)
    assert columns.hottest == list(range(59, 59 - HOTTEST, -1))
    assert columns.near(0.30, within=0.05, most=3) == ([29, 30, 31], 11)
    ticks = columns.ticks("F", 5)
    assert [ticks[0].gap, ticks[-1].gap, len(ticks)] == [0.0, 0.59, 5]
    assert columns.read_evenly(4) == ([1, 21, 39, 59], 30) and columns.read_evenly(99)[1] == 30
    assert columns.family.most(9) == ["F"] and columns.evidence.counted == {"overfit": 60}
