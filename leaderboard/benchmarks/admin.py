"""Console: sets, notices, overlaps, releases. Pairs are in ``board.admin``, which closes rounds."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.accounts.admin import Console, RecordingConsole, site
from leaderboard.accounts.models import User
from leaderboard.benchmarks import actions
from leaderboard.benchmarks.forms import NoticesForm, OverlapForm
from leaderboard.benchmarks.models import ItemSet, Notice, Overlap, Release, SetStep
from leaderboard.benchmarks.overlaps import publish_overlap


@admin.register(ItemSet, site=site)
class Sets(Console):
    """Sets."""

    list_display = ("name", "sealed", "n", "digest")
    list_filter = ("sealed",)
    search_fields = ("name", "digest")
    fields = list_display


@admin.register(Notice, site=site)
class Notices(RecordingConsole):
    """Notices of maintainers that retire items, blocks or sets."""

    record_form = NoticesForm
    record_title = "Post signed notices"

    list_display = ("item_set", "index", "hash", "received")
    list_select_related = ("item_set",)
    fields = list_display

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Post notices."""
        item_set = actions.post_notices(data=facts["notices"])
        return f"{item_set.name}: version {item_set.version}."


@admin.register(Overlap, site=site)
class Overlaps(RecordingConsole):
    """Published overlaps of public sets with corpora."""

    record_form = OverlapForm
    record_title = "Publish an overlap report"

    list_display = ("item_set", "corpus", "model", "published_by", "published_at")
    list_select_related = ("item_set", "published_by")
    fields = (*list_display, "address", "digest")

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Publish a report."""
        named = {name: facts[name] for name in ("corpus", "address", "model")}
        by = cast("User", request.user)
        overlap = publish_overlap(data=facts["report"], by=by, **named)
        return f"{overlap.item_set.name}: overlap with {overlap.corpus} is published."


@admin.register(SetStep, site=site)
class Steps(Console):
    """Steps towards a release."""

    list_display = ("item_set", "old", "new", "by", "moment")
    list_select_related = ("item_set", "by")
    fields = list_display


@admin.register(Release, site=site)
class Releases(Console):
    """Releases."""

    list_display = ("item_set", "folder", "published_by", "published_at")
    list_select_related = ("item_set", "published_by")
    fields = list_display
