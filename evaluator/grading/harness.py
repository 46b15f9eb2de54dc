r"""``lm-eval-strict-3`` and ``lm-eval-flexible-3``: what lm-evaluation-harness's task ``gsm8k`` 3.0 says.

======================  ======================================================================
``lm-eval-strict-3``    the **first** ``#### N``, where ``N`` is ``-?[0-9.,]+``
``lm-eval-flexible-3``  the **last** of ``-?[$0-9.,]{2,}`` or ``-?[0-9]+``, wherever it stands
======================  ======================================================================

From what was read and from the gold answer the same goes: commas, dollar signs, everything up to the last
``#### `` and one closing point. The rest must be the same text, so ``18.00`` is not ``18``. These graders are
here to be compared with, faults and all, and never change, as version 3.0 of the task does not.

The harness removes ``(?s).*#### `` with a search that is quadratic in the text. Here it is one look from the
right, so that a megabyte of digits takes no longer than a megabyte of anything else.
"""

import re
from collections import deque

from evaluator.contract import Outcome
from evaluator.grading.grade import Grade

_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_CLOSING_POINT = re.compile(r"\.$")


def strict(response: str, gold: str, *, cut: bool) -> Grade:
    """The outcome by ``strict-match``. Without a match there is no answer; where the text was ``cut``, truncated."""
    found = _STRICT.search(response)
    return _grade(found[1] if found else "", gold, cut=cut)


def flexible(response: str, gold: str, *, cut: bool) -> Grade:
    """The outcome by ``flexible-extract``; as above."""
    last = deque(_FLEXIBLE.finditer(response), maxlen=1)
    return _grade(last[0].group() if last else "", gold, cut=cut)


def _grade(extracted: str, gold: str, *, cut: bool) -> Grade:
    if not extracted:
        return Grade(Outcome.TRUNCATED if cut else Outcome.NO_ANSWER, "")
    return Grade(Outcome.RIGHT if _bare(extracted) == _bare(gold) else Outcome.WRONG, extracted)


def _bare(text: str) -> str:
    """``regexes_to_ignore`` of the task, in its order."""
    return _CLOSING_POINT.sub("", text.replace(",", "").replace("$", "").rpartition("#### ")[2]).lower()
