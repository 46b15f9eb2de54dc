"""Report of how plainly the code is written: ``python tests/architecture/report.py [-v] [PATHS…]``.

It gates nothing. Every figure is a symptom that falls when code and sentences get simpler:

- tokens a code line, without comments and docstrings (about 7.5);
- lines over 100 columns (0);
- private functions that are referenced once, of all functions (about 10%);
- docstrings that open with a question word (0);
- words of the glossary's left column, in identifiers, comments, docstrings, strings, templates and
  documents (0; some of the words also have an ordinary sense, so look before renaming);
- import cycles between modules, under TYPE_CHECKING and in functions too (0);
- the largest cyclomatic complexity of a function, boolean operators counted (12).

The source files of published graders never change, since a grader's digest is over their bytes.
They have a row of their own below the total, which is of everything else.

With ``-v`` each finding is listed as ``file:line``.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path

from radon.visitors import ComplexityVisitor, Function

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from evaluator.grading import source_files  # noqa: E402

GRADERS = frozenset(normpath(f"evaluator/grading/{name}") for name in source_files())
FIXED = "published graders"
"""Row of the source files of published graders."""
WHY_FIXED = f"{FIXED}: their sources never change, a grader's digest is over their bytes"
PROGRAMS = ("leaderboard", "evaluator", "verify", "bench", "demo")
TEXTS = ("templates", "docs", "README.md", "CHANGELOG.md")
COLUMNS = 100
COMPLEXITY = 12
QUESTION = re.compile(r"(?:What|Who|Whose|Whom|Whether|How|Where|Why|Which|When)\b")
LAYOUT = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.COMMENT,
}
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Word:
    """Entry of the glossary's left column; ``paths`` limits it to files where its sense is private."""

    pattern: str
    paths: str = ""

    def matches(self, text: str, path: str) -> list[str]:
        if not re.search(self.paths, path):
            return []
        return re.findall(rf"(?<![^\W_])(?:{self.pattern})(?![^\W_])", text, re.IGNORECASE)


CHARTS = r"chart|rankings|interactive"
GLOSSARY = (
    Word("told"),
    Word("(?:un)?kept|keepers?"),
    Word("nobody|somebody|whoever"),
    Word("bells?|rings?|rang", r"^(?!demo/problems)"),
    Word("burn(?:s|ed|t|ing)?"),
    Word("outlines?"),
    Word("(?<!diff_)(?<!z_)printed", r"\.html$|^leaderboard/"),
    Word("dots|planes|orders", CHARTS),
    Word("sentences|findings", r"^leaderboard/|^templates/"),
    Word("beside"),
    Word("houses?|rooms?"),
    Word("strangers?"),
    Word("gates?"),
    Word("what (?:became|becomes|become|came|comes|has come|had come) of"),
    Word("t(?:ake|akes|aken|ook|aking)_? ?back"),
    Word("g(?:ive|ives|iven|ave|iving)_? ?up"),
    Word("put(?:s|ting)?_? ?out"),
    Word("at hand"),
    Word("shel(?:f|ves)"),
)
CLASSES = {"Tally", "Shown", "Said"}
"""Names of classes that are ordinary words in lower case."""


@dataclass
class Figures:
    """Findings of one package: ``file:line text`` for each, by figure."""

    tokens: int = 0
    code_lines: int = 0
    functions: int = 0
    complexity: int = 0
    long_lines: list[str] = field(default_factory=list)
    called_once: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    complex: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """Add another package's figures, for the total."""
        for name, value in vars(other).items():
            if name == "complexity":
                self.complexity = max(self.complexity, value)
            elif name == "cycles":
                self.cycles += [cycle for cycle in value if cycle not in self.cycles]
            else:
                setattr(self, name, getattr(self, name) + value)

    def row(self) -> list[str]:
        density = f"{self.tokens / self.code_lines:.1f}" if self.code_lines else "-"
        share = len(self.called_once) / self.functions if self.functions else 0
        return [
            density,
            str(len(self.long_lines)),
            f"{len(self.called_once)} ({share:.0%})",
            str(len(self.questions)),
            str(len(self.words)),
            str(len(self.cycles)),
            str(self.complexity or "-"),
        ]


