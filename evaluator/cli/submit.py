"""``submit``: a model on the hub or in a folder, or an endpoint, handed in to a site."""

import argparse
import json
import os
import secrets
from pathlib import Path
from typing import Any

from evaluator.cli.answers import Submitted, read_as
from evaluator.cli.client import add_site, site_of
from evaluator.cli.failures import DONE, CommandFailed
from evaluator.cli.hub import access_token, add_token, repository
from evaluator.cli.runs import follow
from evaluator.cli.show import printable
from evaluator.cli.uploads import progress_bar, upload_folder


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``submit``."""
    submit = commands.add_parser("submit")
    submit.add_argument("model", nargs="?", default="", metavar="ORGANISATION/NAME[@REVISION]")
    submit.add_argument(
        "--folder", type=Path, help="upload this folder instead; after a cut it goes on"
    )
    submit.add_argument("--pair", required=True, help="the benchmark's short name")
    submit.add_argument("--name", required=True, help="the model's name on the board")
    submit.add_argument(
        "--protocol", default="", help="one that the pair allows (default: its own)"
    )
    add_token(submit)
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
    endpoint = submit.add_argument_group("an endpoint instead of a model on the hub")
    endpoint.add_argument("--endpoint", default="", metavar="URL", help="base address of its API")
    endpoint.add_argument("--served", default="", metavar="NAME", help="the model's name there")
    endpoint.add_argument("--api", choices=("chat", "completions"), default="chat")
    endpoint.add_argument(
        "--provider", default="", help="whose API it speaks (default: one like OpenAI's own)"
    )
    endpoint.add_argument(
        "--api-key", default="", metavar="VARIABLE", help="environment variable that holds its key"
    )
    endpoint.add_argument("--max-tokens", type=int, help="the most tokens in all")
    add_site(submit)
    submit.set_defaults(handler=submit_command)


def submit_command(args: argparse.Namespace) -> int:
    """Submit a model, and print its run. Returns 0, or with ``--watch`` the run's exit code."""
    order = _order(args)
    site = site_of(args)
    if args.folder:
        order["upload"] = upload_folder(site, args.folder, progress_bar())["id"]
    data = site.post("/submissions", order, key=args.key or secrets.token_hex(16))
    made = read_as(Submitted, data)
    if not args.json:
        if made.commit:
            print(printable(f"commit {made.commit}"))
        print(printable(f"run    {site.page(f'/runs/{made.run}/')}"), flush=True)
    elif not args.watch:
        print(json.dumps(data))
    return follow(site, made.run, as_json=args.json) if args.watch else DONE


def _order(args: argparse.Namespace) -> dict[str, Any]:
    """Return the body that the API takes. Raises for a model that is neither, or both."""
    if sum(map(bool, (args.model, args.folder, args.endpoint))) != 1:
        raise CommandFailed(
            "model_missing",
            "A submission is of one model.",
            "Name one on the hub as ORGANISATION/NAME, a folder by --folder, or an endpoint by"
            " --endpoint.",
        )
    order = {
        "pair": args.pair,
        "model": args.name,
        "protocol": args.protocol,
        "open_weights": args.open_weights,
    }
    stated = ("licence", "base_model", "knowledge_cutoff", "trained_on_public")
    order |= {name: getattr(args, name) for name in stated if getattr(args, name)}
    if args.folder:
        return order | {"kind": "upload"}
    if args.model:
        repo, revision = repository(args.model)
        order |= {"kind": "hub", "repo": repo, "revision": revision}
        token = access_token(args.hub_token)
        return order | {"hub_token": token} if token else order
    return order | {
        "kind": "endpoint",
        "url": args.endpoint,
        "served_model": args.served,
        "api": args.api,
        "provider": args.provider,
        "api_key": _api_key(args.api_key),
        "max_tokens": args.max_tokens,
    }


def _api_key(variable: str) -> str:
    """Return the endpoint's key: a command line is readable by others, a variable is not."""
    if not variable:
        return ""
    if key := os.environ.get(variable, ""):
        return key
    raise CommandFailed(
        "api_key_missing",
        "The variable of the endpoint's key is not set.",
        "Set it, and name it by --api-key.",
        detail=printable(variable),
    )
