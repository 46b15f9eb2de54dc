r"""Plain spelling of numbers and signs: the second step of ``numeric-2``.

A table of kinds, applied in order; each is one pass. What has no numeric value gets a spelling that no
reader takes for a number: ``18\pi`` becomes ``18_pi``. Nothing is evaluated.
"""

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

_Replacement = str | Callable[[re.Match[str]], str]

_SIGNS: dict[int, str] = {
    **{ord(sign): "$" for sign in "₩₽₺₴₦฿₫₱₪₡₲₵₸₼₾元円원"},
    **{ord(mark): ". " for mark in "。।"},
    **{ord(mark): f"{plain} " for mark, plain in {"؟": "?", "！": "!", "？": "?", "、": ","}.items()},
    **{ord(mark): plain for mark, plain in {"；": ";", "（": "(", "）": ")", "【": "[", "】": "]", "،": ", "}.items()},
    **{ord(mark): '"' for mark in "“”„«»「」『』"},
    ord("٫"): ".", ord("٬"): ",", ord("٪"): "%", ord("\u2044"): "/", ord("∕"): "/", ord("／"): "/",
    ord("±"): " or ", ord("→"): "=", ord("⇒"): "=", ord("⟹"): "=", ord("√"): r"\surd ", ord("π"): r"\pi ",
    ord("\ufe0f"): "", ord("\u20e3"): "", ord("～"): "~", ord("〜"): "~", ord("⁓"): "~",
}  # fmt: skip
_MINUS = "negative|minus|menos|moins|meno|минус|мінус|음수|سالب|ناقص|ऋण|âm|eksi"
_WRAPPERS = (
    "text|mathrm|mathbf|textbf|textit|mathit|mathsf|mathtt|textrm|mbox|hbox|operatorname|bold|boldsymbol|emph"
    "|underline|textcolor\\s?\\{[A-Za-z]{1,20}\\}|color\\s?\\{[A-Za-z]{1,20}\\}"
)
_VARIABLES = (
    "pi|ln|log|exp|sin|cos|tan|alpha|beta|gamma|delta|epsilon|theta|lambda|mu|sigma|tau|rho|phi|varphi|omega|infty"
)


def _fraction(match: re.Match[str]) -> str:
    r"""Spell ``\frac{37.5}{2.5}`` as ``375/25``; one that holds anything but two numbers has no value."""
    above, below = (_operand(match[first] or match[second] or "") for first, second in ((1, 2), (3, 4)))
    if above is None or not below:
        return "_frac" if match.string[max(0, match.start() - 1) : match.start()].isdigit() else " 0_frac"
    whole = above / below
    return f" {'-' if whole < 0 else ''}{abs(whole.numerator)}/{whole.denominator}"


_OPERAND = re.compile(r"(-?)[$€£¥₹]?([0-9]{1,40}(?:\.[0-9]{1,40})?|\.[0-9]{1,40})(?: ?[A-Za-z%]{1,20}){0,3}")


def _operand(text: str) -> Fraction | None:
    plain = re.sub(r"\\[,!;: ]|\{,\}|(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", text.replace("\\$", "$"))
    plain = " ".join(plain.split())
    found = _OPERAND.fullmatch(plain.replace("\\%", "%"))
    return Fraction(found[1] + found[2]) if found and not plain.endswith(("pi", " x", "_")) else None


def _other_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match[0]))


def _without_separators(match: re.Match[str]) -> str:
    return match[0].replace(".", "").replace(",", ".")


def _without_commas(match: re.Match[str]) -> str:
    return match[0].replace(",", "")


_UNIT_OR_END = r"(?![.,]?[0-9])(?=\s?(?:[€%A-Za-z]|$|\.\s|\.$))"
_ROOT = r"\\(?:sqrt(?:\[[^\]]{0,8}\])?\s?(?:\{[^{}]{0,60}\}|[0-9])|surd\s{0,2}[({]?[0-9.]{0,20}[)}]?)"
_CONSTANT = rf"\\(?:{_VARIABLES})(?![A-Za-z])\s?"
_TIMES = r"(?:\s?(?:\\cdot|\\times|[×*·]))?\s?"
_OPERAND_IN_BRACES = r"\s?(?:\{([^{}]{0,60})\}|([0-9]))"
_BELOW_ZERO = r"(?=(?:\s?°\s?[CF]?|\sdegrees?(?:\s(?:Celsius|Fahrenheit|C|F))?)?\sbelow\s(?:zero|freezing)\b)"
_THIN = "[ \u00a0\u2009\u202f]"
_ABBREVIATIONS = r"Mio|Mrd|Rs|approx|ca|No|vs|Mr|Mrs|Ms|Dr|Fig|Eq|i\.e|e\.g"
_CURRENCY_CODES = "USD|EUR|GBP|INR|Rs|CAD|AUD|JPY|CNY|RMB|CHF|KRW|BRL|MXN"
_WRAPPED = rf"\\(?:{_WRAPPERS})\*?\s?\{{([^{{}}]{{0,200}})\}}"

