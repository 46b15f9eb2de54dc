"""The noise floor: what the same model answers, asked the same at T=0 another way: ``python -m
bench.noise``.

One checkpoint answers one set on each engine, with 1, 8 and 32 requests in flight, several times,
and reads it for its likelihoods. Whatever differs between two of these cells is neither the model's
nor the set's, so that no smaller difference is to be read as one. Few verdicts that differ among a
few hundred do not make a floor of nothing: it is the 95% upper bound (Clopper and Pearson,
Biometrika 26 (1934) 404) of the share that differs in the worst cell.

Prints every cell against the first. With ``--store`` the record is written where the site reads it.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scipy.stats import beta

from bench.job import PROTOCOL, StoredAnswers
from bench.seal import machine
from demo.problems import public_set
from evaluator import jail, protocols
from evaluator.artefacts import inspect_checkpoint
from evaluator.backends import HttpBackend, engines, serve_checkpoint
from evaluator.contract import Outcome
from evaluator.items import load_items, set_digest
from evaluator.pipeline.ask import Result, ask_items
from evaluator.pipeline.likelihood import likelihoods
from evaluator.pipeline.plan import Policy, PublicSource
from evaluator.protocols.likelihood import LOGLIK_1, mean_per_character
from tests.evaluator.installed import write_rows

MODEL = Path(__file__).parents[1] / "demo" / "checkpoints" / "honest"
BATCHES = (1, 8, 32)
STORED = Path(__file__).parents[1] / "leaderboard" / "evidence" / "noise.json"
LEVEL = 0.95


@dataclass(frozen=True)
class Cell:
    """One way to ask and its result: answers and their outcomes, in the order of the set."""

    engine: str
    batch: int
    repeat: int
    answers: tuple[str, ...]
    right: tuple[bool, ...]
    per_character: float

    @property
    def score(self) -> float:
        """The share of right answers."""
        return sum(self.right) / len(self.right)

    def against(self, other: "Cell") -> dict[str, Any]:
        """Return the differences from another: texts, verdicts, score, log-likelihood per
        character."""
        texts = zip(self.answers, other.answers, strict=True)
        verdicts = zip(self.right, other.right, strict=True)
        return {
            "engine": self.engine,
            "batch": self.batch,
            "repeat": self.repeat,
            "score": self.score,
            "texts_differ": sum(own != text for own, text in texts),
            "verdicts_differ": sum(own != verdict for own, verdict in verdicts),
            "score_differs_by": self.score - other.score,
            "likelihood_differs_by": self.per_character - other.per_character,
        }


class Verdicts(StoredAnswers):
    """Result sink that stores outcomes too."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[int, Outcome] = {}

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Store them."""
        super().graded(name, results)
        self.outcomes |= {result.index: result.outcome for result in results}


async def ask(
    source: PublicSource,
    backend: HttpBackend,
    batch: int,
    repeat: int,
) -> Cell:
    """One cell."""
    sink = Verdicts()
    await ask_items(
        [source],
        protocols.get(PROTOCOL),
        backend,
        sink,
        policy=Policy(concurrency=batch),
    )
    found = await likelihoods(source.items, LOGLIK_1, backend, concurrency=batch)
    texts = sink.answers[source.name]
    order = range(source.n)
    return Cell(
        engine=backend.engine,
        batch=batch,
        repeat=repeat,
        answers=tuple(texts[index] for index in order),
        right=tuple(sink.outcomes[index] is Outcome.RIGHT for index in order),
        per_character=mean_per_character(found),
    )


async def cells(
    model: Path,
    source: PublicSource,
    names: Sequence[str],
    repeats: int,
) -> list[Cell]:
    """All cells, one load of the model for each engine."""
    found = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
            server = serve_checkpoint(
                model,
                jailed=jail.available(),
                ready_seconds=600,
                workdir=Path(work),
                threads=1,
                engine=name,
            )
            async with server as backend:
                for batch in BATCHES:
                    for repeat in range(repeats):
                        cell = await ask(source, backend, batch, repeat)
                        found.append(cell)
                        differences = cell.against(found[0])
                        print(line(differences), flush=True)
    return found


def line(cell: dict[str, Any]) -> str:
    """One cell for a person."""
    return (
        f"  {cell['engine']:<22} batch {cell['batch']:>2}  repeat {cell['repeat']}  "
        f"score {cell['score']:.4f}  texts {cell['texts_differ']}  "
        f"verdicts {cell['verdicts_differ']}  by {cell['score_differs_by']:+.4f}  "
        f"likelihood by {cell['likelihood_differs_by']:+.1e}"
    )


def record(
    model: Path,
    source: PublicSource,
    found: Sequence[Cell],
    *,
    moment: datetime,
) -> dict[str, Any]:
    """Record that is stored: what was asked of what, every cell against the first, and the floor
    that follows."""
    compared = [cell.against(found[0]) for cell in found]
    worst = max(cell["verdicts_differ"] for cell in compared)
    floor = 1.0
    if worst < source.n:
        floor = float(beta.ppf(LEVEL, worst + 1, source.n - worst))
    return {
        "moment": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model": model.name,
        "artefact": inspect_checkpoint(model).digest,
        "set": set_digest(source.items),
        "n": source.n,
        "protocol": PROTOCOL,
        "definition": LOGLIK_1.id,
        "hardware": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, one thread",
        "cells": compared,
        "verdicts_differ": worst,
        "floor": floor,
        "likelihood_floor": max(abs(cell["likelihood_differs_by"]) for cell in compared),
    }


def main() -> None:
    """Ask every way, print, write the record."""
    parser = argparse.ArgumentParser(prog="bench.noise")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument(
        "--items", type=int, default=400, help="items of the demo's public set (%(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("noise.json"))
    parser.add_argument(
        "--store",
        action="store_const",
        dest="out",
        const=STORED,
        help="where the site reads it",
    )
    options = parser.parse_args()
    names = ["transformers"]
    if engines.vllm_architectures() is not None:
        names.append("vllm")
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder, "public.jsonl")
        write_rows(path, public_set()[: options.items])
        items = load_items(path)
    source = PublicSource(
        name="public",
        items=items,
        shots=(),
        done=frozenset(),
    )
    print(f"{options.model.name}, {len(items)} items, {', '.join(names)}, {machine()}", flush=True)
    found = asyncio.run(cells(options.model, source, names, options.repeats))
    stored = record(options.model, source, found, moment=datetime.now(UTC))
    text = json.dumps(stored, indent=1)
    options.out.write_text(text + "\n", encoding="utf-8")
    print(f"no difference of scores below {stored['floor']:.4f} is one; written to {options.out}")


if __name__ == "__main__":
    main()
