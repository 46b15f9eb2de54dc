"""What may be spent: a cap holds whatever comes back."""

import random

import pytest

from evaluator.hosts.gateway.adapter import Refused
from evaluator.hosts.gateway.answers import completion
from evaluator.hosts.gateway.budget import Amount, Budget, Caps, counted, worst_case


def test_no_cap_holds_everything() -> None:
    assert Caps().hold(Amount(10**12, 10**12))


@pytest.mark.parametrize(
    ("caps", "fits"),
    [
        (Caps(tokens=30), True),
        (Caps(tokens=29), False),
        (Caps(cost=0.5, price_in=10_000, price_out=20_000), True),
        (Caps(cost=0.49, price_in=10_000, price_out=20_000), False),
        (Caps(tokens=10**6, cost=0.49, price_in=10_000, price_out=20_000), False),
    ],
)
def test_tokens_and_money(caps: Caps, fits: bool) -> None:
    assert Budget(caps).fits(Amount(10, 20)) is fits


def test_what_is_on_its_way_counts_at_its_worst_until_it_is_back() -> None:
    budget, worst = Budget(Caps(tokens=100)), Amount(10, 40)
    budget.reserve(worst)
    assert budget.fits(worst)
    budget.reserve(worst)
    assert not budget.fits(Amount(0, 1))
    budget.settle(worst, Amount(10, 5))
    assert budget.fits(Amount(5, 30))
    assert not budget.fits(Amount(5, 31))


def test_the_cap_holds_in_any_order() -> None:
    chance, budget, spent = random.Random(1), Budget(Caps(tokens=5000)), 0
    away: list[Amount] = []
    for _ in range(2000):
        worst = Amount(chance.randrange(50), chance.randrange(200))
        if chance.random() < 0.6 and budget.fits(worst):
            budget.reserve(worst)
            away.append(worst)
        elif away:
            one = away.pop(chance.randrange(len(away)))
            used = Amount(one.tokens_in, chance.randint(0, one.tokens_out))
            budget.settle(one, used)
            spent += used.tokens_in + used.tokens_out
        assert spent <= 5000
    assert spent > 4000


def test_the_worst_case_of_a_question() -> None:
    assert worst_case({"prompt": "x" * 30, "max_tokens": 7}) == Amount(10, 7)
    assert worst_case({"messages": [{"role": "user", "content": "é" * 3}]}) == Amount(2, 0)
    assert worst_case({"messages": [{"content": None}], "max_tokens": "many"}) == Amount(0, 0)


def test_what_an_answer_cost_is_what_the_endpoint_says_or_an_estimate() -> None:
    said = completion("four", "stop", {"prompt_tokens": 3, "completion_tokens": 2}, "chat")
    assert counted(said, Amount(99, 99)) == Amount(3, 2)
    assert counted(completion("x" * 9, "stop", None, "completions"), Amount(5, 99)) == Amount(5, 3)
    assert counted(completion("x" * 900, "stop", None, "chat"), Amount(5, 99)) == Amount(5, 99)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {"prompt_tokens": 3},
        {"prompt_tokens": "3", "completion_tokens": 1},
        {"prompt_tokens": -3, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 10**18, "completion_tokens": 1},
    ],
)
def test_counts_that_cannot_be_are_no_counts(usage: object) -> None:
    assert "usage" not in completion("x", "stop", usage, "chat")


def test_no_text_is_no_completion() -> None:
    with pytest.raises(Refused):
        completion(None, "stop", None, "completions")