HEADINGS = ("tokens/line", "long", "called once", "questions", "glossary", "cycles", "complexity")
LISTS = {
    "lines over 100 columns": "long_lines",
    "private functions referenced once": "called_once",
    "docstrings that open with a question word": "questions",
    "words of the glossary's left column": "words",
    "import cycles": "cycles",
    f"functions with a complexity over {COMPLEXITY}": "complex",
}


@dataclass(frozen=True)
class Source:
    """Python file of a program, read once."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def python_sources(root: Path = ROOT) -> list[Source]:
    """Read every Python file of the programs, migrations excepted."""
    paths = [
        path
        for program in PROGRAMS
        for path in sorted((root / program).rglob("*.py"))
        if "migrations" not in path.parts
    ]
    sources = []
    for path in paths:
        text = path.read_text()
        sources.append(Source(str(path.relative_to(root)), text, ast.parse(text)))
    return sources


def text_sources(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each template and document."""
    for name in TEXTS:
        path = root / name
        files = sorted(path.rglob("*")) if path.is_dir() else list(root.glob(name))
        for file in files:
            if file.suffix in (".html", ".txt", ".md"):
                yield str(file.relative_to(root)), file.read_text()


def package(path: str) -> str:
    """Return the row of a file: ``leaderboard.<app>``, ``evaluator.<package>`` or its folder."""
    if path in GRADERS:
        return FIXED
    parts = path.split("/")
    if parts[0] in ("leaderboard", "evaluator") and len(parts) > 2:
        return ".".join(parts[:2])
    return parts[0] if len(parts) > 1 else "docs"


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield every string that stands as a statement: docstrings, and those below a constant."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                yield text


def density(source: Source) -> tuple[int, int]:
    """Count the tokens of code, and the lines on which at least one stands."""
    prose: set[int] = set()
    for text in docstrings(source.tree):
        prose.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    tokens = 0
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type in LAYOUT or (token.type == tokenize.STRING and token.start[0] in prose):
            continue
        tokens += 1
        lines.update(range(token.start[0], token.end[0] + 1))
    return tokens, len(lines)


