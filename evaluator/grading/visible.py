r"""The part of a completion that is meant for a reader: the first step of ``numeric-2``.

Steps, each one pass over the text:

- thinking goes, in the marks of every family of models (:data:`THINKING`, :data:`CHANNELS`);
- the text ends where the model ended its turn (:data:`TURN_ENDS`), whatever follows;
- programs in fenced blocks go, blocks of data or of text stay.

An opening mark that is never closed hides what follows, unless it stands inside a sentence: there it is a
mention. A closing mark without an opening one hides what precedes it, since templates often open the thinking.
"""

import re

_NAMES = (
    "think thinking thinks thought thoughts reasoning reason reflection scratchpad analysis rationale cot"
    " chain_of_thought inner_monologue monologue inner_thoughts deliberation antthinking ponder"
)
_NAME = f"(?:{_NAMES.replace(' ', '|')})"
_PREFIX = r"(?:[A-Za-z]{1,12}:)?"

THINKING = (
    # opening, closing: DeepSeek, Qwen, Claude-like prompts, GRPO recipes, Seed; Magistral; Kimi; Cohere; Sky-T1; ollama
    (rf"<{_PREFIX}{_NAME}(?:\s[^<>\n]{{0,60}})?>", rf"<\s?/\s?{_PREFIX}{_NAME}\s?>"),
    (rf"<\|{_NAME}\|>", rf"<\|/{_NAME}\|>"),
    (rf"\[{_NAME}\]", rf"\[\s?/\s?{_NAME}\s?\]"),
    (rf"[◁◀]{_NAME}[▷▶]", rf"[◁◀]/{_NAME}[▷▶]"),
    (rf"<\|START_{_NAME}\|>", rf"<\|END_{_NAME}\|>"),
    (rf"<\|?begin_of_{_NAME}\|?>", rf"<\|?end_of_{_NAME}\|?>"),
    (r"\AThinking\.\.\.\s", r"\.\.\.done thinking\.?"),
    (r"\A\s*Here is my thought process:", r"Here is my response:"),
)
CHANNELS = (
    # any channel but the final one, the end of a channel, the final channel; with and without special tokens
    (r"<\|?channel\|?>\s?(?!final)[a-z]+", r"<channel\|>", r"<\|?channel\|?>\s?final[^<\n]{0,40}"),
    (r"\A\s*analysis(?=[A-Z])", r"(?!)", r"assistant\s?final(?=\W|[A-Z0-9])|<\|begin_of_solution\|>"),
)
TURN_ENDS = (
    r"<\|(?:endoftext|im_end|eot_id|eom_id|end_of_text|end_of_turn|END_OF_TURN_TOKEN|end|return|eot|user)\|>",
    r"<[|｜]end[▁_]of[▁_]sentence[|｜]>",
    r"</s>|<eos>|<end_of_turn>|\[EOS\]|\[INST\]",
    r"<\|im_start\|>\s?user|<start_of_turn>user|<\|start_header_id\|>user",
)
_ROLES = re.compile(
    r"<\|im_start\|>\s?assistant|<start_of_turn>model|<\|start\|>assistant|<\|message\|>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<bos>|<\|begin_of_text\|>"
)
_OPENINGS = "|".join(pair[0] for pair in (*THINKING, *CHANNELS))
_CLOSINGS = "|".join(pair[1] for pair in (*THINKING, *CHANNELS))
_FINALS = "|".join(triple[2] for triple in CHANNELS)
_EVENT = re.compile(f"(?P<final>{_FINALS})|(?P<close>{_CLOSINGS})|(?P<open>{_OPENINGS})", re.IGNORECASE)
_TURN_END = re.compile("|".join(TURN_ENDS))
_LEADING_ENDS = re.compile(rf"(?:\s*(?:{_TURN_END.pattern}))+")
_DATA = frozenset(
    {
        *("", "text", "txt", "plaintext", "plain", "markdown", "md", "latex", "tex", "math", "answer", "result"),
        *("json", "json5", "jsonc", "jsonl", "yaml", "yml", "toml", "xml", "html", "ini", "csv", "tsv", "properties"),
    }
)
_OUTPUT = frozenset({"output", "stdout", "console"})
_BARE_VALUE = re.compile(r"\s*-?[0-9][0-9.,]{0,60}\s*")
_LINE_BEGINS = frozenset("\n.!?:>)]*")


def visible(response: str) -> str:
    """Return what a reader of the completion is meant to see, without thinking, later turns and programs."""
    return _outside_programs(_first_turn(_without_thinking(response)))


def _without_thinking(text: str) -> str:
    events = tuple(_EVENT.finditer(text))
    last_end = max((event.start() for event in events if event.lastgroup != "open"), default=-1)
    parts: list[str] = []
    begin: int | None = 0
    for event in events:
        if event.lastgroup == "open":
            if begin is not None and (event.start() < last_end or not _is_mention(text, event.start())):
                parts.append(text[begin : event.start()])
                begin = None
        else:
            if begin is not None or event.lastgroup == "final":
                parts.clear()
            begin = event.end()
    if begin is not None:
        parts.append(text[begin:])
    # Marks that are left are mentions; text.readable would take them for marks.
    return _EVENT.sub(" ", "\n".join(parts))


def _is_mention(text: str, start: int) -> bool:
    before = text[max(0, start - 80) : start].rstrip(" \t")
    return bool(before) and before[-1] not in _LINE_BEGINS


def _first_turn(text: str) -> str:
    text = _ROLES.sub(" ", text)
    leading = _LEADING_ENDS.match(text)
    begin = leading.end() if leading else 0
    ending = _TURN_END.search(text, begin)
    return text[begin : ending.start()] if ending else text[begin:]


def _outside_programs(text: str) -> str:
    parts = text.split("```")
    if len(parts) == 1:
        return text
    return "\n".join(part if place % 2 == 0 else _block(part) for place, part in enumerate(parts))


def _block(block: str) -> str:
    language, line_end, content = block.partition("\n")
    language = language.strip().lower()
    if not line_end:
        return block
    if language in _OUTPUT:
        return content if _BARE_VALUE.fullmatch(content) else ""
    return content if language in _DATA else ""
