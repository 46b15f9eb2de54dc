"""The public ledger as JSON, mounted at ``/api/v1``."""

from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from leaderboard.ledger.models import Entry

router = Router(tags=["ledger"])


class LedgerQuery(Schema):
    """Which part of the ledger. ``before`` is the ``id`` of the last entry already seen."""

    before: int | None = Field(None, ge=1, le=2**62)
    limit: int = Field(100, ge=1, le=1000)


@router.get("/ledger", auth=None, summary="What evaluators say they showed to whom, newest first")
def ledger(request: HttpRequest, query: Query[LedgerQuery]) -> dict[str, Any]:
    """Signed lines of the evaluators' journals. Which items a line names is left out until the release."""
    entries = Entry.objects.published()
    if query.before is not None:
        entries = entries.filter(pk__lt=query.before)
    return {"entries": [_entry(entry) for entry in entries.defer("items")[: query.limit]]}


def _entry(entry: Entry) -> dict[str, Any]:
    names = ("index", "previous", "moment", "token", "root", "recipient", "tier", "count", "entry_hash", "signature")
    shown: dict[str, Any] = {name: getattr(entry, name) for name in names}
    return shown | {"id": entry.pk, "evaluator": entry.evaluator.name, "run": str(entry.run), "set": entry.set_name}
