"""The Django app's configuration."""

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from leaderboard.evidence.adaptive_runs import ItemStatistician


class EvidenceConfig(AppConfig):
    """Cohorts, verdicts and references."""

    name = "leaderboard.evidence"

    def ready(self) -> None:
        """Appoint the statistician of adaptive runs: the app below may not import this one."""
        # Models can be imported only once all apps are loaded.
        from leaderboard.submissions.adaptive import appoint  # noqa: PLC0415

        appoint(load_statistician)


def load_statistician() -> "ItemStatistician":
    """Return the statistician of adaptive runs, and import the statistics only now."""
    from leaderboard.evidence.adaptive_runs import ItemStatistician  # noqa: PLC0415

    return ItemStatistician()
