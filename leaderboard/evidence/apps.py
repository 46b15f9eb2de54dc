"""The Django app's configuration."""

from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    """Cohorts, verdicts and references."""

    name = "leaderboard.evidence"
