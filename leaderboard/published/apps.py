"""The Django app's configuration."""

from django.apps import AppConfig


class PublishedConfig(AppConfig):
    """Tables that others published, and their analysis."""

    name = "leaderboard.published"
