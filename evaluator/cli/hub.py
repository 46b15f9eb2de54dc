"""``preflight``: a model on a hub, looked at from here or by a site, or an endpoint by a site."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluator.cli.client import add_site, site_of
from evaluator.cli.failures import DONE, REFUSED, CommandFailed
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


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``preflight`` and ``architectures``."""
    look = commands.add_parser("preflight")
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
    add_base(look)
    look.add_argument(
        "--verifier",
        default="",
        metavar="NAME",
        help=f"second model of a system, with --pair: {VERIFIER}",
    )
    add_organisation(look)
    add_token(look)
    endpoint = add_endpoint(look)
    endpoint.add_argument("--price-in", type=float, help="price of a million tokens of prompts")
    endpoint.add_argument("--price-out", type=float, help="price of a million tokens of answers")
    add_site(look)
    look.set_defaults(handler=preflight_command)
    table = commands.add_parser("architectures")
    table.set_defaults(handler=architectures_command)


def add_base(command: argparse.ArgumentParser) -> None:
    """Add ``--base ORGANISATION/NAME@REVISION``."""
    command.add_argument(
        "--base",
        default="",
        metavar="ORGANISATION/NAME[@REVISION]",
        help="base model of an adapter, or the id of its upload (default: the one that its"
        " configuration names)",
    )


def add_organisation(command: argparse.ArgumentParser) -> None:
    """Add ``--organisation NAME``."""
    command.add_argument(
        "--organisation",
        default="",
        metavar="NAME",
        help="your organisation that submits (default: the one that you joined first)",
    )


def add_token(command: argparse.ArgumentParser) -> None:
    """Add ``--hub-token VARIABLE``."""
    command.add_argument(
        "--hub-token",
        default="",
        metavar="VARIABLE",
        help="environment variable that holds an access token to a gated repository",
    )


def access_token(variable: str) -> str:
    """Return the access token in a variable; "" where none is named.

    Raises ``hub_token_missing``.
    """
    token = os.environ.get(variable, "") if variable else ""
    if variable and not is_token(token):
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


def _check_arguments(args: argparse.Namespace) -> None:
    """Raise ``pair_missing`` and ``model_missing``."""
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


def preflight_command(args: argparse.Namespace) -> int:
    """Print the facts of a model and its checks. Returns 0, or 2 where a check refuses it."""
    _check_arguments(args)
    if args.endpoint:
        return probe_command(args)
    facts = _check_on_site(args) if args.pair else _look(args)
    if args.json:
        print(json.dumps(facts))
    else:
        print("\n".join(printable(f"{name:9}{value}") for name, value in _rows(facts, args)))
        print("\n".join(map(printable, check_lines(facts["checks"]))))
        print("\n".join(map(printable, _prompt_lines(facts.get("prompt")))), end="")
    return REFUSED if any(check["level"] == "refusal" for check in facts["checks"]) else DONE


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
        order["upload"] = upload_folder(site, args.folder, progress_bar(), args.organisation)["id"]
    facts: dict[str, Any] = site.post("/preflight", order)
    return facts


def _rows(facts: dict[str, Any], args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Return what was looked at and, where a site was asked, the prospect of a run."""
    if facts.get("upload"):
        yield "upload", f"{facts['upload']}, {facts['files']} files"
    else:
        yield "commit", f"{facts['commit']} ({repository(args.model)[1]})"
        yield "page", facts["page"]
    if "waiting" in facts:
        yield "queue", f"{facts['waiting']} runs before it"
    if facts.get("expected_start"):
        yield "expected", f"{facts['expected_start']} to {facts['expected_end']}"


def _prompt_lines(prompt: dict[str, Any] | None) -> list[str]:
    """Return the first public item as the model is sent it; no line where it is not known."""
    if prompt is None:
        return []
    tokens = "" if prompt["tokens"] is None else f", {prompt['tokens']} tokens"
    around = [f"  {name}: {' '.join(prompt[name])}" for name in ("before", "after") if prompt[name]]
    text = [f"  | {line}" for line in prompt["prompt"].splitlines()]
    return [f"first public item{tokens}:", *around, *text, ""]


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
