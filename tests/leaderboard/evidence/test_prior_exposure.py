"""Reveals by run: the sweep against its definition, and the order of log entries."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.contract import pack_bits
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.prior_exposure import (
    Reveal,
    RunReveals,
    parts_of,
    reveals_by_run,
    reveals_of,
    whole_parts,
)
from leaderboard.ledger.actions import store_entries
from tests.leaderboard.conftest import MANIFEST, PRIVATE_N, FakeEvaluator

RUNS = [uuid.UUID(int=number) for number in range(4)]
START = datetime(2026, 1, 1, tzinfo=UTC)
logs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**PRIVATE_N - 1)), max_size=12).map(
    # Two runs to a recipient, each line a day after the one before.
    lambda drawn: [
        Reveal(RUNS[run], "ab"[run % 2], (START + timedelta(days=day)).isoformat(), items)
        for day, (run, items) in enumerate(drawn)
    ]
)


@given(logs)
def test_the_sweep_agrees_with_the_definition(lines: list[Reveal]) -> None:
    found = reveals_by_run(lines)
    assert found.keys() == {line.run for line in lines}
    for run, run_reveals in found.items():
        own = [place for place, line in enumerate(lines) if line.run == run]
        others = [one for one in lines[: own[0]] if one.recipient == lines[own[0]].recipient]
        for item in range(PRIVATE_N):
            marks = [
                one
                for one in lines
                if one.recipient == lines[own[0]].recipient and one.items >> item & 1
            ]
            assert run_reveals.before >> item & 1 == any(one.items >> item & 1 for one in others)
            assert run_reveals.fresh >> item & 1 == (bool(marks) and marks[0].run == run)
            earliest = next((one.moment[:10] for one in others if one.items >> item & 1), "")
            assert run_reveals.since(1 << item) == earliest
        assert not run_reveals.before & run_reveals.fresh


@given(st.integers(0, 2**PRIVATE_N - 1), st.integers(0, 2**PRIVATE_N - 1))
def test_a_side_is_made_of_whole_parts_as_far_as_they_count(counts: int, side: int) -> None:
    parts = parts_of(MANIFEST)
    assert parts == (0b000000111, 0b000111000, 0b111000000)
    found = whole_parts(parts, counts, side & counts)
    for part in parts:
        mine = part & counts
        assert found & part == (mine if side & mine == mine else 0)


def test_a_line_after_a_gap_is_not_chained_and_shows_all_the_same() -> None:
    first, second = (
        Reveal(RUNS[0], "a", "2026-01-01", 0b11, chained=False),
        Reveal(RUNS[1], "a", "2026-01-02", 0b01),
    )
    assert reveals_by_run([first, second]) == {
        RUNS[0]: RunReveals(fresh=0b11),
        RUNS[1]: RunReveals(before=0b11, earlier=(("2026-01-01", 0b11),), chained=0b01),
    }


@pytest.mark.django_db
def test_one_log_is_read_by_index_and_several_by_moment(pair: SetPair) -> None:
    """The first host's clock is set back by a minute after its first line. A second with a fraction is the later."""
    one, other = FakeEvaluator("evaluator-1"), FakeEvaluator("evaluator-2")
    dated = [
        (one, "a", "2026-01-01T00:01:00Z"),
        (other, "b", "2026-01-01T00:00:30.5Z"),
        (other, "c", "2026-01-01T00:01:00.25Z"),
        (one, "d", "2026-01-01T00:00:00Z"),
        (one, "e", "2026-01-01T00:01:00.5Z"),
    ]
    for name in (one, other):
        lines = [
            by.expose(
                recipient=to, tier="T2", moment=moment, items=pack_bits([3], PRIVATE_N), count=1
            )
            for by, to, moment in dated
            if by is name
        ]
        store_entries(evaluator=name.register(), entries=lines)
    found = reveals_of(MANIFEST)
    assert [line.recipient for line in found] == ["b", "a", "d", "c", "e"]
    assert {(line.items, line.chained) for line in found} == {(0b1000, True)}
