"""Pictures of a board beside its rows: every model is in them, and names cannot break out."""

from msgspec.structs import replace

from leaderboard.board import charts
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import rank
from leaderboard.charts import orders
from leaderboard.evidence.entries import Entry, OutcomeCounts
from leaderboard.evidence.summaries import Likelihoods, Likely
from tests.leaderboard.charts.test_charts import SVG, parse


def board(size: int) -> tuple[Row, ...]:
    def tally(right: int) -> OutcomeCounts:
        return OutcomeCounts(n=400, right=right, wrong=400 - right, no_answer=0, truncated=0)

    names = [f"m{number}<&" for number in range(size)]
    entries = [
        Entry(name, "O", "weights", "run", tally(390 - i), tally(i * 7 % 390 + 5))
        for i, name in enumerate(names)
    ]
    return rank(entries)


def read(row: Row, at: float) -> Row:
    side = Likely(per_character=at, standard_error=0.01, n=400)
    return replace(row, likelihood=Likelihoods(definition="loglik-1", public=side, private=side))


def test_a_line_for_each_model_from_rank_to_rank() -> None:
    rows = board(5)
    lines = parse(charts.slopes(rows)).findall(f"{SVG}g")
    assert {line.get("data-model") for line in lines} == {row.model for row in rows}
    assert (
        len(parse(charts.slopes(board(orders.MOST_SLOPES + 9))).findall(f"{SVG}g"))
        == orders.MOST_SLOPES
    )


def test_one_among_its_peers_is_the_large_dot() -> None:
    rows = board(6)
    dots = parse(charts.peers(rows[2], rows)).findall(f"{SVG}circle")
    assert [dot.get("r") for dot in dots].count("7") == 1 and len(dots) == 6
    assert dots[-1].get("r") == "7"


def test_a_dot_for_each_model_that_was_read() -> None:
    rows = [read(row, -0.5 - 0.1 * i) if i < 3 else row for i, row in enumerate(board(5))]
    dots = parse(charts.likelihood(rows)).findall(f"{SVG}circle")
    assert {dot.get("data-model") for dot in dots} == {row.model for row in rows[:3]}
    assert len({dot.get("cx") for dot in dots}) == 3
