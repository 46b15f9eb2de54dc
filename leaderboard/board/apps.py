"""The Django app's configuration."""

from django.apps import AppConfig


class BoardConfig(AppConfig):
    """Snapshots of rankings and the pages that read them."""

    name = "leaderboard.board"
