"""Console: tables that others published."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from leaderboard.accounts.admin import RecordingConsole, act_on_each, site
from leaderboard.published import actions
from leaderboard.published.analysis import analyse
from leaderboard.published.csv_import import read
from leaderboard.published.forms import TableForm
from leaderboard.published.models import PublishedTable


@admin.register(PublishedTable, site=site)
class Tables(RecordingConsole):
    """Published tables."""

    record_form = TableForm
    record_title = "Publish a table of others"

    list_display = ("slug", "title", "source", "imported_at")
    search_fields = ("slug", "title")
    fields = list_display
    actions = ("analyse_again",)

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Import a table. Raises ``bad_table`` and as ``import_published``."""
        del facts["why"]
        table = facts["table"] = read(facts["table"].read())
        facts["title"] = facts["title"] or f"{table.public_name} and {table.private_name}"
        published = actions.import_published(**facts)
        return f"{published.slug}: {len(table.lines)} models."

    @admin.action(description="Analyse again by this version's method")
    def analyse_again(self, request: HttpRequest, chosen: Any) -> None:
        """Analyse tables."""
        act_on_each(request, chosen, lambda table: analyse(table).save(), done="Analysed")
