"""``submit``: a model on the hub or in a folder, or an endpoint, handed in to a site."""

import argparse
import json
import secrets
from pathlib import Path
from typing import Any

from evaluator.cli.answers import Practice, Submitted, read_as
from evaluator.cli.client import Site, site_of
from evaluator.cli.failures import DONE, CommandFailed
from evaluator.cli.hub import VERIFIER, access_token, repository
from evaluator.cli.options import MODEL_OPTIONS, SITE_OPTIONS, Commands
from evaluator.cli.probe import add_endpoint, endpoint_facts
from evaluator.cli.runs import follow
from evaluator.cli.show import printable
from evaluator.cli.uploads import progress_bar, upload_folder


def add_commands(commands: Commands) -> None:
    """Add ``submit``."""
    submit = commands.add_parser("submit", parents=[SITE_OPTIONS, MODEL_OPTIONS])
    submit.add_argument("model", nargs="?", default="", metavar="ORGANISATION/NAME[@REVISION]")
    submit.add_argument(
        "--folder", type=Path, help="upload this folder instead; after a cut it goes on"
    )
    submit.add_argument("--pair", default="", help="the benchmark's short name")
    unranked = submit.add_mutually_exclusive_group()
    unranked.add_argument(
        "--practice",
        action="store_true",
        help="on two public sets: result at once, never ranked (default pair: the site's newest)",
    )
    unranked.add_argument(
        "--public-only",
        action="store_true",
        help="practise on the pair that asks this benchmark's public set: for an endpoint that is"
        " shown no sealed item",
    )
    submit.add_argument("--name", required=True, help="the model's name on the board")
    submit.add_argument(
        "--protocol", default="", help="one that the pair allows (default: its own)"
    )
    submit.add_argument(
        "--verifier",
        default="",
        metavar="NAME",
        help=f"{VERIFIER}, that chooses its answers",
    )
    submit.add_argument("--open-weights", action="store_true", help="anyone may download them")
    submit.add_argument("--key", default="", help="a key that makes repeating this harmless")
    submit.add_argument("--watch", action="store_true", help="follow the run to its end")
    stated = submit.add_argument_group("statements about the model, shown with its run")
    stated.add_argument("--licence", default="", help="its short name, as apache-2.0")
    stated.add_argument("--base-model", default="", metavar="ORGANISATION/NAME")
    stated.add_argument("--knowledge-cutoff", default="", metavar="YYYY-MM-DD")
    stated.add_argument(
        "--trained-on-public",
        choices=("yes", "no"),
        default="",
        help="it was trained on the benchmark's public set; its row says so",
    )
    submit.add_argument(
        "--embargo-until",
        default="",
        metavar="YYYY-MM-DD",
        help="the board shows the result from this day on; at most 90 days ahead, for weights",
    )
    endpoint = add_endpoint(submit)
    endpoint.add_argument("--max-tokens", type=int, help="the most tokens in all")
    submit.set_defaults(handler=submit_command)


def submit_command(args: argparse.Namespace) -> int:
    """Submit a model, and print its run. Returns 0, or with ``--watch`` the run's exit code."""
    order = _order(args)
    site = site_of(args)
    order["pair"] = _practice_pair(site, args.pair) if args.practice else args.pair
    if not order["pair"]:
        raise CommandFailed(
            "pair_missing",
            "A submission is to one benchmark.",
            "Name it by --pair, or practise with --practice.",
        )
    if args.folder:
        upload = upload_folder(site, args.folder, progress_bar(), args.organisation)
        order["upload"] = upload["id"]
    key = args.key or secrets.token_hex(16)
    data = site.post("/submissions", order, key=key)
    made = read_as(Submitted, data)
    if not args.json:
        if made.commit:
            print(printable(f"commit {made.commit}"))
        print(printable(f"run    {site.page(f'/runs/{made.run}/')}"), flush=True)
    elif not args.watch:
        print(json.dumps(data))
    return follow(site, made.run, as_json=args.json) if args.watch else DONE


def _practice_pair(site: Site, name: str) -> str:
    """Return the site's practice pair of this name, or its newest. Raises where it has none."""
    practice = read_as(Practice, site.get("/practice"))
    pairs = [known.pair for known in practice.pairs]
    if not pairs or (name and name not in pairs):
        raise CommandFailed(
            "practice_unknown",
            "The site has no such practice pair.",
            f"Choose one of: {printable(', '.join(pairs))}." if pairs else "Submit officially.",
        )
    return name or pairs[0]


def _order(args: argparse.Namespace) -> dict[str, Any]:
    """Return the body that the API takes. Raises for a model that is neither, or both."""
    named = [bool(args.model), bool(args.folder), bool(args.endpoint)]
    if sum(named) != 1:
        raise CommandFailed(
            "model_missing",
            "A submission is of one model.",
            "Name one on the hub as ORGANISATION/NAME, a folder by --folder, or an endpoint by"
            " --endpoint.",
        )
    order = {
        "model": args.name,
        "protocol": args.protocol,
        "open_weights": args.open_weights,
    }
    if args.verifier:
        order["verifier"] = args.verifier
    if args.public_only:
        order["public_only"] = True
    stated = (
        "licence", "base_model", "knowledge_cutoff", "trained_on_public", "embargo_until",
        "organisation",
    )  # fmt: skip
    for name in stated:
        value = getattr(args, name)
        if value:
            order[name] = value
    if args.folder or args.model:
        token = access_token(args.hub_token)
        if token:
            order["hub_token"] = token
        if args.base:
            order["base"] = args.base
    if args.folder:
        return order | {"kind": "upload"}
    if args.model:
        repo, revision = repository(args.model)
        return order | {"kind": "hub", "repo": repo, "revision": revision}
    return order | {
        "kind": "endpoint",
        **endpoint_facts(args),
        "max_tokens": args.max_tokens,
    }
