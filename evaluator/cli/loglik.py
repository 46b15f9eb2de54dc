"""``loglik``: log-likelihood per character of the texts of public sets under a checkpoint."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from evaluator.backends.inspection import inspect_checkpoint
from evaluator.backends.servers import serve_checkpoint
from evaluator.cli.options import Commands
from evaluator.cli.run import READY_SECONDS, concurrency
from evaluator.config import trusted_digests
from evaluator.items import Item, load_items, set_digest
from evaluator.jail import is_jailed
from evaluator.pipeline.likelihood import likelihoods
from evaluator.protocols.likelihood import LOGLIK_1, Likely, mean_per_character


def add_commands(commands: Commands) -> None:
    """Add ``loglik``."""
    command = commands.add_parser("loglik")
    command.add_argument("--model", required=True, type=Path, help="folder of a checkpoint")
    command.add_argument(
        "--set", required=True, type=Path, nargs="+", help="JSON lines with question and answer"
    )
    command.add_argument(
        "--concurrency", type=concurrency, default=64, help="requests in flight (%(default)s)"
    )
    command.add_argument(
        "--items", type=Path, help="file for the values of single items: numbers, no text"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object last")
    command.set_defaults(handler=loglik_command)


def loglik_command(args: argparse.Namespace) -> int:
    """Read every item of every set in one load of the model, and print the means. Returns 0."""
    started = time.monotonic()
    sets = {str(path): load_items(path) for path in args.set}
    facts = inspect_checkpoint(args.model)
    jailed = is_jailed(facts.digest, trusted=trusted_digests(os.environ))
    engine, scores = asyncio.run(
        _read(args.model, sets, jailed=jailed, concurrency=args.concurrency)
    )
    of_sets = {}
    for name, items in sets.items():
        mean = mean_per_character(scores[name])
        of_sets[name] = {
            "n": len(items),
            "digest": set_digest(items),
            "per_character": mean,
        }
    record = {
        "protocol": LOGLIK_1.id,
        "digest": LOGLIK_1.digest,
        "model": facts.digest,
        "engine": engine,
        "sets": of_sets,
        "seconds": round(time.monotonic() - started, 3),
    }
    if args.items:
        lines = []
        for name, values in scores.items():
            for index, score in enumerate(values):
                line = {
                    "set": name,
                    "index": index,
                    "logprob": score.logprob,
                    "characters": score.characters,
                }
                lines.append(json.dumps(line) + "\n")
        args.items.write_text("".join(lines), encoding="utf-8")
    if args.json:
        print(json.dumps(record))
    else:
        for name, values in scores.items():
            print(f"{name}  n {len(values)}  per character {mean_per_character(values):.6f}")
    return 0


async def _read(
    folder: Path,
    sets: dict[str, tuple[Item, ...]],
    *,
    jailed: bool,
    concurrency: int,
) -> tuple[str, dict[str, tuple[Likely, ...]]]:
    with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
        server = serve_checkpoint(
            folder, jailed=jailed, ready_seconds=READY_SECONDS, workdir=Path(work)
        )
        async with server as backend:
            scores = {}
            for name, items in sets.items():
                scores[name] = await likelihoods(items, LOGLIK_1, backend, concurrency=concurrency)
                print(f"{name}: {len(items)} read", file=sys.stderr)
            return backend.engine, scores
