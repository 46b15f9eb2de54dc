"""What an evaluator has and may do, as an attempt sees it."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Shape

from evaluator.contract import Exposure
from evaluator.items import Item
from evaluator.pipeline.claims import Claims
from evaluator.pipeline.exposures import Shipped, ship
from evaluator.pipeline.plan import Policy
from evaluator.pipeline.reports import Reporter, Seal
from evaluator.pipeline.sources import Revealed
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.recipients import Recipients


class Facts(Shape):
    """What a vault tells of a sealed set without opening it."""

    @property
    def n(self) -> int:
        """The number of items."""

    @property
    def root(self) -> str:
        """The commitment."""

    @property
    def shots(self) -> Sequence[Item]:
        """The public shot pool."""


class Opener(Shape):
    """The vault, as an attempt sees it."""

    def facts(self, name: str, /) -> Facts:
        """Public facts of a set."""

    def reveal(self, set_name: str, indices: Sequence[int], /, *, to: str, run: str, token: int) -> Revealed:
        """Items, once the journal has the exposure."""

    def open_key(self, sealed_key: str, /, *, bound_to: str) -> str:
        """A submitter's API key."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """What this evaluator has and may do; from its own configuration, never from a job.

    ``entries`` gives the journal's lines; ``put`` spools an envelope's data; ``stopping`` says whether the
    worker was told to stop.
    """

    evaluator: str
    sets: Path
    checkpoints: Path
    work: Path
    trusted: frozenset[str]
    recipients: Recipients
    vault: Opener
    entries: Callable[[], Sequence[Exposure]]
    shipped: Shipped
    completions: CompletionStore
    claims: Claims
    seal: Seal
    put: Callable[[dict[str, Any]], None]
    stopping: Callable[[], bool] = lambda: False
    policy: Policy = field(default_factory=Policy)

    def reporter(self, run_id: str, token: int) -> Reporter:
        """A new voice of this evaluator for one attempt."""
        return Reporter(
            evaluator=self.evaluator,
            run=run_id,
            token=token,
            worker=secrets.token_hex(16),
            seal=self.seal,
            put=self.put,
        )

    def ship_exposures(self) -> None:
        """Spool the journal's lines that a crash kept from it."""
        ship(self.entries(), self.shipped, lambda run_id, token, body: self.reporter(run_id, token).send(body))
