"""The log's verifier is one file of its own: its table of tiers equals the policy of site and evaluator."""

from typing import get_args

import pytest

from evaluator import policy
from evaluator.contract import Tier
from tests.verify.test_verify_log import VERIFIER


def shown_by_verifier(kind: str) -> frozenset[str]:
    """Tiers to which the verifier lets a block of this kind be shown; exposed blocks hold seasons."""
    kinds = {kind, "exposed"} if kind == "season" else {kind}
    return frozenset(
        tier for tier, allowed in VERIFIER.BLOCKS_OF_TIER.items() if kinds & set(allowed)
    )


@pytest.mark.parametrize("kind", ["exposed", "season", "local", "spare"])
def test_each_kind_of_block_is_shown_to_the_same_tiers(kind: str) -> None:
    assert shown_by_verifier(kind) == policy.tiers_shown(kind)


def test_a_tier_that_the_verifier_does_not_know_is_shown_nothing() -> None:
    kinds = ("exposed", "season", "local", "spare")
    shown = frozenset[Tier]().union(*(policy.tiers_shown(kind) for kind in kinds))
    assert shown == set(VERIFIER.BLOCKS_OF_TIER) < set(get_args(Tier))


def test_the_jail_has_the_same_name_and_tier() -> None:
    assert VERIFIER.JAIL == policy.JAIL
    assert "local" in VERIFIER.BLOCKS_OF_TIER[policy.JAIL_TIER]
    assert policy.tiers_shown("local") == {policy.JAIL_TIER}
