"""Console: pairs of sets, with the preview and the close of a round."""

from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest

from leaderboard.accounts.admin import Console, act_on_each, site
from leaderboard.benchmarks.actions import open_season
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.evidence.models import Cohort


@admin.register(SetPair, site=site)
class Pairs(Console):
    """Pairs of sets."""

    list_display = ("slug", "title", "protocol", "grader", "stale", "withdrawn_at")
    search_fields = ("slug", "title")
    fields = (*list_display, "public", "private", "ranked_by", "twins_by", "registered_at")
    actions = ("preview", "close", "rebuild", "next_season")
    unreasoned = ("preview", "rebuild")

    @admin.action(description="Preview the next close: nothing is stored")
    def preview(self, request: HttpRequest, chosen: Any) -> None:
        """Close a round, show the result, and undo it."""
        for pair in chosen:
            with transaction.atomic():
                messages.info(request, f"{pair.slug} {summary(actions.close_cohort(pair=pair))}")
                transaction.set_rollback(True)

    @admin.action(description="Close the round: verdicts are published, and stay")
    def close(self, request: HttpRequest, chosen: Any) -> None:
        """Close the rounds of pairs."""
        for pair in chosen:
            messages.success(request, f"{pair.slug} {summary(actions.close_cohort(pair=pair))}")

    @admin.action(description="Rebuild the ranking")
    def rebuild(self, request: HttpRequest, chosen: Any) -> None:
        """Rebuild rankings."""
        act_on_each(request, chosen, lambda pair: actions.rebuild(pair=pair), done="Rebuilt")

    @admin.action(description="Open the next season: the next block for self-declared endpoints")
    def next_season(self, request: HttpRequest, chosen: Any) -> None:
        """Open seasons."""
        act_on_each(request, chosen, lambda pair: open_season(slug=pair.slug), done="Opened")


def summary(cohort: Cohort | None) -> str:
    """Return how many verdicts of which level a close has, in words."""
    if cohort is None:
        return "has no run to decide about."
    verdicts = cohort.verdicts.select_related("cohort")
    levels = Counter(str(verdict.judged().evidence) for verdict in verdicts)
    counts = ", ".join(f"{level}: {count}" for level, count in sorted(levels.items()))
    return f"round {cohort.number} decides about {levels.total()} runs ({counts})."
