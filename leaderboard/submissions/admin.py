"""Console: evaluators and the queue of runs, models and lineages."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.timesince import timesince

from leaderboard.accounts.admin import Console, RecordingConsole, act_on_each, site
from leaderboard.accounts.models import User
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.actions.relatives import Relative
from leaderboard.submissions.forms import (
    LineageForm,
    LineageRecordForm,
    PlannedCloseForm,
    QuotaForm,
    WatchForm,
)
from leaderboard.submissions.models import (
    Heartbeat,
    Lineage,
    LineageRecord,
    Model,
    PlannedClose,
    QuotaEntry,
    Run,
    Watch,
)

MOST_RELATIVES = 20
"""Other models that are named of one, at most."""


@admin.register(Evaluator, site=site)
class Evaluators(Console):
    """Evaluators: their state, their heartbeat, who cordoned them and why."""

    list_display = (
        "name",
        "pool",
        "condition",
        "heartbeat",
        "cordoned_by",
        "cordoned_at",
        "cordon_reason",
        "last_error",
        "holds",
        "flag",
    )
    list_filter = ("pool", "cordon", "flagged")
    fields = (
        *list_display,
        "last_error_at",
        "busy_with",
        "endpoint_runs",
        "last_seen",
        "expected_by",
        "software",
        "jobs_read",
        "gpus",
        "engines",
        "free",
        "fetched_models",
        "head_index",
        "public_key",
        "host_pub",
    )
    readonly_fields = (
        "condition",
        "heartbeat",
        "holds",
        "flag",
        "jobs_read",
        "gpus",
        "engines",
        "free",
        "fetched_models",
    )
    actions = ("cordon", "pause", "resume")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return evaluators with the number of runs that each holds, and True for live ones."""
        return actions.with_condition(super().get_queryset(request))

    @admin.display(description="state")
    def condition(self, evaluator: Evaluator) -> str:
        """Return its state in words."""
        return actions.condition(evaluator)

    @admin.display(description="heartbeat", ordering="last_seen")
    def heartbeat(self, evaluator: Evaluator) -> str:
        """Return the age of its last announcement, in seconds for two minutes."""
        if evaluator.last_seen is None:
            return "never"
        age = (timezone.now() - evaluator.last_seen).total_seconds()
        if age >= 120:
            return f"{timesince(evaluator.last_seen)} ago"
        return f"{max(0, age):.0f} s ago"

    @admin.display(description="flagged", ordering="flagged")
    def flag(self, evaluator: Evaluator) -> str:
        """Return "flagged", or nothing: a cross would read as a fault."""
        return "flagged" if evaluator.flagged else ""

    @admin.display(description="sets")
    def holds(self, evaluator: Evaluator) -> str:
        """Return the names of the sets that it holds."""
        names = [str(held.get("name", "")) for held in evaluator.sets]
        return ", ".join(sorted(names))

    @admin.display(description="versions of jobs that it reads")
    def jobs_read(self, evaluator: Evaluator) -> str:
        """Return the versions of ``JobSpec`` that it reads."""
        return ", ".join(map(str, evaluator.reads)) or "unknown"

    @admin.display(description="GPUs, free memory of each")
    def gpus(self, evaluator: Evaluator) -> str:
        """Return its GPUs by kind, with the memory that is free on each now."""
        host = evaluator.host_facts()
        state = evaluator.host_state()
        if host is None:
            return "unknown"
        kinds = [f"{one.count} x {one.name}, {filesizeformat(one.memory)}" for one in host.gpus]
        words = "; ".join(kinds)
        if state and state.gpus_free:
            free = ", ".join(map(filesizeformat, state.gpus_free))
            words += f" (free: {free})"
        return words or "none"

    def engines(self, evaluator: Evaluator) -> str:
        """Return its engines with their versions, and those that fail the self-test."""
        state = evaluator.host_state()
        if state is None:
            return "unknown"
        words = [f"{one.name} {one.version}" for one in state.engines]
        failing = evaluator.engine_failures()
        words += [f"{one.name} fails the self-test: {one.code}" for one in failing]
        return ", ".join(words) or "none"

    @admin.display(description="free memory; disk; disk of the store")
    def free(self, evaluator: Evaluator) -> str:
        """Return what is free on its host."""
        state = evaluator.host_state()
        if state is None:
            return "unknown"
        sizes = (state.memory_free, state.disk_free, state.store_free)
        return "; ".join(map(filesizeformat, sizes))

    @admin.display(description="fetched models")
    def fetched_models(self, evaluator: Evaluator) -> str:
        """Return the digests of the models in its store, those that were used last first."""
        state = evaluator.host_state()
        if state is None:
            return "unknown"
        return ", ".join(state.models) or "none"

    @admin.action(description="Cordon and drain: no new run, the runs that it holds finish")
    def cordon(self, request: HttpRequest, chosen: Any) -> None:
        """Cordon evaluators."""
        self._cordon(request, chosen, pause=False, done="Cordoned")

    @admin.action(description="Pause: no new run, the runs that it holds go to others")
    def pause(self, request: HttpRequest, chosen: Any) -> None:
        """Pause evaluators."""
        self._cordon(request, chosen, pause=True, done="Paused")

    @admin.action(description="Resume: it takes runs again")
    def resume(self, request: HttpRequest, chosen: Any) -> None:
        """End the cordon of evaluators."""
        act_on_each(
            request,
            chosen,
            lambda one: actions.resume(name=one.name),
            done="Resumed",
        )

    def _cordon(
        self,
        request: HttpRequest,
        chosen: Any,
        *,
        pause: bool,
        done: str,
    ) -> None:
        why = request.POST["why"]
        by = request.user.get_username()
        act_on_each(
            request,
            chosen,
            lambda one: actions.cordon(name=one.name, why=why, by=by, pause=pause),
            done=done,
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
        "is_retracted",
    )
    list_filter = ("state", "pool", "evaluator", ("retracted", admin.BooleanFieldListFilter))
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
        "hints",
    )
    readonly_fields = ("model_name", "pair", "progress", "is_retracted", "hints")
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
        tenths = 10 * run.done // run.total if run.total else 0
        return f"{10 * tenths}%"

    @admin.display(description="retracted", ordering="retracted")
    def is_retracted(self, run: Run) -> str:
        """Return yes or no."""
        return "yes" if run.retracted else "no"

    @admin.display(description="in common with other models (fine-tune, merge?)")
    def hints(self, run: Run) -> str:
        """Return the models with tensors or the tokenizer of the run's model."""
        return hints_in_words(run.submission.model)

    @admin.action(description="Queue again, with the items that are left")
    def requeue(self, request: HttpRequest, chosen: Any) -> None:
        """Queue failed runs again."""
        act_on_each(request, chosen, lambda run: actions.requeue(run=run.pk), done="Queued again")

    @admin.action(description="Cancel")
    def cancel(self, request: HttpRequest, chosen: Any) -> None:
        """Cancel runs."""
        act_on_each(request, chosen, lambda run: actions.cancel(run=run.pk), done="Cancelled")


