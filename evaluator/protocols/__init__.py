"""How a question is asked. A published protocol never changes: a change is a new id.

``gsm8k-cot-5shot`` writes the very bytes of lm-evaluation-harness's task ``gsm8k`` (version 3.0, five
shots) and draws its shots as that harness does, so that scores compare. Its limit of 1,000 tokens and
its stop strings are those of the GSM1k study. ``demo-0shot`` asks the tiny checkpoints of the demo.
"""

from evaluator.errors import Code, error
from evaluator.protocols.protocol import Protocol

_PUBLISHED = (
    Protocol(
        id="gsm8k-cot-5shot",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=("Question:", "</s>", "<|im_end|>"),
    ),
    Protocol(id="demo-0shot", shots=0, shot_seed=None, max_tokens=96, stop=("\n",)),
)
_BY_ID = {protocol.id: protocol for protocol in _PUBLISHED}

__all__ = ["Protocol", "get", "ids"]


def get(protocol_id: str) -> Protocol:
    """The published protocol of this id. Raises ``unknown_protocol``."""
    try:
        return _BY_ID[protocol_id]
    except KeyError:
        raise error(Code.UNKNOWN_PROTOCOL) from None


def ids() -> tuple[str, ...]:
    """The ids of all published protocols, oldest first."""
    return tuple(_BY_ID)
