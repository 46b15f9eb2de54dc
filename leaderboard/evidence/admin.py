"""Console: references, and the rounds that are closed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.accounts.admin import Console, act_on_each, site
from leaderboard.evidence import actions
from leaderboard.evidence.models import Cohort, Reference


@admin.register(Reference, site=site)
class References(Console):
    """Models that maintainers hold for clean; `manage.py name_reference` names one."""

    list_display = ("model", "pair", "why", "named_by", "named_at")
    list_select_related = ("model", "pair", "named_by")
    fields = list_display
    actions = ("drop",)

    @admin.action(description="Hold no longer for clean, from the next close on")
    def drop(self, request: HttpRequest, chosen: Any) -> None:
        """Drop references."""
        act_on_each(
            request,
            chosen,
            lambda one: actions.drop_reference(pair=one.pair, model=one.model.name),
            done="Dropped",
        )


@admin.register(Cohort, site=site)
class Cohorts(Console):
    """Rounds that are closed."""

    list_display = ("pair", "number", "method", "grader", "closed_at")
    list_filter = ("pair",)
    list_select_related = ("pair",)
    fields = (*list_display, "inputs_hash")
