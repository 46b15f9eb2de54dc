"""What ``run --likelihood`` adds: the set is read too, in the same load of the checkpoint."""

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
    """The reading of a run: whether it is wanted, what it found before, and the error that ended it."""

    wanted: bool
    out: OutFolder
    failure: EvaluatorError | None = None

    @property
    def is_open(self) -> bool:
        """Whether a model has to be started for it, although every item may have its outcome."""
        return self.wanted and self.out.likelihood is None

    async def read(self, source: PublicSource, reader: Reader, policy: Policy) -> None:
        """Read what is not read yet. What fails here is kept apart from the run: no outcome is lost to it."""
        if not self.is_open:
            return
        try:
            [found] = await read_sets([source], LOGLIK_1, reader, policy=policy)
            self.out.keep_likelihood(found)
        except EvaluatorError as failure:
            self.failure = failure

    def record(self) -> dict[str, Any]:
        """What is printed beside the counts; nothing where nothing was wanted."""
        if self.failure:
            return {"likelihood_failed": self.failure.code.value}
        found = self.out.likelihood if self.wanted else None
        if found is None:
            return {}
        told = {"definition": found.definition, "per_character": found.per_character}
        return {"likelihood": told | {"standard_error": found.standard_error, "n": found.n}}


def check_readable(target: Path | EndpointTarget) -> None:
    """Raise PROTOCOL_UNFIT for an endpoint: only weights that run here can be asked how likely a text is."""
    if isinstance(target, EndpointTarget):
        raise error(Code.PROTOCOL_UNFIT, LOGLIK_1.id)
