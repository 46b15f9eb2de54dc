"""``preflight``: a model on a hub, looked at from here or by a site."""

import argparse
import json
import os
from typing import Any

from evaluator.cli.client import add_site, site_of
from evaluator.cli.failures import DONE, REFUSED, CommandFailed
from evaluator.cli.show import printable
from evaluator.contract.hub import (
    DEFAULT_REVISION,
    is_repo,
    is_revision,
    is_token,
    split_revision,
)
from evaluator.errors import Code, error


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``preflight`` and ``architectures``."""
    look = commands.add_parser("preflight")
    look.add_argument("model", metavar="ORGANISATION/NAME[@REVISION]")
    look.add_argument(
        "--pair", default="", help="a benchmark of a site: have that site check the model for it"
    )
    look.add_argument(
        "--protocol", default="", help="judge it by what this protocol demands of a model"
    )
    add_token(look)
    add_site(look)
    look.set_defaults(handler=preflight_command)
    table = commands.add_parser("architectures")
    table.set_defaults(handler=architectures_command)


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


def preflight_command(args: argparse.Namespace) -> int:
    """Print the facts of a model and its checks. Returns 0, or 2 where a check refuses it."""
    repo, revision = repository(args.model)
    token = access_token(args.hub_token)
    if args.pair:
        order = {"pair": args.pair, "repo": repo, "revision": revision, "protocol": args.protocol}
        if token:
            order["hub_token"] = token
        facts = site_of(args).post("/preflight", order)
        rows = {"queue": f"{facts['waiting']} runs before it"}
    else:
        facts = _look(repo, revision, args.protocol, token)
        rows = {}
    rows = {"commit": f"{facts['commit']} ({revision})", "page": facts["page"]} | rows
    if args.json:
        print(json.dumps(facts))
    else:
        print("\n".join(printable(f"{name:9}{value}") for name, value in rows.items()))
        for check in facts["checks"]:
            line = f"{check['level']:9}{check['subject']}: {check['sentence']} {check['advice']}"
            print(printable(line.rstrip()))
    return REFUSED if any(check["level"] == "refusal" for check in facts["checks"]) else DONE


def _look(repo: str, revision: str, protocol: str, token: str) -> dict[str, Any]:
    """Return facts and checks as this host reads them. The site's answer needs no engine."""
    from evaluator import protocols  # noqa: PLC0415
    from evaluator.artefacts.readiness import checks  # noqa: PLC0415
    from evaluator.backends import look_at  # noqa: PLC0415

    demands = protocols.demands(protocol) if protocol else None
    facts = look_at(repo, revision, token=token)
    found = [check.to_dict() for check in checks(facts, demands)]
    return facts.to_dict() | {"page": facts.page, "checks": found}


def architectures_command(_: argparse.Namespace) -> int:
    """Print the table that ``artefacts/architectures.json`` holds. Returns 0."""
    from evaluator.artefacts.architectures import dump  # noqa: PLC0415
    from evaluator.backends.engines import installed_table  # noqa: PLC0415

    print(dump(installed_table()), end="")
    return DONE
