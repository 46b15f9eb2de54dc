r"""The last number of a completion that marks no answer: the last resort of ``numeric-2``.

Steps:

- remarks go: ``(Word count: 42)``, ``solved in 2 steps``, ``95% sure``, ``24/7``, courtesy, footers in italics;
- a refusal that repeats a number of the question answers nothing;
- the last line that holds a number is read: its last number in bold, else its last number, labels passed over;
- a conclusion in words (``So they need three trucks``) counts where no digits follow it.
"""

import re
from dataclasses import replace

from evaluator.grading.claims import ALTERNATIVE, claimed, without_negated, without_reason
from evaluator.grading.numbers import Number, last_token
from evaluator.grading.quantities import preferred, quantities, words_as_digits

_REMARKS = (
    r"\b24/7\b",
    r"\b(?:in|after|using|with) (?:only |just )?[0-9]{1,3} (?:easy |simple |short |quick |small )?"
    r"(?:steps?|tokens?|words?)\b",
    r"\b(?:i am|i'm|i feel|about|with)? ?[0-9]{1,3}(?:\.[0-9]+)? ?(?:%|percent) "
    r"(?:sure|certain|confident|confidence|certainty|probability)\b",
    r"\b(?:word count|character count|token count|tokens(?: used)?|words|steps(?: taken| used)?"
    r"|time(?: taken| spent)?|confidence(?: level| score)?"
    r"|certainty|difficulty|rating|score|page|source|reference|version)"
    r"\s?[:=]\s?[0-9][0-9.,/%]{0,12}(?: ?(?:seconds?|minutes?|s|ms))?",
    r"\[[0-9]{1,3}\](?!\()",
    r"^[ ]{0,3}[*_](?![*_ ])[^*_\n]{1,120}[*_][ ]{0,3}$",
    r"^[ ]{0,3}\([^()\n]{1,160}\)\.?[ ]{0,3}$",
)
_REMARK = re.compile("|".join(f"(?:{remark})" for remark in _REMARKS), re.IGNORECASE | re.MULTILINE)
_COURTESY = re.compile(
    r"\b(?:feel free|let me know|hope (?:this|that|it)|happy to help|glad to help|(?:any|more|further|other) questions"
    r"|ask (?:me|more|again|away)|here to help|have a (?:nice|great|good)|thank you|thanks for|you're welcome|good luck"
    r"|(?:solved|checked|verified|computed|calculated|worked out|written|generated|updated|created)"
    r"\s(?:in|on|at|by|with|using)"
    r"|copyright|all rights reserved)\b|©|^\W*(?:note|nb|n\.b|p\.?s|disclaimer|tip|reminder|warning)\s?[:.]",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:not enough|insufficient|too little|lacks?|missing) (?:information|data|context|details?)"
    r"|\b(?:isn't|is not|aren't|are not) enough (?:information|data)"
    r"|\bcan(?:not|'t|’t| not) be (?:determined|answered|solved|computed|calculated|known|found)"
    r"|\bi(?:'m| am)? (?:cannot|can't|can’t|could not|couldn't|am unable to|unable to|am not able to|not able to"
    r"|won't|refuse to|do not know|don't know)\b"
    r"|\bas an? (?:ai|artificial|language model|assistant)|\bimpossible to (?:tell|say|determine|know|answer)"
    r"|\bno way to (?:tell|know)|\bunable to (?:determine|answer|solve|compute|calculate|help)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"\b(?:but|however|so|therefore|thus|assuming|if|nevertheless|still)\b|=", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"^\W*(?:so|thus|therefore|hence|in total|altogether|finally|consequently|in all)\b", re.IGNORECASE
)
_LIST_NUMBER = re.compile(r"^[ >#*]{0,6}[0-9]{1,3}[.)](?=[ ]\S|[ ]$)")
_BULLET = re.compile(r"^[ >#]{0,6}[-+*] (?=\S)")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_ASIDE = re.compile(r"(?<=[^\s(\[])\s?\(([^()\n]{1,200})\)")
_SENTENCE = re.compile(r"(?<=[.!?])[)\"*]{0,3}\s+(?=[A-Z(*\"$0-9-])")
_LISTED_BEFORE = re.compile(
    r"[0-9](?:\s?[,;/|] ?[$]?[0-9.]{1,20}){1,40}(?:,? (?:or|and))?\s?[,;/|]? ?[$]?$"
    r"|[0-9%][^0-9.\n]{0,20}? (?:or|versus)(?: maybe| perhaps| possibly| else)? [^0-9.\n]{0,12}?$"
    r"|[0-9][^0-9\n]{0,30}\b(?:maybe|perhaps|possibly|might be|could be|could also be|may be)\b[^0-9\n]{0,20}$"
    r"|\bbetween [$]?[0-9][0-9.,]*(?: \w+)? and [$]?$|[0-9] ?[-~] ?$|[0-9] to [$]?$",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"\b(?:candidates?|options|possibilities|possible (?:answers|values|results)|either)\b.*[0-9]"
    r"|[{\[]\s?[$]?[0-9.]{1,20}\s?[,;]\s?\Z",
    re.IGNORECASE,
)
_WINDOW = 200
_SHORT = 300
_LONGEST_LINE = 2000


