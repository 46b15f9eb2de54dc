"""``expression-1``: an expression, compared by math-verify with the gold answer's.

The comparison evaluates what a model wrote, so it is never made in this process: a child compares
(``hosts/expressions.py``), in a jail, and gives each comparison a process of its own with limits on
computing time and memory. An expression that cannot be compared within them is wrong: it is not
shown to be equal.
"""

from evaluator.contract import Outcome
from evaluator.errors import Code, error
from evaluator.grading.comparing import COMPARER
from evaluator.grading.grade import Grade
from evaluator.grading.visible import visible

_LONGEST = 20_000
"""Characters of a completion's end that are read: what it ends in counts."""
_OUTCOMES = {"right": Outcome.RIGHT, "wrong": Outcome.WRONG, "limit": Outcome.WRONG}


def grade(response: str, gold: str, *, cut: bool) -> Grade:
    """Grade a completion against an expression.

    Raises ``set_gold_unreadable``, and as ``Comparer.ask``.
    """
    text = visible(response)[-_LONGEST:]
    reply = COMPARER.ask({"response": text, "gold": gold})
    if reply["verdict"] == "unread":
        raise error(Code.SET_GOLD_UNREADABLE, "expression")
    if reply["verdict"] == "none":
        return Grade(Outcome.TRUNCATED if cut else Outcome.NO_ANSWER, "")
    return Grade(_OUTCOMES[reply["verdict"]], reply["read"])


def is_readable(gold: str) -> bool:
    """Return True for a gold answer that is read, and found equal to itself.

    Raises as ``Comparer.ask``.
    """
    return COMPARER.ask({"response": None, "gold": gold})["verdict"] == "right"
