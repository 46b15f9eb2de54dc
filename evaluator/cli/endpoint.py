"""Endpoints at a terminal: their options, key, budget and estimated cost."""

import argparse
import math
import os
import sys
from collections.abc import Iterable

from evaluator.backends import Caps, EndpointTarget, Usage
from evaluator.backends.prices import listed_prices
from evaluator.errors import Code, error
from evaluator.pipeline.plan import PublicSource
from evaluator.protocols import Protocol

_LITELLM = "litellm:"
_CHARACTERS_PER_TOKEN = 4
"""Of a prompt, about: the average of English text in the usual vocabularies."""
_MILLION = 1_000_000
_LONGEST_KEY = 10_000


def add_options(ask: argparse.ArgumentParser) -> None:
    """Add the options of endpoints."""
    group = ask.add_argument_group("endpoints")
    group.add_argument(
        "--api",
        choices=("completions", "chat"),
        help="kind of the API (chat for LiteLLM's providers)",
    )
    group.add_argument(
        "--served-model", default="default", help="the model's name at the URL (%(default)s)"
    )
    group.add_argument(
        "--url", default="", help="where LiteLLM finds the provider, if not at its usual address"
    )
    group.add_argument(
        "--key-stdin", action="store_true", help="read the API key from standard input"
    )
    group.add_argument(
        "--timeout", type=_positive, default=120.0, help="seconds for one request (%(default)s)"
    )
    group.add_argument(
        "--patience",
        type=_seconds,
        default=1800.0,
        help="seconds to wait for one that fell silent (%(default)s)",
    )
    group.add_argument(
        "--estimate", action="store_true", help="say what asking would come to, and ask nothing"
    )
    group.add_argument(
        "--max-tokens-total",
        type=_whole,
        help="spend no more tokens than this, resumed runs included",
    )
    group.add_argument(
        "--max-cost", type=_positive, help="spend no more money than this, resumed runs included"
    )
    group.add_argument("--price-in", type=_positive, help="price of a million tokens of prompts")
    group.add_argument(
        "--price-out", type=_positive, help="price of a million tokens of completions"
    )


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1e9:
        raise argparse.ArgumentTypeError("a number above 0")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 86_400:
        raise argparse.ArgumentTypeError("a number from 0 to 86400")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10**12:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return number


def endpoint_of(args: argparse.Namespace) -> EndpointTarget | None:
    """Return the endpoint that ``--model`` names, None for a folder.

    A URL, or ``litellm:PROVIDER/NAME``.
    """
    if args.model.startswith(_LITELLM):
        name = args.model.removeprefix(_LITELLM)
        return EndpointTarget(
            url=args.url,
            model=name,
            api=args.api or "chat",
            adapter="litellm",
        )
    if "://" in args.model:
        return EndpointTarget(
            url=args.model,
            model=args.served_model,
            api=args.api or "completions",
        )
    if args.max_tokens_total or args.max_cost or args.estimate:
        raise error(Code.MISCONFIGURED, "a budget is for endpoints")
    return None


def read_key(args: argparse.Namespace) -> str:
    """Return the API key, from standard input only: a command line is visible to other users.

    Raises MISCONFIGURED for a key in the environment, which every child process inherits.
    """
    if os.environ.get("HOLDFAST_API_KEY"):
        raise error(
            Code.MISCONFIGURED, "HOLDFAST_API_KEY: give the key by standard input, with --key-stdin"
        )
    if not args.key_stdin:
        return ""
    return sys.stdin.readline(_LONGEST_KEY).strip()


def caps_of(args: argparse.Namespace, endpoint: EndpointTarget) -> Caps:
    """Return the budget, with the given prices, or LiteLLM's. Raises MISCONFIGURED without any."""
    listed = listed_prices(endpoint.model) if endpoint.adapter == "litellm" else None
    price_in, price_out = listed or (None, None)
    if args.price_in is not None:
        price_in = args.price_in
    if args.price_out is not None:
        price_out = args.price_out
    if args.max_cost and (price_in is None or price_out is None):
        raise error(Code.MISCONFIGURED, "--max-cost needs --price-in and --price-out")
    return Caps(args.max_tokens_total, args.max_cost, price_in or 0.0, price_out or 0.0)


def left_of(caps: Caps, spent: Iterable[Usage | None]) -> Caps:
    """Return the rest of a budget. Answers that came too late to be stored were not counted."""
    total = _total(usage for usage in spent if usage)
    tokens = caps.tokens
    if tokens is not None:
        tokens = max(0, tokens - total.tokens_in - total.tokens_out)
    cost = caps.cost
    if cost is not None:
        cost = max(0.0, cost - _cost(caps, total))
    return Caps(tokens, cost, caps.price_in, caps.price_out)


def total_of(spent: Iterable[Usage | None]) -> Usage | None:
    """Return the sum over single answers, None where one of them was not counted."""
    counts = list(spent)
    known = [usage for usage in counts if usage]
    return _total(known) if len(known) == len(counts) else None


def _total(spent: Iterable[Usage]) -> Usage:
    tokens_in = tokens_out = 0
    for usage in spent:
        tokens_in += usage.tokens_in
        tokens_out += usage.tokens_out
    return Usage(tokens_in, tokens_out)


def describe_estimate(source: PublicSource, protocol: Protocol, caps: Caps) -> str:
    """Return one line: the most tokens and money that the open items of a set may cost."""
    most = estimate(source, protocol)
    items = source.n - len(source.done)
    tokens = f"about {most.tokens_in:,} tokens in, at most {most.tokens_out:,} out"
    if not caps.price_in and not caps.price_out:
        return f"{items} items: {tokens}"
    prompts = _cost(caps, Usage(most.tokens_in, 0))
    money = f"{prompts:.2f} for the prompts, at most {_cost(caps, most):.2f} in all"
    return f"{items} items: {tokens}; {money}"


def estimate_record(
    source: PublicSource,
    protocol: Protocol,
    caps: Caps,
) -> dict[str, float]:
    """Return the same for a program. Money is 0 where no price is known."""
    most = estimate(source, protocol)
    return {
        "items": source.n - len(source.done),
        "tokens_in": most.tokens_in,
        "max_tokens_out": most.tokens_out,
        "cost_in": _cost(caps, Usage(most.tokens_in, 0)),
        "max_cost": _cost(caps, most),
    }


def estimate(source: PublicSource, protocol: Protocol) -> Usage:
    """Return the tokens of the open items' prompts, about, and of their answers, at most."""
    draws = protocol.draws(source.n, len(source.shots))
    tokens_in = 0
    tokens_out = 0
    for index in source.selection - source.done:
        samples = protocol.samples - len(source.samples.get(index, ()))
        shots = [source.shots[shot] for shot in draws[index]]
        prompt = protocol.prompt(source.items[index], shots)
        tokens = math.ceil(len(prompt) / _CHARACTERS_PER_TOKEN)
        tokens_in += tokens * samples
        tokens_out += protocol.max_tokens * samples
    return Usage(tokens_in, tokens_out)


def _cost(caps: Caps, usage: Usage) -> float:
    prompts = usage.tokens_in * caps.price_in
    answers = usage.tokens_out * caps.price_out
    return (prompts + answers) / _MILLION
