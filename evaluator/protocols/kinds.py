r"""Protocols whose answers are expressions or letters of choices.

- ``math-4shot`` writes the very bytes of lm-evaluation-harness's ``minerva_math`` tasks (version
  3.1) where the set's shot pool begins with the four examples of those tasks. The harness gives no
  limit of its own, which makes 256 tokens with its Hugging Face models; here it is 1,024.
- ``math-0shot-chat`` asks models with a chat API for an answer in ``\boxed{}``.
- ``choice-0shot`` has weights continue with the letter, ``choice-0shot-chat`` asks models with a
  chat API to reason first. Both show the choices, each behind its letter.
"""

from evaluator.protocols.protocol import Protocol

_MATH = "Problem:\n{question}\n\nSolution:"
KINDS = (
    Protocol(
        id="math-4shot",
        shots=4,
        shot_seed=None,
        max_tokens=1024,
        stop=("Problem:",),
        question=_MATH,
        shot=_MATH + " {answer}\n\n",
        grader="expression-1",
        drawn="first",
    ),
    Protocol(
        id="math-0shot-chat",
        shots=0,
        shot_seed=None,
        max_tokens=4096,
        stop=(),
        question="{question}\n\nReason step by step, and put your final answer within \\boxed{{}}.",
        grader="expression-1",
        ask="message",
    ),
    Protocol(
        id="choice-0shot",
        shots=0,
        shot_seed=None,
        max_tokens=32,
        stop=("\n",),
        question="Question: {question}\n{choices}\nAnswer:",
        grader="choice-1",
    ),
    Protocol(
        id="choice-0shot-chat",
        shots=0,
        shot_seed=None,
        max_tokens=4096,
        stop=(),
        question="{question}\n\n{choices}\n\nReason step by step, and end with the letter of the"
        " right choice in the form: Answer: LETTER",
        grader="choice-1",
        ask="message",
    ),
)
