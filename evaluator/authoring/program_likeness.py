"""Likeness of Python functions: their syntax trees, and the words of names and docstrings.

- *Same program*: the trees are equal once identifiers are numbered in the order of their first use,
  and docstrings and annotations are left out.
- *Syntax tree*: edit similarity of the sequences of node types, in order of the source, as in the
  pruning of phi-1 (Gunasekar et al., 2023, section 5).
- *Program*: the similarity of the trees plus half the cosine of the words, which finds programs
  that were rewritten line by line.
"""

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel

from evaluator.authoring.likeness import Weights, cosine, stem_of
from evaluator.items import parsed

TREE = 0.8
"""Least similarity of syntax trees that is reported, the lowest threshold of phi-1's table."""
PROGRAM = 0.75
"""Least sum of the trees' similarity and half the words' cosine. ``bench.overlap`` measures it."""
LEAST_NODES = 8
"""Fewest nodes of a function that is compared: shorter ones are alike by nature."""
LONGEST = 100_000
"""Most characters of one source text that is parsed."""
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+")
_SYNTAX_WORDS = frozenset(
    (
        "def",
        "return",
        "self",
        "str",
        "int",
        "list",
        "dict",
        "float",
        "bool",
        "none",
        "true",
        "false",
    )
)
_IGNORED = (
    ast.expr_context,
    ast.alias,
    ast.Import,
    ast.ImportFrom,
    ast.Pass,
    ast.type_ignore,
)
_LETTERS: dict[str, str] = {}
"""One character for each type of node."""


@dataclass(frozen=True, slots=True)
class Program:
    """Function of a source text. ``shape`` has one character for each node of its tree."""

    name: str
    shape: str
    canonical: str
    words: frozenset[str]


def programs(text: str) -> list[Program]:
    """Return the outermost functions of a Python source, or of the code blocks of a text.

    A text that is not Python has none.
    """
    if "def " not in text:
        return []
    found: list[Program] = []
    sources = _FENCE.findall(text) or [text]
    for source in sources:
        try:
            dedented = textwrap.dedent(source[:LONGEST])
            tree = parsed(dedented)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        waiting: list[ast.AST] = list(reversed(tree.body))
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(_program(node))
            elif isinstance(node, ast.ClassDef):
                waiting += reversed(node.body)
    return found


def _program(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Program:
    """Read one function in one pass over its tree, without recursion."""
    shape: list[str] = []
    canonical: list[str] = []
    words: set[str] = set()
    numbers: dict[str, str] = {}
    waiting: list[ast.AST] = [node]
    while waiting:
        current = waiting.pop()
        text = _statement_text(current)
        if text is not None:
            words |= _words(text)
            continue
        kind = type(current).__name__
        next_letter = chr(0x100 + len(_LETTERS))
        shape.append(_LETTERS.setdefault(kind, next_letter))
        name = _identifier(current)
        words |= _words(name)
        number = ""
        if name:
            number = numbers.setdefault(name, str(len(numbers)))
        canonical.append(kind + number)
        if isinstance(current, ast.Constant):
            canonical.append(repr(current.value))
            if isinstance(current.value, str):
                words |= _words(current.value)
        children = _children(current)
        compared = sum(_statement_text(child) is None for child in children)
        canonical.append(str(compared))
        waiting += reversed(children)
    return Program(
        name=node.name,
        shape="".join(shape),
        canonical=" ".join(canonical),
        words=frozenset(words),
    )


def _statement_text(node: ast.AST) -> str | None:
    """Return a docstring, or another text that stands as a statement; None for any other node."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return None


def _children(node: ast.AST) -> list[ast.AST]:
    """Return the children of a node, without annotations, imports and ``pass``."""
    children: list[ast.AST] = []
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "type_params"):
            continue
        members = value if isinstance(value, list) else [value]
        for member in members:
            if isinstance(member, ast.AST) and not isinstance(member, _IGNORED):
                children.append(member)
    return children


def _identifier(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
            return str(name)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return str(name)
        case ast.keyword(arg=str(name)):
            return name
    return ""


def _words(text: str) -> set[str]:
    found = set()
    for word in _WORD.findall(text):
        stem = stem_of(word.casefold())
        if stem is not None and stem not in _SYNTAX_WORDS:
            found.add(stem)
    return found


@dataclass(frozen=True, slots=True)
class AlikeProgram:
    """Item that a function is like: similarity of the trees, cosine of the words, and equality."""

    item: int
    tree: float
    words: float
    same: bool

    @property
    def score(self) -> float:
        """Similarity of the trees plus half the cosine of the words."""
        return self.tree + self.words / 2


class ProgramIndex:
    """Functions of a set's reference solutions, to find those that a function is like."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._known: list[tuple[int, Program]] = []
        for item, source in enumerate(sources):
            self._known += [(item, program) for program in programs(source)]
        words = [program.words for _, program in self._known]
        self._weights = Weights(words)
        self._vectors = [self._weights.vector(own) for own in words]

    def __len__(self) -> int:
        return len(self._known)

    def find(self, program: Program) -> list[AlikeProgram]:
        """Return the items that a function is like: by its tree, or by tree and words."""
        if len(program.shape) < LEAST_NODES:
            return []
        found = []
        vector: dict[str, float] | None = None
        compared = zip(self._known, self._vectors, strict=True)
        for (item, known), known_vector in compared:
            tree = Indel.normalized_similarity(
                program.shape, known.shape, score_cutoff=PROGRAM - 0.5
            )
            if not tree:
                continue
            if vector is None:
                vector = self._weights.vector(program.words)
            alike = AlikeProgram(
                item=item,
                tree=tree,
                words=cosine(vector, known_vector),
                same=program.canonical == known.canonical,
            )
            if alike.same or alike.tree >= TREE or alike.score >= PROGRAM:
                found.append(alike)
        return found
