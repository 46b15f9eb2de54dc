"""Preflight of a model: can it be evaluated here, by which engine, where and when.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evaluator import protocols
from evaluator.artefacts.architectures import engines
from evaluator.artefacts.fleet import NO_WORKER, Worker, check_workers
from evaluator.artefacts.readiness import (
    CONTEXT_TOO_SHORT,
    Check,
    Level,
    check_prompt,
    check_unrendered,
    check_verifier,
    checks,
)
from evaluator.artefacts.sizes import gpu_need
from evaluator.contract.hub import HubFacts, ModelFacts
from evaluator.contract.previews import PromptFacts
from evaluator.contract.uploads import UploadFacts
from evaluator.errors import Code, EvaluatorError
from evaluator.policy import ITEM_SELECTIONS
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.explanations import REFUSALS
from leaderboard.submissions.item_selection import ItemSelection
from leaderboard.submissions.models import Probe

_OF_SITE = {CONTEXT_TOO_SHORT: Refusal.CONTEXT_TOO_SHORT, NO_WORKER: Refusal.NO_WORKER}
"""Refusals of checks that are the site's own."""


@dataclass(frozen=True)
class Prospect:
    """Place in the queue, and expected moments, of a run that would be queued now.

    ``start`` and ``end`` are judged by the last ``runs`` of the pool; None while none was measured
    or no evaluator is in service.
    """

    position: int
    start: datetime | None = None
    end: datetime | None = None
    runs: int = 0


@dataclass(frozen=True)
class Preflight:
    """Facts of a model, its checks, and what its evaluation takes.

    ``need`` is the memory of one GPU that holds it, in bytes. ``base`` is the base model of an
    adapter as it was stated. ``prompt`` is the first public item as the model is sent it, None
    where it cannot be shown. ``verifier`` are the facts of the second model of a system, None
    where it is a checkpoint or there is none; ``verifier_name`` is its name as it was stated.
    """

    facts: HubFacts | UploadFacts
    checks: tuple[Check, ...]
    prospect: Prospect
    base: str = ""
    prompt: PromptFacts | None = None
    verifier: HubFacts | UploadFacts | None = None
    verifier_name: str = ""

    def looked_at(self) -> dict[str, str]:
        """Return the fields of a submission of what was looked at."""
        read = self.facts.adapter.base if self.facts.adapter else None
        others = {
            "base": f"{read.repo}@{read.commit}" if read else self.base,
            "verifier": self.verifier_name,
        }
        if isinstance(self.verifier, HubFacts):
            others["verifier"] = f"{self.verifier.repo}@{self.verifier.commit}"
        if isinstance(self.facts, HubFacts):
            repo = self.facts.repo
            commit = self.facts.commit
            checked = f"{repo}@{commit}"
            return {"repo": repo, "revision": commit, "checked": checked, **others}
        return {"upload": self.facts.upload, **others}

    @property
    def refused(self) -> bool:
        """Return True where no run of it would be queued."""
        return any(check.level is Level.REFUSAL for check in self.checks)

    @property
    def need(self) -> int:
        """Bytes of GPU memory: a host may load the parts of a system in turn, so the largest
        decides."""
        return max(need_of(self.facts), self.verifier_need or 0)

    @property
    def verifier_need(self) -> int | None:
        """Bytes of GPU memory that the verifier takes, None where it was not read."""
        return need_of(self.verifier) if self.verifier else None

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that can load it: packed weights are read by vLLM only."""
        return engines(self.facts.architecture, self.facts.quantisation)


def need_of(facts: ModelFacts) -> int:
    """Return the bytes of GPU memory that a model takes."""
    return gpu_need(facts.weights, facts.cached, facts.context)


@dataclass(frozen=True)
class EndpointPreflight:
    """Checks of an endpoint, the prospect of its run, and the probe that was begun.

    ``public_only`` is the pair of the run that it may have where it is shown no sealed item.
    """

    checks: tuple[Check, ...]
    prospect: Prospect
    probe: Probe
    public_only: SetPair | None = None

    @property
    def refused(self) -> bool:
        """Return True where no run of it would be queued."""
        return any(check.level is Level.REFUSAL for check in self.checks)

    def looked_at(self) -> dict[str, str]:
        """Return no fields: what was asked for is what was looked at."""
        return {}


def judge(
    facts: ModelFacts | None,
    protocol: str,
    workers: Sequence[Worker],
    rendered: PromptFacts | EvaluatorError | None,
    verifier: ModelFacts | None = None,
) -> tuple[Check, ...]:
    """Return the checks of a model for a protocol, the workers, and the first prompt, if known.

    ``verifier`` is the second model of a system. Of a part without facts nothing is judged.
    """
    demands = protocols.demands(protocol)
    found = checks(facts, demands) if facts else ()
    if verifier:
        found = (*found, check_verifier(verifier))
    if facts or verifier:
        found = (*found, check_workers(facts, workers, verifier))
    if facts is None:
        return found
    if isinstance(rendered, PromptFacts):
        return (*found, check_prompt(facts, demands, rendered))
    return (*found, check_unrendered(rendered)) if rendered is not None else found


def check_parts(protocol: str, *, named: bool) -> tuple[Check, ...]:
    """Return the refusal of a verifier that is missing or of no use; nothing where all is well."""
    if protocols.has_verifier(protocol) == named:
        return ()
    code = Refusal.VERIFIER_UNUSED if named else Refusal.VERIFIER_MISSING
    return (_refusal("verifier", code),)


def _refusal(subject: str, code: Refusal) -> Check:
    known = REFUSALS[code]
    return Check(subject, Level.REFUSAL, known.sentence, code.value, known.advice)


def judge_endpoint(selection: ItemSelection, *, total: int) -> tuple[Check, ...]:
    """Return the checks of an endpoint whose address and protocol are in order."""
    if not selection.may_be_shown:
        return (_refusal("sealed items", Refusal.PUBLIC_ONLY),)
    shown = ITEM_SELECTIONS[selection.tier]
    sentence = f"It may be shown {shown}: {len(selection.items):,} items of {total:,} in all."
    return (Check("sealed items", Level.OK, sentence),)


def check(
    facts: ModelFacts | None,
    protocol: str,
    workers: Sequence[Worker],
    rendered: PromptFacts | EvaluatorError | None,
    verifier: ModelFacts | None = None,
) -> None:
    """Raise the first refusal of a system that no evaluator can ask by this protocol."""
    for found in judge(facts, protocol, workers, rendered, verifier):
        if found.level is Level.REFUSAL:
            code = _OF_SITE.get(found.code) or Code(found.code)
            raise refuse(code, found.detail)
