"""The pictures that have a page of their own: the question, how to read it, the drawing, its data, Plotly's figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from leaderboard.charts import figures, forest, marks, orders, planes
from leaderboard.charts.dots import MOST_LINES, SIMILAR, Dot, Shown, near, thinned
from leaderboard.evidence.formats import percent, points, span


@dataclass(frozen=True)
class Chart:
    """One picture. ``rows`` are its data, cell for cell under ``headings``.

    It shows ``shown`` of ``of`` models; where these are not all, ``chosen`` says which. Where each row has a picture of
    its own there is no other; ``scale`` is the axis that they share.
    """

    question: str
    reading: str
    picture: SafeString | str
    headings: tuple[str, ...]
    rows: Sequence[tuple[SafeString | str, ...]]
    figure: figures.Figure
    shown: int
    of: int
    chosen: str = "spread evenly over their order; choose fewer to see each"
    scale: SafeString | str = ""

    @property
    def table(self) -> list[tuple[SafeString | str, list[tuple[str, SafeString | str]]]]:
        """The rows: a name, and the other cells with their headings."""
        return [
            (name, list(zip(self.headings[1:], cells, strict=True))) for name, *cells in self.rows
        ]


_MODELS = (
    "Model",
    "Private, %",
    "95% interval",
    "Public, %",
    "Gap, pp",
    "95% interval of the gap",
    "Evidence",
)
_DIAGONAL = (
    "Each mark is a model. On the dashed line it does as well on the private set as on the public one; the further"
    " below, the larger its gap."
)
_CURVE = (
    " The solid curve is what the reference models lead to expect where the private set is harder."
)


def scatter(shown: Shown) -> Chart:
    """Private against public score."""
    dots = thinned(shown.dots)
    return Chart(
        question="Which models do worse on problems nobody has seen?",
        reading=_DIAGONAL + (_CURVE if shown.curve else ""),
        picture=planes.scatter(dots, shown.curve),
        headings=_MODELS,
        rows=[_model(dot) for dot in dots],
        figure=figures.scatter(dots, shown.curve),
        shown=len(dots),
        of=shown.total,
    )


def peers(shown: Shown) -> Chart:
    """One model beside those of a similar public score."""
    found = near(shown.dots, shown.model)
    dots = sorted(found[:MOST_LINES], key=lambda dot: (-dot.private, dot.model))
    beside = (
        "One far to the left of its peers knows the public set better than its skill explains."
        if len(found) > 1
        else "There is no other, so nothing can be compared."
    )
    return Chart(
        question=f"Does {shown.model} do as well on the private set as its peers?",
        reading=f"Models within {100 * SIMILAR:g} points of its public score, by private score; {shown.model} is the"
        f" large mark. {beside}",
        picture=orders.draw_peers(shown.model, dots),
        headings=_MODELS,
        rows=[_model(dot) for dot in dots],
        figure=figures.peers(dots, shown.model),
        shown=len(dots),
        of=len(found),
        chosen="those nearest in public score",
    )


def ranks(shown: Shown) -> Chart:
    """From public to private rank."""
    dots = thinned(shown.dots)
    cut = (
        f" Drawn without scripts are the first {orders.MOST_SLOPES}."
        if len(dots) > orders.MOST_SLOPES
        else ""
    )
    return Chart(
        question="How does the private set reorder the models?",
        reading="A line leads from a model's rank by public score to its rank by private score; where it falls, the"
        f" public score flattered the model.{cut}",
        picture=orders.draw_slopes(dots),
        headings=("Model", "Public rank", "Private rank", "Gap, pp", "Evidence"),
        rows=[
            (dot.model, str(dot.public_rank), str(dot.rank), points(dot.gap), _word(dot))
            for dot in dots
        ],
        figure=figures.orders(dots),
        shown=len(dots),
        of=shown.total,
    )


def likelihood(shown: Shown) -> Chart | None:
    """Gap against likelihood; None where fewer than two models were read."""
    read = [(dot, dot.likelihood) for dot in shown.dots if dot.likelihood is not None]
    if len(read) < 2:
        return None
    kept = sorted(thinned(read), key=lambda one: -one[1])
    dots = [dot for dot, _ in kept]
    return Chart(
        question="Does a large gap go with a high likelihood of the public items?",
        reading="The further right, the likelier a model finds the texts of the public items, as it would"
        " if it had been trained on them; but better models find any text likelier.",
        picture=planes.likelihood(dots),
        headings=(
            "Model",
            "Log-likelihood per character, nats",
            "Gap, pp",
            "Public, %",
            "Evidence",
        ),
        rows=[
            (
                dot.model,
                f"{at:.3f}".replace("-", "−"),
                points(dot.gap),
                percent(dot.public),
                _word(dot),
            )
            for dot, at in kept
        ],
        figure=figures.likelihood(dots),
        shown=len(dots),
        of=len(read),
    )


def families(shown: Shown) -> Chart | None:
    """The forest of families, drawn row by row; None where no family is known."""
    if not shown.families:
        return None
    lines = shown.families[:MOST_LINES]
    axis = marks.around_zero(
        [one.raw.interval for one in lines if one.raw.interval]
        + [(dot.gap, dot.gap) for dot in shown.dots]
    )
    return Chart(
        question="Are whole families fitted to the public set?",
        reading="Each tick is a model's gap, the diamond its family's mean with the 95% interval. Red is above zero"
        " also when all families are asked at once.",
        picture="",
        headings=("Family", "Gaps, pp", "Mean, pp", "95% interval", "Above zero"),
        rows=[
            (
                one.family,
                forest.family_forest(
                    one, [dot for dot in shown.dots if dot.family == one.family], axis
                ),
                points(one.raw.estimate),
                span(one.raw.interval) if one.raw.interval else "–",
                f"{one.higher} of {one.members}",
            )
            for one in lines
        ],
        figure=figures.families(lines, thinned([dot for dot in shown.dots if dot.family])),
        shown=len(lines),
        of=len(shown.families),
        chosen="those with the largest mean gaps",
        scale=marks.scale(axis, signed=True),
    )


def _model(dot: Dot) -> tuple[str, ...]:
    around = "–".join(map(percent, dot.private_interval))
    return (
        dot.model,
        percent(dot.private),
        around,
        percent(dot.public),
        points(dot.gap),
        span(dot.interval),
        _word(dot),
    )


def _word(dot: Dot) -> SafeString:
    return format_html('<span class="word {}">{}</span>', dot.tone, dot.word)


CHARTS: Mapping[str, Callable[[Shown], Chart | None]] = {
    "scatter": scatter,
    "families": families,
    "orders": ranks,
    "likelihood": likelihood,
    "peers": peers,
}
"""By the last part of a picture's address."""
