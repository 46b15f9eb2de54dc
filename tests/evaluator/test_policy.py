"""Rules about tiers that site and evaluator share."""

from typing import get_args

import pytest

from evaluator.contract import Tier
from evaluator.errors import Code, EvaluatorError
from evaluator.policy import (
    ENDPOINT_TIERS,
    ITEM_SELECTIONS,
    JAIL,
    JAIL_TIER,
    TIER_STRATA,
    EndpointId,
    endpoint_tier,
    recipient_of,
    recipient_tier,
    stricter,
)

TIERS = get_args(Tier)
LISTED = EndpointId("https://api.example.com/v1", "org/m-1", "chat")


def test_every_tier_is_in_every_table() -> None:
    assert set(TIER_STRATA) == set(ITEM_SELECTIONS) == set(TIERS)
    assert {JAIL_TIER, *ENDPOINT_TIERS} == set(TIERS) and JAIL_TIER not in ENDPOINT_TIERS


def test_a_stricter_tier_is_shown_no_more() -> None:
    for first in TIERS:
        for second in TIERS:
            tier = stricter(first, second)
            shown = set(TIER_STRATA[first]) & set(TIER_STRATA[second])
            assert tier in (first, second) and set(TIER_STRATA[tier]) == shown


@pytest.mark.parametrize("season_open", [False, True])
def test_only_the_name_of_the_jail_has_its_tier(season_open: bool) -> None:
    about = {"listed": [LISTED], "season_open": season_open}
    assert recipient_tier(JAIL, **about) == JAIL_TIER
    assert recipient_tier("api.example.com", **about) == "T1"
    assert recipient_tier("jail.example", **about) == ("T2" if season_open else "T3")


@pytest.mark.parametrize(
    "url", ["https://jail/v1", "https://JAIL/v1", "https://jail./v1", "http://jail:8000/v1"]
)
def test_no_endpoint_has_the_tier_of_the_jail(url: str) -> None:
    """Private endpoints are allowed here: the address check itself refuses the name."""
    with pytest.raises(EvaluatorError) as refused:
        recipient_of(url)
    assert refused.value.code is Code.ENDPOINT_REFUSED
    for own_key in (False, True):
        named = EndpointId(url, "m", "chat")
        tier = endpoint_tier(named, own_key=own_key, listed=[named], season_open=True)
        assert tier in ENDPOINT_TIERS
