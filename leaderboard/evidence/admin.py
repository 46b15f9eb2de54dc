"""Console: references, and the rounds that are closed."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.accounts.admin import Console, RecordingConsole, act_on_each, site
from leaderboard.evidence import actions
from leaderboard.evidence.forms import ReferenceForm
from leaderboard.evidence.models import Cohort, Reference


@admin.register(Reference, site=site)
class References(RecordingConsole):
    """Models that maintainers hold for clean."""

    record_form = ReferenceForm
    record_title = "Name a reference: a model held to be uncontaminated, from the next close on"

    list_display = ("model", "pair", "why", "named_by", "named_at")
    list_select_related = ("model", "pair", "named_by")
    fields = list_display
    actions = ("drop",)

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Name a reference."""
        facts["by"] = request.user
        named = actions.name_reference(**facts)
        return f"{named.model} is a reference of {named.pair.slug}."

    @admin.action(description="Hold no longer for clean, from the next close on")
    def drop(self, request: HttpRequest, chosen: Any) -> None:
        """Drop references."""

        def drop_one(reference: Reference) -> None:
            actions.drop_reference(pair=reference.pair, model=reference.model.name)

        act_on_each(request, chosen, drop_one, done="Dropped")


@admin.register(Cohort, site=site)
class Cohorts(Console):
    """Rounds that are closed."""

    list_display = ("pair", "number", "method", "grader", "closed_at")
    list_filter = ("pair",)
    list_select_related = ("pair",)
    fields = (*list_display, "inputs_hash")
