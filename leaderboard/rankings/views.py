"""The pages of what we ran: boards, models, families. They read finished snapshots, draw them, and compute nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from leaderboard import kept
from leaderboard.benchmarks.models import SetPair
from leaderboard.benchmarks.states import PairState
from leaderboard.rankings import charts, exports
from leaderboard.rankings.charts import orders
from leaderboard.rankings.charts import published as drawn
from leaderboard.rankings.forms import (
    ACCESS_CHOICES,
    AXIS_CHOICES,
    BOARD_EVIDENCE,
    BOARD_SORT_CHOICES,
    PAGE_ROWS,
    BoardQuery,
)
from leaderboard.rankings.lines import lines, scales
from leaderboard.rankings.models import Board, Coded, Columns, FamilyLine, Row, Snapshot, Verdict, noise_floor
from leaderboard.rankings.models import board as current

CALLOUTS = 3
SIMILAR = 0.05
"""Models whose public scores differ by so much at most are peers."""
MOST_PEERS, MOST_MEMBERS, MOST_FAMILIES, MOST_TICKS, MOST_WAITING, MOST_OPTIONS = 60, 100, 40, 200, 50, 40
"""How many a page shows at most, so that it costs the same however many there are; beside them it says how many."""
NAMED = {"family": "families", "organisation": "organisations", "protocol": "protocols"}
"""The columns that are filtered by a name of the board's own, and what many of them are called."""


@dataclass(frozen=True)
class Family:
    """One family of the forest plot as it is printed."""

    row: FamilyLine
    mean: str
    interval: str
    prediction: str
    p_sign: str
    picture: SafeString


@require_safe
def board(request: HttpRequest, slug: str | None = None) -> HttpResponse:
    """The ranking of one pair; of the one registered last where none is named."""
    found = current(slug)
    if found is None and slug is not None:
        raise Http404("no such pair")
    if found is None:
        return render(request, "rankings/empty.html")
    query = BoardQuery.from_dict(request.GET)

    def made() -> str:
        return render_to_string("rankings/board.html", _context(found, query), request)

    return kept.answer(request, made, what=f"{request.path}?{query.address()}", version=found.version)


@require_safe
def board_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The rows that the page shows for the same address, on all its pages, as a CSV file; its heading where none is."""
    found = current(slug)
    if found is None:
        raise Http404("no such pair")
    query = BoardQuery.from_dict(request.GET)
    return kept.answer(
        request,
        lambda: exports.as_csv(found.rows(query.positions(found.columns).tolist())),
        what=f"{request.path}?{query.address(page=1)}",
        version=found.version,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{slug}.csv"'},
    )


@require_safe
def model(request: HttpRequest, name: str) -> HttpResponse:
    """Where one model stands on every pair, among its peers, and what was decided about it and when."""
    found = []
    for pair in SetPair.objects.select_related("private").order_by("-pk"):
        snapshot = Snapshot.objects.current(pair)
        if snapshot and (row := snapshot.row_of(name)):
            places, similar = snapshot.index().near(row.public.accuracy, within=SIMILAR, most=MOST_PEERS)
            near = [row, *(one for one in snapshot.at(places) if one.model != name)]
            near.sort(key=lambda one: (-one.private.accuracy, one.model))
            found.append(
                {
                    "pair": pair,
                    "snapshot": snapshot,
                    "line": lines([row])[0],
                    "peers": orders.peers(row, near) if len(near) > 1 else "",
                    "near": lines(near),
                    "similar": similar,
                    "models": snapshot.index().models,
                    "worst": charts.span(row.worst) if row.private.truncated or row.public.truncated else "",
                }
            )
    if not found:
        raise Http404("no such model")
    verdicts = Verdict.objects.of_model(name)
    return render(request, "rankings/model.html", {"name": name, "found": found, "verdicts": verdicts})


@require_safe
def family(request: HttpRequest, name: str) -> HttpResponse:
    """The models of one lineage on every pair, and their mean gap."""
    found = []
    for pair in SetPair.objects.select_related("private").order_by("-pk"):
        snapshot = Snapshot.objects.current(pair)
        members = snapshot.index().of_family(name) if snapshot else []
        if snapshot and members:
            rows = snapshot.at(members[:MOST_MEMBERS])
            shown = {"lines": lines(rows), "members": len(members), **scales(rows), **_families(snapshot, name)}
            found.append({"pair": pair, "snapshot": snapshot, **shown})
    if not found:
        raise Http404("no such family")
    return render(request, "rankings/family.html", {"name": name, "found": found})


@require_safe
def methodology(request: HttpRequest) -> HttpResponse:
    """What is done here, made from what is in force; each definition under an anchor of its own."""
    # Imported here: no other page has any use for the statistics, whose constants it names.
    from leaderboard.rankings.methodology import sections  # noqa: PLC0415

    return render(request, "rankings/methodology.html", {"sections": sections()})


def _context(found: Board, query: BoardQuery) -> dict[str, Any]:
    columns, whole = found.columns, query.axis == "whole"
    positions = query.positions(columns)
    own, hottest = query.of_page(positions), columns.hottest[:CALLOUTS]
    rows = found.rows([*own, *hottest])
    shown, panel = rows[: len(own)], found.snapshot.facts() if found.snapshot else None
    printed = lines(shown, whole=whole)
    return {
        "pair": found.pair,
        "seal": _seal(found.pair),
        "snapshot": found.snapshot,
        "query": query,
        "address": query.address(page=1),
        "sorts": query.address(page=1, sort=""),
        "choices": _choices(query, columns),
        "lines": printed,
        "total": len(positions),
        "pages": _pages(query, len(positions)),
        "has_adjusted": any(line.adjusted for line in printed),
        "facts": _facts(columns),
        "panel": panel,
        "noise": noise_floor(),
        "callouts": [(row, charts.points(row.gap), row in shown) for row in rows[len(own) :]],
        "unranked": found.unranked[:MOST_WAITING],
        "waiting": len(found.unranked),
        "scatter": charts.scatter(shown, panel.curve if panel else ()),
        "slopes": orders.slopes(shown) if len(shown) > 1 else "",
        "most_slopes": orders.MOST_SLOPES if len(shown) > orders.MOST_SLOPES else 0,
        "forest": _forest(found.snapshot) if found.snapshot else "",
        **scales(shown, whole=whole),
        **_likelihoods(shown),
    }


@dataclass(frozen=True)
class Choice:
    """One part of the filter form: options to choose from or, where they are too many, the commonest to type."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    chosen: str
    free: bool = False


