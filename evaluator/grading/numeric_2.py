r"""``numeric-2``: does a completion answer with the gold number?

Steps:

- :mod:`~evaluator.grading.visible`: thinking, later turns and programs go;
- :mod:`~evaluator.grading.spelling` and :mod:`~evaluator.grading.text`: plain spelling of numbers and signs;
- what follows the next question of a few-shot prompt goes;
- :mod:`~evaluator.grading.stated`: the last mark that states a number decides, unless it is taken back;
- without one, the last line that holds a number is read (:mod:`~evaluator.grading.loose`), unless the text was
  **cut**: then its last number is where it stopped, not what it concluded.

Values are compared exactly, as fractions. Nothing of a completion is ever evaluated. Time is linear in the text.
"""

import re
from fractions import Fraction

from evaluator.contract import Outcome
from evaluator.grading import loose
from evaluator.grading.grade import Grade
from evaluator.grading.numbers import Number
from evaluator.grading.spelling import plain_spelling
from evaluator.grading.stated import Answer, corrected, marks_of, stated, weakly_stated
from evaluator.grading.text import readable
from evaluator.grading.visible import visible

_QUESTIONS = (
    "question|problem|exercise|example|instruction|input|human|user|q|pregunta|frage|aufgabe|domanda|pergunta|вопрос"
    "|задача|问题|問題|问|問|質問|질문|문제|سؤال|प्रश्न|soru|pytanie|otázka|câu hỏi|vraag|fråga"
)
_NEXT_QUESTION = re.compile(
    rf"^[ >*\#_]{{0,6}}(?:(?:next|new|another)[ ])?(?:{_QUESTIONS})[ ]?(?:\#?[0-9]{{1,3}})?[ *_]{{0,4}}[:.)]",
    re.MULTILINE | re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"=|\b(?:so|therefore|thus|hence|total|makes?|answer|altogether|needs?|earns?)\b", re.IGNORECASE
)
_BARE_ANSWER = re.compile(r"\W{0,5}[0-9][0-9.,]{0,30}\W{0,5}(?:[A-Za-z]{1,20}\W{0,5}){0,3}")
_NEXT_PROBLEM = re.compile(
    r"(?<=\n)\n[ \n]{0,4}(?=[A-Z][^\n?]{30,800}\?[ ]{0,3}\n)"
    r"(?!(?i:is|are|was|does|did|do|let|wait|hmm|should|shall|can|could|would|so|what|why|how)\b)(?=[^\n]*[0-9])"
)
_MOST_QUESTIONS = 8
_LONGEST_END = 1 << 16
_LONGEST_SHOWN = 64


def grade(response: str, gold: Fraction, *, cut: bool) -> Grade:
    """The outcome of one completion. ``cut`` says that it was ended by the token limit."""
    text = _before_next_question(readable(plain_spelling(_ends(visible(response)))))
    found = answer(text, cut=cut)
    if found is None:
        return Grade(Outcome.TRUNCATED if cut else Outcome.NO_ANSWER, "")
    return Grade(Outcome.RIGHT if found.equals(gold) else Outcome.WRONG, _shown(found))


def answer(text: str, *, cut: bool) -> Number | None:
    """The number that a text in plain spelling answers with; one without a value for a hedge."""
    marks = marks_of(text)
    found: Answer | None = stated(marks, text) or weakly_stated(text)
    if found is not None:
        return corrected(found, text).number
    if cut:
        return None
    # After "The answer is unknown." a number that stood earlier is not the answer.
    withheld = max((mark.end() for mark in marks if not mark["hash"]), default=0)
    return loose.last_number(text[withheld:])


def _ends(text: str) -> str:
    """The text without the middle of a very long one: answers stand at its end, or before an endless repetition."""
    return text if len(text) <= 2 * _LONGEST_END else f"{text[:_LONGEST_END]}\n\n{text[-_LONGEST_END:]}"


def _before_next_question(text: str) -> str:
    """The text up to a line that begins another question, once an answer was given."""
    for place, question in enumerate(_NEXT_QUESTION.finditer(text)):
        if place == _MOST_QUESTIONS:
            break
        before = text[: question.start()]
        if not before.strip():
            continue
        blank_line = before.endswith("\n\n") or not before.strip(" ").endswith("\n")
        concluded = blank_line and _CONCLUDES.search(before) and re.search("[0-9]", before)
        if concluded or _BARE_ANSWER.fullmatch(before.strip()) or stated(marks_of(before), before) is not None:
            return before
    return _before_next_problem(text)


def _before_next_problem(text: str) -> str:
    """The text up to a problem without a heading that follows an answer in the form of the examples at once."""
    problem = _NEXT_PROBLEM.search(text)
    if problem is None:
        return text
    before = text[: problem.start()]
    last = max(before.rfind("####"), 0)
    follows = "####" in before and before[last:].strip().count("\n") == 0
    return before if follows and stated(marks_of(before), before) is not None else text


def _shown(found: Number) -> str:
    """The extracted answer: a plain integer, decimal or fraction, else the first characters as written."""
    value = found.value
    if value is None:
        return found.text[:_LONGEST_SHOWN]
    if value.denominator == 1:
        return str(value)
    if found.computed:
        return found.text
    places = next((n for n in range(1, 61) if 10**n % value.denominator == 0), None)
    if places is None:
        return str(value)
    digits = str((abs(value) * 10**places).numerator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
