"""``run --likelihood``: the set is scored too, in the same load of the checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.backends import EndpointTarget, Reader
from evaluator.cli.outfolder import OutFolder
from evaluator.errors import Code, EvaluatorError, error
from evaluator.pipeline.likelihood import read_sets
from evaluator.pipeline.plan import Policy, PublicSource
from evaluator.protocols.likelihood import LOGLIK_1


@dataclass(slots=True)
class Reading:
    """Scoring of a run's set, if ``wanted``, and the error that ended it."""

    wanted: bool
    out: OutFolder
    failure: EvaluatorError | None = None

    @property
    def is_open(self) -> bool:
        """True if a model must be started for it, although every item may have its outcome."""
        return self.wanted and self.out.likelihood is None

    async def read(self, source: PublicSource, reader: Reader, policy: Policy) -> None:
        """Score the set unless that is done. A failure here costs the run no outcome."""
        if not self.is_open:
            return
        try:
            [likelihood] = await read_sets([source], LOGLIK_1, reader, policy=policy)
            self.out.store_likelihood(likelihood)
        except EvaluatorError as failure:
            self.failure = failure

    def record(self) -> dict[str, Any]:
        """Return the fields that are printed with the counts; none where scoring is not wanted."""
        if self.failure:
            return {"likelihood_failed": self.failure.code.value}
        stored = self.out.likelihood if self.wanted else None
        if stored is None:
            return {}
        record = {
            "definition": stored.definition,
            "per_character": stored.per_character,
            "standard_error": stored.standard_error,
            "n": stored.n,
        }
        return {"likelihood": record}


def check_readable(target: Path | EndpointTarget) -> None:
    """Raise PROTOCOL_UNFIT for an endpoint: only weights that run here can score a text."""
    if isinstance(target, EndpointTarget):
        raise error(Code.PROTOCOL_UNFIT, LOGLIK_1.id)
