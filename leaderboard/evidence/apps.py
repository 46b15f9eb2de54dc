"""The Django app's configuration."""

from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    """Cohorts, verdicts and references."""

    name = "leaderboard.evidence"

    def ready(self) -> None:
        """Appoint the statistician of adaptive runs: the app below may not import this one."""
        # Models can be imported only once all apps are loaded.
        from leaderboard.evidence.adaptive_runs import ItemStatistician  # noqa: PLC0415
        from leaderboard.submissions.adaptive import appoint  # noqa: PLC0415

        appoint(ItemStatistician())
