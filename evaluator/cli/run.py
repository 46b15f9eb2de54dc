"""``run``: evaluate one model on one public set. ``protocols``: list the protocols."""

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from evaluator import jail, protocols
from evaluator.backends import Caps, HttpBackend, Served
from evaluator.backends.inspection import inspect_checkpoint
from evaluator.backends.servers import (
    EndpointTarget,
    Gateway,
    serve_checkpoint,
    serve_endpoint,
    start_gateway,
)
from evaluator.cli import endpoint, systems
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.outfolder import OutFolder
from evaluator.cli.reading import Reading, check_readable
from evaluator.cli.sink import TerminalSink
from evaluator.cli.summary import RunSummary
from evaluator.config import trusted_digests
from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, load_items, set_digest
from evaluator.jail import is_jailed
from evaluator.pipeline.ask import ask_items, in_background, watch_endpoint
from evaluator.pipeline.graders import check_executes, check_kind
from evaluator.pipeline.plan import Policy, PublicSource, for_endpoint
from evaluator.pipeline.record import record_of
from evaluator.protocols import Asked, Protocol

if TYPE_CHECKING:
    from evaluator.cli.system_run import LocalSystem

READY_SECONDS = 300.0
"""Longest time until a model server is ready: a large checkpoint loads for minutes."""


AT_ENDPOINT = 32
"""Requests in flight to an endpoint by default."""
AT_CHECKPOINT = 256
"""Requests in flight to an engine of ours by default.

It batches requests by length: the more it has, the better.
"""


def add_commands(commands: Commands) -> None:
    """Add ``run`` and ``protocols``."""
    ask = commands.add_parser("run")
    ask.add_argument(
        "--model",
        required=True,
        help="folder of a checkpoint, URL of an OpenAI-compatible API, or litellm:PROVIDER/NAME",
    )
    ask.add_argument("--set", required=True, type=Path, help="JSON lines with question and answer")
    ask.add_argument("--protocol", required=True, help="how to ask: see the command 'protocols'")
    ask.add_argument(
        "--shots", type=Path, help="shot pool; by default train.jsonl in the folder of the set"
    )
    systems.add_option(ask)
    ask.add_argument(
        "--concurrency",
        type=concurrency,
        help=f"requests in flight ({AT_ENDPOINT} at a URL, {AT_CHECKPOINT} here)",
    )
    ask.add_argument(
        "--likelihood",
        action="store_true",
        help="have a checkpoint read the set too, in the same load",
    )
    ask.add_argument("--out", type=Path, help="folder for outcomes; holdfast-runs/… by default")
    ask.add_argument("--json", action="store_true", help="print one JSON object last")
    endpoint.add_options(ask)
    ask.set_defaults(handler=run_command)
    listing = commands.add_parser("protocols", parents=[JSON_OPTION])
    listing.add_argument(
        "--words", action="store_true", help="what each does, instead of its digest"
    )
    listing.set_defaults(handler=protocols_command)


def concurrency(text: str) -> int:
    """Return a number of requests in flight, from the command line."""
    number = int(text)
    if not 1 <= number <= 512:
        raise argparse.ArgumentTypeError("a number from 1 to 512")
    return number


def protocols_command(args: argparse.Namespace) -> int:
    """Print the published protocols with their digests, or with ``--words`` in plain words."""
    known = {}
    for name in protocols.ids():
        protocol = protocols.get(name)
        known[name] = protocols.in_words(protocol) if args.words else protocol.digest
    if args.json:
        print(json.dumps(known))
    else:
        print("\n".join(f"{name}  {text}" for name, text in known.items()))
    return 0


