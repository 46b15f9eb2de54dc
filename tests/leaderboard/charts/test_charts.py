"""The pictures: axes, places, labels, and that names cannot break out of them."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evaluator.contract import OutcomeCounts
from leaderboard.board.points import point_of
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import rank
from leaderboard.charts import marks
from leaderboard.evidence import formats
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.vocabulary import Evidence

SVG = "{http://www.w3.org/2000/svg}"


def make(
    public: int = 331, private: int = 328, *, model: str = "demo-honest", truncated: int = 0
) -> Row:
    def counts(right: int) -> OutcomeCounts:
        return OutcomeCounts(
            n=400, right=right, wrong=400 - right - truncated, no_answer=0, truncated=truncated
        )

    return rank([Entry(model, "Demo", "weights", "run", counts(public), counts(private))])[0]


def parse(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_fitted_axis_is_round_holds_both_ends_and_has_few_ticks(one: float, other: float) -> None:
    axis = marks.fitted(min(one, other), max(one, other))
    assert axis.lo <= min(one, other) + 1e-9
    assert axis.hi >= max(one, other) - 1e-9
    assert 2 <= len(axis.ticks) <= 5
    assert axis.ticks[0] == pytest.approx(axis.lo)
    assert axis.ticks[-1] == pytest.approx(axis.hi)


def test_a_gap_axis_holds_zero_and_every_interval() -> None:
    rows = [make(397, 262), make(262, 397), make(330, 330)]
    axis = marks.gap_axis([point_of(row) for row in rows])
    assert 0.0 in axis.ticks
    assert all(axis.lo <= row.interval[0] and row.interval[1] <= axis.hi for row in rows)


def test_an_axis_without_rows_is_the_whole_range() -> None:
    assert (
        marks.score_axis([], whole=False)
        == marks.score_axis([point_of(make())], whole=True)
        == marks.WHOLE
    )


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (0.038, "+3.8"),
        (-0.038, "−3.8"),
        (0.0, "0.0"),
        (0.0004, "0.0"),
        (-0.0004, "0.0"),
        (1.0, "+100.0"),
    ],
)
def test_points_are_signed_with_a_true_minus(gap: float, text: str) -> None:
    assert formats.points(gap) == text


def test_percent_has_one_decimal() -> None:
    assert [formats.percent(share) for share in (0, 0.8291, 1)] == ["0.0", "82.9", "100.0"]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (156000, "156k"),
        (434000, "434k"),
        (999_900, "1M"),
        (1.5e9, "1.5B"),
        (141e9, "141B"),
        (1.8e12, "1.8T"),
        (12, "12"),
    ],
)
def test_a_size_has_three_digits(parameters: float, text: str) -> None:
    assert formats.size(parameters) == text


def test_a_dumbbell_puts_dot_band_and_ring_where_the_axis_says() -> None:
    row = make(400, 200)
    picture = parse(marks.dumbbell(point_of(row), marks.WHOLE))
    point, ring = (picture.find(f"{SVG}circle[@class='{name}']") for name in ("prv", "pub"))
    band = picture.find(f"{SVG}rect")
    assert point is not None and ring is not None and band is not None
    assert float(point.get("cx", "")) == marks.WIDTH / 2
    assert float(ring.get("cx", "")) == marks.WIDTH
    assert float(band.get("x", "")) == pytest.approx(row.private.interval[0] * marks.WIDTH, abs=0.1)
    assert picture.get("aria-label") == "private 50.0%, public 100.0%"


@pytest.mark.parametrize(
    ("word", "tone"),
    [
        ("overfit", "hot"),
        ("watch", "warm"),
        ("no_evidence", "cool"),
        ("cannot_tell", "open"),
        ("pending", "open"),
    ],
)
def test_the_tone_follows_the_evidence(word: str, tone: str) -> None:
    point = point_of(replace(make(), evidence=Evidence(word)))
    for picture in (
        marks.dumbbell(point, marks.WHOLE),
        marks.gap_interval(point, marks.gap_axis([point])),
    ):
        assert tone in parse(picture).get("class", "").split()


def test_the_gap_interval_crosses_the_zero_line_only_if_the_interval_does() -> None:
    for row in (make(397, 262), make(331, 328), make(262, 397)):
        point = point_of(row)
        picture = parse(marks.gap_interval(point, marks.gap_axis([point])))
        zero, whisker = (picture.find(f"{SVG}line[@class='{name}']") for name in ("zero", "wh"))
        assert zero is not None and whisker is not None
        inside = (
            float(whisker.get("x1", ""))
            <= float(zero.get("x1", ""))
            <= float(whisker.get("x2", ""))
        )
        assert inside == (row.interval[0] <= 0 <= row.interval[1])


def test_no_picture_styles_itself() -> None:
    point = point_of(make())
    axis = marks.gap_axis([point])
    pictures = (
        marks.dumbbell(point, marks.WHOLE),
        marks.gap_interval(point, axis),
        marks.scale(axis),
    )
    assert not any("style" in picture for picture in pictures)
