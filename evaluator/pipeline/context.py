"""Context of an attempt: everything that this evaluator holds and may do."""

import secrets
import threading
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.backends import ModelStore
from evaluator.contract import NO_RUN, BlockId, Closing, CountsOpening, Exposed, LogLine, Tier
from evaluator.contract.announcements import Library
from evaluator.errors import EvaluatorError
from evaluator.items import Item
from evaluator.ledger.closings import Closed
from evaluator.ledger.manifests import Manifest
from evaluator.pipeline.endpoint_runs import HostRequests
from evaluator.pipeline.leases import Claims, Leases
from evaluator.pipeline.plan import Policy, Revealed
from evaluator.pipeline.presence import Presence
from evaluator.pipeline.spool import AT_A_TIME, Put, Reporter, Seal, Shipped, ship
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.recipients import Recipients


class SealedFacts(typing.Protocol):
    """Public facts of a sealed set, known without opening it."""

    @property
    def manifest(self) -> Manifest:
        """Manifest: it commits to the set and lists its blocks."""

    @property
    def shots(self) -> Sequence[Item]:
        """Public shot pool."""


class Opener(typing.Protocol):
    """Vault, as an attempt sees it."""

    def facts(self, name: str, /) -> SealedFacts:
        """Return the public facts of a set."""

    def require_key(self, name: str, /) -> None:
        """Raise where the set's key does not open here."""

    def allowed(
        self,
        set_name: str,
        /,
        *,
        to: str,
        tier: Tier,
    ) -> tuple[BlockId, ...]:
        """Return the blocks that a recipient may see."""

    def reveal(
        self,
        set_name: str,
        indices: Sequence[int],
        /,
        *,
        to: str,
        run: str,
        token: int,
        tier: Tier,
        plan: str = "",
    ) -> Revealed:
        """Return items, once the journal has the exposure."""

    def close_run(
        self,
        set_name: str,
        closed: Sequence[Closed],
        /,
        *,
        run: str,
        token: int,
        artefact: str,
        weights: str,
    ) -> Closing:
        """Commit in the journal to the outcomes of a run on a set."""

    def open_counts(self, line: Closing, closed: Sequence[Closed], /) -> CountsOpening | None:
        """Return the counts that open the commitment of a closing."""

    def order_secret(self, run: str, token: int, /) -> bytes:
        """Return the secret that decides the order in which an attempt asks."""

    def open_key(self, sealed_key: str, /, *, bound_to: str) -> str:
        """Return a submitter's API key."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything this evaluator holds and may do; from its own configuration, never from a job.

    - ``entries`` returns the journal's lines, ``tree_head`` its signed head.
    - ``store`` brings models from the hub.
    - ``put`` spools an envelope's data, ``publish`` sends it at once or raises.
    - ``presence`` is the state that this evaluator announces, ``leases`` what the site permits it.
    - ``stopping`` returns True once the worker is to stop, ``draining`` once it takes no more runs.
    - ``failing`` are the engines that did not pass the self-test, by name.
    - ``patience`` overrides fields of the gateway's.
    - ``requests`` are those in flight to endpoints, by host.
    - ``unclosed`` is set where an attempt has ended and the journal could not close it.
    """

    evaluator: str
    sets: Path
    checkpoints: Path
    store: ModelStore
    work: Path
    trusted: frozenset[str]
    recipients: Recipients
    vault: Opener
    entries: Callable[[], Sequence[LogLine]]
    tree_head: Callable[[], str]
    shipped: Shipped
    completions: CompletionStore
    rescored: Path
    claims: Claims
    presence: Presence
    leases: Leases
    seal: Seal
    put: Put
    publish: Callable[[dict[str, Any]], None]
    stopping: Callable[[], bool] = lambda: False
    draining: Callable[[], bool] = lambda: False
    policy: Policy = field(default_factory=Policy)
    failing: frozenset[Library] = frozenset()
    patience: Mapping[str, float] = field(default_factory=dict)
    requests: HostRequests = field(default_factory=HostRequests)
    unclosed: threading.Event = field(default_factory=threading.Event)

    def reporter(self, run_id: str, token: int) -> Reporter:
        """Return a new sender of reports for one attempt."""
        return Reporter(
            evaluator=self.evaluator,
            run=run_id,
            token=token,
            worker=secrets.token_hex(16),
            seal=self.seal,
            put=self.put,
            slot=self.leases.slot,
        )

    def report_line(
        self,
        line: LogLine,
        reporter: Reporter,
        *,
        head: bool = False,
    ) -> None:
        """Spool a line that was just written, after any lines that other processes wrote before."""
        if line.index > self.shipped.last + 1:
            self.ship_lines()
        else:
            reporter.send(self.exposed([line]))
            self.shipped.mark(line.index)
        if head:
            reporter.send(Exposed(head=self.tree_head()))

    def exposed(self, lines: Sequence[LogLine]) -> Exposed:
        """Return the report of lines, with the counts that open the closings among them.

        The counts of a closing stay sealed where a later closing of the run covers more items.
        """
        opened = []
        for line in lines:
            if not isinstance(line, Closing):
                continue
            try:
                answers = self.completions.closed(line.run, line.set)
                counts = self.vault.open_counts(line, answers)
            except EvaluatorError:
                # Answers that cannot be read any more must not stop the log from reaching the site.
                continue
            if counts is not None:
                opened.append(counts)
        return Exposed(entries=tuple(lines), tallies=tuple(opened))

    def ship_lines(self) -> None:
        """Spool the journal's lines that are not known to be in the spool."""

        def send(run_id: str, token: int, lines: Sequence[LogLine]) -> None:
            self.reporter(run_id, token).send(self.exposed(lines))

        ship(self.entries(), self.shipped, send)

    def ship_again(self, after: int) -> None:
        """Spool every line of the journal behind ``after``, and a signed head over all lines."""
        reporter = self.reporter(NO_RUN, 1)
        lines = [line for line in self.entries() if line.index > after]
        for start in range(0, len(lines), AT_A_TIME):
            reporter.send(self.exposed(lines[start : start + AT_A_TIME]))
        reporter.send(Exposed(head=self.tree_head()))
