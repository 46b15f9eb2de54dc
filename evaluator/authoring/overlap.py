"""Overlap of a set with a corpus: which of its items stand there, whole, in parts or rewritten.

1. ``load_subjects`` reads the set: word problems, or programs with their task.
2. ``Scanner`` compares documents with it by five measures.
3. ``scan`` reads the corpus in batches, compares them in several processes, and merges the best
   matches in the order of the corpus. Its position and matches are stored every few seconds, and a
   later start goes on from there. Memory does not depend on the size of the corpus.
4. ``summary`` counts the items by measure and threshold, and their score apart from the others'.

A match is a reason to look at two texts, never a verdict.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evaluator.authoring import near
from evaluator.authoring.corpus import Corpus, Document, read_documents
from evaluator.authoring.likeness import LikenessIndex, passages, tokens
from evaluator.authoring.program_likeness import ProgramIndex, programs
from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import parse_items

GRAMS = (13, 8)
"""Words in a row: the criterion of GPT-3 and TinyGSM, and the stricter one of TinyGSM."""
LIKE = "numbers and words"
TREE = "syntax tree"
PROGRAM = "program"
SAME = "same program"
THRESHOLDS: Mapping[str, Sequence[float]] = {
    **{f"{n} words": (1.0,) for n in GRAMS},
    LIKE: (0.25, 0.4, 0.6),
    SAME: (1.0,),
    TREE: (0.95, 0.9, 0.85, 0.8),
    PROGRAM: (1.2, 1.0, 0.75),
}
"""Thresholds by which the items of a measure are counted, that of a match the lowest."""
BEST = 5
"""Matches of an item that are stored for each measure."""
BATCH = 500_000
"""Characters of documents that one process compares at a time."""
STORED_EVERY = 10.0
"""Seconds between two states on disk."""


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """Item that is searched for: its text, and its program where it has one."""

    text: str
    source: str = ""


class Match(msgspec.Struct, frozen=True, order=True):
    """Document that an item is like, by one measure. Items and documents are numbered from 1."""

    value: float
    file: str
    document: int


Matches = dict[tuple[int, str], list[Match]]
"""Best matches by item and measure, the best first."""


class State(msgspec.Struct):
    """Progress of a scan, as stored on disk."""

    identity: str
    file: int = 0
    documents: int = 0
    characters: int = 0
    done: bool = False
    matches: list[tuple[int, str, list[Match]]] = []


def load_subjects(path: Path) -> list[Subject]:
    """Return the items of a set given as JSON lines.

    A line is an item of any kind, or a program: ``prompt`` and ``canonical_solution`` as HumanEval
    has them, or ``text`` and ``code`` as MBPP has.

    Raises ``set_unreadable``, as ``items.parse_items`` with the line's number, and ``set_empty``.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        raise error(Code.SET_UNREADABLE, str(path)) from None
    subjects = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            subjects.append(_subject(line, number))
    if not subjects:
        raise error(Code.SET_EMPTY)
    return subjects


def _subject(line: bytes, number: int) -> Subject:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise error(Code.SET_BAD_JSON, f"line {number}") from None
    match record:
        case {"kind": _, "question": _}:
            try:
                [item] = parse_items([line])
            except EvaluatorError as refused:
                raise error(refused.code, f"line {number}") from None
            if item.kind == "tests":
                text = f"{item.question}\n{item.answer}"
                return Subject(text, item.reference())
            text = "\n".join((item.question, *item.choices))
            return Subject(text)
        case {"question": str(question)}:
            return Subject(question)
        case {"prompt": str(prompt), "canonical_solution": str(solution)}:
            return Subject(prompt + solution, prompt + solution)
        case {"text": str(task), "code": str(code)}:
            return Subject(f"{task}\n{code}", code)
    raise error(Code.SET_MISSING_FIELD, f"line {number}")


