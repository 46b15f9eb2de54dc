"""``preflight`` and ``submit``: a model on a hub, looked at from here, and handed in to a site."""

import argparse
import json
import os
import secrets
import sys
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from evaluator import addresses
from evaluator.artefacts.sizes import gpu_need
from evaluator.backends import look_at
from evaluator.cli.failures import REFUSED
from evaluator.contract.hub import DEFAULT_REVISION, HubFacts, is_repo, is_revision, split_revision
from evaluator.errors import Code, error

TOKEN = "HOLDFAST_TOKEN"  # noqa: S105 - the name of a variable
_GIB = 1 << 30
_SECONDS = 60
_MAX_ANSWER = 1 << 20


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``preflight`` and ``submit``."""
    look = commands.add_parser(
        "preflight", help="read a model's headers and configuration on a hub, fetching no weights"
    )
    _add_model(look)
    look.set_defaults(handler=preflight_command)
    submit = commands.add_parser(
        "submit", help=f"submit a model on the hub to a site, with the token in {TOKEN}"
    )
    _add_model(submit)
    submit.add_argument("--site", required=True, help="the site's address, as https://host")
    submit.add_argument("--pair", required=True, help="the benchmark's short name")
    submit.add_argument("--name", required=True, help="the model's name on the board")
    submit.add_argument("--open-weights", action="store_true", help="anyone may download them")
    submit.add_argument("--key", default="", help="a key that makes repeating this harmless")
    submit.set_defaults(handler=submit_command)


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="ORGANISATION/NAME[@REVISION]")
    command.add_argument("--json", action="store_true", help="print one JSON object")


def _repository(args: argparse.Namespace) -> tuple[str, str]:
    """Return repository and revision. Raises ``hub_not_found``, ``hub_revision_gone``."""
    repo, revision = split_revision(args.model, "")
    if not is_repo(repo):
        raise error(Code.HUB_NOT_FOUND, "not organisation/name")
    if revision and not is_revision(revision):
        raise error(Code.HUB_REVISION_GONE)
    return repo, revision or DEFAULT_REVISION


def preflight_command(args: argparse.Namespace) -> int:
    """Print the facts of a model. Returns 0."""
    facts = look_at(*_repository(args))
    if args.json:
        print(json.dumps(facts.to_dict() | {"page": facts.page}))
    else:
        print("\n".join(f"{name:14}{value}" for name, value in _rows(facts).items()))
    return 0


def _rows(facts: HubFacts) -> dict[str, str]:
    need = gpu_need(facts.weights, facts.cached, facts.context)
    packed = f", quantised by {facts.quantisation}" if facts.quantisation else ""
    return {
        "commit": f"{facts.commit} ({facts.revision})",
        "page": facts.page,
        "architecture": facts.architecture,
        "parameters": f"{facts.parameters:,}, stored as {', '.join(facts.types)}{packed}",
        "files": f"{len(facts.files)}, {facts.model.size / _GIB:.2f} GiB",
        "GPU memory": f"about {need / _GIB:.1f} GiB",
        "context": f"{facts.context:,} tokens",
        "chat template": "yes" if facts.chat else "no",
        "licence": facts.licence or "not stated",
    }


def submit_command(args: argparse.Namespace) -> int:
    """Submit a model, and print its run. Returns 0, or 2 with the site's refusal."""
    repo, revision = _repository(args)
    site = args.site.rstrip("/")
    addresses.check(site, allow_private=True)
    token = os.environ.get(TOKEN, "")
    if not token:
        raise error(Code.MISCONFIGURED, f"{TOKEN} is not set")
    body = {
        "pair": args.pair,
        "model": args.name,
        "kind": "hub",
        "repo": repo,
        "revision": revision,
        "open_weights": args.open_weights,
    }
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": args.key or secrets.token_hex(16),
        "Content-Type": "application/json",
    }
    address = f"{site}/api/v1/submissions"
    order = Request(address, json.dumps(body).encode(), headers)  # noqa: S310 - checked above
    status, answer = _send(order)
    if args.json:
        print(json.dumps(answer))
    if status != 201:
        print(f"error: {answer.get('message', status)} {answer.get('advice', '')}", file=sys.stderr)
        return REFUSED
    if not args.json:
        print(f"commit {answer['commit']}\nrun    {site}/runs/{answer['run']}/")
    return 0


def _send(order: Request) -> tuple[int, dict[str, Any]]:
    """Return status and JSON object of the site's answer."""
    try:
        with urlopen(order, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            status, body = answer.status, answer.read(_MAX_ANSWER)
    except HTTPError as refused:
        status, body = refused.code, refused.read(_MAX_ANSWER)
    except (URLError, TimeoutError):
        return 503, {"message": "The site does not answer.", "advice": "Try again later."}
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    return status, data if isinstance(data, dict) else {"message": f"Status {status}."}
