"""Training examples made from a model's own reasoning paths, in the four formats of LMSI.

"Large Language Models Can Self-Improve" (arXiv 2210.11610, table 1) makes four examples from each
path, so that a model does not fit one form of prompt:

- ``few-shot-path``: worked examples, then the question; the path.
- ``few-shot-answer``: the same examples with their answers only; the answer.
- ``zero-shot-path``: the question and "Let's think step by step."; the path.
- ``zero-shot-answer``: the question; the answer.

Texts have the form of our protocols: ``Question: …``, ``Answer: …``. An answer is written
``#### N``, as the sets write it and as every grader reads it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from evaluator.items import Item
from evaluator.protocols.protocol import Protocol

FORMATS = ("few-shot-path", "few-shot-answer", "zero-shot-path", "zero-shot-answer")
SHOTS, SHOT_SEED = 5, 1234
"""Examples of a few-shot format where the protocol of the run shows none, and their seed."""
_STEPS = " Let's think step by step."


class Example(NamedTuple):
    """Training example in one of :data:`FORMATS`. The completion begins with a space."""

    format: str
    prompt: str
    completion: str


def with_shots(protocol: Protocol) -> Protocol:
    """Return the protocol, or one that shows examples where it shows none."""
    if protocol.shots:
        return protocol
    return replace(protocol, shots=SHOTS, shot_seed=SHOT_SEED)


def fits(protocol: Protocol) -> bool:
    """Return True if its answers are paths in the form of the examples, and several are drawn."""
    plain = Protocol(id="", shots=0, shot_seed=None, max_tokens=1, stop=())
    in_form = (protocol.question, protocol.shot) == (plain.question, plain.shot)
    return in_form and protocol.samples > 1


def examples(
    protocol: Protocol, item: Item, shots: Sequence[Item], path: str, answer: str
) -> tuple[Example, ...]:
    """Return the four examples of one path. ``shots`` are those of ``protocol`` for the item."""
    bare = replace(protocol, shots=0)
    answers_only = [replace(shot, answer=f"#### {shot.gold}") for shot in shots]
    question = bare.prompt(item, ())
    path, answer = f" {path.strip()}", f" #### {answer}"
    prompts_and_completions = (
        (protocol.prompt(item, shots), path),
        (protocol.prompt(item, answers_only), answer),
        (question + _STEPS, path),
        (question, answer),
    )
    return tuple(
        Example(name, *texts) for name, texts in zip(FORMATS, prompts_and_completions, strict=True)
    )
