"""Plotly figures as JSON data: traces and layout of each chart.

Only numbers and texts are decided here. Colours are named by ``meta`` and filled in by
``static/chart.js`` from the style sheet, so that one figure serves light and dark. Names are
escaped: Plotly reads some HTML in its texts. There is none in ours but line breaks, because the
rest becomes inline styles, which the content policy forbids.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Any

from leaderboard.charts.frontier import Size
from leaderboard.charts.points import ChartPoint, FamilyMean
from leaderboard.evidence.formats import percent, points, size, span
from leaderboard.evidence.vocabulary import Evidence

Trace = dict[str, Any]
Figure = dict[str, Any]
DRAWING_ORDER = (
    Evidence.NO_EVIDENCE,
    Evidence.CANNOT_TELL,
    Evidence.PENDING,
    Evidence.WATCH,
    Evidence.OVERFIT,
)
"""The last lies on top."""
SYMBOLS = {"open": "circle-open", "warm": "diamond", "hot": "square"}
"""So that evidence does not depend on colour alone."""
ROW_HEIGHT = 26
MOST_ROWS = 60
LONGEST_NAME = 24
HOVER = "%{text}<extra></extra>"


def scatter(
    models: Sequence[ChartPoint],
    curve: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Return private against public accuracy in percent, with the diagonal.

    ``curve`` are (private, public) points of the expectation from the reference models.
    """
    ends = [0, 100]
    traces = [_line(ends, ends, "private = public", colour="mut", dash="dash")]
    if curve:
        private, public = zip(*curve, strict=True)
        expected = _line(_percents(public), _percents(private), "expectation", colour="prv")
        traces.append(expected)

    def at(own: Sequence[ChartPoint]) -> Trace:
        return {
            "x": _percents(model.public for model in own),
            "y": _percents(model.private for model in own),
        }

    return _figure(
        [*traces, *_by_evidence(models, at)],
        _axis("public accuracy, %", zero=False),
        _axis("private accuracy, %", zero=False),
    )


def likelihood(models: Sequence[ChartPoint]) -> Figure:
    """Return the gap in percentage points against the log-likelihood per character."""

    def at(own: Sequence[ChartPoint]) -> Trace:
        return {
            "x": [model.likelihood for model in own],
            "y": _percents(model.gap for model in own),
        }

    return _figure(
        _by_evidence(models, at),
        _axis("log-likelihood per character,<br>public items", zero=False),
        _axis("gap, pp"),
    )


def efficiency(
    models: Sequence[ChartPoint],
    frontier: Sequence[tuple[float, float]],
    against: Size,
    title: str,
) -> Figure:
    """Return private accuracy in percent against a size on a log scale, with the frontier.

    ``models`` have that size, one or more of them; ``frontier`` are (size, private) points.
    """

    def at(own: Sequence[ChartPoint]) -> Trace:
        return {
            "x": [model.size(against) for model in own],
            "y": _percents(model.private for model in own),
        }

    sizes = [at_size for at_size, _ in frontier]
    scores = _percents(score for _, score in frontier)
    stairs = _line(sizes, scores, "frontier", colour="prv")
    stairs["line"] = {"dash": "dot", "shape": "hv"}
    # Ticks at 1, 2 and 5 of each power of ten around the sizes, or only at 1.
    drawn = [model.size(against) or 1 for model in models]
    first = floor(log10(min(drawn)))
    last = ceil(log10(max(drawn)))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = []
    for power in range(first, last + 1):
        for step in steps:
            ticks.append(step * 10.0**power)
    across = _axis(title, zero=False) | {
        "type": "log",
        "tickvals": ticks,
        "ticktext": [size(tick) for tick in ticks],
    }
    return _figure(
        [stairs, *_by_evidence(models, at)],
        across,
        _axis("private accuracy, %", zero=False),
    )


def rank_changes(models: Sequence[ChartPoint]) -> Figure:
    """Return a line from each model's public rank to its private one; the best rank is on top."""
    last = 1
    for model in models:
        last = max(last, model.public_rank, model.rank)
    ranks = _axis("rank", zero=False) | {
        "range": [last + 0.5, 0.5],
        "tick0": 1,
        "dtick": -(-last // 15),
    }
    across = {"fixedrange": True, "range": [-0.3, 1.3]}
    traces = []
    for own in _grouped(models):
        # One trace of many lines, which a point without a value separates.
        places: list[int | None] = []
        texts: list[str | None] = []
        for model in own:
            places += [model.public_rank, model.rank, None]
            text = _hover_text(model)
            texts += [text, text, None]
        level_class = own[0].level_class
        trace: Trace = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": ["public rank", "private rank", None] * len(own),
            "y": places,
            "text": texts,
            "hovertemplate": HOVER,
            "name": own[0].level.label,
            "meta": level_class,
            "line": {
                "dash": "dash" if level_class == "open" else "solid",
                "width": 3 if level_class == "hot" else 1.5,
            },
            "marker": {"symbol": SYMBOLS.get(level_class, "circle"), "size": 8},
        }
        traces.append(trace)
    rows = min(len(models) // 2, MOST_ROWS)
    return _figure(traces, across, ranks, rows=rows)


def peers(models: Sequence[ChartPoint], chosen: str) -> Figure:
    """Return each private score on its interval, the best on top; ``chosen`` is the large point."""

    def at(own: Sequence[ChartPoint]) -> Trace:
        intervals = [(model.private, model.private_interval) for model in own]
        sizes = [15 if model.model == chosen else 8 for model in own]
        return {
            "x": _percents(model.private for model in own),
            "y": [_text(model.model) for model in own],
            "error_x": _whiskers(intervals),
            "marker": {"size": sizes},
        }

    names = _names([model.model for model in models])
    traces = _by_evidence(models, at)
    across = _axis("private, %", zero=False)
    return _figure(traces, across, names, rows=len(models))


def families(pooled: Sequence[FamilyMean], members: Sequence[ChartPoint]) -> Figure:
    """Return each family's mean gap on its interval, and its members' gaps; the largest on top."""
    # The gaps that enter the means.
    drawn = []
    for model in members:
        gap = model.pooled_gap
        if gap is not None:
            drawn.append((model, gap))
    ticks: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": _percents(gap for _, gap in drawn),
        "y": [_text(model.family) for model, _ in drawn],
        "text": [_hover_text(model) for model, _ in drawn],
        "hovertemplate": HOVER,
        "name": "a model",
        "meta": "edge",
        "marker": {"symbol": "line-ns-open", "size": 12},
    }
    above = []
    others = []
    for family in pooled:
        if family.gap.above:
            above.append(family)
        else:
            others.append(family)
    traces = [ticks]
    if others:
        traces.append(_means(others, "family's mean", "cool"))
    if above:
        traces.append(_means(above, "mean above zero", "hot"))
    names = _names([family.family for family in pooled])
    return _figure(traces, _axis("gap, pp"), names, rows=len(pooled))


