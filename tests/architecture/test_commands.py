"""Every command that a message, a page or a document names exists, and takes the options that are named with it."""

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from evaluator.cli import COMMANDS, build_parser

ROOT = Path(__file__).parents[2]
PLACES = (
    *(
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "docs/**/*.md",
        "demo/**/*.md",
        "templates/**/*.html",
    ),
    *(
        "templates/**/*.txt",
        "evaluator/**/*.py",
        "leaderboard/**/*.py",
        "demo/**/*.py",
        "bench/**/*.py",
        "verify/*.py",
    ),
)
MENTION = re.compile(
    r"(?<![\w/.-])(?:(?P<manage>manage\.py)|-m (?P<module>evaluator|demo|bench)(?P<path>(?:\.[a-z_]+)*)(?![\w.])"
    r"|(?<=[`'$])[ ]?(?P<make>make)(?=[ ])"
    r"|(?<=[`'$])[ ]?(?P<holdfast>holdfast)(?=[ ]))"
    r"(?P<rest>[^`'\n\"|;&>#)]*)"
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@dataclass(frozen=True)
class Mention:
    """A command named in a file: its program, its name and the options that are named with it."""

    file: str
    program: str
    name: str
    options: frozenset[str]
    text: str


def mentions(text: str, file: str) -> Iterator[Mention]:
    """The commands that a text names. A line of a shell goes on after a backslash."""
    for found in MENTION.finditer(re.sub(r"\\\n\s*", " ", text)):
        rest = found["rest"].strip()
        options = frozenset(OPTION.findall(rest))
        words = [word.strip(".,:") for word in rest.split() if not word.startswith("-")]
        name = words[0] if words and re.fullmatch("[a-z][a-z_-]*", words[0]) else ""
        if found["make"]:
            yield Mention(file, "make", name, frozenset(), found[0])
        elif found["manage"]:
            yield Mention(file, "manage.py", name, options, found[0])
        elif found["holdfast"] or (found["module"] == "evaluator" and not found["path"]):
            yield Mention(file, "evaluator", name, options, found[0])
        else:
            yield Mention(file, "module", found["module"] + found["path"], frozenset(), found[0])


def named() -> list[Mention]:
    files = sorted({path for place in PLACES for path in ROOT.glob(place)})
    return [
        one for path in files for one in mentions(path.read_text(), str(path.relative_to(ROOT)))
    ]


@cache
def engine() -> dict[str, argparse.ArgumentParser]:
    return {
        name: subparsers(build_parser(name))[name] for names in COMMANDS.values() for name in names
    }


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [commands] = [
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    return dict(commands.choices)


@cache
def site(name: str) -> argparse.ArgumentParser | None:
    app = get_commands().get(name)
    return load_command_class(app, name).create_parser("manage.py", name) if app else None


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def fault(mention: Mention) -> str:
    """The reason why a mention cannot be followed; empty where it can."""
    if mention.program == "module":
        return "" if find_spec(mention.name) else "no such module"
    if not mention.name:  # the program itself is meant
        return ""
    if mention.program == "make":
        return "" if mention.name in targets() else "no such target"
    parser = engine().get(mention.name) if mention.program == "evaluator" else site(mention.name)
    if parser is None:
        return "no such command"
    unknown = mention.options - set(parser._option_string_actions)
    return f"no option {', '.join(sorted(unknown))}" if unknown else ""


def test_every_command_that_is_named_exists_and_takes_its_options() -> None:
    found = named()
    assert [f"{one.file}: {one.text} - {fault(one)}" for one in found if fault(one)] == []
    counts = {
        program: sum(one.program == program for one in found)
        for program in ("manage.py", "evaluator", "make")
    }
    assert counts["manage.py"] > 50 and counts["evaluator"] > 40 and counts["make"] > 10, counts


@pytest.mark.parametrize(
    "text",
    [
        "Export it again with 'manage.py release_evidence'.", "run `python -m evaluator unseal SET`", "`manage.py board --twin x`",
        "$ python -m evaluator \\\n    seal items.jsonl --size 3", "see `make everything`", "`holdfast sumbit`", "then 'holdfast board --twin x'", "`python -m bench.speed`", "`make demos` is quick",
    ],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_found(text: str) -> None:
    [mention] = mentions(text, "a file")
    assert fault(mention)


SHELL = re.compile(
    r"^\$ (?:until |if )?(?P<line>(?:python (?:manage\.py|-m evaluator)|holdfast) .*)$",
    re.MULTILINE,
)


def lines() -> list[str]:
    documents = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    texts = [re.sub(r"\\\n\s*", " ", path.read_text()) for path in documents]
    return [found["line"] for text in texts for found in SHELL.finditer(text)]


@pytest.mark.parametrize("line", lines())
def test_the_documents_lines_parse(line: str) -> None:
    """Every line that a document has typed at a terminal is one that the command's own parser takes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&;")
    lexer.whitespace_split = True
    expanded = list(takewhile(lambda word: not set(word) & set("|>&;") or " " in word, lexer))
    if any(re.fullmatch(r"\$\{?\w+(?:\[@\])?\}?", word) for word in expanded):
        return  # options in a variable: their names are checked above
    if expanded[0] == "holdfast":
        expanded = ["python", "-m", "evaluator", *expanded[1:]]
    arguments = expanded[3:] if expanded[1] == "-m" else expanded[2:]
    parser = build_parser(arguments[0]) if expanded[1] == "-m" else site(arguments[0])
    assert parser is not None
    try:
        parser.parse_args(arguments if expanded[1] == "-m" else arguments[1:])
    except SystemExit as ended:
        assert ended.code == 0, line
