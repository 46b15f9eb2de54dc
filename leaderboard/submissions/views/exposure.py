"""Exposure report of a sealed set, for maintainers."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from evaluator import policy
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.rules import moment_of
from leaderboard.accounts.views import maintainers_only
from leaderboard.benchmarks import charts
from leaderboard.benchmarks.models import SetPair
from leaderboard.ledger.models import Entry
from leaderboard.submissions.exposure_report import (
    BlockExposure,
    ExposureReport,
    Reveal,
    report_exposure,
)

MOST_RECIPIENTS = 6
"""Recipients that the page lists for one block."""


@maintainers_only
@require_safe
def exposure(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the items of a sealed set that were revealed, block by block, with the recipients."""
    pairs = SetPair.objects.select_related("private", "public")
    pair = get_object_or_404(pairs, slug=slug)
    manifest = pair.private.facts()
    context: dict[str, Any] = {
        "pair": pair,
        "manifest": manifest,
        "section": "sets",
    }
    if manifest:
        # Entries outside their evaluator's chain count as well: their items were shown.
        entries = Entry.objects.filter(kind="exposure", set_name=manifest.name)
        columns = ("moment", "recipient", "tier", "line__root", "line__items")
        rows = entries.values_list(*columns).iterator()
        report = report_exposure(manifest, (Reveal(*row) for row in rows))
        context |= report_context(pair, manifest, report)
        unchained = entries.exclude(status=Entry.Status.CHAINED)
        context["unchained"] = unchained.count()
    return render(request, "submissions/exposure.html", context)


def report_context(pair: SetPair, manifest: Manifest, report: ExposureReport) -> dict[str, Any]:
    """Return the report as rows, one a block, with the figures of the whole set."""
    parts = charts.parts(manifest, pair.private.signed_notices())
    rows = []
    shares = {}
    for part in parts:
        row = block_row(manifest.name, part, report.blocks[part.id])
        rows.append(row)
        is_wrong = bool(row["forbidden"])
        shares[part.id] = charts.BlockExposure(row["share"], row["times"], is_wrong)
    declared = report.declared.bit_count()
    share_of_cap = declared / manifest.cap if manifest.cap else 0
    return {
        "report": report,
        "rows": rows,
        "heat": charts.heat(parts, shares),
        "declared": declared,
        "declared_bar": charts.bar(share_of_cap),
        "over_cap": declared > manifest.cap,
        "season": pair.season + 1,
        "ledger_query": urlencode({"set": manifest.name, "kind": "exposure"}),
    }


def block_row(set_name: str, part: charts.Part, block: BlockExposure) -> dict[str, Any]:
    """Return one block's row, with its recipients by falling number of reveals."""
    total = block.total
    by_reveals = sorted(block.by, key=lambda party: (-block.by[party].reveals, party))
    recipients = []
    for party in by_reveals[:MOST_RECIPIENTS]:
        recipient, tier = party
        about = {"recipient": recipient, "tier": tier}
        query = urlencode({"set": set_name, "kind": "exposure", **about})
        recipients.append(about | {"exposure": block.by[party], "query": query})
    tiers = {tier for _, tier in block.by}
    share = total.items / part.n
    return {
        "part": part,
        "total": total,
        "share": share,
        "percent": 100 * share,
        "bar": charts.bar(share),
        "times": total.reveals / part.n,
        "recipients": recipients,
        "more": max(0, len(by_reveals) - MOST_RECIPIENTS),
        "forbidden": sorted(tiers - policy.tiers_shown(part.kind)),
        "first": _moment(total.first),
        "last": _moment(total.last),
    }


def _moment(text: str) -> datetime | None:
    return moment_of(text + "Z") if text else None
