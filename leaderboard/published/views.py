"""Pages of tables that others published: a table, one model, one family. They compute nothing."""

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from leaderboard.caching import cached_for_visitors
from leaderboard.charts import frontier
from leaderboard.charts.points import LEVEL_CLASSES, near
from leaderboard.evidence import explain
from leaderboard.evidence.forms import AXIS_CHOICES
from leaderboard.evidence.summaries import DecidedBy
from leaderboard.evidence.vocabulary import DECIDED
from leaderboard.published import cells, exports
from leaderboard.published.columns import COLUMNS
from leaderboard.published.forms import (
    BASIS_CHOICES,
    EVIDENCE_CHOICES,
    PUBLISHED_ACCESS,
    SORT_CHOICES,
    PublishedQuery,
)
from leaderboard.published.models import PublishedSnapshot, PublishedTable, listed_tables
from leaderboard.published.points import point_of, sized
from leaderboard.published.results import FEWEST_MEMBERS, Analysis, Basis, is_tested
from leaderboard.published.summary import count_levels, summarise

MOST_PEERS = 20


@require_safe
@cached_for_visitors()
def index(request: HttpRequest) -> HttpResponse:
    """List every table that was imported, with its source."""
    return render(request, "published/index.html", {"tables": listed_tables()})


@require_safe
@cached_for_visitors()
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """Render one table: the rows asked for, then families and answers to common questions."""
    table, snapshot = _table(slug)
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    rows = query.shown(analysis)
    sorts = request.GET.copy()
    sorts.pop("sort", None)
    tests = [line.test(query.basis) for line in analysis.lines]
    decided = DecidedBy(
        method=snapshot.method,
        levels=analysis.levels,
        rows=len(analysis.lines),
        tested=sum(test is not None for test in tests),
    )
    context = {
        "table": table,
        "snapshot": snapshot,
        "analysis": analysis,
        "query": query,
        "address": request.GET.urlencode(),
        "choices": _choices(query, table, analysis),
        "columns": [
            (column.name, column.label, column.name in query.columns)
            for column in COLUMNS
            if column.label
        ],
        "counts": count_levels(analysis, query.basis),
        "shown": len(rows),
        "ranking": cells.ranking(
            rows,
            table,
            query.basis,
            query.columns,
            caption=table.title,
            address=_address_of_models(query.basis, analysis),
            whole=query.axis == "whole",
            sorts=sorts.urlencode(),
        ),
        "answers": summarise(table, analysis),
        "definitions": [
            (level.label, LEVEL_CLASSES[level], meaning)
            for level, meaning in explain.definitions(analysis.levels)
            if level in DECIDED
        ],
        "chance": explain.chance(decided),
        "fewest_members": FEWEST_MEMBERS,
        "has_sizes": any(row.parameters for row in rows),
        "has_likelihood": sum(row.loglik is not None for row in rows) > 1,
        **cells.families(analysis, [family.family for family in analysis.families]),
    }
    return render(request, "published/table.html", context)


@require_safe
@cached_for_visitors()
def model(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Render one model of a table: its scores, both tests, and models of a similar public score."""
    table, snapshot = _table(slug)
    analysis = snapshot.analysis()
    basis = PublishedQuery.from_dict(request.GET, analysis).basis
    row = analysis.find(name)
    if row is None:
        raise Http404("no such model")
    points = [point_of(other, basis) for other in analysis.lines]
    nearest = near(points, name)[: MOST_PEERS + 1]
    similar = {point.model for point in nearest}
    peers = [other for other in analysis.lines if other.model in similar]
    ranking = SafeString()
    if len(peers) > 1:
        ranking = cells.ranking(
            peers,
            table,
            basis,
            caption="Models of a similar public score",
            address=_address_of_models(basis, analysis),
            chosen=name,
        )
    context = {
        "table": table,
        "snapshot": snapshot,
        "analysis": analysis,
        "basis": basis,
        "cells": cells.cells(row, basis),
        "known": table.known().get(name, ""),
        "row": row,
        "ranking": ranking,
        "raw_p": cells.p_values(row.raw.greater if row.raw else None),
        "peers_p": cells.p_values(row.peers.greater if row.peers else None),
        "reported_p": cells.p_values(row.reported),
    }
    return render(request, "published/model.html", context)


@require_safe
@cached_for_visitors()
def family(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Render one family of a table: its models, and their mean gap where there are enough."""
    table, snapshot = _table(slug)
    analysis = snapshot.analysis()
    basis = PublishedQuery.from_dict(request.GET, analysis).basis
    rows = [row for row in analysis.lines if row.family == name]
    if not rows:
        raise Http404("no such family")
    (pooled,) = [family for family in analysis.families if family.family == name]
    context = {
        "table": table,
        "snapshot": snapshot,
        "basis": basis,
        "name": name,
        "tested": is_tested(pooled),
        "fewest_members": FEWEST_MEMBERS,
        "ranking": cells.ranking(
            rows,
            table,
            basis,
            caption=name,
            address=_address_of_models(basis, analysis),
        ),
        **cells.families(analysis, [name]),
    }
    return render(request, "published/family.html", context)


@require_safe
def as_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """Return the rows that the page shows for the same address, as a CSV file."""
    _, snapshot = _table(slug)
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    efficient = frontier.efficient(sized(analysis.lines))
    text = exports.published_as_csv(query.shown(analysis), query.basis, efficient)
    headers = {"Content-Disposition": f'attachment; filename="{slug}.csv"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


def _table(slug: str) -> tuple[PublishedTable, PublishedSnapshot]:
    table = get_object_or_404(PublishedTable, slug=slug)
    snapshot = PublishedSnapshot.objects.current(table)
    if snapshot is None:
        raise Http404("not analysed yet")
    return table, snapshot


def _address_of_models(basis: Basis, analysis: Analysis) -> str:
    """Return the query that the links to models carry: the assumption, where it is another."""
    return "" if basis == analysis.basis else f"?basis={basis}"


def _choices(
    query: PublishedQuery, table: PublishedTable, analysis: Analysis
) -> list[dict[str, Any]]:
    """Return the selects of the form: name, label, options and the choice made."""
    names = [family.family for family in analysis.families]
    families = [("", "all families")]
    for name in sorted(names, key=str.lower):
        families.append((name, name))
    bases = [(value, f"assume: {text}") for value, text in BASIS_CHOICES]
    selects: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = (
        ("family", "Family", families),
        ("access", "Access", PUBLISHED_ACCESS),
        ("evidence", "Evidence", EVIDENCE_CHOICES),
        ("sort", "Order", SORT_CHOICES),
        ("basis", "Assumption", bases),
        ("axis", "Range of the axis", AXIS_CHOICES),
    )
    untested = ("evidence", "basis") if table.same_problems else ()
    choices = []
    for name, label, options in selects:
        if name not in untested:
            choice = {
                "name": name,
                "label": label,
                "options": options,
                "chosen": getattr(query, name),
            }
            choices.append(choice)
    return choices
