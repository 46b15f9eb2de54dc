"""Publishing the overlap of public sets with corpora, as ``holdfast overlap`` reports it.

Of a sealed set no report is published: its counts would be facts about sealed items.
"""

import hashlib
from typing import Any

from msgspec import structs

from evaluator.contract import canonical_json
from evaluator.contract.overlaps import OverlapReport
from evaluator.errors import EvaluatorError
from leaderboard.accounts.models import User
from leaderboard.benchmarks.forms import OverlapFacts
from leaderboard.benchmarks.models import ItemSet, Overlap
from leaderboard.errors import Refusal, refuse


def publish_overlap(
    *,
    data: object,
    corpus: str,
    by: User,
    address: str = "",
    model: str = "",
) -> Overlap:
    """Publish a report on a public set, found by the digest of its items. Twice changes nothing.

    ``model`` is the model of the run, and is named where the report has its score. Raises
    ``forbidden``, ``invalid_field``, ``bad_overlap`` for anything but such a report, and
    ``overlap_not_public`` for one of any other set.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    facts = OverlapFacts({"corpus": corpus, "address": address, "model": model})
    if not facts.is_valid():
        raise refuse(Refusal.INVALID_FIELD, ", ".join(facts.errors))
    try:
        report = OverlapReport.from_dict(data)
    except EvaluatorError:
        raise refuse(Refusal.BAD_OVERLAP) from None
    if not report.is_possible():
        raise refuse(Refusal.BAD_OVERLAP, "its counts contradict each other")
    if report.has_scores != bool(facts.cleaned_data["model"]):
        problem = "name the model of the run" if report.has_scores else "it has no model's score"
        raise refuse(Refusal.BAD_OVERLAP, problem)
    public_sets = ItemSet.objects.filter(sealed=False, digest=report.set)
    item_set = public_sets.order_by("pk").first()
    if item_set is None:
        raise refuse(Refusal.OVERLAP_NOT_PUBLIC)
    if item_set.n != report.items:
        raise refuse(Refusal.BAD_OVERLAP, "it is over another number of items")
    counts = structs.replace(report, matches=(), caution="").to_dict()
    overlap, _ = Overlap.objects.get_or_create(
        item_set=item_set,
        corpus=facts.cleaned_data["corpus"],
        model=facts.cleaned_data["model"],
        digest=hashlib.sha256(canonical_json(counts)).hexdigest(),
        defaults={"address": facts.cleaned_data["address"], "report": counts, "published_by": by},
    )
    return overlap


def overlaps_of(item_set: ItemSet) -> list[Overlap]:
    """Return the newest report on each corpus, of each model, the newest first."""
    newest: dict[tuple[str, str], Overlap] = {}
    for overlap in item_set.overlaps.order_by("-pk"):
        newest.setdefault((overlap.corpus, overlap.model), overlap)
    return list(newest.values())


def as_json(overlap: Overlap) -> dict[str, Any]:
    """Return a published report as JSON data. Where there is a score, it is that of ``model``."""
    report = overlap.report
    return {
        "set": overlap.item_set.name,
        "corpus": overlap.corpus,
        "address": overlap.address,
        "model": overlap.model,
        "published": overlap.published_at,
        "digest": overlap.digest,
        **{name: report[name] for name in ("items", "files", "files_of_another_kind")},
        "characters": report["characters"],
        "rows": report["rows"],
    }
