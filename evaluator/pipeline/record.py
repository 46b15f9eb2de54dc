"""The record of a run: what moved its score, beside the weights."""

import hashlib
from collections.abc import Sequence

from evaluator import grading
from evaluator.backends import Backend, Served
from evaluator.contract import Budget, Record, ShotRecord, canonical_json
from evaluator.items import set_digest
from evaluator.pipeline.run import Source
from evaluator.protocols import Protocol


def record_of(
    protocol: Protocol,
    sources: Sequence[Source],
    backend: Backend,
    *,
    remote: bool,
    template: str = "",
    budget: Budget | None = None,
) -> Record:
    """The record of one attempt that is over. ``template`` is the digest of the checkpoint's chat template."""
    served: Served = getattr(backend, "served", Served())
    rendered = protocol.ask == "message"
    bos = "endpoint" if remote else "template" if rendered else protocol.bos
    return Record.from_dict(
        {
            "protocol": protocol.id,
            "protocol_digest": protocol.digest,
            "grader": protocol.grader,
            "grader_digest": grading.digest(protocol.grader),
            "max_tokens": protocol.max_tokens,
            "budget": budget.to_dict() if budget else None,
            "shots": [_shots(protocol, source).to_dict() for source in sources],
            "bos": bos,
            "template": template if rendered and not remote else "",
            "engine": served.engine,
            "dtype": served.dtype,
            "hardware": served.hardware,
            "returned": sorted(getattr(backend, "returned", ())) if remote else [],
        }
    )


def _shots(protocol: Protocol, source: Source) -> ShotRecord:
    """Which shots were shown: indices into a public pool, for each item of the whole set."""
    drawn = protocol.draws(source.n, len(source.shots))
    digest = hashlib.sha256(canonical_json([list(indices) for indices in drawn])).hexdigest()
    pool = getattr(source, "pool", "") or (set_digest(source.shots) if source.shots else "")
    return ShotRecord(name=source.name, pool=pool, drawn=digest)
