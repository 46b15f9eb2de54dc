"""Pages of one chart: its question, how to read it, a Plotly figure and its data as a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from leaderboard.charts import figures, frontier
from leaderboard.charts.frontier import Size, Sized
from leaderboard.charts.points import (
    MOST_ROWS,
    SIMILAR,
    ChartData,
    ChartPoint,
    FamilyMean,
    near,
    thinned,
)
from leaderboard.evidence.formats import percent, points, size, span

Curve = Sequence[tuple[float, float]]
Cell = SafeString | str
MODEL_HEADINGS = (
    "Model",
    "Private, %",
    "95% interval",
    "Public, %",
    "Gap, pp",
    "95% interval of the gap",
    "Evidence",
)


@dataclass(frozen=True)
class Chart:
    """One chart. ``rows`` are its data, cell for cell under ``headings``.

    It shows ``shown`` of ``total`` models; where these are not all, ``selection`` says which.
    """

    question: str
    reading: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    figure: figures.Figure
    shown: int
    total: int
    selection: str = "spread evenly over their order; filter to see each"

    @property
    def table(self) -> list[tuple[Cell, list[tuple[str, Cell]]]]:
        """Return the rows: a name, and the other cells with their headings."""
        headings = self.headings[1:]
        rows: list[tuple[Cell, list[tuple[str, Cell]]]] = []
        for name, *cells in self.rows:
            with_headings = list(zip(headings, cells, strict=True))
            rows.append((name, with_headings))
        return rows


def scatter(data: ChartData) -> Chart:
    """Return private against public score."""
    models = thinned(data.points)
    curve = " The solid curve is the expectation from the reference models." if data.curve else ""
    return Chart(
        question="Which models do worse on the private set?",
        reading="Each point is a model. On the dashed line both scores are equal; the further a"
        f" model is below it, the larger its gap.{curve}",
        headings=MODEL_HEADINGS,
        rows=[_model_cells(model) for model in models],
        figure=figures.scatter(models, data.curve),
        shown=len(models),
        total=data.total,
    )


def peers(data: ChartData) -> Chart:
    """Return one model among those of a similar public score."""
    similar = near(data.points, data.model)
    models = similar[:MOST_ROWS]
    models.sort(key=lambda point: (-point.private, point.model))
    if len(similar) > 1:
        comparison = "Far to the left of its peers it is better on the public set than they are."
    else:
        comparison = "There is no other model, so nothing can be compared."
    return Chart(
        question=f"Does {data.model} do as well on the private set as its peers?",
        reading=f"Private scores of the models within {100 * SIMILAR:g} points of its public score;"
        f" {data.model} is the large point. {comparison}",
        headings=MODEL_HEADINGS,
        rows=[_model_cells(model) for model in models],
        figure=figures.peers(models, data.model),
        shown=len(models),
        total=len(similar),
        selection="those nearest in public score",
    )


def rank_changes(data: ChartData) -> Chart:
    """Return the way from public to private rank."""
    models = thinned(data.points)
    rows = [
        (
            model.model,
            str(model.public_rank),
            str(model.rank),
            points(model.gap),
            _evidence(model),
        )
        for model in models
    ]
    return Chart(
        question="How does the private set reorder the models?",
        reading="A line leads from a model's rank by public score to its rank by private score."
        " Where it falls, the model is better on the public set.",
        headings=("Model", "Public rank", "Private rank", "Gap, pp", "Evidence"),
        rows=rows,
        figure=figures.rank_changes(models),
        shown=len(models),
        total=data.total,
    )


def likelihood(data: ChartData) -> Chart | None:
    """Return gap against likelihood; None where fewer than two models have a likelihood."""
    known = []
    for point in data.points:
        if point.likelihood is not None:
            known.append((point, point.likelihood))
    if len(known) < 2:
        return None
    drawn = sorted(thinned(known), key=lambda pair: -pair[1])
    rows = [
        (
            model.model,
            f"{at:.3f}".replace("-", "−"),
            points(model.gap),
            percent(model.public),
            _evidence(model),
        )
        for model, at in drawn
    ]
    return Chart(
        question="Do models that find the public items likelier have larger gaps?",
        reading="The further right, the likelier the model finds the texts of the public items, as"
        " after training on them. Better models find any text likelier, too.",
        headings=(
            "Model",
            "Log-likelihood per character, nats",
            "Gap, pp",
            "Public, %",
            "Evidence",
        ),
        rows=rows,
        figure=figures.likelihood([model for model, _ in drawn]),
        shown=len(drawn),
        total=len(known),
    )


@dataclass(frozen=True)
class _SizeTexts:
    """Texts of the chart of scores against a size."""

    question: str
    reading: str
    heading: str
    unknown: str
    link: str
    selection: str


SIZE_CHARTS: Mapping[str, Size] = {
    "efficiency": Size.PARAMETERS,
    "token-efficiency": Size.TOKENS,
}
"""Charts of scores against a size, by the last part of their addresses."""
_SIZE_TEXTS = {
    Size.PARAMETERS: _SizeTexts(
        question="Which models are efficient for their size?",
        reading="Private score against the number of parameters, on a logarithmic scale. The line"
        " is the efficient frontier: no other ranked model has as high a score with fewer"
        " parameters.",
        heading="Parameters",
        unknown="their number of parameters is not known, most often because they are endpoints",
        link="parameters",
        selection="those of known size",
    ),
    Size.TOKENS: _SizeTexts(
        question="Which models are efficient for the tokens that they use?",
        reading="Private score against the tokens of a public item, on a logarithmic scale: those"
        " of the prompt and the answer, of all samples and all models of a system. The line is the"
        " efficient frontier: no other ranked model has as high a score with fewer tokens. Models"
        " have different tokenizers, so tokens are not work of the same kind.",
        heading="Tokens an item",
        unknown="their tokens are not known, because the endpoint counts none or their run is"
        " older than the count",
        link="tokens an item",
        selection="those whose tokens are known",
    ),
}


def efficiency(data: ChartData) -> Chart | None:
    """Return private score against parameters; None where no model's are known."""
    return _against(data, Size.PARAMETERS)


