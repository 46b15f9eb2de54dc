"""Protocols: the ways to ask a question. A published one never changes: a change is a new id.

- ``gsm8k-cot-5shot`` writes the very bytes of lm-evaluation-harness's task ``gsm8k`` (version 3.0,
  five shots) and draws its shots as that harness does, so that scores compare. Its limit of 1,000
  tokens and its stop strings are those of the GSM1k study.
- ``demo-0shot`` asks the tiny checkpoints of the demo.
- ``gsm1k-5shot`` asks weights as that study did: as above, and no token before the text (the
  harness's ``add_bos_token=False``), which alone moves a gap by a point.
- ``gsm1k-5shot-fixed`` shows every item the same shots, so that a model server computes them once.
- ``gsm1k-5shot-chat`` shows the same text as one user message, which the model's own chat template
  renders, with the same budget.
- ``gsm1k-5shot-api`` asks endpoints as the study did: the same text as one user message, with 4,096
  tokens.
- ``gsm1k-0shot-reasoning`` asks models that think first: 32,768 tokens, a temperature that such
  models are made for, and the thinking is not graded.
- ``lmsi-5shot-sc32`` is the self-consistency of "Large Language Models Can Self-Improve": 32
  samples at 0.7, 256 tokens each, majority vote.
- ``gsm1k-5shot-chat-2`` and ``gsm1k-5shot-api-2`` are the chat protocols without ``Question:`` as a
  stop string, which ends the answer of a model that restates the question before it begins: use
  these for chat.
- ``gsm1k-5shot-reasoning-api`` and ``gsm1k-0shot-reasoning-api`` ask the reasoning models of the
  large providers, which refuse ``max_tokens``, ``temperature`` and ``stop``.
- ``gsm1k-5shot-k4`` asks weights as ``gsm1k-5shot`` does, but for four samples at 0.7. The score is
  their mean, which shows smaller gaps than one answer to each item. ``demo-0shot-k4`` asks the tiny
  checkpoints so.
- ``lmsi-5shot-sc32-t12`` is ``lmsi-5shot-sc32`` at temperature 1.2, at which that paper samples a
  model after its self-training. Nothing else differs.

The six before the last are graded by ``numeric-2``, the others by ``numeric-1``.

The module ``programs`` has the protocols whose answers are programs, ``systems`` votes and those of
systems with a verifier, ``kinds`` those whose answers are expressions or choices.
"""

from evaluator.artefacts.readiness import Demands
from evaluator.errors import Code, error
from evaluator.protocols.kinds import KINDS
from evaluator.protocols.programs import PROGRAMS
from evaluator.protocols.protocol import Asked, Protocol
from evaluator.protocols.systems import SYSTEMS
from evaluator.protocols.words import in_words

_STOP = ("Question:", "</s>", "<|im_end|>")
_END = ("</s>", "<|im_end|>")
_BOXED = "{question}\n\nReason step by step, and put your final answer within \\boxed{{}}."
_PUBLISHED = (
    Protocol(
        id="gsm8k-cot-5shot",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=_STOP,
    ),
    Protocol(id="demo-0shot", shots=0, shot_seed=None, max_tokens=96, stop=("\n",)),
    Protocol(id="gsm1k-5shot", shots=5, shot_seed=1234, max_tokens=1000, stop=_STOP, bos="never"),
    Protocol(
        id="gsm1k-5shot-fixed",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=_STOP,
        bos="never",
        drawn="once",
    ),
    Protocol(
        id="gsm1k-5shot-chat", shots=5, shot_seed=1234, max_tokens=1000, stop=_STOP, ask="message"
    ),
    Protocol(
        id="gsm1k-5shot-api", shots=5, shot_seed=1234, max_tokens=4096, stop=_STOP, ask="message"
    ),
    Protocol(
        id="gsm1k-0shot-reasoning",
        shots=0,
        shot_seed=None,
        max_tokens=32_768,
        stop=(),
        temperature=0.6,
        question=_BOXED,
        ask="message",
        thinking="stripped",
    ),
    Protocol(
        id="lmsi-5shot-sc32",
        shots=5,
        shot_seed=1234,
        max_tokens=256,
        stop=_STOP,
        temperature=0.7,
        drawn="once",
        samples=32,
        vote="majority",
    ),
    Protocol(
        id="gsm1k-5shot-chat-2",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=_END,
        grader="numeric-2",
        ask="message",
    ),
    Protocol(
        id="gsm1k-5shot-api-2",
        shots=5,
        shot_seed=1234,
        max_tokens=4096,
        stop=_END,
        grader="numeric-2",
        ask="message",
    ),
    Protocol(
        id="gsm1k-5shot-reasoning-api",
        shots=5,
        shot_seed=1234,
        max_tokens=32_768,
        stop=_END,
        temperature=None,
        grader="numeric-2",
        ask="message",
        thinking="stripped",
        stops="cut",
        limit="max_completion_tokens",
    ),
    Protocol(
        id="gsm1k-0shot-reasoning-api",
        shots=0,
        shot_seed=None,
        max_tokens=32_768,
        stop=(),
        temperature=None,
        grader="numeric-2",
        question=_BOXED,
        ask="message",
        thinking="stripped",
        stops="cut",
        limit="max_completion_tokens",
    ),
    Protocol(
        id="gsm1k-5shot-k4",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=_STOP,
        temperature=0.7,
        grader="numeric-2",
        bos="never",
        samples=4,
        vote="mean",
    ),
    Protocol(
        id="demo-0shot-k4",
        shots=0,
        shot_seed=None,
        max_tokens=96,
        stop=("\n",),
        temperature=0.7,
        grader="numeric-2",
        samples=4,
        vote="mean",
    ),
    Protocol(
        id="lmsi-5shot-sc32-t12",
        shots=5,
        shot_seed=1234,
        max_tokens=256,
        stop=_STOP,
        temperature=1.2,
        drawn="once",
        samples=32,
        vote="majority",
    ),
)
_BY_ID = {protocol.id: protocol for protocol in (*_PUBLISHED, *PROGRAMS, *SYSTEMS, *KINDS)}

__all__ = [
    "Asked",
    "Protocol",
    "demands",
    "get",
    "has_verifier",
    "ids",
    "in_words",
    "samples_of_mean",
]


def get(protocol_id: str) -> Protocol:
    """Return the published protocol of this id. Raises ``unknown_protocol``."""
    try:
        return _BY_ID[protocol_id]
    except KeyError:
        raise error(Code.UNKNOWN_PROTOCOL) from None


def has_verifier(protocol_id: str) -> bool:
    """Return True where a verifier chooses among the samples. False for an unknown protocol."""
    protocol = _BY_ID.get(protocol_id)
    return protocol is not None and protocol.vote == "verifier"


def samples_of_mean(protocol_id: str) -> int:
    """Return the number of samples whose mean is an item's score; 1 where it is one outcome."""
    protocol = _BY_ID.get(protocol_id)
    return protocol.samples if protocol and protocol.vote == "mean" else 1


def demands(protocol_id: str) -> Demands:
    """Return a protocol's demands on a model. Raises ``unknown_protocol``."""
    protocol = get(protocol_id)
    return Demands(protocol.max_tokens, protocol.shots, template=protocol.ask == "message")


def ids() -> tuple[str, ...]:
    """Return the ids of all published protocols, oldest first."""
    return tuple(_BY_ID)
