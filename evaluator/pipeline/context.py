"""What an evaluator has and may do, as an attempt sees it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Shape

from evaluator.contract import NO_RUN, BlockId, Closing, Exposed, LogLine, OutcomeCounts, Tier
from evaluator.errors import EvaluatorError
from evaluator.items import Item
from evaluator.ledger.closings import Closed
from evaluator.ledger.manifests import Manifest
from evaluator.pipeline.leases import Claims, Leases
from evaluator.pipeline.plan import Policy, Revealed
from evaluator.pipeline.presence import Presence
from evaluator.pipeline.spool import AT_A_TIME, Reporter, Seal, Shipped, ship
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.recipients import Recipients


class Facts(Shape):
    """What a vault tells of a sealed set without opening it."""

    @property
    def manifest(self) -> Manifest:
        """What commits to it, and its blocks."""

    @property
    def shots(self) -> Sequence[Item]:
        """The public shot pool."""


class Opener(Shape):
    """The vault, as an attempt sees it."""

    def facts(self, name: str, /) -> Facts:
        """Public facts of a set."""

    def require_key(self, name: str, /) -> None:
        """Raise where the set's key does not open here."""

    def allowed(self, set_name: str, /, *, to: str, tier: Tier) -> tuple[BlockId, ...]:
        """The blocks that a recipient may see."""

    def reveal(
        self, set_name: str, indices: Sequence[int], /, *, to: str, run: str, token: int, tier: Tier
    ) -> Revealed:
        """Items, once the journal has the exposure."""

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
        """Commit to what a run has come to on a set, in the journal."""

    def open_counts(self, line: Closing, closed: Sequence[Closed], /) -> OutcomeCounts | None:
        """What opens the commitment of a closing."""

    def order_secret(self, run: str, token: int, /) -> bytes:
        """What decides the order in which an attempt asks."""

    def open_key(self, sealed_key: str, /, *, bound_to: str) -> str:
        """A submitter's API key."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """What this evaluator has and may do; from its own configuration, never from a job.

    ``entries`` gives the journal's lines and ``tree_head`` its signed head; ``put`` spools an envelope's data,
    ``publish`` sends it at once or raises; ``presence`` is the state that this evaluator announces, ``leases`` what
    the site lets it do; ``stopping`` says whether the worker was told to stop.
    ``patience`` overrides fields of the gateway's.
    """

    evaluator: str
    sets: Path
    checkpoints: Path
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
    put: Callable[[dict[str, Any]], None]
    publish: Callable[[dict[str, Any]], None]
    stopping: Callable[[], bool] = lambda: False
    policy: Policy = field(default_factory=Policy)
    patience: Mapping[str, float] = field(default_factory=dict)

    def reporter(self, run_id: str, token: int) -> Reporter:
        """A new voice of this evaluator for one attempt."""
        return Reporter(
            evaluator=self.evaluator,
            run=run_id,
            token=token,
            worker=secrets.token_hex(16),
            seal=self.seal,
            put=self.put,
            slot=self.leases.slot,
        )

    def tell(self, line: LogLine, reporter: Reporter, *, head: bool = False) -> None:
        """Spool a line that was just written, and with it whatever other processes wrote before."""
        if line.index > self.shipped.last + 1:
            self.ship_lines()
        else:
            reporter.send(self.exposed([line]))
            self.shipped.mark(line.index)
        if head:
            reporter.send(Exposed(head=self.tree_head()))

    def exposed(self, lines: Sequence[LogLine]) -> Exposed:
        """The report of lines. Of a closing that a later one of the same run went beyond, the counts stay unopened."""
        opened = (self._opened(line) for line in lines if isinstance(line, Closing))
        return Exposed(
            entries=tuple(lines), tallies=tuple(one for one in opened if one is not None)
        )

    def _opened(self, line: Closing) -> OutcomeCounts | None:
        try:
            return self.vault.open_counts(line, self.completions.closed(line.run, line.set))
        except (
            EvaluatorError
        ):  # answers that cannot be read any more must not keep the log from the site
            return None

    def ship_lines(self) -> None:
        """Spool the journal's lines that are not known to be in the spool."""

        def send(run_id: str, token: int, lines: Sequence[LogLine]) -> None:
            self.reporter(run_id, token).send(self.exposed(lines))

        ship(self.entries(), self.shipped, send)

    def ship_again(self, after: int) -> None:
        """Spool the journal's lines behind ``after``, whatever was sent before, and the signed head over all."""
        reporter = self.reporter(NO_RUN, 1)
        waiting = [line for line in self.entries() if line.index > after]
        for start in range(0, len(waiting), AT_A_TIME):
            reporter.send(self.exposed(waiting[start : start + AT_A_TIME]))
        reporter.send(Exposed(head=self.tree_head()))
