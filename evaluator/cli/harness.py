"""``harness``: run a task of lm-evaluation-harness on local files against our model server."""

import argparse
import asyncio
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from evaluator.backends.inspection import inspect_checkpoint
from evaluator.backends.servers import serve_checkpoint
from evaluator.cli.options import Commands
from evaluator.cli.run import READY_SECONDS, concurrency
from evaluator.config import trusted_digests
from evaluator.harness import Harnessed, check_public, harness
from evaluator.jail import is_jailed


def add_commands(commands: Commands) -> None:
    """Add ``harness``."""
    command = commands.add_parser("harness")
    command.add_argument("--model", required=True, type=Path, help="folder of a checkpoint")
    command.add_argument("--task", required=True, help="the task's name there, gsm8k for one")
    command.add_argument(
        "--set-file",
        required=True,
        type=Path,
        help="JSON lines with the fields that the task wants",
    )
    command.add_argument("--shots-file", type=Path, help="the same, for its examples")
    command.add_argument(
        "--max-tokens", type=int, default=1000, help="where the task names none (%(default)s)"
    )
    command.add_argument("--limit", type=int, help="the first so many items only")
    command.add_argument(
        "--concurrency", type=concurrency, default=64, help="requests in flight (%(default)s)"
    )
    command.add_argument("--samples", type=Path, help="file for prompts and answers, as JSON lines")
    command.add_argument("--json", action="store_true", help="print one JSON object last")
    command.set_defaults(handler=harness_command)


def harness_command(args: argparse.Namespace) -> int:
    """Run the task and print lm-eval's own figures. Returns 0."""
    splits = {"test": args.set_file}
    if args.shots_file:
        splits["train"] = args.shots_file
    check_public(list(splits.values()))
    facts = inspect_checkpoint(args.model)
    jailed = is_jailed(facts.digest, trusted=trusted_digests(os.environ))
    results = asyncio.run(_run(args, splits, jailed=jailed))
    if args.samples:
        lines = []
        for sample in results.samples:
            lines.append(json.dumps(asdict(sample)) + "\n")
        args.samples.write_text("".join(lines), encoding="utf-8")
    record = {
        "task": args.task,
        "version": results.version,
        "model": facts.digest,
        **results.figures,
    }
    if args.json:
        print(json.dumps(record))
    else:
        print("  ".join(f"{name} {value}" for name, value in record.items()))
    return 0


async def _run(
    args: argparse.Namespace,
    splits: dict[str, Path],
    *,
    jailed: bool,
) -> Harnessed:
    with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
        server = serve_checkpoint(
            args.model, jailed=jailed, ready_seconds=READY_SECONDS, workdir=Path(work)
        )
        async with server as backend:
            return await harness(
                backend.socket,
                args.task,
                splits,
                max_tokens=backend.token_limit(args.max_tokens),
                concurrency=args.concurrency,
                limit=args.limit,
            )
