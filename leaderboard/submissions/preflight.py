"""Preflight of a model on the hub or an upload: can it be evaluated here, and by which engine.

Pure.
"""

from dataclasses import dataclass

from evaluator import protocols
from evaluator.artefacts.architectures import engines
from evaluator.artefacts.readiness import CONTEXT_TOO_SHORT, Check, Level, checks
from evaluator.artefacts.sizes import gpu_need
from evaluator.contract.hub import HubFacts, ModelFacts
from evaluator.contract.uploads import UploadFacts
from evaluator.errors import Code
from leaderboard.errors import Refusal, refuse


@dataclass(frozen=True)
class Preflight:
    """Facts of a model, its checks, and what its evaluation takes.

    ``waiting`` runs are before it in the queue. ``need`` is the memory of one GPU that holds it, in
    bytes.
    """

    facts: HubFacts | UploadFacts
    checks: tuple[Check, ...]
    waiting: int

    def looked_at(self) -> dict[str, str]:
        """Return the fields of a submission of what was looked at."""
        if isinstance(self.facts, HubFacts):
            return {"repo": self.facts.repo, "revision": self.facts.commit}
        return {"upload": self.facts.upload}

    @property
    def refused(self) -> bool:
        """Return True where no run of it would be queued."""
        return any(check.level is Level.REFUSAL for check in self.checks)

    @property
    def need(self) -> int:
        """Bytes of GPU memory."""
        facts = self.facts
        return gpu_need(facts.weights, facts.cached, facts.context)

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that can load it: packed weights are read by vLLM only."""
        return engines(self.facts.architecture, self.facts.quantisation)


def check(facts: ModelFacts, protocol: str) -> None:
    """Raise the first refusal of a model that no evaluator can ask by this protocol."""
    for found in checks(facts, protocols.demands(protocol)):
        if found.level is Level.REFUSAL:
            code = Refusal.CONTEXT_TOO_SHORT if found.code == CONTEXT_TOO_SHORT else None
            raise refuse(code or Code(found.code), found.detail)
