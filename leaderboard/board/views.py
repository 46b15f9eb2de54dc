"""Pages of boards, models and families. They read finished snapshots and compute nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import exports, figures
from leaderboard.board.cells import cells, ranking
from leaderboard.board.columns import COLUMNS
from leaderboard.board.forms import (
    ACCESS_CHOICES,
    EVIDENCE_CHOICES,
    PAGE_ROWS,
    SORT_CHOICES,
    VERIFIED_CHOICES,
    BoardQuery,
)
from leaderboard.board.lookup import (
    Board,
    board_etag,
    board_of,
    current_snapshots,
    find_row,
    ranked_rows,
)
from leaderboard.board.models import Snapshot, mark_verified
from leaderboard.board.rows import Row
from leaderboard.board.watched import watched
from leaderboard.caching import cached_for_visitors
from leaderboard.charts.chart_pages import size_links
from leaderboard.charts.points import LEVEL_CLASSES
from leaderboard.evidence import explain, formats
from leaderboard.evidence.forms import AXIS_CHOICES
from leaderboard.evidence.models import Verdict
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.vocabulary import FLAGGED, LARGEST_TRIED, LEVELS, Levels
from leaderboard.submissions.actions import close_rule
from leaderboard.submissions.models import (
    Embargo,
    Model,
    Reply,
    adapters_of_runs,
    base_models,
    statements_of_runs,
)

if TYPE_CHECKING:
    from leaderboard.board.comparison import Comparison

MOST_PEERS = 60
MOST_MEMBERS = 100
MOST_UNRANKED = 50
MOST_NAME = 120
MOST_SUGGESTED = 200


@require_safe
@cached_for_visitors(board_etag)
def board(request: HttpRequest, slug: str) -> HttpResponse:
    """Render the ranking of one pair."""
    board = _board_or_404(request, slug)
    query = BoardQuery.from_dict(request.GET)
    snapshot = board.snapshot
    pages = Paginator(query.positions(snapshot), PAGE_ROWS)
    page = pages.get_page(query.page)
    rows = snapshot.rows_at(list(page)) if snapshot else []
    surest = snapshot.surest_gaps() if snapshot else ()
    unranked = board.unranked.named
    digest = board.pair.private.digest
    context = {
        "pair": board.pair,
        "query": query,
        "address": query.address(page=1),
        "page": page,
        "is_start": page.number == 1 and not query.narrows,
        "ranking": ranking(
            rows,
            query.columns,
            caption="Ranking",
            whole=query.axis == "whole",
            sorts=query.address(page=1, sort=""),
        ),
        "choices": _choices(snapshot, query),
        "snapshot": snapshot,
        "version": board.version,
        "cache_seconds": settings.PAGE_CACHE_SECONDS,
        "size": board.size,
        "size_charts": size_links(snapshot.sizes()) if snapshot else (),
        "counts": snapshot.counts if snapshot else {},
        "panel": snapshot.facts() if snapshot else None,
        "noise": noise_floor(),
        "surest": [(largest.model, formats.points(largest.gap)) for largest in surest],
        "largest_tried": LARGEST_TRIED,
        "decided": _decided(snapshot),
        "unranked": unranked[:MOST_UNRANKED],
        "unranked_models": len(unranked),
        "pending": board.unranked.counts(),
        "embargoes": board.unranked.embargoes[:MOST_UNRANKED],
        "commitment": f"{digest[:4]}…{digest[-4:]}",
        "rule": board.pair.private.rule_words(),
        "next_close": board.next_close,
        "close_rule": close_rule(board.pair),
        **(figures.of_board(snapshot) if snapshot else {}),
    }
    return render(request, "board/board.html", context)


def _board_or_404(request: HttpRequest, slug: str) -> Board:
    board = board_of(request, slug)
    if board is None:
        raise Http404("no such pair")
    return board


def _decided(snapshot: Snapshot | None) -> list[dict[str, Any]]:
    """Return the meaning of the levels by each method and its thresholds that decided rows.

    Before the first row is decided it is that of the levels in force.
    """
    groups = snapshot.decided_by() if snapshot else ()
    if not groups:
        return [_levels(LEVELS)]
    return [
        {
            "method": group.method,
            "rows": group.rows,
            "chance": explain.chance(group),
            **_levels(group.levels),
        }
        for group in groups
    ]


def _levels(levels: Levels) -> dict[str, Any]:
    """Return the power, and label, CSS class and meaning of each evidence level."""
    definitions = [
        (level.label, LEVEL_CLASSES[level], meaning)
        for level, meaning in explain.definitions(levels)
    ]
    return {"power": f"{100 * levels.power:g}%", "definitions": definitions}


def _choices(snapshot: Snapshot | None, query: BoardQuery) -> dict[str, Any]:
    """Return the options of the filter form."""
    options = snapshot.options if snapshot else {}
    return {
        "named": [
            {"name": name, "chosen": getattr(query, name), **listed}
            for name, listed in options.items()
        ],
        "fixed": [
            ("access", "Access", ACCESS_CHOICES, query.access),
            ("evidence", "Evidence", EVIDENCE_CHOICES, query.evidence),
            ("sort", "Order", SORT_CHOICES, query.sort),
            ("axis", "Range of the axis", AXIS_CHOICES, query.axis),
        ],
        "verified": VERIFIED_CHOICES,
        "columns": [
            (column.name, column.label, column.name in query.columns)
            for column in COLUMNS
            if column.label
        ],
    }


@require_safe
@cached_for_visitors(board_etag)
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Render two models of a pair side by side; without two names, the form that asks for them."""
    found = _board_or_404(request, slug)
    names = [request.GET.get(side, "")[:MOST_NAME] for side in ("a", "b")]
    rows = [find_row(found.snapshot, name) for name in names]
    unknown = []
    for name, row in zip(names, rows, strict=True):
        if name and not row:
            unknown.append(name)
    context: dict[str, Any] = {
        "pair": found.pair,
        "names": names,
        "unknown": unknown,
        "listed": found.snapshot.first_models(MOST_SUGGESTED) if found.snapshot else [],
    }
    first, second = rows
    if found.snapshot and first and second and first.model != second.model:
        # Imported here: no other page has any use for the statistics.
        from leaderboard.board import comparison as comparisons  # noqa: PLC0415

        comparison = comparisons.compare(found.snapshot, first, second)
        context |= _comparison_texts(comparison)
    return render(request, "board/compare.html", context)


