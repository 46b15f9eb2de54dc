"""A remote endpoint for the gateway: what is asked, and what may still be spent. Pure."""

from evaluator.backends import Caps, EndpointTarget, Usage
from evaluator.contract import Budget, Endpoint


def target_of(system: Endpoint) -> EndpointTarget:
    """Return the address and the name that the gateway asks.

    LiteLLM reads the provider from the beginning of the model's name.
    """
    if not system.provider:
        return EndpointTarget(url=system.url, model=system.model, api=system.api)
    name = f"{system.provider}/{system.model}"
    return EndpointTarget(
        url=system.url,
        model=name,
        api=system.api,
        adapter="litellm",
    )


def caps_left(budget: Budget, spent: Usage) -> Caps:
    """Return the rest of the budget, after what earlier attempts on this host have spent."""
    paid_in = spent.tokens_in * budget.price_in
    paid_out = spent.tokens_out * budget.price_out
    paid = (paid_in + paid_out) / 1_000_000
    tokens = budget.tokens
    cost = budget.cost
    if tokens is not None:
        tokens = max(0, tokens - spent.tokens_in - spent.tokens_out)
    if cost is not None:
        cost = max(0.0, cost - paid)
    return Caps(tokens, cost, budget.price_in, budget.price_out)
