"""Protocols whose answers are programs, which are executed.

- ``humaneval-0shot`` and ``mbpp-3shot`` write the very bytes of lm-evaluation-harness's tasks
  ``humaneval`` and ``mbpp`` (version 1.0), where a set has what those read: an item of HumanEval is
  its prompt, one of MBPP its text, with the tests that it shows. The first three items of MBPP's
  shot pool are its examples. The harness gives MBPP no limit of its own, which makes 256 tokens
  with its Hugging Face models; here it is 512.
- ``humaneval-0shot-k10`` draws ten programs at 0.8 for pass@k. Chen et al., 2021 ("Evaluating Large
  Language Models Trained on Code") find 0.2 best for pass@1 and 0.8 for pass@100: a higher
  temperature gives more different programs, which is what a larger k rewards.
- ``humaneval-0shot-chat`` and ``mbpp-0shot-chat`` ask models with a chat API for a whole function,
  in words of ours: the harness's ``humaneval_instruct`` begins the answer itself, which no chat API
  allows. The signature and docstring stand before the function that is written, for their imports.
- ``tinygsm-program-1`` asks a word problem as TinyGSM writes it, as the docstring of a function,
  whose value is the answer.
- ``demo-program-1`` asks the tiny checkpoints of the demo for statements that end in ``result``.
"""

from evaluator.protocols.protocol import Protocol

_NEXT_STATEMENT = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Ends of a function's body: what begins at the margin is no part of it."""
_MBPP = "You are an expert Python programmer, and here is your task: {question}\n[BEGIN]\n"
_WHOLE = "Answer with the whole function, in one fenced block of Python code."
_TINYGSM = "def simple_math_problem() -> int:\n"
PROGRAMS = (
    Protocol(
        id="humaneval-0shot",
        shots=0,
        shot_seed=None,
        max_tokens=1024,
        stop=_NEXT_STATEMENT,
        question="{question}",
        grader="tests-1",
        program="{question}",
    ),
    Protocol(
        id="humaneval-0shot-k10",
        shots=0,
        shot_seed=None,
        max_tokens=1024,
        stop=_NEXT_STATEMENT,
        temperature=0.8,
        question="{question}",
        grader="tests-1",
        samples=10,
        vote="mean",
        program="{question}",
    ),
    Protocol(
        id="mbpp-3shot",
        shots=3,
        shot_seed=None,
        max_tokens=512,
        stop=("[DONE]",),
        question=_MBPP,
        shot=_MBPP + "{answer}\n[DONE]\n\n",
        grader="tests-1",
        drawn="first",
        program="",
    ),
    Protocol(
        id="humaneval-0shot-chat",
        shots=0,
        shot_seed=None,
        max_tokens=2048,
        stop=(),
        question="Complete this Python function:\n\n{question}\n" + _WHOLE,
        grader="tests-1",
        ask="message",
        program="{question}\n",
        code="fenced",
    ),
    Protocol(
        id="mbpp-0shot-chat",
        shots=0,
        shot_seed=None,
        max_tokens=2048,
        stop=(),
        question="{question}\n\n" + _WHOLE,
        grader="tests-1",
        ask="message",
        program="",
        code="fenced",
    ),
    Protocol(
        id="tinygsm-program-1",
        shots=0,
        shot_seed=None,
        max_tokens=512,
        stop=_NEXT_STATEMENT,
        question=_TINYGSM + '    """\n    {question}\n    """\n',
        grader="program-1",
        program=_TINYGSM,
    ),
    Protocol(
        id="demo-program-1",
        shots=0,
        shot_seed=None,
        max_tokens=128,
        stop=("\n\n",),
        question="Question: {question}\nProgram:\n",
        grader="program-1",
        program="",
    ),
)
