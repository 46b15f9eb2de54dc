"""A whole job of ours, as ``bench.local`` times it: two sets asked and graded, then read, in one
load of a model.

``python -m bench.job --model DIR --engine NAME SET SET`` prints one JSON object: the seconds of
asking and of reading, and what the model wrote.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluator import jail, protocols
from evaluator.artefacts import inspect_checkpoint
from evaluator.backends import serve_checkpoint
from evaluator.items import load_items
from evaluator.pipeline.ask import Result, ask_items
from evaluator.pipeline.likelihood import likelihoods
from evaluator.pipeline.plan import Policy, PublicSource
from evaluator.protocols.likelihood import LOGLIK_1, mean_per_character

PROTOCOL = "demo-0shot"


class StoredAnswers:
    """Result sink that stores completions by set and index."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[int, str]] = {}

    def answered(self, name: str, result: Result) -> None:
        """Do nothing: the result comes again with its group."""

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Store the completions."""
        self.answers.setdefault(name, {}).update(
            {result.index: result.completion.text for result in results}
        )

    def progress(self, done: int, total: int) -> None:
        """Do nothing: no one watches a bench."""


async def job(
    model: Path,
    sets: Sequence[Path],
    *,
    engine: str,
    concurrency: int,
    read: bool,
) -> dict[str, Any]:
    """Do it all. Returns what is printed."""
    sources = []
    for path in sets:
        source = PublicSource(
            name=path.stem,
            items=load_items(path),
            shots=(),
            done=frozenset(),
        )
        sources.append(source)
    inspect_checkpoint(model)
    sink = StoredAnswers()
    with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
        server = serve_checkpoint(
            model,
            jailed=jail.available(),
            ready_seconds=600,
            workdir=Path(work),
            threads=1,
            engine=engine,
        )
        async with server as backend:
            begin = time.perf_counter()
            await ask_items(
                sources,
                protocols.get(PROTOCOL),
                backend,
                sink,
                policy=Policy(concurrency=concurrency),
            )
            asked = time.perf_counter()
            means = {}
            for source in sources if read else ():
                found = await likelihoods(source.items, LOGLIK_1, backend, concurrency=concurrency)
                means[source.name] = mean_per_character(found)
            done = time.perf_counter()
    answers = {}
    for name, texts in sink.answers.items():
        answers[name] = [texts[index] for index in sorted(texts)]
    return {
        "engine": backend.engine,
        "generate": asked - begin,
        "read": done - asked,
        "answers": answers,
        "per_character": means,
    }


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser(prog="bench.job")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--concurrency", type=int, default=512)
    parser.add_argument("--no-read", action="store_true", help="leave the likelihoods out")
    parser.add_argument("sets", type=Path, nargs="+")
    asked = parser.parse_args()
    work = job(
        asked.model,
        asked.sets,
        engine=asked.engine,
        concurrency=asked.concurrency,
        read=not asked.no_read,
    )
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
