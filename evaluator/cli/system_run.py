"""Evaluation of ``run --verifier``: candidates of one checkpoint are scored by a second one.

The parts are served, asked and scored by the code of an evaluator's attempt: both at once where
this machine holds both, else in turn.
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from evaluator.backends import HttpBackend, Usage
from evaluator.cli import endpoint
from evaluator.cli.outfolder import OutFolder
from evaluator.cli.reading import Reading
from evaluator.cli.sink import TerminalSink
from evaluator.config import trusted_digests
from evaluator.contract import Part
from evaluator.pipeline.ask import ask_items
from evaluator.pipeline.parts import Model, inspect_part, parts_of, serve_part
from evaluator.pipeline.plan import Policy, PublicSource
from evaluator.pipeline.record import record_of
from evaluator.pipeline.turns import Turns, score_all, take_turns, write_all
from evaluator.pipeline.verify import verify_items
from evaluator.protocols import Protocol


@dataclass(frozen=True, slots=True)
class LocalSystem:
    """Two checkpoints that answer together, inspected."""

    generator: Model
    verifier: Model


def inspect_system(generator: Path, verifier: str) -> LocalSystem:
    """Inspect both parts. Raises the CHECKPOINT_* codes."""
    return LocalSystem(
        inspect_part("generator", generator), inspect_part("verifier", Path(verifier))
    )


async def ask_system(
    system: LocalSystem,
    source: PublicSource,
    protocol: Protocol,
    sink: TerminalSink,
    reading: Reading,
    *,
    policy: Policy,
) -> None:
    """Have the candidates that are missing written, and those without a score scored.

    A part that has nothing left to do is not loaded.
    """
    out = sink.out

    async def write(backend: HttpBackend, written: asyncio.Event) -> None:
        await ask_items([source], protocol, backend, sink, policy=policy)
        template = system.generator.facts.template
        record = record_of(
            protocol,
            [source],
            backend,
            remote=False,
            template=template,
        )
        out.record(record)
        written.set()
        await reading.read(source, backend, policy)

    async def score(scorer: HttpBackend, written: asyncio.Event) -> None:
        await verify_items([source], protocol, scorer, sink, policy=policy, written=written)

    with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
        serve = partial(
            serve_part,
            trusted=trusted_digests(os.environ),
            workdir=Path(work),
            api=protocol.api,
        )
        turns = Turns(serve=serve, write=write, score=score)
        try:
            if len(out.done) == source.n:  # the set is still to be read
                await write_all(turns, system.generator)
            elif len(out.sampled(protocol)) == source.n and not reading.is_open:
                await score_all(turns, system.verifier)
            else:
                await take_turns(turns, system.generator, system.verifier)
        finally:
            out.store_parts(_parts(system, out))


def _parts(system: LocalSystem, out: OutFolder) -> list[Part]:
    """Return what each part computed; a part that was not loaded now keeps its time of before."""
    written = endpoint.total_of(out.spent.values()) or Usage()
    models = (system.generator, system.verifier)
    before = {part.role: part for part in out.parts}
    parts = []
    for part in parts_of(models, written=written, scored=out.tokens_scored):
        earlier = before.get(part.role)
        if not part.engine and earlier:
            part = replace(part, engine=earlier.engine, seconds=earlier.seconds)  # noqa: PLW2901
        parts.append(part)
    return parts