def _choices(query: BoardQuery, columns: Columns) -> list[Choice]:
    """The choices of the filter form; what is the same for all rows is none."""
    fixed = {
        "access": ("Access", ACCESS_CHOICES),
        "evidence": ("Evidence", BOARD_EVIDENCE),
        "sort": ("Order", BOARD_SORT_CHOICES),
        "axis": ("Range of the axis", AXIS_CHOICES),
    }
    named = [_named(query, columns, name, many) for name, many in NAMED.items()]
    chosen = [Choice(name, label, options, getattr(query, name)) for name, (label, options) in fixed.items()]
    return [one for one in named if len(one.options) > 2 or one.chosen or one.name == "family"] + chosen


def _named(query: BoardQuery, columns: Columns, name: str, many: str) -> Choice:
    column: Coded = getattr(columns, name)
    names = column.most(MOST_OPTIONS)
    options = [("", f"all {many}"), *((one, one) for one in names)]
    free = len(column.names) > MOST_OPTIONS
    return Choice(name, name.capitalize(), options, getattr(query, name), free)


def _pages(query: BoardQuery, total: int) -> dict[str, int]:
    """The pages before and after this one, 0 where there is none."""
    last = max(1, -(-total // PAGE_ROWS))
    return {
        "this": query.page,
        "last": last,
        "before": min(query.page - 1, last),
        "after": query.page + 1 if query.page < last else 0,
    }


def _seal(pair: SetPair) -> dict[str, Any]:
    digest = pair.private.digest
    return {
        "commitment": f"{digest[:4]}…{digest[-4:]}",
        "released": pair.private.n if pair.state == PairState.RELEASED else 0,
        "rule": pair.private.rule_words() or "none announced yet",
    }


def _facts(columns: Columns) -> dict[str, int]:
    found = Counter(columns.evidence.counted)
    return {
        "models": columns.models,
        "overfit": found["overfit"],
        "watch": found["watch"],
        "none": found["no_evidence"],
        "open": found["cannot_tell"],
        "pending": found["pending"],
    }


def _forest(snapshot: Snapshot) -> SafeString:
    """The part of the page on families, which is the same on every page of a snapshot."""
    return _drawn_forest(snapshot.pk, snapshot.created)


@lru_cache(maxsize=8)
def _drawn_forest(pk: int, _: datetime) -> SafeString:
    snapshot = Snapshot.objects.defer("columns").get(pk=pk)
    if not snapshot.families:
        return SafeString("")
    return render_to_string("rankings/forest.html", {**_families(snapshot), "panel": snapshot.facts()})


def _families(snapshot: Snapshot, name: str = "") -> dict[str, Any]:
    """The forest plot: each family's members as ticks, its mean on its interval; the largest means first."""
    columns, pooled = snapshot.index(), [one for one in snapshot.pooled() if name in ("", one.family)]
    shown = [(one, columns.ticks(one.family, MOST_TICKS)) for one in pooled[:MOST_FAMILIES]]
    spans = [one.raw.interval for one, _ in shown if one.raw.interval]
    axis = drawn.gap_axis([*spans, *((tick.gap, tick.gap) for _, ticks in shown for tick in ticks)])
    families = [
        Family(
            row=one,
            mean=charts.points(one.raw.estimate),
            interval=charts.span(one.raw.interval) if one.raw.interval else "",
            prediction=charts.span(one.raw.prediction) if one.raw.prediction else "",
            p_sign=f"{one.p_sign:.3f}",
            picture=drawn.family_forest(one, ticks, axis),
        )
        for one, ticks in shown
    ]
    return {"family_scale": charts.scale(axis, signed=True), "families": families, "all_families": len(pooled)}


def _likelihoods(rows: Sequence[Row]) -> dict[str, Any]:
    """Gap against likelihood, as a picture and as rows; nothing where fewer than two models were read."""
    read = [(row, row.likelihood) for row in rows if row.likelihood]
    if len(read) < 2:
        return {}
    found = [
        (
            row,
            *(f"{at:.3f}".replace("-", "−") for at in (one.public.per_character, one.private.per_character)),
            f"{one.public.per_character - one.private.per_character:+.3f}".replace("-", "−"),
            charts.points(row.gap),
        )
        for row, one in sorted(read, key=lambda pair: -pair[1].public.per_character)
    ]
    return {"likelihood": orders.likelihood(rows), "likelihood_rows": found}
