"""Preflight of a model on the hub: can it be evaluated here, by which engine, on what. Pure."""

from dataclasses import dataclass

from evaluator import protocols
from evaluator.artefacts.quantised import LOADED_ON_GPU
from evaluator.artefacts.sizes import gpu_need
from evaluator.contract.hub import HubFacts
from evaluator.errors import Code
from leaderboard.errors import Refusal, refuse

GIB = 1 << 30


@dataclass(frozen=True)
class Preflight:
    """Facts of a model, and what its evaluation takes.

    ``waiting`` runs are before it in the queue. ``need`` is the memory of one GPU that holds it, in
    bytes.
    """

    facts: HubFacts
    waiting: int

    @property
    def need(self) -> int:
        """Bytes of GPU memory."""
        facts = self.facts
        return gpu_need(facts.weights, facts.cached, facts.context)

    @property
    def need_gib(self) -> float:
        """GiB of GPU memory."""
        return self.need / GIB

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that can load it: packed weights are read by vLLM only."""
        return ("vLLM",) if self.facts.quantisation else ("vLLM", "Transformers")

    @property
    def fetched_gib(self) -> float:
        """GiB that are fetched from the hub."""
        return self.facts.model.size / GIB


def check(facts: HubFacts, protocol: str) -> None:
    """Raise for a model that no evaluator can ask by this protocol.

    ``checkpoint_quantised`` for a method that no engine loads, ``context_too_short`` where an
    answer fills the whole context.
    """
    if facts.quantisation and facts.quantisation not in LOADED_ON_GPU:
        raise refuse(Code.CHECKPOINT_QUANTISED, facts.quantisation)
    answer = protocols.get(protocol).max_tokens
    if facts.context <= answer:
        raise refuse(Refusal.CONTEXT_TOO_SHORT, f"{facts.context} tokens, an answer has {answer}")