def last_number(text: str) -> Number | None:
    """The number that an unmarked text ends in, or None where it answers nothing."""
    lines = [line for line in _REMARK.sub(" ", text.strip()).split("\n") if line.strip()]
    for line in reversed(lines):
        if _REFUSAL.search(line[:_LONGEST_LINE]) and not _goes_on(line):
            return None
        # A lone "- 1/2" is negative; among other lines the hyphen is a bullet.
        bare = _LIST_NUMBER.sub(" ", line if len(lines) == 1 else _BULLET.sub("", line))
        found = _of_line(bare, alone=len(lines) == 1)
        if found is not None:
            return None if _is_refusal(text) else found
    return None


def _goes_on(line: str) -> bool:
    refusal = _REFUSAL.search(line)
    return refusal is not None and bool(_GOES_ON.search(line, refusal.end()))


def _is_refusal(text: str) -> bool:
    """Return true for a short text that begins with a refusal and concludes nothing after it."""
    refusal = _REFUSAL.search(text[:_SHORT]) if len(text) <= _SHORT else None
    return refusal is not None and not _GOES_ON.search(text, refusal.end())


def _of_line(line: str, *, alone: bool) -> Number | None:
    bold = _bold(line)
    if bold is not None:
        return bold
    line = _without_asides(line[-_LONGEST_LINE:])
    for sentence in reversed(_SENTENCE.split(line)):
        if _COURTESY.search(sentence):
            continue
        found = _loose(sentence.replace("**", ""))
        if found is None and (alone or _CONCLUSION.match(sentence)):
            found = _in_words(sentence)
        if found is not None:
            return found
    return None


def _without_asides(line: str) -> str:
    """The line without what stands in parentheses after its first number; a hedge in one stays."""
    first = re.search("[0-9]", line)
    if first is None:
        return line

    def spelled(aside: re.Match[str]) -> str:
        if aside.start() < first.start():
            return aside[0]
        return f" or {aside[1]} " if ALTERNATIVE.match(aside[1]) else " "

    return _ASIDE.sub(spelled, line)


def _bold(line: str) -> Number | None:
    for span in reversed(_BOLD.findall(line)):
        if any(quantities(span)):
            return claimed(span)
    return None


def _in_words(sentence: str) -> Number | None:
    spelled = words_as_digits(sentence)
    return claimed(spelled) if spelled != sentence and not _is_pronoun(sentence) else None


def _is_pronoun(sentence: str) -> bool:
    """Return true where the only number word may be a pronoun: ``this one was easy``."""
    words = re.findall(r"[a-z]+", sentence.lower())
    others = [word for word in words if word != "one" and words_as_digits(word) != word]
    return "one" in words and words[0] != "one" and not others


def _loose(line: str) -> Number | None:
    affirmed = without_negated(without_reason(line))
    if affirmed is None:
        return next((replace(number, value=None) for number in quantities(line)), None)
    found = list(quantities(affirmed))
    if not found or last_token(affirmed) is None:
        return None
    chosen = preferred(found, affirmed)[-1]
    before = affirmed[max(0, chosen.start - _WINDOW) : chosen.start]
    listed = _LISTED_BEFORE.search(before) or (len(found) > 1 and _CHOICE.search(before))
    if listed and not (len(found) > 1 and found[-2].value == chosen.value):
        return replace(chosen, value=None)
    return chosen