def common_words(other: Relative) -> str:
    """Return what another model has in common with a model, in words."""
    common = []
    if other.shared:
        common.append(f"{other.shared:.1%} of the bytes of the smaller one's largest tensors")
    if other.same_tokenizer:
        common.append("the tokenizer")
    return " and ".join(common)


class TensorsInCommon(admin.SimpleListFilter):
    """Filter of models by tensors that another model has too."""

    title = "tensors in common with another model"
    parameter_name = "alike"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("yes", "Yes"), ("no", "None known")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the models that were chosen."""
        choices = {"yes": True, "no": False}
        chosen = choices.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(alike=chosen)


def hints_in_words(model: Model) -> str:
    """Return what other models have in common with a model, a line for each."""
    hints = actions.hints_of(model)
    return "\n".join(f"{one.model}: {common_words(one)}" for one in hints) or "none known"


@admin.register(Model, site=site)
class Models(Console):
    """Models."""

    list_display = (
        "name",
        "organisation",
        "lineage",
        "has_alike",
        "open_weights",
        "parameters",
        "created",
    )
    list_filter = (TensorsInCommon, "open_weights")
    search_fields = ("name", "organisation__name")
    list_select_related = ("organisation", "lineage")
    fields = (*list_display, "hints")
    readonly_fields = ("has_alike", "hints")
    actions = ("find_relatives", "take_name")
    unreasoned = ("find_relatives",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return models, with True for those that have tensors in common with another."""
        models: Any = super().get_queryset(request)
        return actions.with_hints(models)

    @admin.display(description="tensors in common", ordering="alike")
    def has_alike(self, model: Any) -> str:
        """Return "yes", or nothing: a cross would read as a fault."""
        return "yes" if model.alike else ""

    @admin.display(description="in common with other models (fine-tune, merge?)")
    def hints(self, model: Model) -> str:
        """Return the models with tensors or the tokenizer in common."""
        return hints_in_words(model)

    @admin.action(description="Find models with the same tensors or tokenizer")
    def find_relatives(self, request: HttpRequest, chosen: Any) -> None:
        """Name the models that a model may have been made of, or that were made of it."""
        for model in chosen:
            found = actions.relatives_of(model)
            for other in found[:MOST_RELATIVES]:
                messages.info(
                    request, f"{model.name} and {other.model} share {common_words(other)}."
                )
            if not found:
                messages.info(request, f"{model.name}: no model has its tensors or its tokenizer.")
            elif len(found) > MOST_RELATIVES:
                left = len(found) - MOST_RELATIVES
                messages.info(request, f"{model.name}: {left} more, with less in common.")

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