class GramIndex:
    """Every ``n`` words in a row of a set, as 64-bit hashes, to find them in streams of words.

    ``hashes`` are sorted; ``items`` are the numbers of the first item that has each.
    """

    def __init__(self, sequences: Sequence[Sequence[int]], n: int) -> None:
        self._n = n
        rng = np.random.default_rng(n)
        factors = rng.integers(
            1,
            2**63,
            size=n,
            dtype=np.uint64,
        )
        self._factors = factors | np.uint64(1)  # odd
        first: dict[int, int] = {}
        for item, sequence in enumerate(sequences):
            words = np.asarray(sequence, dtype=np.uint64)
            for value in self._hashes(words):
                first.setdefault(int(value), item)
        hashes = sorted(first)
        items = [first[value] for value in hashes]
        self._known = np.array(hashes, dtype=np.uint64)
        self._items = np.array(items, dtype=np.int64)

    def find(self, words: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Return pairs of an item and the place where its words begin.

        ``words`` are numbers of words; 0, a word that the set does not have, is in no match.
        """
        n = self._n
        if len(self._known) == 0 or len(words) < n:
            return []
        # Where the count of unknown words is the same n words later, all n are known.
        counts = np.cumsum(words == 0)
        unknown = np.concatenate(([0], counts))
        all_known = unknown[n:] == unknown[:-n]
        [places] = np.nonzero(all_known)
        if len(places) == 0:
            return []
        all_hashes = self._hashes(words.astype(np.uint64))
        hashes = all_hashes[places]
        last = len(self._known) - 1
        at = np.searchsorted(self._known, hashes)
        at = np.minimum(at, last)
        hits = self._known[at] == hashes
        items = self._items[at[hits]].tolist()
        starts = places[hits].tolist()
        return list(zip(items, starts, strict=True))

    def _hashes(self, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the hash of each ``n`` words in a row, by multiplication modulo 2⁶⁴."""
        count = len(words) - self._n + 1
        if count < 1:
            return np.zeros(0, dtype=np.uint64)
        total = np.zeros(count, dtype=np.uint64)
        for offset, factor in enumerate(self._factors):
            shifted = words[offset : offset + count]
            mixed = (shifted + np.uint64(1)) * factor
            total += mixed ^ (mixed >> np.uint64(29))
        return total


class Scanner:
    """Indexes of a set, and the comparison of documents with them."""

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self._vocabulary: dict[str, int] = {}
        sequences: list[list[int]] = []
        for subject in subjects:
            sequence: list[int] = []
            for word in near.words(subject.text):
                next_number = len(self._vocabulary) + 1
                number = self._vocabulary.setdefault(word, next_number)
                sequence.append(number)
            sequences.append(sequence)
        self._grams = {n: GramIndex(sequences, n) for n in GRAMS}
        problems: list[str] = []
        for subject in subjects:
            problem = "" if subject.source else subject.text
            problems.append(problem)
        self._problems = LikenessIndex(problems)
        self._programs = ProgramIndex([subject.source for subject in subjects])

    def compare(self, documents: Sequence[Document]) -> Matches:
        """Return the best matches of some documents."""
        found: Matches = defaultdict(list)
        words: list[int] = []
        starts: list[int] = []
        for document in documents:
            starts.append(len(words))
            for text in document.texts:
                sequence = tokens(text)
                for token in sequence:
                    if not token[0].isdigit():
                        words.append(self._vocabulary.get(token, 0))
                words.append(0)
                for passage in passages(text, sequence):
                    for alike in self._problems.find(passage):
                        _add(found, alike.item, LIKE, alike.words, document)
                if len(self._programs):
                    self._compare_programs(document, text, found)
        stream = np.array(words, dtype=np.int64)
        for n, index in self._grams.items():
            for item, place in index.find(stream):
                begun = int(np.searchsorted(starts, place, side="right"))
                document = documents[begun - 1]
                _add(found, item, f"{n} words", 1.0, document)
        return found

    def _compare_programs(
        self,
        document: Document,
        text: str,
        found: Matches,
    ) -> None:
        for program in programs(text):
            for alike in self._programs.find(program):
                _add(found, alike.item, TREE, alike.tree, document)
                _add(found, alike.item, PROGRAM, alike.score, document)
                if alike.same:
                    _add(found, alike.item, SAME, 1.0, document)


def _add(
    found: Matches,
    item: int,
    measure: str,
    value: float,
    document: Document,
) -> None:
    """Add a match if it reaches the lowest threshold of its measure."""
    if value >= min(THRESHOLDS[measure]):
        match = Match(
            value=round(value, 4),
            file=document.file,
            document=document.number,
        )
        key = (item + 1, measure)
        _merge(found, {key: [match]})


def _merge(
    found: Matches,
    more: Mapping[tuple[int, str], Iterable[Match]],
) -> None:
    """Add matches. Of equal ones the first of the corpus stays, and each document counts once."""

    def rank(match: Match) -> tuple[float, str, int]:
        return -match.value, match.file, match.document

    for key, matches in more.items():
        best: dict[tuple[str, int], Match] = {}
        earlier = found.get(key, [])
        for match in (*earlier, *matches):
            place = (match.file, match.document)
            known = best.get(place)
            if known is None or match.value > known.value:
                best[place] = match
        ordered = sorted(best.values(), key=rank)
        found[key] = ordered[:BEST]


# --- the scan: batches, processes, and a state that a later start goes on from


def scan(
    subjects: Sequence[Subject],
    corpus: Corpus,
    out: Path,
    *,
    processes: int,
    progress: Callable[[int], object] = lambda characters: None,
) -> State:
    """Compare a corpus with a set, and return the whole state. It is stored in the folder ``out``.

    ``progress`` is called with the characters that were compared since the last call. Raises
    ``corpus_unreadable``, and ``out_of_another_run`` where the folder has another set or corpus.
    """
    path = out / "state.json"
    identity = _identity(subjects, corpus)
    state = State(identity)
    with suppress(OSError, msgspec.DecodeError):
        state = msgspec.json.decode(path.read_bytes(), type=State)
    if state.identity != identity:
        raise error(Code.OUT_OF_ANOTHER_RUN, str(path.parent))
    found: Matches = {}
    for item, measure, stored in state.matches:
        found[item, measure] = stored
    progress(state.characters)
    stored_at = monotonic()
    with ProcessPoolExecutor(
        processes,
        initializer=_start,
        initargs=(subjects,),
    ) as pool:
        batches = _batches(corpus, state)
        results = _compared(pool, batches, waiting=2 * processes)
        for (file, documents), characters, matches in results:
            _merge(found, matches)
            state.file = file
            state.documents = documents
            state.characters += characters
            progress(characters)
            if monotonic() - stored_at > STORED_EVERY:
                _store(path, state, found)
                stored_at = monotonic()
    state.done = True
    _store(path, state, found)
    return state


_scanner: Scanner | None = None
"""Scanner of this process of the pool."""


def _start(subjects: Sequence[Subject]) -> None:
    global _scanner  # noqa: PLW0603 - one for each process, made once by the pool
    _scanner = Scanner(subjects)


def _compare(documents: Sequence[Document]) -> Matches:
    assert _scanner is not None  # noqa: S101 - the pool starts each process by _start
    return dict(_scanner.compare(documents))


Position = tuple[int, int]
"""Index of a file, and how many of its documents were compared."""


def _batches(
    corpus: Corpus,
    state: State,
) -> Iterator[tuple[Position, list[Document]]]:
    """Yield batches of documents after the stored position, each with the position behind it."""
    for index, file in enumerate(corpus.files):
        if index < state.file:
            continue
        done = state.documents if index == state.file else 0
        documents: list[Document] = []
        characters = 0
        remaining = islice(read_documents(corpus, file), done, None)
        for document in remaining:
            documents.append(document)
            characters += document.characters
            if characters >= BATCH:
                position = (index, document.number)
                yield position, documents
                documents = []
                characters = 0
        if documents:
            position = (index, documents[-1].number)
            yield position, documents


def _compared(
    pool: ProcessPoolExecutor,
    batches: Iterator[tuple[Position, list[Document]]],
    *,
    waiting: int,
) -> Iterator[tuple[Position, int, Matches]]:
    """Yield the results in the order of the batches, with at most ``waiting`` in the pool."""
    queue: deque[tuple[Position, int, Future[Matches]]] = deque()
    for position, documents in batches:
        characters = sum(document.characters for document in documents)
        result = pool.submit(_compare, documents)
        queue.append((position, characters, result))
        if len(queue) >= waiting:
            place, size, future = queue.popleft()
            yield place, size, future.result()
    for place, size, future in queue:
        yield place, size, future.result()


def _identity(subjects: Sequence[Subject], corpus: Corpus) -> str:
    """Return a digest of the set, and of the names and sizes of the corpus' files."""
    files: list[list[object]] = []
    for file in corpus.files:
        size = file.stat().st_size
        files.append([corpus.name(file), size])
    texts = [[subject.text, subject.source] for subject in subjects]
    thresholds = {measure: list(values) for measure, values in THRESHOLDS.items()}
    facts = {
        "set": texts,
        "corpus": files,
        "thresholds": thresholds,
    }
    return hashlib.sha256(canonical_json(facts)).hexdigest()


def _store(path: Path, state: State, found: Matches) -> None:
    """Replace the stored state. Raises ``out_unwritable``."""
    state.matches = []
    for item, measure in sorted(found):
        matches = found[item, measure]
        state.matches.append((item, measure, matches))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(state) + b"\n")
        temporary.replace(path)
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(path.parent)) from None


