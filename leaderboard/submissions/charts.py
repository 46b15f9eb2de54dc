"""Figures of a run's page as SVG, each of which a table repeats.

- Calibration of vote shares, or of a verifier's scores, as a square.
- Accuracy by the number of candidates, as lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from evaluator.contract import Candidates, CandidatesPoint, Estimate, VoteBin, Votes

SIDE = 200
"""Side of the square, from 0 to 1 both ways."""
EDGE = 10
"""Margin around the square."""
_SQUARE = """\
<svg class="calibration" viewBox="0 0 {whole} {whole}" role="img" \
aria-label="{what} against the share that is right, in {count} bins; \
a table repeats the numbers">\
<rect class="frame" x="{edge}" y="{edge}" width="{side}" height="{side}"/>\
<line class="grid" x1="{edge}" y1="{far}" x2="{far}" y2="{edge}"/>{points}</svg>"""
_POINT = """\
<circle class="prv" cx="{}" cy="{}" r="{}"><title>{} items: mean {}, right {}</title></circle>"""


def calibration(votes: Votes | Candidates) -> SafeString:
    """Draw a point for each bin: its mean share or score against the share that is right.

    On the diagonal both are equal. A point's area grows with the number of its items.
    """
    points = []
    for part in votes.bins:
        x, y = place(part)
        share_of_items = part.n / votes.n
        radius = round(3 + 9 * share_of_items**0.5, 1)
        mean = f"{part.share:.2f}"
        right = f"{part.right / part.n:.2f}"
        points.append((x, y, radius, part.n, mean, right))
    return format_html(
        _SQUARE,
        whole=SIDE + 2 * EDGE,
        edge=EDGE,
        side=SIDE,
        far=SIDE + EDGE,
        what="Share of the vote" if isinstance(votes, Votes) else "Score",
        count=len(votes.bins),
        points=format_html_join("", _POINT, points),
    )


def place(part: VoteBin) -> tuple[float, float]:
    """Return the place of a bin's point, in the figure's units, from the upper left corner."""
    x = EDGE + SIDE * part.share
    y = EDGE + SIDE * (1 - part.right / part.n)
    return round(x, 1), round(y, 1)


WIDTH = 400
HEIGHT = 220
"""Size of the figure of candidates, in its units."""
_LEFT = 42
_RIGHT = 10
_TOP = 10
_BOTTOM = 34
_FEW_TENTHS = 0.4
"""Range of accuracies up to which a line is drawn for each tenth; beyond, for each second one."""
_CURVE = """\
<svg class="candidates" viewBox="0 0 {width} {height}" role="img" \
aria-label="Accuracy with 1 to {samples} candidates: {first}% with one, {last}% with all; \
a table repeats the numbers">{grid}{numbers}\
<polygon class="band" points="{band}"/><polyline class="any" points="{anything}"/>\
<polyline class="random" points="{random}"/><polyline class="vote" points="{vote}"/>\
<polyline class="chosen" points="{chosen}"/>{markers}</svg>"""
_ROW = """\
<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>\
<text x="{}" y="{}" text-anchor="end">{}%</text>"""
_NUMBER = '<text x="{}" y="{}" text-anchor="middle">{}</text>'
_MARKER = '<circle class="prv" cx="{}" cy="{}" r="3.5"><title>{} candidates: {}%</title></circle>'


def candidates_curve(candidates: Candidates) -> SafeString:
    """Draw accuracy against the number of candidates, on a logarithmic scale.

    The verifier's choice has its 95% interval as a band. Other lines: the vote, a random choice,
    and the share of items with a right candidate.
    """
    curve = candidates.curve
    ticks = _ticks(candidates)
    bottom = ticks[0]
    top = ticks[-1]

    def x(point: CandidatesPoint) -> float:
        share = log2(point.k) / log2(candidates.samples)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        share = (value - bottom) / (top - bottom)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    def line(values: Sequence[float]) -> str:
        pairs = zip(curve, values, strict=True)
        return " ".join(f"{x(point)},{y(value)}" for point, value in pairs)

    values = {
        "anything": [point.any_right for point in curve],
        "random": [candidates.random] * len(curve),
        "vote": [point.vote for point in curve],
        "chosen": [point.chosen.value for point in curve],
    }
    uppers = [f"{x(point)},{y(point.chosen.high)}" for point in curve]
    lowers = [f"{x(point)},{y(point.chosen.low)}" for point in reversed(curve)]
    rows = []
    for tick in ticks:
        height = y(tick)
        line_ends = (_LEFT, WIDTH - _RIGHT, height, height)
        label = f"{100 * tick:.0f}"
        rows.append((*line_ends, _LEFT - 5, height + 4, label))
    below = HEIGHT - _BOTTOM + 18
    numbers = [(x(point), below, point.k) for point in _apart(curve)]
    markers = []
    for point in curve:
        value = point.chosen.value
        accuracy = f"{100 * value:.1f}"
        markers.append((x(point), y(value), point.k, accuracy))
    return format_html(
        _CURVE,
        width=WIDTH,
        height=HEIGHT,
        samples=candidates.samples,
        first=f"{100 * curve[0].chosen.value:.1f}",
        last=f"{100 * curve[-1].chosen.value:.1f}",
        grid=format_html_join("", _ROW, rows),
        numbers=format_html_join("", _NUMBER, numbers),
        band=" ".join(uppers + lowers),
        **{name: line(heights) for name, heights in values.items()},
        markers=format_html_join("", _MARKER, markers),
    )


def _ticks(candidates: Candidates) -> list[float]:
    """Return the round accuracies that are marked, from below the lowest value to above all."""
    curve = candidates.curve
    lowest = [min(point.chosen.low, point.vote) for point in curve]
    highest = [max(point.chosen.high, point.any_right) for point in curve]
    low = min(candidates.random, *lowest)
    high = max(highest)
    step = 0.1 if high - low <= _FEW_TENTHS else 0.2
    first = floor(low / step)
    last = max(ceil(high / step), first + 1)
    places = range(first, last + 1)
    return [round(step * place, 1) for place in places]


def _apart(curve: Sequence[CandidatesPoint]) -> list[CandidatesPoint]:
    """Return the points whose numbers of candidates are written: the last, and none close to it."""
    *before, last = curve
    apart = [point for point in before if point.k * 1.6 <= last.k]
    return [*apart, last]


@dataclass(frozen=True, slots=True)
class CandidatesRow:
    """Numbers of one point of the curve as text: accuracies in percent, differences in points."""

    k: int
    chosen: str
    interval: str
    vote: str
    any_right: str
    over_random: str
    over_vote: str
    more: str

    @classmethod
    def of(cls, point: CandidatesPoint) -> "CandidatesRow":
        """Return the texts of a point."""
        return cls(
            k=point.k,
            chosen=_percent(point.chosen.value),
            interval=f"{_percent(point.chosen.low)} to {_percent(point.chosen.high)}",
            vote=_percent(point.vote),
            any_right=_percent(point.any_right),
            over_random=_points(point.over_random),
            over_vote=_points(point.over_vote),
            more=_points(point.more),
        )


@dataclass(frozen=True, slots=True)
class CandidatesFigure:
    """Candidates of a set with their figures, and their numbers as text."""

    of_set: Candidates
    sealed: bool
    curve: SafeString
    square: SafeString
    rows: list[CandidatesRow]
    random: str
    fewer: CandidatesRow | None

    @classmethod
    def of(cls, candidates: Candidates, *, sealed: bool) -> "CandidatesFigure":
        """Draw the candidates of a set."""
        fewer = candidates.fewer_are_better
        return cls(
            of_set=candidates,
            sealed=sealed,
            curve=candidates_curve(candidates),
            square=calibration(candidates),
            rows=[CandidatesRow.of(point) for point in candidates.curve],
            random=_percent(candidates.random),
            fewer=CandidatesRow.of(fewer) if fewer else None,
        )

    @property
    def last(self) -> CandidatesRow:
        """The row of all candidates."""
        return self.rows[-1]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(difference: Estimate) -> str:
    """Return a difference with its interval, in percentage points, with a true minus."""
    texts = []
    for number in (difference.value, difference.low, difference.high):
        text = f"{100 * number:+.1f}"
        texts.append(text.replace("-", "−"))
    value, low, high = texts
    return f"{value} ({low} to {high})"
