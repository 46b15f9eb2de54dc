"""The plain board as an app of the bench's site."""

from django.apps import AppConfig


class Plain(AppConfig):
    """Its one table."""

    name = "bench.plain"
