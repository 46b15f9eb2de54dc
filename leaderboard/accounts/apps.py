"""The app's name, for Django."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Names the app."""

    name = "leaderboard.accounts"
