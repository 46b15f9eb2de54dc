"""The app's name, for Django."""

from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    """Names the app."""

    name = "leaderboard.submissions"
