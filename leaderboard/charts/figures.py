"""The same pictures for Plotly, as JSON data: every number is one that the SVG beside it is drawn from.

Only numbers and words are decided here. Colours are named, by ``meta``, and filled in by ``static/chart.js`` from the
style sheet's roles, so that one figure serves light and dark. Names are escaped: Plotly reads some HTML in its texts.
There is none in ours but line breaks, because it makes the rest of inline styles, which the content policy stops.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from leaderboard.charts.dots import Dot
from leaderboard.evidence.formats import percent, points, span
from leaderboard.evidence.summaries import FamilyLine

Figure = dict[str, Any]
WORDS = ("no evidence", "cannot tell", "not decided yet", "watch", "overfit")
"""In the order they are drawn: what matters lies on top."""
SYMBOLS = {"open": "circle-open", "warm": "diamond", "hot": "square"}
"""So that evidence does not hang on colour alone."""
_ROW = 26


def scatter(dots: Sequence[Dot], curve: Sequence[tuple[float, float]] = ()) -> Figure:
    """Private against public accuracy in percent, the diagonal, and the references' ``curve`` of (private, public)."""
    lines = [_line([0, 100], [0, 100], "private = public", dash="dash", tone="mut")]
    if curve:
        private, public = zip(*curve, strict=True)
        lines.append(
            _line(
                _percents(public), _percents(private), "what references lead to expect", tone="prv"
            )
        )
    marks = _by_word(
        dots, lambda own: {"x": _percents(dot.public for dot in own), "y": _percents(_private(own))}
    )
    return _figure(
        [*lines, *marks],
        _axis("public accuracy, %", zero=False),
        _axis("private accuracy, %", zero=False),
    )


def likelihood(dots: Sequence[Dot]) -> Figure:
    """The gap in percentage points against the log-likelihood per character of the public items."""
    known = [dot for dot in dots if dot.likelihood is not None]
    marks = _by_word(
        known,
        lambda own: {"x": [dot.likelihood for dot in own], "y": _percents(dot.gap for dot in own)},
    )
    return _figure(
        marks, _axis("log-likelihood per character,<br>public items", zero=False), _axis("gap, pp")
    )


