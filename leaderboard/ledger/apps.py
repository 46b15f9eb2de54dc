"""The app's name, for Django."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Names the app."""

    name = "leaderboard.ledger"
