"""Console: parties and listed endpoints."""

from django.contrib import admin

from leaderboard.accounts.admin import Console, site
from leaderboard.ledger.models import ListedEndpoint, Party


@admin.register(Party, site=site)
class Parties(Console):
    """Parties behind recipients."""

    list_display = ("recipient", "name", "kind", "tier", "registered_at")
    search_fields = ("recipient", "name")
    fields = list_display


@admin.register(ListedEndpoint, site=site)
class ListedEndpoints(Console):
    """Endpoints that the evaluators list."""

    list_display = ("url", "model", "api", "provider", "registered_at")
    fields = list_display