def token_efficiency(data: ChartData) -> Chart | None:
    """Return private score against the tokens of an item; None where no model's are known."""
    return _against(data, Size.TOKENS)


def _against(data: ChartData, against: Size) -> Chart | None:
    known = []
    for model in data.points:
        own = model.size(against)
        if own:
            known.append((own, model))
    if not known:
        return None
    known.sort(key=lambda pair: (pair[0], -pair[1].private))
    rows = []
    for own, model in known:
        low, high = map(percent, model.private_interval)
        cells = (
            model.model,
            size(own),
            percent(model.private),
            f"{low}–{high}",
            "yes" if data.efficient[model.model] else "no",
            points(model.gap),
            _evidence(model),
        )
        rows.append(cells)
    texts = _SIZE_TEXTS[against]
    left_out = ""
    if data.unsized:
        left_out = f" {data.unsized:,} of the models are not drawn: {texts.unknown}."
    drawn = [model for _, model in known]
    across = texts.heading.lower()
    return Chart(
        question=texts.question,
        reading=f"{texts.reading} Scores that are close may change places by chance; their"
        f" intervals are in the table.{left_out}",
        headings=(
            "Model",
            texts.heading,
            "Private, %",
            "95% interval",
            "On the frontier",
            "Gap, pp",
            "Evidence",
        ),
        rows=rows,
        figure=figures.efficiency(drawn, data.frontier, against, across),
        shown=len(drawn),
        total=data.total,
        selection=texts.selection,
    )


def families(data: ChartData) -> Chart | None:
    """Return the mean gaps of families; None where no family is known."""
    if not data.families:
        return None
    pooled = data.families[:MOST_ROWS]
    rows = [
        (
            family.family,
            str(family.members),
            points(family.gap.estimate),
            span(family.gap.interval) if family.gap.interval else "–",
            f"{family.higher} of {family.members}",
        )
        for family in pooled
    ]
    members = thinned([model for model in data.points if model.family])
    kind = "adjusted gap" if any(family.adjusted for family in pooled) else "gap"
    return Chart(
        question="Do whole families overfit to the public set?",
        reading=f"Each tick is a model's {kind}, the diamond its family's mean with the 95%"
        " interval. Red: above zero also after correction for the number of families.",
        headings=("Family", "Models", "Mean, pp", "95% interval", "Above zero"),
        rows=rows,
        figure=figures.families(pooled, members),
        shown=len(pooled),
        total=len(data.families),
        selection="those with the largest mean gaps",
    )


def _model_cells(model: ChartPoint) -> tuple[Cell, ...]:
    low, high = map(percent, model.private_interval)
    return (
        model.model,
        percent(model.private),
        f"{low}–{high}",
        percent(model.public),
        points(model.gap),
        span(model.interval),
        _evidence(model),
    )


def _evidence(model: ChartPoint) -> SafeString:
    return format_html('<span class="badge {}">{}</span>', model.level_class, model.level.label)


CHARTS: Mapping[str, Callable[[ChartData], Chart | None]] = {
    "scatter": scatter,
    "families": families,
    "rank-changes": rank_changes,
    "likelihood": likelihood,
    "efficiency": efficiency,
    "token-efficiency": token_efficiency,
    "peers": peers,
}
"""By the last part of a chart's address."""


def chart_data(
    request: HttpRequest,
    points: Sequence[ChartPoint],
    total: int,
    curve: Curve,
    families: Sequence[FamilyMean],
    *,
    sized: Sequence[Sized] = (),
    unsized: int = 0,
    sizes: Sequence[Size] = (),
) -> ChartData:
    """Return the data of a chart; ``?model=`` names the one whose peers are asked for (404).

    ``sized`` are all models of known size; of those asked for, ``unsized`` have none. ``sizes`` are
    the sizes that any model has.
    """
    first = points[0].model if points else ""
    model = request.GET.get("model", "") or first
    if points and all(point.model != model for point in points):
        raise Http404("no such model among those shown")
    efficient = frontier.efficient(sized)
    line = frontier.line(sized, efficient)
    return ChartData(
        points=points,
        total=total,
        curve=curve,
        families=families,
        model=model,
        frontier=line,
        efficient=efficient,
        unsized=unsized,
        sizes=sizes,
    )


def size_links(sizes: Sequence[Size]) -> list[tuple[str, str]]:
    """Return the charts of scores against these sizes: last part of the address, words for it."""
    links = []
    for name, against in SIZE_CHARTS.items():
        if against in sizes:
            links.append((name, _SIZE_TEXTS[against].link))
    return links


def chart_page(
    request: HttpRequest, name: str, title: str, home: str, data: ChartData
) -> HttpResponse:
    """Render one chart with its data as a table; 404 for an unknown chart."""
    if name not in CHARTS:
        raise Http404("no such chart")
    choices = request.GET.copy()
    for choice in ("page", "model"):
        choices.pop(choice, None)
    context = {
        "title": title,
        "home": home,
        "address": choices.urlencode(),
        "chart": CHARTS[name](data) if data.points else None,
        "name": name,
        "size_charts": size_links(data.sizes) if name in SIZE_CHARTS else (),
        "bundle": static(settings.PLOTLY),
    }
    return render(request, "charts/chart.html", context)