def orders(dots: Sequence[Dot]) -> Figure:
    """A line from each model's public rank to its private one; the best rank is on top."""
    traces = [
        go.Scatter(
            x=["public rank", "private rank", None] * len(own),
            y=[place for dot in own for place in (dot.public_rank, dot.rank, None)],
            text=[text for dot in own for text in (_told(dot), _told(dot), None)],
            mode="lines+markers",
            line={
                "dash": "dash" if own[0].tone == "open" else "solid",
                "width": 3 if own[0].tone == "hot" else 1.5,
            },
            marker={"symbol": SYMBOLS.get(own[0].tone, "circle"), "size": 8},
            hovertemplate="%{text}<extra></extra>",
            name=word,
            meta=own[0].tone,
        )
        for word, own in _words(dots)
    ]
    last = max((max(dot.public_rank, dot.rank) for dot in dots), default=1)
    ranks = _axis("rank", zero=False) | {
        "range": [last + 0.5, 0.5],
        "tick0": 1,
        "dtick": -(-last // 15),
    }
    return _figure(
        traces, {"fixedrange": True, "range": [-0.3, 1.3]}, ranks, rows=min(len(dots) // 2, 60)
    )


def peers(dots: Sequence[Dot], model: str) -> Figure:
    """The private score of each on its interval, best on top; ``model`` is the large mark."""
    names = [dot.model for dot in dots]

    def places(own: Sequence[Dot]) -> dict[str, Any]:
        return {
            "x": _percents(_private(own)),
            "y": [escape(dot.model, quote=False) for dot in own],
            "error_x": _whiskers([(dot.private, dot.private_interval) for dot in own]),
            "marker": {"size": [15 if dot.model == model else 8 for dot in own]},
        }

    return _figure(
        _by_word(dots, places), _axis("private, %", zero=False), _named(names), rows=len(dots)
    )


def families(lines: Sequence[FamilyLine], dots: Sequence[Dot]) -> Figure:
    """Each family's mean gap on its interval and its members' gaps, in percentage points; the largest on top."""
    names = [line.family for line in lines]
    members = go.Scatter(
        x=_percents(dot.gap for dot in dots),
        y=[escape(dot.family, quote=False) for dot in dots],
        text=[_told(dot) for dot in dots],
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 12},
        hovertemplate="%{text}<extra></extra>",
        name="a model",
        meta="edge",
    )
    means = [
        go.Scatter(
            x=_percents(line.raw.estimate for line in own),
            y=[escape(line.family, quote=False) for line in own],
            error_x=_whiskers(
                [(line.raw.estimate, line.raw.interval or (line.raw.estimate,) * 2) for line in own]
            ),
            mode="markers",
            marker={"symbol": "diamond", "size": 11},
            text=[_of_family(line) for line in own],
            hovertemplate="%{text}<extra></extra>",
            name=name,
            meta=tone,
        )
        for name, tone, above in (
            ("family's mean", "cool", False),
            ("mean above zero", "hot", True),
        )
        if (own := [line for line in lines if line.raw.above is above])
    ]
    return _figure([members, *means], _axis("gap, pp"), _named(names), rows=len(lines))


def _private(dots: Iterable[Dot]) -> Iterable[float]:
    return (dot.private for dot in dots)


def _percents(shares: Iterable[float]) -> list[float]:
    """Percent to two decimals: a pixel is more than that."""
    return [round(100 * share, 2) for share in shares]


def _told(dot: Dot) -> str:
    read = (
        f"<br>likelihood {dot.likelihood:.3f}".replace("-", "−")
        if dot.likelihood is not None
        else ""
    )
    return (
        f"{escape(dot.model, quote=False)}"
        f"<br>private {percent(dot.private)}%, public {percent(dot.public)}%"
        f"<br>gap {points(dot.gap)} pp ({span(dot.interval)}){read}<br>{dot.word}"
    )


def _of_family(line: FamilyLine) -> str:
    around = f" ({span(line.raw.interval)})" if line.raw.interval else ""
    name = escape(line.family, quote=False)
    return f"{name}<br>mean {points(line.raw.estimate)} pp{around}<br>models: {line.members}"


def _words(dots: Sequence[Dot]) -> list[tuple[str, list[Dot]]]:
    found = [(word, [dot for dot in dots if dot.word == word]) for word in WORDS]
    return [(word, own) for word, own in found if own]


def _by_word(dots: Sequence[Dot], places: Any) -> list[go.Scatter]:
    """One trace for each word, so that a reader may hide it."""
    traces = []
    for word, own in _words(dots):
        trace = go.Scatter(
            mode="markers",
            text=[_told(dot) for dot in own],
            hovertemplate="%{text}<extra></extra>",
            name=word,
            meta=own[0].tone,
            **places(own),
        )
        trace.marker.symbol = SYMBOLS.get(own[0].tone, "circle")
        trace.marker.size = trace.marker.size or 8
        traces.append(trace)
    return traces


def _whiskers(marks: Sequence[tuple[float, tuple[float, float]]]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": _percents(high - at for at, (_, high) in marks),
        "arrayminus": _percents(at - low for at, (low, _) in marks),
    }


def _line(
    x: Sequence[float], y: Sequence[float], name: str, *, tone: str, dash: str = "solid"
) -> go.Scatter:
    return go.Scatter(
        x=x, y=y, mode="lines", line={"dash": dash}, hoverinfo="skip", name=name, meta=tone
    )


def _axis(title: str, *, zero: bool = True) -> dict[str, Any]:
    return {"title": {"text": title, "standoff": 8}, "zeroline": zero, "automargin": True}


def _named(names: Sequence[str]) -> dict[str, Any]:
    """An axis of names, the first on top. Plotly would take those that look like numbers or dates for such."""
    escaped = [escape(name, quote=False) for name in names]
    first_below = {"categoryorder": "array", "categoryarray": escaped[::-1]}
    ticks = {"tickvals": escaped, "ticktext": [escape(_short(name), quote=False) for name in names]}
    return {"type": "category", "automargin": True, "fixedrange": True, **first_below, **ticks}


def _short(name: str) -> str:
    """A name beside which there is room for a picture on a phone; models of a kind differ at either end."""
    return name if len(name) <= 24 else f"{name[:12]}…{name[-11:]}"


def _figure(
    traces: Sequence[go.Scatter],
    across: dict[str, Any],
    up: dict[str, Any],
    *,
    rows: int | None = None,
) -> Figure:
    """``rows`` are lines below one another, of which each has its height."""
    layout = go.Layout(
        xaxis=across,
        yaxis=up,
        height=560 if rows is None else max(240, 150 + _ROW * rows),
        margin={"l": 56, "r": 16, "t": 16, "b": 56},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        hovermode="closest",
        template="none",
    )
    return dict(json.loads(go.Figure(traces, layout).to_json()))