def _comparison_texts(comparison: "Comparison") -> dict[str, Any]:
    """Return a comparison as texts: both sets, as far as they are published, and the thirds of
    public items by difficulty, the hardest first."""
    first, second = comparison.first, comparison.second
    names = (first.model, second.model)
    sets = []
    results = {"Sealed set": comparison.private, "Public set": comparison.public}
    for label, result in results.items():
        if result:
            sets.append(
                {
                    "label": label,
                    "result": result,
                    "difference": formats.points(result.difference),
                    "interval": formats.span(result.interval),
                    "conclusion": result.conclusion(*names),
                }
            )
    thirds = []
    for group in comparison.difficulty:
        result = group.result
        thirds.append(
            {
                "name": group.name,
                "easiness": f"{formats.percent(group.low)}–{formats.percent(group.high)}",
                "result": result,
                "difference": formats.points(result.difference),
                "interval": formats.span(result.interval),
                "p": formats.p_value(result.p) if result.p is not None else "",
            }
        )
    return {
        "comparison": comparison,
        "sides": [cells(first), cells(second)],
        "sets": sets,
        "gap": comparison.gap and comparison.gap.conclusion(*names),
        "difficulty": thirds,
    }


@require_safe
@cached_for_visitors(board_etag)
def board_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """Return the rows that the page shows for the same address, on all its pages, as CSV."""
    snapshot = _board_or_404(request, slug).snapshot
    rows = BoardQuery.from_dict(request.GET).rows(snapshot)
    efficient = exports.efficient_models(snapshot)
    text = exports.as_csv(mark_verified(row.read() for row in rows), efficient)
    headers = {"Content-Disposition": f'attachment; filename="{slug}.csv"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
def model(request: HttpRequest, name: str) -> HttpResponse:
    """Render where one model stands on every pair, among its peers, and its verdicts.

    A former name leads to the present one.
    """
    ranked = ranked_rows(name)
    if not ranked:
        raise Http404("no such model")
    known = Model.objects.named(name)
    if known and known.name != name:
        return redirect("model", known.name, permanent=True)
    standings = _standings(ranked, known)
    context = {
        "name": name,
        "unverified": known.organisation if known else None,
        "organisation": known.organisation if known else standings[0]["cells"].row.organisation,
        "former": known.former.select_related("organisation").order_by("-pk") if known else (),
        "embargoes": Embargo.objects.about(known) if known else (),
        "standings": standings,
        "watched": list(watched(known)) if known else (),
        "verdicts": Verdict.objects.of_model(name),
    }
    return render(request, "board/model.html", context)


def _standings(
    ranked: Sequence[tuple[SetPair, Snapshot, Row]], known: Model | None
) -> list[dict[str, Any]]:
    """Return the standing of a model on each board, with what its author states of the run, its
    adapter, its organisation's reply, and its base models that are ranked there."""
    standings = [_standing(pair, snapshot, row) for pair, snapshot, row in ranked]
    if known is None:  # a row whose model is gone
        return standings
    bases = sorted(base_models(known))
    runs = [row.run for _, _, row in ranked]
    statements = statements_of_runs(runs)
    adapters = adapters_of_runs(runs)
    replies = Reply.objects.of_runs(runs)
    for standing, run in zip(standings, runs, strict=True):
        parents = [find_row(standing["snapshot"], base) for base in bases]
        standing.update(
            stated=statements.get(run),
            adapter=adapters.get(run),
            reply=replies.get(run),
            parents=[row.model for row in parents if row],
        )
    return standings


def _standing(pair: SetPair, snapshot: Snapshot, row: Row) -> dict[str, Any]:
    peers, similar = snapshot.peers_of(row, MOST_PEERS)
    levels = row.judged.levels if row.judged else LEVELS
    truncated = row.private.truncated or row.public.truncated
    return {
        "pair": pair,
        "snapshot": snapshot,
        "cells": cells(row),
        "chance": _chance(snapshot, row),
        "peers": [cells(peer) for peer in peers],
        "similar": similar,
        "models": snapshot.size,
        "worst": formats.span(row.worst) if truncated else "",
        "leak": explain.leak(row.leak, levels) if row.leak else "",
        "prior_exposure": explain.prior_exposure(row.prior_exposure, row.private.n, levels),
        "graders": [(score, formats.points(score.gap)) for score in row.graders],
    }


def _chance(snapshot: Snapshot, row: Row) -> str:
    """Return how many such levels chance gives on the board; empty for a row without one."""
    if row.judged is None or row.evidence not in FLAGGED:
        return ""
    own = (row.judged.method, row.judged.levels)
    chances = []
    for group in snapshot.decided_by():
        is_own = (group.method, group.levels) == own
        if is_own and group.tested > 1:
            chances.append(explain.chance(group))
    return " ".join(chances)


@require_safe
def family(request: HttpRequest, name: str) -> HttpResponse:
    """Render the models of one lineage on every pair, and their mean gap."""
    found = []
    for pair, snapshot in current_snapshots():
        members = snapshot.rows.filter(family=name).order_by("position")
        rows = mark_verified(row.read() for row in members[:MOST_MEMBERS])
        if rows:
            found.append(
                {
                    "pair": pair,
                    "snapshot": snapshot,
                    "members": members.count(),
                    "shown": len(rows),
                    "ranking": ranking(rows, caption=f"{name} on {pair.title}"),
                    **figures.of_families(snapshot, name),
                }
            )
    if not found:
        raise Http404("no such family")
    return render(request, "board/family.html", {"name": name, "found": found})


@require_safe
def methodology(request: HttpRequest) -> HttpResponse:
    """Render the methodology, made from what is in force; each definition has an anchor."""
    # Imported here: no other page has any use for the statistics, whose constants it names.
    from leaderboard.board.methodology import sections  # noqa: PLC0415

    return render(request, "board/methodology.html", {"sections": sections()})
