"""Submitting and following runs as JSON, mounted at ``/api/v1``: one module for each resource."""

from ninja import Router

from leaderboard.submissions.api import (
    naming,
    notifications,
    pairs,
    quotas,
    releases,
    rescorings,
    run_changes,
    runs,
    status,
    submissions,
    uploads,
)

router = Router()
for module in (
    submissions,
    runs,
    status,
    run_changes,
    rescorings,
    pairs,
    quotas,
    releases,
    naming,
    notifications,
    uploads,
):
    router.add_router("", module.router)
