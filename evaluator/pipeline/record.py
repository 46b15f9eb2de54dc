"""Record of an attempt: everything that moves its score, apart from the weights.

A module of its own, since the terminal needs it and must not load the libraries of sealing.
"""

import hashlib
from collections.abc import Sequence

from evaluator import grading
from evaluator.backends import Backend, Served
from evaluator.contract import Budget, Record, ShotRecord, canonical_json
from evaluator.items import set_digest
from evaluator.pipeline.plan import Source
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
    """Return the record of an attempt: everything that moves its score, apart from the weights.

    ``template`` is the digest of the checkpoint's chat template.
    """
    served: Served = getattr(backend, "served", Served())
    rendered = protocol.ask == "message"
    bos: str = protocol.bos
    returned: list[str] = []
    if remote:
        bos = "endpoint"
        returned = sorted(getattr(backend, "returned", ()))
    elif rendered:
        bos = "template"
    shots = []
    for source in sources:
        # The shots are drawn for the items of a whole set.
        draws = protocol.draws(source.n, len(source.shots))
        drawn = [list(indices) for indices in draws]
        digest = hashlib.sha256(canonical_json(drawn)).hexdigest()
        pool = getattr(source, "pool", "")
        if not pool and source.shots:
            pool = set_digest(source.shots)
        record = ShotRecord(name=source.name, pool=pool, drawn=digest)
        shots.append(record.to_dict())
    return Record.from_dict(
        {
            "protocol": protocol.id,
            "protocol_digest": protocol.digest,
            "grader": protocol.grader,
            "grader_digest": grading.digest(protocol.grader),
            "max_tokens": protocol.max_tokens,
            "budget": budget.to_dict() if budget else None,
            "shots": shots,
            "bos": bos,
            "template": template if rendered and not remote else "",
            "engine": served.engine,
            "dtype": served.dtype,
            "hardware": served.hardware,
            "returned": returned,
        }
    )
