"""The app's name, for Django."""

from django.apps import AppConfig


class BenchmarksConfig(AppConfig):
    """Names the app."""

    name = "leaderboard.benchmarks"
