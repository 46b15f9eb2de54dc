"""What of a completion is read, and in which spelling: the first step of ``numeric-1``.

Everything here is one pass over the text, whatever the text: completions of a megabyte are graded too.
"""

import re
import unicodedata

GLUE = "\ufffd"
"""Stands for something invisible or encoded inside a number; a number that holds it is no number."""

_INVISIBLE = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_SPACES = "\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_SUPERSCRIPTS = {0x2070: "^0", 0xB9: "^1", 0xB2: "^2", 0xB3: "^3"} | {0x2070 + n: f"^{n}" for n in range(4, 10)}
_VULGAR = {ord(c): " " + unicodedata.normalize("NFKC", c).replace("\u2044", "/") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_TABLE: dict[int, str] = (
    {ord(c): GLUE for c in _INVISIBLE}
    | {ord(c): " " for c in _SPACES}
    | {0xFF10 + n: str(n) for n in range(10)}
    | {0x1D7CE + n: str(n % 10) for n in range(50)}
    | {0x2212: "-", 0x2013: "-", 0x2014: "-", 0xFF0D: "-", 0x2019: "'", 0x22C5: "×", 0xFF1D: "=", 0x2248: "="}
    | {0xFF04: "$", 0xFF05: "%", 0xFF0C: ",", 0xFF0E: ".", 0xFF03: "#", 0xFF1A: ":", 0x0D: "\n"}
    | _SUPERSCRIPTS
    | _VULGAR
)
_LATEX = {
    r"\$": "$", r"\%": "%", r"\!": "", r"\,": " ", r"\;": " ", r"\:": " ", r"\ ": " ", "{,}": ",",
    r"\times": "×", r"\cdot": "×", r"\div": "÷", r"\approx": "=", "&nbsp;": " ",
}  # fmt: skip
_LATEX_PATTERN = re.compile("|".join(re.escape(key) for key in _LATEX))
_FRACTION = re.compile(r"\\[dtc]?frac ?\{ ?(-?[0-9]{1,40}) ?\} ?\{ ?([0-9]{1,40}) ?\}")
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_ENTITY = re.compile(r"&#x?[0-9A-Fa-f]{1,8};")
_POWER = re.compile(r"(?<=[0-9])\*\*(?=[-0-9])")
_GLUE_RUN = re.compile(f"{GLUE}+")
_IN_NUMBER = frozenset("0123456789.,")
_READABLE_BLOCKS = frozenset({"", "text", "txt", "plaintext", "json", "markdown", "md", "latex", "tex", "math"})
_BARE_VALUE = re.compile(r"\s*-?[0-9][0-9.,]{0,60}\s*")


def readable(response: str) -> str:
    """The part of a completion that is meant for a reader, in plain spelling.

    Reasoning between ``<think>`` and ``</think>`` goes, and so does what follows an unclosed ``<think>``.
    Programs in fenced blocks go; blocks without a language, of text or of JSON stay, and so does a
    program's output if it is one number. Calculator notes ``<<6*3=18>>`` go. Then LaTeX and Unicode
    spellings of digits, signs and spaces become plain ones.
    """
    seen = response.rpartition("</think>")[2].partition("<think>")[0]
    return _plain(_CALCULATOR.sub("", _outside_programs(seen)))


def _outside_programs(text: str) -> str:
    parts = text.split("```")
    kept = [part if place % 2 == 0 else _block(part) for place, part in enumerate(parts)]
    return "\n".join(kept) if len(parts) > 1 else text


def _block(block: str) -> str:
    language, line_end, content = block.partition("\n")
    language = language.strip().lower()
    if not line_end:
        return block
    if language == "output":
        return content if _BARE_VALUE.fullmatch(content) else ""
    return content if language in _READABLE_BLOCKS else ""


def _plain(text: str) -> str:
    text = _LATEX_PATTERN.sub(lambda match: _LATEX[match.group()], text)
    text = _FRACTION.sub(r" \1/\2", text)
    text = _GLUE_RUN.sub(_glue, text.translate(_TABLE))
    text = _ENTITY.sub(GLUE, text)
    return re.sub(" {2,}", " ", _POWER.sub("^", text))


def _glue(run: re.Match[str]) -> str:
    """Nothing, unless the invisible characters stand inside a number."""
    text, start, end = run.string, run.start(), run.end()
    inside = text[max(0, start - 1) : start] in _IN_NUMBER and text[end : end + 1] in _IN_NUMBER
    return GLUE if inside else ""
