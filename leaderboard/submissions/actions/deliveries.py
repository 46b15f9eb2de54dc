"""Tries of a delivery: after each it is done, tried again later, or abandoned."""

import logging
import random
from collections.abc import Sequence

from django.db.models.functions import Now

from leaderboard.submissions.models import Delivery, Letter, seconds_from_now

logger = logging.getLogger(__name__)

MOST_TRIES = 9
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 6 * 3600.0
CLAIM_SECONDS = 120.0
"""Time after which a delivery is sent again whose sender died."""


def settle(
    deliveries: Sequence[Delivery | Letter],
    taken: bool,
    result: str,
) -> None:
    """Record a try: done, to be repeated after a growing pause, or abandoned."""
    for delivery in deliveries:
        tries = delivery.tries + 1
        fields: dict[str, object] = {
            "tries": tries,
            "result": result,
            "due": None,
        }
        if taken:
            fields["delivered_at"] = Now()
        elif tries < MOST_TRIES:
            growing = FIRST_PAUSE_SECONDS * 4.0 ** (tries - 1)
            pause = min(LONGEST_PAUSE_SECONDS, growing)
            jitter = random.uniform(0.8, 1.2)  # noqa: S311
            fields["due"] = seconds_from_now(pause * jitter)
        type(delivery).objects.filter(pk=delivery.pk).update(**fields)
        if not taken:
            logger.info("notification not taken: %s, try %d", result, tries)
