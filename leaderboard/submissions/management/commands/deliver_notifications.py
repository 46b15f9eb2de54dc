"""``manage.py deliver_notifications``: send the mail and call the webhooks that are due, once."""

from typing import Any

from django.core.management.base import BaseCommand

from leaderboard.submissions import actions


class Command(BaseCommand):
    """Does once what the worker of the queue ``notifications`` does all the time."""

    help = "Send the mail and call the webhooks that are due."

    def handle(self, *args: Any, **options: Any) -> None:
        """Deliver, and print how many deliveries were tried."""
        self.stdout.write(f"{actions.deliver()} deliveries tried")