# --- the report


def summary(
    state: State,
    *,
    items: int,
    right: Mapping[int, bool] | None = None,
) -> list[dict[str, Any]]:
    """Return one row for each measure and threshold that has items.

    - ``overlapping`` counts the items with a match at the threshold, of ``items``.
    - With ``right``, outcomes by the item's number from 1, ``right_overlapping`` of
      ``n_overlapping`` and ``right_others`` of ``n_others`` are the scores apart.
    """
    best: dict[str, dict[int, float]] = defaultdict(dict)
    for item, measure, matches in state.matches:
        best[measure][item] = matches[0].value
    rows: list[dict[str, Any]] = []
    for measure, thresholds in THRESHOLDS.items():
        for threshold in thresholds:
            found: set[int] = set()
            for item, value in best[measure].items():
                if value >= threshold:
                    found.add(item)
            row = {
                "measure": measure,
                "threshold": threshold,
                "overlapping": len(found),
                "items": items,
            }
            if right is not None:
                overlapping: list[bool] = []
                others: list[bool] = []
                for item, outcome in right.items():
                    part = overlapping if item in found else others
                    part.append(outcome)
                row["right_overlapping"] = sum(overlapping)
                row["n_overlapping"] = len(overlapping)
                row["right_others"] = sum(others)
                row["n_others"] = len(others)
            rows.append(row)
    return rows
