"""Console: evaluators with their sets and their last sign of life, parties, listed endpoints."""

from django.contrib import admin

from leaderboard.accounts.admin import Console, site
from leaderboard.ledger.models import Evaluator, ListedEndpoint, Party


@admin.register(Evaluator, site=site)
class Evaluators(Console):
    """Evaluators."""

    list_display = ("name", "pool", "last_seen", "out_of_service", "busy_with", "holds", "flagged")
    list_filter = ("pool", "flagged")
    fields = (*list_display, "expected_by", "software", "head_index", "public_key", "host_pub")
    readonly_fields = ("holds",)

    @admin.display(description="sets")
    def holds(self, evaluator: Evaluator) -> str:
        """Return the names of the sets that it holds."""
        return ", ".join(sorted(str(one.get("name", "")) for one in evaluator.sets))


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
