"""Console: the queue of runs, models and lineages."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.accounts.admin import Console, RecordingConsole, act_on_each, site
from leaderboard.accounts.models import User
from leaderboard.submissions import actions
from leaderboard.submissions.forms import LineageForm, LineageRecordForm, QuotaForm
from leaderboard.submissions.models import (
    Heartbeat,
    Lineage,
    LineageRecord,
    Model,
    QuotaEntry,
    Run,
)

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
    actions = ("take_name",)

    @admin.action(description="Take the name away: it becomes 'model-NUMBER'")
    def take_name(self, request: HttpRequest, chosen: Any) -> None:
        """Replace names that mislead or offend."""
        by = cast("User", request.user)
        act_on_each(
            request,
            chosen,
            lambda one: actions.rename_model(name=one.name, new=f"model-{one.pk}", by=by),
            done="Renamed",
        )


@admin.register(QuotaEntry, site=site)
class QuotaEntries(RecordingConsole):
    """Ledger of quotas."""

    record_form = QuotaForm
    record_title = "Set a quota"
    list_display = ("at", "kind", "organisation", "pair", "run", "runs", "reason_words", "by")
    list_filter = ("kind", "reason", "pair")
    search_fields = ("organisation__name", "reason", "by")
    list_select_related = ("organisation", "pair", "run")
    ordering = ("-pk",)
    fields = (
        "at",
        "kind",
        "organisation",
        "pair",
        "run",
        "runs",
        "refund_of",
        "reason_words",
        "by",
    )
    readonly_fields = ("reason_words",)

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Set the official runs of an organisation, a benchmark or both."""
        entry = actions.set_limit(
            organisation=facts["organisation"],
            pair=facts["pair"],
            runs=facts["runs"],
            reason=facts["why"],
            by=cast("User", request.user),
        )
        whose = entry.organisation or "every organisation"
        return f"{whose} has {entry.runs} runs on {entry.pair or 'every benchmark'}."


@admin.register(Lineage, site=site)
class Lineages(RecordingConsole):
    """Lineages."""

    record_form = LineageForm
    record_title = "Record a lineage, or further parents of one"
    list_display = ("name", "made_from")
    search_fields = ("name",)
    fields = list_display
    readonly_fields = ("made_from",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return lineages with their parents."""
        return super().get_queryset(request).prefetch_related("parents")

    @admin.display(description="made from")
    def made_from(self, lineage: Lineage) -> str:
        """Return the names of its parents."""
        return ", ".join(sorted(parent.name for parent in lineage.parents.all()))

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Record a lineage."""
        parents = [parent.name for parent in facts["parents"]]
        return f"{actions.register_lineage(name=facts['name'], parents=parents)} is recorded."


@admin.register(LineageRecord, site=site)
class LineageRecords(RecordingConsole):
    """Lineages of weights."""

    record_form = LineageRecordForm
    record_title = "Record the lineage of a model's weights"
    list_display = ("model", "artefact", "lineage", "base_model", "recorded_at")
    search_fields = ("model__name", "artefact", "base_model")
    list_select_related = ("model", "lineage")
    fields = list_display

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Record a lineage of weights, or of the name alone while no run of it is over."""
        recorded = actions.assign_lineage(
            model=facts["model"],
            lineage=facts["lineage"].name,
            weights=facts["weights"],
            base_model=facts["base_model"],
        )
        if recorded is None:
            return (
                f"{facts['model']} stands in this family on the board. No run of it is over: record"
                " it again then, or name its weights, so that it counts for a release."
            )
        return f"{recorded.model}: weights {recorded.artefact[:12]} are {recorded.lineage}."


@admin.register(Heartbeat, site=site)
class Heartbeats(Console):
    """Last time that each scheduled task ran."""

    list_display = ("name", "at", "facts")
    fields = list_display
