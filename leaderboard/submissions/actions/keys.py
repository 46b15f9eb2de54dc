"""Secrets of submitters, sealed to the evaluators on receipt."""

from django.conf import settings

from evaluator.sealing.seal import seal_secret
from leaderboard.ledger.models import Evaluator


def sealed_keys_of(secret: str, *, bound_to: str) -> dict[str, str]:
    """Return a secret sealed to each evaluator of the pool, by its name; empty without one."""
    if not secret:
        return {}
    return {
        evaluator.name: seal_secret(evaluator.host_pub, secret, bound_to=bound_to)
        for evaluator in Evaluator.objects.of_pool(settings.POOL)
    }