@admin.register(PlannedClose, site=site)
class PlannedCloses(RecordingConsole):
    """Closes of boards that are planned, and those that were carried out."""

    record_form = PlannedCloseForm
    record_title = "Plan a close"
    list_display = ("pair", "at", "planned_by", "planned_at", "closed_at")
    list_filter = ("pair",)
    list_select_related = ("pair", "planned_by")
    ordering = ("-at",)
    fields = list_display
    actions = ("withdraw",)

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Plan a close."""
        by = cast("User", request.user)
        plan = actions.plan_close(
            pair=facts["pair"].slug,
            at=facts["at"],
            by=by,
        )
        return f"The board of {plan.pair.slug} closes on {plan.at:%Y-%m-%d %H:%M} UTC."

    @admin.action(description="Withdraw the plan")
    def withdraw(self, request: HttpRequest, chosen: Any) -> None:
        """Withdraw plans that were not carried out."""
        by = cast("User", request.user)
        act_on_each(
            request,
            chosen,
            lambda plan: actions.withdraw_close(plan=plan.pk, by=by),
            done="Withdrawn",
        )


@admin.register(Watch, site=site)
class Watches(RecordingConsole):
    """Watched endpoints, and when each was asked last."""

    record_form = WatchForm
    record_title = "Watch an endpoint"
    list_display = (
        "model",
        "pair",
        "schedule",
        "last",
        "keyed",
        "added_by",
        "added_at",
        "ended_at",
        "ended_why",
    )
    list_filter = ("pair", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("model__name",)
    list_select_related = ("model", "pair", "added_by")
    ordering = ("-pk",)
    fields = (*list_display, "ended_by", "controls")
    readonly_fields = ("schedule", "last", "keyed")
    actions = ("end",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return watches with their occasions."""
        return super().get_queryset(request).prefetch_related("occasions")

    @admin.display(description="last asked")
    def last(self, watch: Watch) -> str:
        """Return when it was asked last, and the result in a word."""
        occasions = watch.occasions.all()
        newest = max(occasions, key=lambda occasion: occasion.day, default=None)
        if newest is None:
            return "never"
        words = f"{newest.day}: {newest.state}"
        return f"{words} ({newest.code})" if newest.code else words

    @admin.display(description="key")
    def keyed(self, watch: Watch) -> str:
        """Return "sealed" where a key is stored."""
        return "sealed" if watch.is_keyed else ""

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Put an endpoint on the list."""
        watch = actions.watch_endpoint(
            model=facts["model"],
            pair=facts["pair"].slug,
            by=cast("User", request.user),
            day=facts["day"],
            dates=facts["dates"],
            api_key=facts["api_key"],
        )
        return f"{watch} is asked {watch.schedule}."

    @admin.action(description="End the watch, and erase its key")
    def end(self, request: HttpRequest, chosen: Any) -> None:
        """End watches."""
        why = request.POST["why"]
        by = cast("User", request.user)
        act_on_each(
            request,
            chosen,
            lambda watch: actions.end_watch(watch=watch.pk, why=why, by=by),
            done="Ended",
        )


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
        names = [parent.name for parent in lineage.parents.all()]
        return ", ".join(sorted(names))

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Record a lineage."""
        parents = [parent.name for parent in facts["parents"]]
        lineage = actions.register_lineage(name=facts["name"], parents=parents)
        return f"{lineage} is recorded."


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
