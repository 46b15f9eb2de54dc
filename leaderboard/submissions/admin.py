"""Console: the queue of runs, models and lineages."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.accounts.admin import Console, act_on_each, site
from leaderboard.accounts.models import User
from leaderboard.submissions import actions
from leaderboard.submissions.models import Heartbeat, Lineage, Model, Run

ConsoleAction = Callable[["Runs", HttpRequest, Any], None]


def retract_for(reason: Run.Retraction) -> ConsoleAction:
    """Return the console's action that retracts runs for one reason of the list."""

    @admin.action(description=f"Retract, in public and for good: {reason.label}")
    def retract(self: "Runs", request: HttpRequest, chosen: Any) -> None:
        by = cast("User", request.user)
        act_on_each(
            request,
            chosen,
            lambda run: actions.retract_run(run=run.pk, reason=reason.value, by=by),
            done="Retracted",
        )

    retract.__name__ = f"retract_{reason.value}"
    return retract


@admin.register(Run, site=site)
class Runs(Console):
    """Runs, the newest first."""

    list_display = (
        "model_name",
        "pair",
        "state",
        "waiting",
        "code",
        "evaluator",
        "progress",
        "queued_at",
        "retracted",
    )
    list_filter = ("state", "pool", "evaluator", "retracted")
    search_fields = ("id", "submission__model__name")
    list_select_related = ("submission__model", "submission__pair", "evaluator")
    ordering = ("-queued_at",)
    fields = (
        "id",
        *list_display,
        "pool",
        "attempts",
        "continued",
        "started_at",
        "ended_at",
        "deadline",
        "tier",
        "artefact",
        "retracted_at",
        "retracted_by",
        "retracted_why",
    )
    readonly_fields = ("model_name", "pair", "progress")
    actions = ("requeue", "cancel", *map(retract_for, Run.Retraction))

    @admin.display(description="model", ordering="submission__model__name")
    def model_name(self, run: Run) -> str:
        """Return the model's name."""
        return run.submission.model.name

    def pair(self, run: Run) -> str:
        """Return the pair's name."""
        return run.submission.pair.slug

    def progress(self, run: Run) -> str:
        """Return the tenth of the items that is done, as the run's page does."""
        return f"{10 * (10 * run.done // run.total) if run.total else 0}%"

    @admin.action(description="Queue again, with the items that are left")
    def requeue(self, request: HttpRequest, chosen: Any) -> None:
        """Queue failed runs again."""
        act_on_each(request, chosen, lambda run: actions.requeue(run=run.pk), done="Queued again")

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, chosen: Any) -> None:
        """Cancel runs."""
        act_on_each(request, chosen, lambda run: actions.cancel(run=run.pk), done="Cancelled")


@admin.register(Model, site=site)
class Models(Console):
    """Models."""

    list_display = ("name", "organisation", "lineage", "open_weights", "parameters", "created")
    list_filter = ("open_weights",)
    search_fields = ("name", "organisation__name")
    list_select_related = ("organisation", "lineage")
    fields = list_display


@admin.register(Lineage, site=site)
class Lineages(Console):
    """Lineages, which `manage.py register_lineage` records."""

    list_display = ("name",)
    search_fields = ("name",)
    fields = list_display


@admin.register(Heartbeat, site=site)
class Heartbeats(Console):
    """Last time that each scheduled task ran."""

    list_display = ("name", "at", "facts")
    fields = list_display