def long_lines(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS:
            yield f"{path}:{number} {len(line)} columns"


def question_docstrings(source: Source) -> Iterator[str]:
    for text in docstrings(source.tree):
        first = str(text.value).strip()
        if QUESTION.match(first):
            yield f"{source.path}:{text.lineno} {first.splitlines()[0]}"


def references(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every use of a private name, with its line: as a name, an attribute or an import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id.startswith("_"):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name.startswith("_"):
                    yield alias.name, node.lineno


def functions(tree: ast.AST) -> list[FunctionNode]:
    return [node for node in ast.walk(tree) if isinstance(node, FunctionNode)]


def called_once(sources: list[Source]) -> Iterator[tuple[Source, FunctionNode]]:
    """Yield the private functions that are referenced once, recursion apart.

    A name that several files define is counted in its own file only.
    """
    uses: dict[str, list[tuple[str, int]]] = defaultdict(list)
    files: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for name, line in references(source.tree):
            uses[name].append((source.path, line))
        for node in functions(source.tree):
            files[node.name].add(source.path)
    for source in sources:
        for node in functions(source.tree):
            if not node.name.startswith("_") or node.name.endswith("__"):
                continue
            body = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            count = 0
            for path, line in uses[node.name]:
                if path == source.path:
                    count += line not in body
                else:
                    count += len(files[node.name]) == 1
            if count == 1:
                yield source, node


def words_of_line(path: str, line: str) -> Iterator[str]:
    """Yield the glossary's words in a line of prose or of code; CamelCase is split first."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", line)
    for word in GLOSSARY:
        yield from word.matches(split, path)


def glossary(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for word in words_of_line(path, line):
            yield f"{path}:{number} {word}"


def class_names(source: Source) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.NAME and token.string in CLASSES:
            yield f"{source.path}:{token.start[0]} {token.string}"


def complexities(source: Source) -> Iterator[Function]:
    """Yield radon's figure for every function and method."""
    for block in ComplexityVisitor.from_ast(source.tree).blocks:
        if isinstance(block, Function):
            yield block


def imports(source: Source, modules: set[str]) -> Iterator[str]:
    """Yield the modules of the programs that a module imports, at whichever level of nesting."""
    is_package = source.path.endswith("__init__.py")
    parts = source.module.split(".")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = node.level - is_package
            base = parts[: len(parts) - above] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = []
            for alias in node.names:
                name = f"{stem}.{alias.name}"
                names.append(name if name in modules else stem)
        else:
            continue
        yield from (name for name in names if name in modules and name != source.module)


def import_cycles(sources: list[Source]) -> list[list[str]]:
    """Return the sets of modules that reach each other: components of the import graph (Tarjan)."""
    modules = {source.module for source in sources}
    graph = {source.module: sorted(set(imports(source, modules))) for source in sources}
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    cycles: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], index[other])
        if lowest[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                cycles.append(sorted(component))

    for module in graph:
        if module not in index:
            visit(module)
    return cycles


def measure_source(source: Source, figures: Figures) -> None:
    """Add the figures that one file has by itself."""
    tokens, lines = density(source)
    figures.tokens += tokens
    figures.code_lines += lines
    figures.functions += len(functions(source.tree))
    figures.long_lines += long_lines(source.path, source.text)
    figures.questions += question_docstrings(source)
    figures.words += glossary(source.path, source.text)
    figures.words += class_names(source)
    for block in complexities(source):
        figures.complexity = max(figures.complexity, block.complexity)
        if block.complexity > COMPLEXITY:
            where = f"{source.path}:{block.lineno}"
            figures.complex.append(f"{where} {block.fullname} {block.complexity}")


def measure(paths: Iterable[str] = (), root: Path = ROOT) -> dict[str, Figures]:
    """Measure the files below ``paths`` (all of the programs, templates and documents by default)."""
    chosen = [path.rstrip("/") for path in paths]

    def wanted(path: str) -> bool:
        return not chosen or any(path == one or path.startswith(f"{one}/") for one in chosen)

    sources = python_sources(root)
    result: dict[str, Figures] = defaultdict(Figures)
    for source in sources:
        if wanted(source.path):
            measure_source(source, result[package(source.path)])
    for source, node in called_once(sources):
        if wanted(source.path):
            result[package(source.path)].called_once.append(
                f"{source.path}:{node.lineno} {node.name}"
            )
    paths_of = {source.module: source.path for source in sources}
    for cycle in import_cycles(sources):
        for name in {package(paths_of[one]) for one in cycle if wanted(paths_of[one])}:
            result[name].cycles.append(" ↔ ".join(cycle))
    for path, text in text_sources(root):
        if wanted(path):
            result[package(path)].words += glossary(path, text)
    return dict(result)


def table(measured: dict[str, Figures]) -> Iterator[str]:
    """Yield the lines of the table: one a package, the total, and published graders apart."""
    total = Figures()
    rows = [["", *HEADINGS]]
    for name, figures in measured.items():
        if name != FIXED:
            rows.append([name, *figures.row()])
            total.add(figures)
    rows.append(["total", *total.row()])
    if FIXED in measured:
        rows.append([FIXED, *measured[FIXED].row()])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def details(measured: dict[str, Figures]) -> Iterator[str]:
    """Yield every finding under its heading, and how often each word of the glossary occurs.

    Those of published graders are left out.
    """
    total = Figures()
    for name, figures in measured.items():
        if name != FIXED:
            total.add(figures)
    for heading, attribute in LISTS.items():
        found = getattr(total, attribute)
        yield f"\n{heading}: {len(found)}"
        yield from (f"  {finding}" for finding in found)
    counts = Counter(finding.split(" ", 1)[1].lower() for finding in total.words)
    yield "\n" + ", ".join(f"{word} {count}" for word, count in counts.most_common())


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "paths", nargs="*", metavar="PATHS", help="files and folders, from the root"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="list each finding")
    options = parser.parse_args(arguments)
    paths = [str(Path(path).resolve().relative_to(ROOT)) for path in options.paths]
    measured = measure(paths)
    for line in table(measured):
        print(line)
    if FIXED in measured:
        print(WHY_FIXED)
    if options.verbose:
        for line in details(measured):
            print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