@dataclass(frozen=True, slots=True)
class _Model:
    """Model of a run: a jailed or trusted checkpoint; or an endpoint, its key and its limits.

    ``identity`` is the digest of a checkpoint, the address of an endpoint. ``gateway`` is the
    process through which an endpoint will be asked. ``system`` has both parts of a system.
    """

    identity: str
    target: Path | EndpointTarget
    jailed: bool = True
    template: str = ""
    key: str = field(default="", repr=False)
    timeout: float = 0
    patience: float = 0
    gateway: Gateway | None = None
    caps: Caps = field(default_factory=Caps)
    system: "LocalSystem | None" = None

    @classmethod
    def named_by(cls, args: argparse.Namespace) -> "_Model":
        """Inspect the checkpoint, or read the endpoint's key, that the arguments name."""
        target = endpoint.endpoint_of(args)
        if target:
            address = [target.url, target.model, target.api]
            if target.adapter != "plain":
                address.append(target.adapter)
            return cls(
                canonical_json(address).decode(),
                target,
                caps=endpoint.caps_of(args, target),
                key=endpoint.read_key(args),
                timeout=args.timeout,
                patience=args.patience,
            )
        folder = Path(args.model)
        for lack in jail.missing():
            print(f"jail: {lack}", file=sys.stderr)
        if args.verifier:
            # Of an attempt's code, which takes longer to load than all others need.
            from evaluator.cli.system_run import inspect_system  # noqa: PLC0415

            system = inspect_system(folder, args.verifier)
            return cls(system.generator.facts.digest, folder, system=system)
        facts = inspect_checkpoint(folder)
        jailed = is_jailed(facts.digest, trusted=trusted_digests(os.environ))
        return cls(facts.digest, folder, jailed, facts.template)

    def check_fit(self, protocol: Protocol, *, likelihood: bool) -> None:
        """Raise PROTOCOL_UNFIT where it cannot be asked by this protocol, or cannot be read."""
        kind: Asked = "checkpoint" if isinstance(self.target, Path) else self.target.api
        if self.system:
            kind = "system"
        if not protocol.fits(kind):
            raise error(Code.PROTOCOL_UNFIT, protocol.id)
        if likelihood:
            check_readable(self.target)

    def run_identity(
        self,
        protocol: Protocol,
        items: Sequence[Item],
        shots: Sequence[Item],
    ) -> dict[str, str]:
        """Return the digests of a run's model, set, shot pool, protocol and verifier."""
        identity = {
            "model": self.identity,
            "set": set_digest(items),
            "shots": set_digest(shots) if shots else "",
            "protocol": protocol.digest,
        }
        if self.system:
            identity["verifier"] = self.system.verifier.facts.digest
        return identity

    @asynccontextmanager
    async def served(
        self, protocol: Protocol, concurrency: int, *, answers: int
    ) -> AsyncIterator[HttpBackend]:
        """Serve it for the time of the run. At a terminal, private addresses are allowed."""
        with tempfile.TemporaryDirectory(prefix="holdfast-") as work:
            workdir = Path(work)
            if isinstance(self.target, Path):
                server = serve_checkpoint(
                    self.target,
                    jailed=self.jailed,
                    ready_seconds=READY_SECONDS,
                    workdir=workdir,
                    api=protocol.api,
                )
            else:
                server = serve_endpoint(
                    self.target,
                    key=self.key,
                    allow_private=True,
                    ready_seconds=READY_SECONDS,
                    workdir=workdir,
                    concurrency=concurrency,
                    caps=self.caps,
                    answers=answers,
                    settings={"timeout_seconds": self.timeout, "outage_seconds": self.patience},
                    gateway=self.gateway,
                )
            async with server as backend:
                yield backend


def run_command(args: argparse.Namespace) -> int:
    """Evaluate, store the outcomes, print the counts. Returns 0; raises the run's error."""
    started = time.monotonic()
    protocol = protocols.get(args.protocol)
    with ExitStack() as stack:
        gateway = None
        if not args.estimate and endpoint.endpoint_of(args):
            # It loads while the set is read.
            work = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-"))
            gateway = stack.enter_context(start_gateway(Path(work)))
        return _run(args, protocol, gateway, started=started)


