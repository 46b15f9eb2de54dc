"""Texts of a corpus, file by file, in an order that a later start repeats.

- ``.jsonl``, ``.ndjson``: one JSON value a line is one document, with all its texts at any depth.
- ``.txt``, ``.md``: paragraphs, divided by empty lines, are documents.
- ``.py``: one document.

Each may be compressed as ``.gz``. Other files are counted, and not read.
"""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from evaluator.errors import Code, error

LINES = (".jsonl", ".ndjson")
PARAGRAPHS = (".txt", ".md")
SOURCE = (".py",)
LONGEST_PARAGRAPH = 1_000_000
"""Characters after which a paragraph is divided, so that memory is bounded by the longest line."""


@dataclass(frozen=True, slots=True)
class Document:
    """Texts with their place: the file, relative to the corpus, and the number there, from 1."""

    file: str
    number: int
    texts: tuple[str, ...]

    @property
    def characters(self) -> int:
        """Characters of its texts."""
        return sum(len(text) for text in self.texts)


@dataclass(frozen=True)
class Corpus:
    """Files of a corpus, in order of their names, and how many are of another kind."""

    folder: Path
    files: tuple[Path, ...]
    other_files: int

    def name(self, file: Path) -> str:
        """Return the name of a file, relative to the folder."""
        if file == self.folder:
            return file.name
        return str(file.relative_to(self.folder))


def find_corpus(path: Path) -> Corpus:
    """Return the corpus at a folder, or that of one file.

    Raises ``corpus_unreadable`` where there is no file of a kind that can be read.
    """
    every = [path]
    if path.is_dir():
        every = sorted(file for file in path.rglob("*") if file.is_file())
    files: list[Path] = []
    for file in every:
        if file.is_file() and _kind(file) is not None:
            files.append(file)
    if not files:
        raise error(Code.CORPUS_UNREADABLE, str(path))
    return Corpus(
        folder=path,
        files=tuple(files),
        other_files=len(every) - len(files),
    )


def read_documents(corpus: Corpus, file: Path) -> Iterator[Document]:
    """Yield the documents of a file. Raises ``corpus_unreadable`` with its name.

    A line that is not JSON is one document as it stands.
    """
    name = corpus.name(file)
    try:
        with _open(file) as stream:
            documents = _texts(file, stream)
            for number, texts in enumerate(documents, start=1):
                yield Document(name, number, texts)
    except (OSError, EOFError, zlib.error):
        raise error(Code.CORPUS_UNREADABLE, name) from None


def _kind(file: Path) -> str | None:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    return last if last in (*LINES, *PARAGRAPHS, *SOURCE) else None


def _open(file: Path) -> IO[bytes]:
    if file.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(file, "rb"))
    return file.open("rb")


def _texts(file: Path, stream: IO[bytes]) -> Iterator[tuple[str, ...]]:
    kind = _kind(file)
    if kind in SOURCE:
        source = stream.read()
        yield (source.decode("utf-8", "replace"),)
    elif kind in PARAGRAPHS:
        for paragraph in _paragraphs(stream):
            yield (paragraph,)
    else:
        decoder = msgspec.json.Decoder()
        for line in stream:
            try:
                value = decoder.decode(line)
                yield tuple(strings(value))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield (line.decode("utf-8", "replace"),)


def strings(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, in order; keys of objects are none."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            waiting += reversed(list(current.values()))
        elif isinstance(current, list):
            waiting += reversed(current)


def _paragraphs(stream: IO[bytes]) -> Iterator[str]:
    lines: list[str] = []
    length = 0
    for line in stream:
        text = line.decode("utf-8", "replace")
        is_empty = not text.strip()
        if not is_empty:
            lines.append(text)
            length += len(text)
        ends = is_empty or length >= LONGEST_PARAGRAPH
        if lines and ends:
            yield "".join(lines)
            lines = []
            length = 0
    if lines:
        yield "".join(lines)