_KINDS: tuple[tuple[tuple[str, ...], str, _Replacement], ...] = (
    # one of these stands in the text, what is looked for, what it becomes
    # digits of every script
    (("",), r"(?![0-9])\d", _other_digit),
    # LaTeX: wrappers (twice, for one in another), line ends, signs
    (("\\",), _WRAPPED, r"\1"),
    (("\\",), _WRAPPED, r"\1"),
    (("\\\\",), r"\\\\(?:\[[^\]\n]{0,10}\])?", "\n"),
    (("\\",), r"\\(?:left|right|big|Big|bigg|Bigg)(?![A-Za-z])\s?", ""),
    (("\\",), r"\\(?:rightarrow|Rightarrow|implies|longrightarrow)(?![A-Za-z])", "="),
    (("->", "=>", "=="), r"=>|->|==", "="),
    (("\\",), r"\\(?:pm|lor|vee)(?![A-Za-z])", " or "),
    (("\\",), r"\\(?:quad|qquad|enspace|displaystyle|textstyle)(?![A-Za-z])", " "),
    (("\\{",), r"\\\{", "{"),
    (("{,}", "\\"), r"\{,\}|\\[!,](?=[0-9]{3}(?![0-9]))", ","),
    # struck out
    (("~~",), r"~~[^~\n]{1,80}~~", " "),
    (("\\",), r"\\(?:cancel|bcancel|xcancel|sout|st)\s?\{[^{}]{0,80}\}", " "),
    (("</",), r"<(del|strike)>[^<\n]{1,80}</(?:del|strike)>", " "),
    # roots and constants: a factor is not the number
    (("\\",), rf"(?<=[0-9]){_TIMES}{_ROOT}", "_root"),
    (("\\",), _ROOT, " 1_root"),
    (("sqrt",), r"(?<=[0-9])\s?\*?\s?\bsqrt\s?\([^()\n]{0,40}\)", "_root"),
    (("sqrt",), r"\bsqrt\s?\([^()\n]{0,40}\)", " 1_root"),
    (("\\", "pi"), rf"(?<=[0-9}}]){_TIMES}(?:{_CONSTANT}|pi\b)", "_pi "),
    (("\\",), rf"{_CONSTANT}(?={_TIMES}[0-9])", " 1_pi "),
    (("\\pi",), r"([×*·]|\\times|\\cdot)\s?\\pi(?![A-Za-z])", r"\1 1_pi "),
    (("",), r"(?<=[0-9])[xyznie](?![A-Za-z0-9+-]|\s?[0-9(])", "_x"),
    (("}",), r"(?<=[0-9])[abdefpqrtuvw](?=\})", "_x"),
    (("^", "!"), r"(?<=[0-9])(?:\s?e\^|!(?=\s?[}$]))", "_e"),
    # fractions
    (("frac",), rf"\\[dtc]?frac{_OPERAND_IN_BRACES}{_OPERAND_IN_BRACES}", _fraction),
    (("frac",), r"\\[dtc]?frac", " 0_frac "),
    (("half",), r"(?<![0-9])([0-9]{1,9}),? (?:and )?(?:a|one)[ -]half\b", r"\1 1/2"),
    (("/",), r"(?<![0-9])([0-9]{1,9}),? and ([0-9]{1,9}/[0-9]{1,9})", r"\1 \2"),
    # separators that can be read in one way only: LaTeX's tie, continental, Indian
    (("~",), r"(?<=[0-9])~(?=[0-9]{3}(?![0-9]))", " "),
    (("~",), r"(?<=[0-9])\s?~\s?(?=[0-9])", " to "),
    (("~",), r"(?<=\w)~(?=\w)", " "),
    ((".",), r"(?<![0-9.,])[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+(?![.,]?[0-9])", _without_separators),
    ((".",), r"(?<![0-9.,])[0-9]{1,3}(?:\.[0-9]{3}){2,}(?![.,]?[0-9])", _without_separators),
    ((",",), r"(?<![0-9.,])[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![,]?[0-9])", _without_commas),
    ((",",), rf"(?<![0-9.,$])([0-9]{{1,12}}),([0-9]{{1,2}}){_UNIT_OR_END}", r"\1.\2"),
    (
        (",",),
        rf"(?<![0-9.,$])(?<![0-9]{_THIN})([0-9]{{1,3}}(?:{_THIN}[0-9]{{3}})+),([0-9]{{1,2}})(?![0-9.,])",
        r"\1.\2",
    ),
    (("0,",), r"(?<![0-9.,])0,([0-9]+)(?![.,]?[0-9])", r"0.\1"),
    # signs in words; between two numbers it is subtraction
    (("",), rf"(?<=[0-9])\s(?:{_MINUS})\s(?=[$€£¥₹]?[0-9])", " - "),
    (("",), rf"(?<![^\W\d_])(?:{_MINUS})\s{{1,2}}(?=[$€£¥₹]?[0-9])", " -"),
    (("负", "負", "マ"), r"(?:负|負|マイナス)\s?(?=[$€£¥₹]?[0-9])", " -"),
    (("below",), rf"(?<![0-9.,-])([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){_BELOW_ZERO}", r"-\1"),
    # currencies in letters, and abbreviations whose point ends no sentence
    ((".",), rf"\b(?:{_ABBREVIATIONS})\.(?=\s?[A-Za-z0-9])", lambda match: match[0][:-1]),
    (("$",), r"\b[A-Z]{1,3}\$", "$"),
    (("",), rf"\b(?:{_CURRENCY_CODES})\s?(?=[$]?[0-9])", "$"),
    (("$$",), r"(?<!\$)\${2,}(?=[0-9])", "$"),
)
_COMPILED = tuple(
    (triggers, re.compile(pattern, re.MULTILINE), replacement) for triggers, pattern, replacement in _KINDS
)


def plain_spelling(text: str) -> str:
    """Return ``text`` with numbers and signs as numeric-1's own spelling step takes them."""
    if not text.isascii():
        text = text.translate(_SIGNS)
    for triggers, pattern, replacement in _COMPILED:
        if any(trigger in text for trigger in triggers):
            text = pattern.sub(replacement, text)
    return text
