"""Submitting and following runs as JSON, mounted at ``/api/v1``: one module for each resource."""

from ninja import Router

from leaderboard.submissions.api import (
    closes,
    naming,
    notifications,
    pairs,
    practice,
    probes,
    quotas,
    releases,
    replies,
    rescorings,
    run_changes,
    runs,
    status,
    submissions,
    uploads,
    watches,
)

router = Router()
for module in (
    submissions,
    runs,
    status,
    run_changes,
    rescorings,
    pairs,
    practice,
    probes,
    quotas,
    releases,
    naming,
    notifications,
    uploads,
    closes,
    replies,
    watches,
):
    router.add_router("", module.router)
