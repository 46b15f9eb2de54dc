"""``preflight --endpoint``: a site has an endpoint asked public items and shows its answers."""

import argparse
import json
import os
import time
from typing import Any

from evaluator.cli.client import site_of
from evaluator.cli.failures import DONE, REFUSED, CommandFailed
from evaluator.cli.show import printable

POLL_SECONDS = 1.0


def add_endpoint(command: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the options that name an endpoint, and return their group."""
    endpoint = command.add_argument_group("an endpoint instead of a model on the hub")
    endpoint.add_argument("--endpoint", default="", metavar="URL", help="base address of its API")
    endpoint.add_argument("--served", default="", metavar="NAME", help="the model's name there")
    endpoint.add_argument("--api", choices=("chat", "completions"), default="chat")
    endpoint.add_argument(
        "--provider", default="", help="whose API it speaks (default: one like OpenAI's own)"
    )
    endpoint.add_argument(
        "--api-key", default="", metavar="VARIABLE", help="environment variable that holds its key"
    )
    return endpoint


def endpoint_facts(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the API that name an endpoint. Raises ``api_key_missing``."""
    # A command line is readable by others, a variable is not.
    key = os.environ.get(args.api_key, "") if args.api_key else ""
    if args.api_key and not key:
        raise CommandFailed(
            "api_key_missing",
            "The variable of the endpoint's key is not set.",
            "Set it, and name it by --api-key.",
            detail=printable(args.api_key),
        )
    return {
        "url": args.endpoint,
        "served_model": args.served,
        "api": args.api,
        "provider": args.provider,
        "api_key": key,
    }


def probe_command(args: argparse.Namespace) -> int:
    """Print the answers of an endpoint to public items, and the price of the whole run.

    Returns 0, or 2 where a check refuses the endpoint or it was not asked.
    """
    if not args.pair:
        raise CommandFailed(
            "pair_missing",
            "An endpoint is checked for a benchmark of a site.",
            "Name it by --pair.",
        )
    site = site_of(args)
    order = {"pair": args.pair, "protocol": args.protocol, **endpoint_facts(args)}
    order["price_in"] = args.price_in
    order["price_out"] = args.price_out
    given = {"model": args.name, "organisation": args.organisation}
    order |= {name: value for name, value in given.items() if value}
    begun = site.post("/probes", order)
    probe = begun
    while probe["state"] == "waiting":
        time.sleep(POLL_SECONDS)
        probe = site.get(f"/probes/{begun['id']}")
    if args.json:
        print(json.dumps({**begun, **probe}))
    else:
        lines = [f"queue    {begun['waiting']} runs before it", *check_lines(begun["checks"])]
        if probe["code"]:
            lines.append(f"{probe['code']}: {probe['message']} {probe['advice']}")
        else:
            for item in probe["items"]:
                lines += _item_lines(item)
            lines.append(f"whole run: {_price(probe['estimate'])}")
        for line in lines:
            print(printable(line))
    answered = probe["state"] == "answered" and not begun["refused"]
    return DONE if answered else REFUSED


def check_lines(checks: list[dict[str, Any]]) -> list[str]:
    """Return one line for each check."""
    return [
        f"{check['level']:9}{check['subject']}: {check['sentence']} {check['advice']}".rstrip()
        for check in checks
    ]


def _item_lines(item: dict[str, Any]) -> list[str]:
    head = f"item {item['index'] + 1}"
    if item["code"]:
        return [f"{head}: no answer, {item['code']}"]
    tokens = ""
    if item["tokens_in"] is not None:
        tokens = f", {item['tokens_in']} + {item['tokens_out']} tokens"
    read = f"read as {item['extracted'] or 'no answer'}: {item['outcome']}"
    text = item["answer"].strip().splitlines()
    lines = [f"{head}: {read}, {item['seconds']:.1f} s{tokens}"]
    lines += [f"  | {line}" for line in text]
    return lines


def _price(estimate: dict[str, Any]) -> str:
    if estimate["tokens_in"] is None:
        return "tokens are not known, the endpoint counts none"
    tokens = f"about {estimate['tokens_in']:,} tokens in, {estimate['tokens_out']:,} out"
    if estimate["cost"] is None:
        return f"{tokens}; no price is known, state it by --price-in and --price-out"
    source = "US dollars by LiteLLM's list" if estimate["prices"] == "list" else "by your prices"
    return f"{tokens}; about {estimate['cost']:.2f} {source}"
