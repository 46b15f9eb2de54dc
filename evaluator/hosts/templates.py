"""Rendering of a checkpoint's chat template, which is a program, in a child with limits.

``python -m evaluator.hosts.templates PARENT`` reads one JSON object from its first line, the
template and its special tokens, then one list of messages a line, and answers each with
``{"prompt": …}`` or ``{"bad": …}``. The parent bounds its time (:mod:`evaluator.hosts.rendering`);
it bounds its own memory, and its output.

The environment is that of Transformers, without clock and chance: the same question must read the
same the next time.
"""

import functools
import json
import resource
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evaluator.artefacts.chat import chat_template, special_tokens
from evaluator.jail import die_with_parent

MAX_PROMPT = 4 << 20
"""Characters of a rendered prompt."""
MAX_MEMORY = 512 << 20
"""Bytes of address space of the child."""
TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""Date in every template: a prompt that changes with the day could not be asked twice."""

Messages = list[dict[str, str]]


class BadTemplate(Exception):
    """Template that is missing, does not render, or changes the question.

    The message quotes nothing.
    """


class _Generation(Extension):
    """``{% generation %}`` marks the assistant's text for training; here its body is rendered."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def read_template(folder: Path, specials: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the template of a checkpoint folder with its special tokens. Raises BadTemplate.

    ``specials`` are those of the loaded tokenizer; by default they are read from its files.
    """
    template = chat_template(folder)
    if template is None:
        raise BadTemplate("no template")
    if specials is None:
        specials = special_tokens(folder)
    return {"template": template, "specials": dict(specials)}


def render(
    template: str,
    specials: dict[str, str],
    messages: Messages,
) -> str:
    """Return the prompt for ``messages``, which holds each content once and unchanged.

    That is checked by rendering marks in their place, twice: a template that drops or repeats a
    text, changes it, or treats one text unlike another, is refused. Raises BadTemplate, or any
    exception that a template can cause.
    """
    program = _program(template)
    prompt = _rendered(program, specials, messages)
    marked = []
    for _ in range(2):
        marks = [f"m{secrets.token_hex(12)}" for _ in messages]
        asked = []
        for message, mark in zip(messages, marks, strict=True):
            asked.append({**message, "content": mark})
        text = _rendered(program, specials, asked)
        marked.append((text, marks))
    for strip in (False, True):
        unmarked = []
        for text, marks in marked:
            unmarked.append(_unmarked(text, marks, messages, strip=strip))
        if unmarked == [prompt, prompt]:
            return prompt
    raise BadTemplate("the question does not stand in it once and unchanged")


def _unmarked(
    text: str,
    marks: list[str],
    messages: Messages,
    *,
    strip: bool,
) -> str:
    """Return the marked prompt with the texts in place of their marks.

    Raises BadTemplate unless each mark stands in it once.
    """
    for mark, message in zip(marks, messages, strict=True):
        if text.count(mark) != 1:
            raise BadTemplate("the question does not stand in it once")
        content = message["content"]
        text = text.replace(mark, content.strip() if strip else content)
    return text


def _rendered(
    program: Template,
    specials: dict[str, str],
    messages: Messages,
) -> str:
    parts = []
    size = 0
    variables = {
        **specials,
        "messages": messages,
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
    }
    for part in program.generate(**variables):
        parts.append(part)
        size += len(part)
        if size > MAX_PROMPT:
            raise BadTemplate("its output is too long")
    return "".join(parts)


@functools.lru_cache(maxsize=1)
def _program(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, loopcontrols],
        loader=None,
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = TODAY.strftime
    del environment.filters["random"]
    del environment.globals["lipsum"]
    return environment.from_string(template)


def _refuse(message: object = "") -> str:
    raise TemplateError("the template refuses the messages")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    **_: Any,
) -> str:
    """Return JSON as Transformers has it: without the escapes for HTML of Jinja's own filter."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators)


def main() -> None:
    """Serve renderings until standard input or the process that the argument names ends."""
    die_with_parent(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    setup = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        try:
            messages = json.loads(line)
            prompt = render(setup["template"], setup["specials"], messages)
            answer = {"prompt": prompt}
        except BadTemplate as problem:
            answer = {"bad": str(problem)}
        except BaseException as problem:  # noqa: BLE001 - also MemoryError
            answer = {"bad": type(problem).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
