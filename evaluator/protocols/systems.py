"""Protocols of several candidates for an item, among which a vote or a verifier chooses.

- ``gsm1k-5shot-vote-16`` takes the majority of 16 answers of any weights.
- ``gsm1k-5shot-best-of-16`` draws the same 16, and the verifier of a system chooses among them.
- ``tinygsm-verify-48`` draws 48 programs, asked for as by ``tinygsm-program-1``, at 0.7; the paper
  mixes candidates of 0.5 and 0.7. ``demo-verify-48`` does so with ``demo-program-1``.

A verifier that is a language model is asked whether the answer is correct; one with a head of its
own reads the prompt and the candidate alone.
"""

from dataclasses import replace

from evaluator.protocols.programs import PROGRAMS
from evaluator.protocols.protocol import Protocol

_BY_ID = {protocol.id: protocol for protocol in PROGRAMS}
_STOP = ("Question:", "</s>", "<|im_end|>")
_VERDICT = "\nIs this answer correct?"
_YES = " Yes"
SYSTEMS = (
    Protocol(
        id="gsm1k-5shot-vote-16",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=_STOP,
        temperature=0.7,
        grader="numeric-2",
        bos="never",
        samples=16,
        vote="majority",
    ),
    Protocol(
        id="gsm1k-5shot-best-of-16",
        shots=5,
        shot_seed=1234,
        max_tokens=1000,
        stop=_STOP,
        temperature=0.7,
        grader="numeric-2",
        bos="never",
        samples=16,
        vote="verifier",
        verdict=_VERDICT,
        verdict_answer=_YES,
    ),
    replace(
        _BY_ID["tinygsm-program-1"],
        id="tinygsm-verify-48",
        temperature=0.7,
        samples=48,
        vote="verifier",
        verdict=_VERDICT,
        verdict_answer=_YES,
    ),
    replace(
        _BY_ID["demo-program-1"],
        id="demo-verify-48",
        temperature=0.7,
        samples=48,
        vote="verifier",
        verdict=_VERDICT,
        verdict_answer=_YES,
    ),
)
