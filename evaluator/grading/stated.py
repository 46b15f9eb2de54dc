r"""Where a completion states its answer: the fifth step of ``numeric-2``.

The marks stand in a table, in three classes: those that a number must follow at once, those whose sentence is
read, and those that hold their content. The last mark that states a number decides; loose numbers after it do
not, unless the model takes its answer back (:func:`corrected`).
"""

import re
from collections import deque
from dataclasses import dataclass, replace

from evaluator.grading.claims import LONGEST, claimed, is_hedged_by
from evaluator.grading.numbers import Number
from evaluator.grading.quantities import words_as_digits

_LANGUAGES = (
    # nouns, verbs
    ("respuesta|resultado|solución", r"es|son|será|sería"),
    ("réponse|reponse|résultat", r"est|sera|serait"),
    ("antwort|ergebnis|lösung", r"ist|lautet|beträgt|wäre"),
    ("risposta|risultato|soluzione", r"è|e'|sarà"),
    ("resposta|solução", r"é|será"),
    ("antwoord", r"is|luidt"),
    ("svaret|svar", r"är|er"),
    ("odpowiedź|odpowiedz|wynik", r"to|wynosi|brzmi|jest"),
    ("odpověď|výsledek", r"je"),
    ("răspunsul|raspunsul", r"este"),
    ("vastaus", r"on"),
    ("απάντηση", r"είναι"),
    ("ответ|відповідь", r"равен|составляет|это|—|-"),
    ("cevap|yanıt|sonuç", r"şudur"),
    ("jawaban|jawabannya|jawapan", r"adalah|ialah|yaitu"),
    ("đáp án|đáp số|câu trả lời|kết quả", r"là"),
    ("答案|答え|答|解答|回答|結果|结果", r"是|为|為|は|等于|等於|应为|應為"),
    ("정답|답변|답", r"은|는|이|입니다"),
    ("الإجابة|الاجابة|الجواب|الإجابة النهائية", r"هي|هو"),
    ("پاسخ|جواب", r"برابر"),
    ("उत्तर|जवाब", r"है"),
    ("উত্তর", r"হল"),
    ("คำตอบ", r"คือ"),
    ("התשובה", r"היא"),
)
_FOREIGN = "|".join(rf"(?:{nouns})(?:[ ]\w{{1,15}}){{0,2}}?\s?(?:{verbs}|[:=])" for nouns, verbs in _LANGUAGES)
_MARK = re.compile(
    rf"""
    (?P<hash>\#{{4,}}\s{{0,3}})
    | (?P<box>\\f?boxed[ ]?\{{|<\|begin_of_box\|>)
    | (?P<tag><[ ]?(?:final[_ -]?)?answer[^<>\n]{{0,40}}>)
    | (?P<key>["'](?:[A-Za-z]{{1,20}}[_ -]?){{0,3}}?answer(?:[_ -]?[A-Za-z]{{1,20}}){{0,2}}["']\s?:\s{{0,4}})
    | (?P<phrase>(?<![A-Za-z])answers?["'*_ ]{{0,4}}
        (?:[ ](?:to|for|of)[ ][^.!?\n0-9]{{1,60}}?)?
        (?:(?P<verb>[ ]?\b(?:is|was|are|equals|(?:would|should|will|could|may|might|must|can|has[ ]to)[ ]be
            |comes[ ]to|came[ ]to|becomes|turns[ ]out[ ]to[ ]be|amounts[ ]to)\b) | [ ]?[:=])
        [:="'*_ ]{{0,6}})
    | (?P<foreign>(?<![^\W\d_])(?i:{_FOREIGN})[:="'*_ ]{{0,6}}
        | (?:答案|答え|答|정답|답)\s?(?:是|为|為|は|은|는)[:="'*_ ]{{0,6}})
    | (?m:^)[ >*_\#-]{{0,6}} (?P<line>(?:A|(?:final[ ])?ans|final|final[ ]result)[*_]{{0,2}}\s?[.:=])
    | (?m:^)[ >*_\#-]{{0,6}}(?:the[ ])?(?:final[ ])?(?P<heading>answer)[ *_:]{{0,6}}\n
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WEAK_KEY = re.compile(
    r"[\"'](?:final_?)?(?:result|solution|value|final|output|prediction|total)[\"']\s?:\s{0,4}", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|\Z)|\n")
_DECORATION = re.compile(
    r"[\s$€£¥₹*_\"'`(\[{~≈=+<>-]*(?:\\[(\[]\s*)?(?:[a-z]\s?=)?[\s$*_]*(?:(?:about|approximately|approx|only|exactly|just)\s)?[$]?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\(?[0-9]{1,2}[.)]\)?\s+[*_\"A-Za-z]")
_PERHAPS_NUMBERED = re.compile(r"\(?([0-9]{1,2})\)?(?:\s?[:|]|\s[-–—])?\s+[*_\"A-Za-z]")
_JOINED = re.compile(
    r"[^0-9\n.]{0,20}?\b(?:or|versus|vs)\b[^0-9\n.]{0,20}\Z|[\s$})]{0,4}(?:and|[,/&|])[\s$(\\]{0,4}\Z", re.IGNORECASE
)
_DENIED = re.compile(r"\bnot\b", re.IGNORECASE)
_CORRECTION = re.compile(
    r"\b(?:wait|hold on|oops|actually|correction|sorry|mistake|mistaken|scratch that|i meant|i forgot"
    r"|apologi\w+|hmm|no, it|no, that)",
    re.IGNORECASE,
)
_REVISED = re.compile(
    r"\b(?:(?:so|thus|therefore|hence|actually|correction|rather|instead|no|wait|oops|sorry|but)[,:.!]?\s"
    r"(?:it|that|this|the\s[a-z]+|she|he|they|we)"
    r"(?:'s|\s(?:is|was|are|should\sbe|must\sbe|would\sbe|gives?|makes?|equals?))"
    r"|(?:it|that|this|answer|total|result)\s(?:should\s(?:have\sbeen|be)|must\sbe|is\sactually|is\sreally)"
    r"|i\smeant|make\s(?:it|that)|correct(?:ed)?\s[a-z]+\sis|correction|actually)[,:]?\s(?=[$€£¥₹*]{0,3}-?\.?[0-9])",
    re.IGNORECASE,
)
_MOST_MARKS = 64
_VALUE_END = re.compile(r"[,}\n](?![0-9]{3}(?![0-9]))")


@dataclass(frozen=True, slots=True)
class Answer:
    """A stated number and the place in the text at which its statement ends."""

    number: Number
    end: int


def marks_of(text: str) -> tuple[re.Match[str], ...]:
    """The last marks of a text, in order."""
    return tuple(deque(_MARK.finditer(text), maxlen=_MOST_MARKS))


def stated(marks: tuple[re.Match[str], ...], text: str) -> Answer | None:
    """The answer at the last mark that states one. A mark's sentence ends at the next mark."""
    end = len(text)
    headings = _headings(marks, text)
    for place in range(len(marks) - 1, -1, -1):
        mark = marks[place]
        answer = None if place in headings else _at(mark, text, end)
        if answer is not None:
            return _unless_joined(answer, marks[:place], mark, text)
        end = mark.start()
    return None


def weakly_stated(text: str) -> Answer | None:
    """The value of the last key of a JSON object that often holds an answer."""
    last = deque(_WEAK_KEY.finditer(text), maxlen=1)
    return _key(text, last[0].end()) if last else None


def corrected(answer: Answer, text: str) -> Answer:
    """The answer that the model gives after it took the stated one back, or the stated one."""
    taken_back = _CORRECTION.search(text, answer.end)
    if not taken_back:
        return answer
    last = deque(_REVISED.finditer(text, taken_back.start()), maxlen=1)
    if not last:
        return answer
    begin = last[0].end()
    stop = _SENTENCE_END.search(text, begin, begin + LONGEST)
    end = stop.start() if stop else min(len(text), begin + LONGEST)
    number = claimed(text[begin:end])
    return Answer(number, end) if number is not None and number.value is not None else answer


def _headings(marks: tuple[re.Match[str], ...], text: str) -> frozenset[int]:
    """The places of hash marks that number a section: ``#### 1. Count``, or ``#### 1 - Count`` with a text below."""
    found, counted = set(), []
    for place, mark in enumerate(marks):
        if not mark["hash"]:
            continue
        if _NUMBERED.match(text, mark.end()):
            found.add(place)
            continue
        perhaps = _PERHAPS_NUMBERED.match(text, mark.end())
        if perhaps and _has_number_below(text, mark.end()):
            counted.append((place, int(perhaps[1]), perhaps[0]))
    numbered = [number for _, number, _ in counted]
    in_sequence = len(numbered) > 1 and numbered == list(range(1, len(numbered) + 1))
    punctuated = [place for place, number, form in counted if number < _MOST_SECTIONS and re.search(r"[-–—:|]", form)]
    return frozenset(found | {place for place, _, _ in counted if in_sequence} | set(punctuated))


_MOST_SECTIONS = 13


def _has_number_below(text: str, start: int) -> bool:
    line_end = text.find("\n", start)
    return line_end >= 0 and bool(re.search("[0-9]", text[line_end : line_end + 2000]))


def _at(mark: re.Match[str], text: str, end: int) -> Answer | None:
    start = mark.end()
    if mark["box"]:
        return _box(text, start)
    if mark["tag"]:
        return _tag(text, start)
    if mark["key"]:
        return _key(text, start)
    decoration = _DECORATION.match(text, start, min(end, start + 40))
    begin = decoration.end() if decoration else start
    stop = _SENTENCE_END.search(text, begin, min(end, start + LONGEST))
    last = stop.start() if stop else min(end, start + LONGEST)
    number_at_once = text[begin : begin + 2].lstrip(".")[:1].isdigit()
    if not (mark["verb"] or mark["foreign"] or number_at_once or _words_at_once(text, start, last)):
        return None
    number = claimed(text[start:last].strip())
    if number is None:
        return None
    hedged = is_hedged_by(number, text[last:end])
    return Answer(replace(number, value=None) if hedged else number, last)


_WORD_AT_ONCE = re.compile(
    r"[\s*_\"'$]{0,6}(?:(?:negative|minus|either|between)\s[$]?-?(?:[0-9]|[a-z])|(?:USD|about|approximately)\s[0-9])",
    re.IGNORECASE,
)


def _words_at_once(text: str, start: int, last: int) -> bool:
    """Return true where a number in words follows the mark."""
    claim = text[start:last].strip(" \n*_\"'$")
    return bool(_WORD_AT_ONCE.match(text, start, last)) or words_as_digits(claim)[:1].isdigit()


def _box(text: str, start: int) -> Answer | None:
    depth = 1
    piece = text[start : start + LONGEST]
    closed = piece.find("<|end_of_box|>")
    if closed >= 0 and "{" not in piece[:closed]:
        return _content(piece[:closed], start + closed)
    for place, character in enumerate(piece):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return _content(piece[:place], start + place)
    return None


def _tag(text: str, start: int) -> Answer | None:
    piece = text[start : start + LONGEST]
    closed = piece.find("</")
    if closed >= 0:
        return _content(piece[:closed], start + closed)
    line = piece.lstrip().partition("\n")[0]
    number = claimed(line) if _DECORATION.sub("", line, count=1)[:1].isdigit() else None
    return Answer(number, start + len(line)) if number else None


def _content(content: str, end: int) -> Answer | None:
    """What a box or a tag holds is the answer, a wrong one where it holds no number."""
    content = content.strip()
    lines = [line for line in content.split("\n") if line.strip()]
    number = None
    for line in reversed(lines):
        number = claimed(line)
        if number is not None:
            break
    if number is None and re.search(r"\w", content):
        number = Number(0, 0, content, None)
    return Answer(number, end) if number is not None else None


def _key(text: str, start: int) -> Answer | None:
    piece = text[start : start + LONGEST]
    if piece[:1] in {'"', "'"}:
        closed = piece.find(piece[0], 1)
        value = piece[1:closed] if closed > 0 else piece[1:].partition("\n")[0]
    elif piece[:1] in {"[", "{"}:
        value = _structure(re.split(r"[\]}]", piece[1:], maxsplit=1)[0])
    else:
        stop = _VALUE_END.search(piece)
        value = piece[: stop.start()] if stop else piece
    number = claimed(value.replace('"', ""))
    return Answer(number, start + len(value)) if number is not None else None


def _structure(content: str) -> str:
    """The value of an object that is an answer, or its values as a list: more than one is a hedge."""
    named = re.search(r"[\"'](?:value|amount|number|answer|result)[\"']\s?:\s?([^,}\n]{1,60})", content, re.IGNORECASE)
    return named[1] if named else re.sub(r"[\"'][A-Za-z_ ]{1,40}[\"']\s?:\s?", "", content)


def _unless_joined(answer: Answer, before: tuple[re.Match[str], ...], mark: re.Match[str], text: str) -> Answer:
    r"""The answer, or one without a value where another one stands beside it: ``\boxed{18} or \boxed{19}``."""
    if not before:
        return answer
    earlier = _at(before[-1], text, mark.start())
    if earlier is None:
        return answer
    between = text[earlier.end : mark.start()]
    joined = len(between) <= _LONGEST_JOINT and _JOINED.match(between.lstrip("}$) "))
    if joined and not _DENIED.search(between) and earlier.number.value != answer.number.value:
        return Answer(replace(answer.number, value=None), answer.end)
    return answer


_LONGEST_JOINT = 60
