"""Console: tables that others published."""

from django.contrib import admin

from leaderboard.accounts.admin import Console, site
from leaderboard.published.models import PublishedTable


@admin.register(PublishedTable, site=site)
class Tables(Console):
    """Published tables, which `manage.py import_published` brings in."""

    list_display = ("slug", "title", "source", "imported_at")
    search_fields = ("slug", "title")
    fields = list_display