def _run(
    args: argparse.Namespace,
    protocol: Protocol,
    gateway: Gateway | None,
    *,
    started: float,
) -> int:
    check_executes(protocol.grader)
    items = load_items(args.set)
    shots: tuple[Item, ...] = ()
    if protocol.shots:
        shots = load_items(args.shots or args.set.with_name("train.jsonl"))
    systems.check_verifier(args.verifier, protocol)
    model = replace(_Model.named_by(args), gateway=gateway)
    check_kind(protocol.grader, items[0].kind)
    model.check_fit(protocol, likelihood=args.likelihood)
    identity = model.run_identity(protocol, items, shots)
    # One folder for each model, set and protocol, so that the same command resumes.
    digest = hashlib.sha256(canonical_json(identity)).hexdigest()
    name = f"{args.set.stem}-{args.protocol}-{digest[:12]}"
    folder = args.out or Path("holdfast-runs", name)
    with OutFolder(folder, identity, n=len(items)) as out:
        source = PublicSource(
            name=args.set.stem,
            items=items,
            shots=shots,
            pool=identity["shots"],
            done=out.done,
            samples=out.partial,
        )
        left = endpoint.left_of(model.caps, out.spent.values())
        model = replace(model, caps=left)
        if isinstance(model.target, EndpointTarget):
            print(endpoint.describe_estimate(source, protocol, model.caps), file=sys.stderr)
            if args.estimate:
                if args.json:
                    record = endpoint.estimate_record(source, protocol, model.caps)
                    print(json.dumps(record))
                return 0
        reading = Reading(args.likelihood, out)
        failure = _evaluate(source, protocol, model, reading, concurrency=args.concurrency)
        if failure and failure.code not in (Code.INCOMPLETE, Code.BUDGET_SPENT):
            raise failure
        summary = RunSummary.compute(out, source.name, items, protocol)
    seconds = time.monotonic() - started
    summary.show(reading, failure, seconds=seconds, as_json=args.json)
    return 2 if failure or reading.failure else 0


def _evaluate(
    source: PublicSource,
    protocol: Protocol,
    model: _Model,
    reading: Reading,
    *,
    concurrency: int | None,
) -> EvaluatorError | None:
    """Ask the open items. Returns the error that ended the run: it has counts to show."""
    if len(source.done) == source.n and not reading.is_open:
        return None
    bar = tqdm(
        total=source.n,
        initial=len(source.done),
        unit="item",
        file=sys.stderr,
    )
    with bar:
        sink = TerminalSink(reading.out, bar)
        asked = _ask_open(source, protocol, model, reading, sink, concurrency=concurrency)
        try:
            asyncio.run(asked)
        except EvaluatorError as failure:
            return failure
    return None


async def _ask_open(
    source: PublicSource,
    protocol: Protocol,
    model: _Model,
    reading: Reading,
    sink: TerminalSink,
    *,
    concurrency: int | None,
) -> None:
    remote = isinstance(model.target, EndpointTarget)
    usual = AT_ENDPOINT if remote else AT_CHECKPOINT
    in_flight = concurrency or usual
    policy = Policy(concurrency=in_flight)
    if model.system:
        from evaluator.cli.system_run import ask_system  # noqa: PLC0415

        await ask_system(model.system, source, protocol, sink, reading, policy=policy)
        return
    if remote:
        policy = for_endpoint(policy)
    server = model.served(protocol, in_flight, answers=len(sink.out.spent))
    async with server as backend:
        engine = getattr(backend, "served", Served()).engine
        if engine:
            tqdm.write(f"engine: {engine}", file=sys.stderr)
        watched = backend if remote else None
        watch = watch_endpoint(watched, sink.waiting, seconds=policy.watch_seconds)
        async with in_background(watch):
            await ask_items([source], protocol, backend, sink, policy=policy)
        record = record_of(
            protocol,
            [source],
            backend,
            remote=remote,
            template=model.template,
        )
        sink.out.record(record)
        await reading.read(source, backend, policy)
