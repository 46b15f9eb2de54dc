"""``preflight``: a model on a hub, looked at from here or by a site, or an endpoint by a site."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluator.cli.client import site_of
from evaluator.cli.failures import DONE, REFUSED, CommandFailed
from evaluator.cli.options import MODEL_OPTIONS, SITE_OPTIONS, Commands
from evaluator.cli.probe import add_endpoint, check_lines, probe_command
from evaluator.cli.show import printable
from evaluator.cli.uploads import progress_bar, upload_folder
from evaluator.contract.adapters import BaseOnHub
from evaluator.contract.hub import (
    DEFAULT_REVISION,
    is_repo,
    is_revision,
    is_token,
    split_revision,
)
from evaluator.errors import Code, error

VERIFIER = "a checkpoint, ORGANISATION/NAME[@REVISION] on the hub, or the id of an upload"
"""Models that can be the second part of a system, in the help of a command."""


def add_commands(commands: Commands) -> None:
    """Add ``preflight`` and ``architectures``."""
    look = commands.add_parser("preflight", parents=[SITE_OPTIONS, MODEL_OPTIONS])
    look.add_argument("model", nargs="?", default="", metavar="ORGANISATION/NAME[@REVISION]")
    look.add_argument(
        "--folder",
        type=Path,
        help="with --pair: upload this folder and check it; `submit` sends none of it again",
    )
    look.add_argument(
        "--pair", default="", help="a benchmark of a site: have that site check the model for it"
    )
    look.add_argument(
        "--protocol", default="", help="judge it by what this protocol demands of a model"
    )
    look.add_argument(
        "--name",
        default="",
        help="the model's name on the board: with --pair, warn where its row has a run already",
    )
    look.add_argument(
        "--verifier",
        default="",
        metavar="NAME",
        help=f"second model of a system, with --pair: {VERIFIER}",
    )
    endpoint = add_endpoint(look)
    endpoint.add_argument("--price-in", type=float, help="price of a million tokens of prompts")
    endpoint.add_argument("--price-out", type=float, help="price of a million tokens of answers")
    look.set_defaults(handler=preflight_command)
    table = commands.add_parser("architectures")
    table.set_defaults(handler=architectures_command)


def access_token(variable: str) -> str:
    """Return the access token in a variable; "" where none is named.

    Raises ``hub_token_missing``.
    """
    if not variable:
        return ""
    token = os.environ.get(variable, "")
    if not is_token(token):
        raise CommandFailed(
            "hub_token_missing",
            "The variable of the hub's access token holds none.",
            "Set it, and name it by --hub-token.",
            detail=printable(variable),
        )
    return token


def repository(model: str) -> tuple[str, str]:
    """Return repository and revision. Raises ``hub_not_found``, ``hub_revision_gone``."""
    repo, revision = split_revision(model, "")
    if not is_repo(repo):
        raise error(Code.HUB_NOT_FOUND, "not organisation/name")
    if revision and not is_revision(revision):
        raise error(Code.HUB_REVISION_GONE)
    return repo, revision or DEFAULT_REVISION


def preflight_command(args: argparse.Namespace) -> int:
    """Print the facts of a model and its checks. Returns 0, or 2 where a check refuses it.

    Raises ``pair_missing`` and ``model_missing``.
    """
    of_site = (args.name, args.folder, args.verifier, args.organisation)
    if any(of_site) and not args.pair:
        raise CommandFailed(
            "pair_missing",
            "A name, a folder, a verifier and an organisation are checked for a benchmark of a"
            " site.",
            "Name it by --pair.",
        )
    if args.folder and (args.model or args.endpoint):
        raise CommandFailed(
            "model_missing",
            "A check is of one model.",
            "Name one on the hub, a folder by --folder, or an endpoint by --endpoint.",
        )
    if args.endpoint:
        return probe_command(args)
    facts = _check_on_site(args) if args.pair else _look(args)
    if args.json:
        print(json.dumps(facts))
    else:
        for line in _lines(facts, args):
            print(printable(line))
    refused = any(check["level"] == "refusal" for check in facts["checks"])
    return REFUSED if refused else DONE


def _check_on_site(args: argparse.Namespace) -> dict[str, Any]:
    """Return the facts and checks of a site, to which a folder is uploaded first."""
    order = {"pair": args.pair, "protocol": args.protocol}
    if not args.folder:
        order["repo"], order["revision"] = repository(args.model)
    given = {
        "model": args.name,
        "hub_token": access_token(args.hub_token),
        "base": args.base,
        "verifier": args.verifier,
        "organisation": args.organisation,
    }
    order |= {name: value for name, value in given.items() if value}
    site = site_of(args)
    if args.folder:
        upload = upload_folder(site, args.folder, progress_bar(), args.organisation)
        order["upload"] = upload["id"]
    facts: dict[str, Any] = site.post("/preflight", order)
    return facts


def _lines(facts: dict[str, Any], args: argparse.Namespace) -> Iterator[str]:
    """Yield the facts, the checks and, where a site was asked, the prospect of a run and a prompt.

    The prompt is the first public item as the model is sent it.
    """
    if facts.get("upload"):
        yield f"upload   {facts['upload']}, {facts['files']} files"
    else:
        _, revision = repository(args.model)
        yield f"commit   {facts['commit']} ({revision})"
        yield f"page     {facts['page']}"
    if "waiting" in facts:
        yield f"queue    {facts['waiting']} runs before it"
    if facts.get("expected_start"):
        yield f"expected {facts['expected_start']} to {facts['expected_end']}"
    yield from check_lines(facts["checks"])
    prompt = facts.get("prompt")
    if prompt is None:
        return
    tokens = "" if prompt["tokens"] is None else f", {prompt['tokens']} tokens"
    yield f"first public item{tokens}:"
    for name in ("before", "after"):
        if prompt[name]:
            yield f"  {name}: {' '.join(prompt[name])}"
    for line in prompt["prompt"].splitlines():
        yield f"  | {line}"


def _look(args: argparse.Namespace) -> dict[str, Any]:
    """Return facts and checks as this host reads them. The site's answer needs no engine."""
    from evaluator import protocols  # noqa: PLC0415
    from evaluator.artefacts.readiness import checks  # noqa: PLC0415
    from evaluator.backends import look_at  # noqa: PLC0415

    repo, revision = repository(args.model)
    token = access_token(args.hub_token)
    demands = protocols.demands(args.protocol) if args.protocol else None
    base = None
    if args.base:
        base_repo, base_revision = repository(args.base)
        base = BaseOnHub(repo=base_repo, revision=base_revision)
    facts = look_at(repo, revision, token=token, base=base)
    found = [check.to_dict() for check in checks(facts, demands)]
    return facts.to_dict() | {"page": facts.page, "checks": found}


def architectures_command(_: argparse.Namespace) -> int:
    """Print the table that ``artefacts/architectures.json`` holds. Returns 0."""
    from evaluator.artefacts.architectures import dump  # noqa: PLC0415
    from evaluator.backends.engines import installed_table  # noqa: PLC0415

    print(dump(installed_table()), end="")
    return DONE
