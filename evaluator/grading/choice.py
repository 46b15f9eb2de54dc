r"""``choice-1``: the letter of a choice, as a reader of the completion sees it.

Of the visible text, the last of these decides:

- ``#### B``, ``\boxed{B}``;
- "the answer is B", "answer: B", "the correct option is B", "I choose B";
- where none of them is there: the last line, if it is a letter alone or a letter with its text
  ("B", "(B)", "**B.**", "B) the lantern").

Letters are capitals; in parentheses and boxes small ones are read too. Two letters in one statement
("B or C") are an answer, and a wrong one.
"""

import re

from evaluator.contract import Outcome
from evaluator.grading.grade import Grade
from evaluator.grading.visible import visible

_LETTER = r"(?:\(\s*([A-Za-z])\s*\)|([A-Z])(?![\w'’])(?!\s+(?!(?:or|and)\b)[a-z]))"
_OPEN = r"[\s*_`$:\"“]*"
_BOXED = re.compile(
    r"\\boxed\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\{)?\s*\(?\s*([A-Za-z])\s*[).:]?\s*\}"
)
_MARKED = re.compile(rf"####{_OPEN}{_LETTER}")
_STATED = re.compile(
    r"\b(?i:answer|option|choice|(?:choose|pick|select)(?:\s+option)?)\b"
    r"(?i:\s+(?:is|would be|must be|should be))?(?i:\s+(?:option|choice))?"
    rf"{_OPEN}{_LETTER}"
)
_LINE = re.compile(r"[\s*_`>\"“-]*(?:\(\s*([A-Za-z])\s*\)|([A-Z])(?:[).:]|(?=[\s*_`\"”]*$)))")
_ALSO = re.compile(r"[\s*_`)]*(?:\bor\b|\band\b|[,/&])[\s*_`]*\(?([A-Z])(?![\w'’])")


def grade(response: str, gold: str, *, cut: bool) -> Grade:
    """Grade a completion against the letter of the right choice."""
    letters = _letters(visible(response))
    if not letters:
        return Grade(Outcome.TRUNCATED if cut else Outcome.NO_ANSWER, "")
    return Grade(Outcome.RIGHT if letters == gold else Outcome.WRONG, letters)


def _letters(text: str) -> str:
    """Return the letter that the text states, several of them in one statement, or none."""
    stated = [match for pattern in (_BOXED, _MARKED, _STATED) for match in pattern.finditer(text)]
    if stated:
        return _with_others(max(stated, key=lambda match: match.end()), text)
    lines = [line for line in text.splitlines() if line.strip()]
    match = _LINE.match(lines[-1]) if lines else None
    return _with_others(match, lines[-1]) if match else ""


def _with_others(match: re.Match[str], text: str) -> str:
    letter = next(group for group in match.groups() if group).upper()
    other = _ALSO.match(text, match.end())
    return f"{letter} {other.group(1)}" if other and other.group(1) != letter else letter
