"""The pages of what we ran: boards, models, families. They read finished snapshots, draw them, and compute nothing."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard import kept
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import charts, exports, pages, pictures
from leaderboard.board.current import board as current
from leaderboard.board.forms import BoardQuery
from leaderboard.board.lines import line, printed, table
from leaderboard.board.models import Snapshot
from leaderboard.evidence import explain, formats
from leaderboard.evidence.models import Verdict
from leaderboard.outlines import Filled

SIMILAR = 0.05
"""Models whose public scores differ by so much at most are peers."""
MOST_PEERS, MOST_MEMBERS = 60, 100
"""How many a page shows at most, so that it costs the same however many there are; beside them it says how many."""


@require_safe
def board(request: HttpRequest, slug: str) -> HttpResponse:
    """The ranking of one pair."""
    found = current(slug)
    if found is None:
        raise Http404("no such pair")
    query = BoardQuery.from_dict(request.GET)

    def made() -> Filled:
        return pages.page(found, query, pages.frame(found, request, kept=kept.stranger(request)))

    return kept.answer(
        request,
        made,
        what=f"{request.path}?{query.address()}",
        version=found.version,
        until=found.until,
    )


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
        until=found.until,
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
            places, similar = snapshot.index().near(
                row.public.accuracy, within=SIMILAR, most=MOST_PEERS
            )
            near = [row, *(one for one in snapshot.at(places) if one.model != name)]
            near.sort(key=lambda one: (-one.private.accuracy, one.model))
            found.append(
                {
                    "pair": pair,
                    "snapshot": snapshot,
                    "line": line(row),
                    "peers": charts.peers(row, near) if len(near) > 1 else "",
                    "near": [line(one) for one in near],
                    "similar": similar,
                    "models": snapshot.index().models,
                    "worst": formats.span(row.worst)
                    if row.private.truncated or row.public.truncated
                    else "",
                    "leak": explain.leak(row.leak) if row.leak else "",
                    "contact": explain.contact(row.contact, row.private.n),
                    "says": explain.evidence(row.judged, row.gap),
                    "graders": [(one, formats.points(one.gap)) for one in row.graders],
                }
            )
    if not found:
        raise Http404("no such model")
    verdicts = Verdict.objects.of_model(name)
    return render(request, "board/model.html", {"name": name, "found": found, "verdicts": verdicts})


@require_safe
def family(request: HttpRequest, name: str) -> HttpResponse:
    """The models of one lineage on every pair, and their mean gap."""
    found = []
    for pair in SetPair.objects.select_related("private").order_by("-pk"):
        snapshot = Snapshot.objects.current(pair)
        members = snapshot.index().of_family(name) if snapshot else []
        if snapshot and members:
            rows = snapshot.at(members[:MOST_MEMBERS])
            shown = {
                "shown": len(rows),
                "members": len(members),
                **table([printed(row) for row in rows]),
            }
            found.append(
                {
                    "pair": pair,
                    "snapshot": snapshot,
                    **shown,
                    **pictures.of_families(snapshot, name),
                }
            )
    if not found:
        raise Http404("no such family")
    return render(request, "board/family.html", {"name": name, "found": found})


@require_safe
def methodology(request: HttpRequest) -> HttpResponse:
    """What is done here, made from what is in force; each definition under an anchor of its own."""
    # Imported here: no other page has any use for the statistics, whose constants it names.
    from leaderboard.board.methodology import sections  # noqa: PLC0415

    return render(request, "board/methodology.html", {"sections": sections()})
