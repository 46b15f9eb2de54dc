"""Quotas: official runs that an organisation has left."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.submissions import actions
from leaderboard.submissions.models import QuotaEntry

MOST_ENTRIES = 500
router = Router(tags=["submissions"])


class QuotaOut(Schema):
    """Official runs of an organisation on one benchmark."""

    pair: str
    used: int = Field(description="Runs that were charged in the last days and not refunded.")
    limit: int
    left: int
    days: int
    next_free: datetime | None = Field(
        description="When the next run may be submitted; null where that is now, or never."
    )


class QuotaEntryOut(Schema):
    """Line of the ledger. ``runs`` is there for a limit only; empty names stand for all."""

    at: datetime
    kind: str = Field(description="charge, refund or limit")
    organisation: str
    pair: str
    run: str
    runs: int | None
    reason: str
    by: str


class QuotasOut(Schema):
    """Quotas of one organisation of the account, and the newest entries about it.

    ``left`` is what is left to the account: the runs that it submitted for its other organisations
    count too.
    """

    organisation: str
    quotas: list[QuotaOut]
    entries: list[QuotaEntryOut]


class OrganisationQuery(Schema):
    """One of your organisations, by name; empty for the one joined first."""

    organisation: str = Field("", max_length=80)


class LimitIn(Strict):
    """Official runs for an organisation, a benchmark or both; an empty name stands for all."""

    organisation: str = Field("", max_length=80)
    pair: str = Field("", max_length=80)
    runs: int = Field(ge=0, le=100_000)
    reason: str = Field(min_length=1, max_length=200)


@router.get(
    "/quotas",
    auth=Bearer(Scope.READ),
    response={200: QuotasOut, (401, 403, 429): Problem},
    summary="Official runs that are left",
)
def quotas(request: HttpRequest, query: Query[OrganisationQuery]) -> dict[str, Any]:
    """Return the quotas of an organisation that the token's holder may submit for."""
    user = token_user(request)
    organisation = user.organisation(query.organisation)
    entries = QuotaEntry.objects.seen_by(user, organisation)
    entries = entries.select_related("organisation", "pair").order_by("-pk")
    return {
        "organisation": organisation.name if organisation else "",
        "quotas": [
            {
                "pair": quota.pair.slug,
                "used": quota.use.used,
                "limit": quota.use.limit,
                "left": quota.use.left,
                "days": quota.use.days,
                "next_free": quota.use.next_free,
            }
            for quota in actions.quotas_of(organisation, user)
        ],
        "entries": [_entry(entry) for entry in entries[:MOST_ENTRIES]],
    }


@router.post(
    "/quotas",
    auth=Bearer(Scope.MANAGE),
    response={
        201: QuotaEntryOut,
        (400, 401, 403, 404, 422, 429): Problem,
    },
    summary="Set a quota",
)
def set_quota(request: HttpRequest, order: LimitIn) -> Any:
    """Set how many official runs there are in the days of ``HOLDFAST_QUOTA_DAYS``; for maintainers.

    The newest limit counts, one of an organisation before one of a benchmark.
    """
    entry = actions.set_limit(**order.model_dump(), by=token_user(request))
    return Status(201, _entry(entry))


def _entry(entry: QuotaEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "kind": entry.kind,
        "organisation": entry.organisation.name if entry.organisation else "",
        "pair": entry.pair.slug if entry.pair else "",
        "run": str(entry.run_id or ""),
        "runs": entry.runs,
        "reason": entry.reason,
        "by": entry.by,
    }
