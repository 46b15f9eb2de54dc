"""``preflight``: a model on a hub, looked at from here, or by a site for one of its benchmarks."""

import argparse
import json
from typing import Any

from evaluator.artefacts.sizes import gpu_need
from evaluator.cli.client import add_site, site_of
from evaluator.cli.failures import DONE
from evaluator.cli.show import printable
from evaluator.contract.hub import DEFAULT_REVISION, HubFacts, is_repo, is_revision, split_revision
from evaluator.errors import Code, error

_GIB = 1 << 30


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``preflight``."""
    look = commands.add_parser("preflight")
    look.add_argument("model", metavar="ORGANISATION/NAME[@REVISION]")
    look.add_argument(
        "--pair", default="", help="a benchmark of a site: have that site check the model for it"
    )
    add_site(look)
    look.set_defaults(handler=preflight_command)


def repository(model: str) -> tuple[str, str]:
    """Return repository and revision. Raises ``hub_not_found``, ``hub_revision_gone``."""
    repo, revision = split_revision(model, "")
    if not is_repo(repo):
        raise error(Code.HUB_NOT_FOUND, "not organisation/name")
    if revision and not is_revision(revision):
        raise error(Code.HUB_REVISION_GONE)
    return repo, revision or DEFAULT_REVISION


def preflight_command(args: argparse.Namespace) -> int:
    """Print the facts of a model. Returns 0."""
    repo, revision = repository(args.model)
    if args.pair:
        order = {"pair": args.pair, "repo": repo, "revision": revision}
        facts = site_of(args).post("/preflight", order)
        rows = _rows_of_site(facts, revision)
    else:
        from evaluator.backends import look_at  # noqa: PLC0415 - the site's answer needs no engine

        found = look_at(repo, revision)
        facts = found.to_dict() | {"page": found.page}
        rows = _rows(found)
    if args.json:
        print(json.dumps(facts))
    else:
        print("\n".join(printable(f"{name:14}{value}") for name, value in rows.items()))
    return DONE


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


def _rows_of_site(facts: dict[str, Any], revision: str) -> dict[str, str]:
    """Return the same facts as a site states them, and what its evaluators make of them."""
    packed = f", quantised by {facts['quantisation']}" if facts["quantisation"] else ""
    return {
        "commit": f"{facts['commit']} ({revision})",
        "page": facts["page"],
        "architecture": facts["architecture"],
        "parameters": f"{facts['parameters']:,}, stored as {', '.join(facts['types'])}{packed}",
        "files": f"{facts['files']}, {facts['bytes'] / _GIB:.2f} GiB",
        "GPU memory": f"about {facts['gpu_memory'] / _GIB:.1f} GiB",
        "context": f"{facts['context']:,} tokens",
        "chat template": "yes" if facts["chat"] else "no",
        "licence": facts["licence"] or "not stated",
        "engines": ", ".join(facts["engines"]),
        "waiting": f"{facts['waiting']} runs before it",
    }
