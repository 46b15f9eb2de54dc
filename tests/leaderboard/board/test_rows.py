"""Sorting, filtering and searching in SQL give what a pass over every row would give."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import transaction
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaderboard.benchmarks.models import SetPair
from leaderboard.board.columns import COLUMNS, DEFAULT_COLUMNS
from leaderboard.board.forms import SORT_CHOICES, BoardQuery
from leaderboard.board.models import EVIDENCE_ORDER, Snapshot, SnapshotRow
from leaderboard.board.rows import Row, Score
from leaderboard.board.snapshot import METHOD
from leaderboard.board.sorts import SORTS
from leaderboard.evidence.models import Adjusted, Judged
from leaderboard.evidence.vocabulary import LABELS, LEVELS, Evidence
from tests.leaderboard.sample import make_pair

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
        "interval": (0.0, 0.2), "worst": (0.0, 0.2), "smallest_visible_gap": 0.05, "evidence": Evidence.WATCH,
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
        "sort": st.sampled_from([*SORTS, "none"]), "page": st.sampled_from(["1", "2", "0", "-1", "99"]),
    },
)  # fmt: skip


def read(choices: dict[str, str]) -> BoardQuery:
    data = QueryDict(mutable=True)
    data.update(choices)
    return BoardQuery.from_dict(data)


def adjusted(one: Row) -> float:
    return one.judged.adjusted.gap if one.judged and one.judged.adjusted else float("-inf")


KEYS: dict[str, Callable[[Row], Any]] = {
    "private": lambda one: one.rank,
    "public": lambda one: one.public_rank,
    "gap": lambda one: -one.gap,
    "adjusted": lambda one: -adjusted(one),
    "evidence": lambda one: (EVIDENCE_ORDER[one.evidence], -one.gap),
    "size": lambda one: -(one.parameters or float("-inf")),
    "family": lambda one: (not one.family, one.family.lower()),
    "organisation": lambda one: one.organisation.lower(),
    "access": lambda one: one.access,
    "protocol": lambda one: one.protocol,
    "tries": lambda one: -one.tries,
    "date": lambda one: (not one.ended, -int(one.ended.replace("-", "") or 0)),
    "model": lambda one: one.model.lower(),
}


def plainly(query: BoardQuery, ranking: Sequence[Row]) -> list[Row]:
    """The same by a pass over every row."""
    return sorted((one for one in ranking if wanted(query, one)), key=KEYS[query.sort])


def wanted(query: BoardQuery, one: Row) -> bool:
    size = one.parameters / 1e9 if one.parameters else None
    same = all(
        getattr(query, name) in ("", getattr(one, name))
        for name in ("family", "organisation", "access", "protocol", "evidence")
    )
    return (
        same
        and query.q.lower() in one.search_text
        and (query.smallest is None or (size is not None and size >= query.smallest))
        and (query.largest is None or (size is not None and size <= query.largest))
        and one.ended >= query.since
    )


def test_every_order_has_a_key() -> None:
    assert list(KEYS) == list(SORTS) == [name for name, _ in SORT_CHOICES]


@pytest.mark.django_db
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ranking=rankings(), choices=st.lists(QUERIES, min_size=5, max_size=5))
def test_rows_are_those_of_a_plain_filter_and_sort(
    db: None, ranking: tuple[Row, ...], choices: list[dict[str, str]]
) -> None:
    with transaction.atomic():
        pair = SetPair.objects.filter(slug="demo").first() or make_pair()
        snapshot = Snapshot.objects.write(ranking, pair=pair, method=METHOD, inputs_hash="a" * 64)
        for one in choices:
            query = read(one)
            found = [row.read() for row in query.rows(snapshot)]
            assert [row.model for row in found] == [row.model for row in plainly(query, ranking)]
        SnapshotRow.objects.filter(snapshot=snapshot).delete()


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


def test_columns_are_chosen_by_name_and_unknown_ones_are_left_out() -> None:
    assert read({}).columns == DEFAULT_COLUMNS
    assert read({"cols": "date,family,none,evil"}).columns == ("family", "date")
    assert read({"cols": "chosen"}).columns == ()
    assert set(DEFAULT_COLUMNS) < {column.name for column in COLUMNS if column.label}
    address = read({"cols": "date,family"}).address()
    assert BoardQuery.from_dict(QueryDict(address)).columns == ("family", "date")
    nothing = read({"cols": "chosen"}).address()
    assert BoardQuery.from_dict(QueryDict(nothing)).columns == ()


@pytest.mark.django_db
def test_columns_of_a_row_are_those_of_its_body() -> None:
    gap = Adjusted(gap=0.031, interval=(0.01, 0.05), expected=0.5, references=9, by="counts")
    judged = Judged(
        evidence=Evidence.WATCH, basis="panel", p=0.01, visible=0.04, adjusted=gap, cut=False,
        fewest=None, levels=LEVELS,
    )  # fmt: skip
    one = row(3, family="Qwen", parameters=7, ended="2026-02-03", judged=judged, tries=2)
    snapshot = Snapshot.objects.write([one], pair=make_pair(), method=METHOD, inputs_hash="a" * 64)
    stored = snapshot.rows.get()
    assert stored.read() == one and snapshot.size == 1 and snapshot.counts == {"watch": 1}
    assert (stored.model, stored.family, stored.family_key) == ("Model-3", "Qwen", "qwen")
    assert (stored.parameters, stored.tries, stored.adjusted) == (7, 2, 0.031)
    assert (stored.private, stored.public, stored.gap) == (0.5, 0.6, 0.1)
    assert stored.ended is not None and stored.ended.isoformat() == "2026-02-03"