def _means(own: Sequence[FamilyMean], name: str, colour: str) -> Trace:
    intervals = []
    texts = []
    for family in own:
        estimate = family.gap.estimate
        interval = family.gap.interval
        intervals.append((estimate, interval or (estimate, estimate)))
        mean = f"mean {points(estimate)} pp"
        if interval:
            mean = f"{mean} ({span(interval)})"
        lines = [_text(family.family), mean, f"models: {family.members}"]
        texts.append("<br>".join(lines))
    return {
        "type": "scatter",
        "mode": "markers",
        "x": _percents(family.gap.estimate for family in own),
        "y": [_text(family.family) for family in own],
        "error_x": _whiskers(intervals),
        "text": texts,
        "hovertemplate": HOVER,
        "name": name,
        "meta": colour,
        "marker": {"symbol": "diamond", "size": 11},
    }


def _by_evidence(
    models: Sequence[ChartPoint],
    at: Callable[[Sequence[ChartPoint]], Trace],
) -> list[Trace]:
    """Return one trace for each evidence level, so that a reader may hide it."""
    traces = []
    for own in _grouped(models):
        level_class = own[0].level_class
        trace: Trace = {
            "type": "scatter",
            "mode": "markers",
            "text": [_hover_text(model) for model in own],
            "hovertemplate": HOVER,
            "name": own[0].level.label,
            "meta": level_class,
            **at(own),
        }
        marker: Trace = {"size": 8} | trace.get("marker", {})
        marker["symbol"] = SYMBOLS.get(level_class, "circle")
        trace["marker"] = marker
        traces.append(trace)
    return traces


def _grouped(models: Sequence[ChartPoint]) -> list[list[ChartPoint]]:
    """Return the models of each evidence level that any of them has, in drawing order."""
    groups = []
    for level in DRAWING_ORDER:
        own = [model for model in models if model.level == level]
        if own:
            groups.append(own)
    return groups


def _percents(shares: Iterable[float]) -> list[float]:
    """Return percent with two decimals: a pixel is more than that."""
    return [round(100 * share, 2) for share in shares]


def _text(name: str) -> str:
    return escape(name, quote=False)


def _hover_text(model: ChartPoint) -> str:
    lines = [
        _text(model.model),
        f"private {percent(model.private)}%, public {percent(model.public)}%",
        f"gap {points(model.gap)} pp ({span(model.interval)})",
    ]
    if model.pooled_gap not in (None, model.gap):
        lines.append(f"adjusted gap {points(model.pooled_gap)} pp")
    if model.likelihood is not None:
        lines.append(f"likelihood {model.likelihood:.3f}".replace("-", "−"))
    return "<br>".join([*lines, model.level.label])


def _whiskers(values: Sequence[tuple[float, tuple[float, float]]]) -> Trace:
    return {
        "type": "data",
        "symmetric": False,
        "array": _percents(high - value for value, (_, high) in values),
        "arrayminus": _percents(value - low for value, (low, _) in values),
    }


def _line(
    x: Sequence[float],
    y: Sequence[float],
    name: str,
    *,
    colour: str,
    dash: str = "solid",
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"dash": dash},
        "hoverinfo": "skip",
        "name": name,
        "meta": colour,
    }


def _axis(title: str, *, zero: bool = True) -> Trace:
    return {
        "title": {"text": title, "standoff": 8},
        "zeroline": zero,
        "automargin": True,
    }


def _names(names: Sequence[str]) -> Trace:
    """Return an axis of names, the first on top; names that look like numbers stay names."""
    short_names = []
    for name in names:
        # A name that fits next to a chart on a phone; similar models differ at either end.
        short_name = name
        if len(name) > LONGEST_NAME:
            short_name = f"{name[:12]}…{name[-11:]}"
        short_names.append(short_name)
    return {
        "type": "category",
        "automargin": True,
        "fixedrange": True,
        "categoryorder": "array",
        "categoryarray": [_text(name) for name in reversed(names)],
        "tickvals": [_text(name) for name in names],
        "ticktext": [_text(name) for name in short_names],
    }


def _figure(
    traces: Sequence[Trace],
    across: Trace,
    up: Trace,
    *,
    rows: int | None = None,
) -> Figure:
    """Return a figure; ``rows`` are lines below one another, each of :data:`ROW_HEIGHT`."""
    height = 560
    if rows is not None:
        height = max(240, 150 + ROW_HEIGHT * rows)
    layout = {
        "xaxis": across,
        "yaxis": up,
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 16, "b": 56},
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
        },
        "hovermode": "closest",
    }
    return {"data": list(traces), "layout": layout}
