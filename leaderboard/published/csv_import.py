"""The CSV file of a published table, read strictly: all that is wrong with it is told at once, line by line.

The file has a heading and one line for each model. With P and Q for the two sets' names:

- needed: ``model``, ``family``, ``access`` (open; closed, also written API), ``n_P`` and ``n_Q``, and of each set the
  share ``P_acc`` or the count ``P_right``;
- read where they are: ``organisation``, or the part of ``hf_or_api_id`` before the stroke; ``params_b`` and
  ``active_params_b`` in billions; ``diff_printed`` and ``z_printed``, the table's own; ``ll_per_char_P``;
  ``reference``, what is known from elsewhere that makes a model a clean reference; ``kind``, how it is known to have
  been made.

Every other column is left out and named to whoever imports. An empty cell is missing, which is never 0.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from io import StringIO
from typing import NamedTuple, NoReturn

from leaderboard.errors import Refusal, refuse

MOST_BYTES, MOST_ROWS, MOST_TOLD = 1_000_000, 1_000, 20
_ACCESS = {"open": "open", "closed": "closed", "api": "closed"}
_ALWAYS = ("model", "family", "access")
_ALSO = (
    "organisation",
    "hf_or_api_id",
    "params_b",
    "active_params_b",
    "diff_printed",
    "z_printed",
    "reference",
    "kind",
)
_LENGTHS = {
    "model": 120,
    "family": 80,
    "organisation": 120,
    "hf_or_api_id": 200,
    "reference": 200,
    "kind": 80,
}
_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{1,12})?")


class Problem(StrEnum):
    """The enumerated reasons why a file, a line or a cell cannot be read."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_CSV = "not_csv"
    NO_ROWS = "no_rows"
    COLUMN_TWICE = "column_twice"
    COLUMN_MISSING = "column_missing"
    TWO_SETS_WANTED = "two_sets_wanted"
    CELLS_WANTED = "wrong_number_of_cells"
    MISSING = "missing"
    BAD_TEXT = "bad_text"
    UNKNOWN_ACCESS = "unknown_access"
    MODEL_TWICE = "model_twice"
    NOT_A_NUMBER = "not_a_number"
    NOT_A_COUNT = "not_a_count"
    NOT_A_SHARE = "not_a_share"
    NOT_POSITIVE = "not_positive"
    ABOVE_ZERO = "above_zero"
    NO_SUCH_COUNT = "no_count_has_this_share"
    GAP_DIFFERS = "not_the_difference_of_the_shares"


class Complaint(NamedTuple):
    """One thing that is wrong; ``line`` counts from the heading, which is 1."""

    line: int
    column: str
    problem: Problem

    def __str__(self) -> str:
        return f"line {self.line}{', ' + self.column if self.column else ''}: {self.problem}"


@dataclass(frozen=True)
class Line:
    """One model as the file gives it; fields as in ``PublishedRow``."""

    line: int
    model: str
    organisation: str
    family: str
    access: str
    parameters: float | None
    active_parameters: float | None
    public_right: int
    public_n: int
    private_right: int
    private_n: int
    printed_gap: float | None
    printed_z: float | None
    loglik: float | None
    reference: str
    kind: str


@dataclass(frozen=True)
class Table:
    """A file that was read whole; ``unread`` are its columns that mean nothing here."""

    digest: str
    public_name: str
    private_name: str
    lines: tuple[Line, ...]
    unread: tuple[str, ...]


def read(data: bytes, *, public: str = "", private: str = "") -> Table:
    """The table in ``data``; the sets are the columns ``n_…`` in their order, public first, unless they are named.

    A set that is named is looked for in small letters and capitals alike, and is called as it was named.

    Raises ``bad_table`` with the lines, the columns and what is wrong there, and nothing of what stands there.
    """
    heading, rows = _cells(data)
    names = _names(heading, public, private)
    needed = {*_ALWAYS, *(f"n_{name}" for name in names)}
    wanting = [
        Complaint(1, column, Problem.COLUMN_MISSING) for column in sorted(needed - set(heading))
    ]
    for name in names:
        if not {f"{name}_acc", f"{name}_right"} & set(heading):
            wanting.append(Complaint(1, f"{name}_acc", Problem.COLUMN_MISSING))
    _stop(wanting)
    reader = _Reader(heading, names, _decimals(heading, rows, names))
    lines = [reader.line(number, row) for number, row in rows]
    _stop(reader.complaints)
    unread = tuple(column for column in heading if column not in reader.known)
    found = tuple(line for line in lines if line is not None)
    return Table(sha256(data).hexdigest(), public or names[0], private or names[1], found, unread)


def _stop(complaints: Sequence[Complaint]) -> None:
    if complaints:
        _fail(*complaints)


def _fail(*complaints: Complaint) -> NoReturn:
    told = "; ".join(map(str, complaints[:MOST_TOLD]))
    rest = len(complaints) - MOST_TOLD
    raise refuse(Refusal.BAD_TABLE, told + (f"; and {rest} more" if rest > 0 else ""))


def _cells(data: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The heading, and each row with the number of its last line; empty lines count for nothing."""
    if len(data) > MOST_BYTES:
        _fail(Complaint(1, "", Problem.TOO_LARGE))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        _stop([Complaint(1 + data[: failure.start].count(b"\n"), "", Problem.NOT_UTF8)])
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error:
        _fail(Complaint(reader.line_num, "", Problem.NOT_CSV))
    if len(rows) < 2:
        _fail(Complaint(1, "", Problem.NO_ROWS))
    if len(rows) > MOST_ROWS + 1:
        _stop([Complaint(rows[MOST_ROWS + 1][0], "", Problem.TOO_LARGE)])
    heading = rows[0][1]
    twice = {column for column in heading if heading.count(column) > 1}
    _stop([Complaint(1, _told(column), Problem.COLUMN_TWICE) for column in sorted(twice)])
    return heading, rows[1:]


def _told(column: str) -> str:
    """A column's name where it is one of ours; a stranger's text is not repeated."""
    return column if column in (*_ALWAYS, *_ALSO) else "an unknown column"


def _names(heading: Sequence[str], public: str, private: str) -> tuple[str, str]:
    found = [column[2:] for column in heading if re.fullmatch(r"n_[A-Za-z0-9_-]{1,58}", column)]
    if not (public and private) and len(found) != 2:
        _fail(Complaint(1, "n_…", Problem.TWO_SETS_WANTED))
    first, second = (
        _called(name, found) if name else found[at] for at, name in enumerate((public, private))
    )
    if first == second:
        _fail(Complaint(1, "n_…", Problem.TWO_SETS_WANTED))
    return first, second


def _called(name: str, found: Sequence[str]) -> str:
    return next((one for one in found if one.casefold() == name.casefold()), name)


def _decimals(
    heading: Sequence[str], rows: Sequence[tuple[int, list[str]]], names: tuple[str, str]
) -> dict[str, int]:
    """To how many places each column of shares is printed: a table drops zeros at the end, so its longest cell says."""
    places = {}
    for column in (f"{name}_acc" for name in names):
        if column in heading:
            at = heading.index(column)
            cells = [row[at] for _, row in rows if at < len(row)]
            places[column] = max(len(cell.partition(".")[2]) for cell in cells)
    return places


class _Reader:
    """Reads line after line and keeps what is wrong."""

    def __init__(
        self, heading: Sequence[str], names: tuple[str, str], decimals: Mapping[str, int]
    ) -> None:
        self.heading, self.names, self.decimals = heading, names, decimals
        self.complaints: list[Complaint] = []
        self._seen: set[str] = set()
        self._number = 0
        self._row: dict[str, str] = {}
        sets = (
            f"{prefix}{name}{suffix}"
            for name in names
            for prefix, suffix in (("n_", ""), ("", "_acc"), ("", "_right"))
        )
        self.known = {*_ALWAYS, *_ALSO, *sets, f"ll_per_char_{names[0]}"}

    def line(self, number: int, cells: list[str]) -> Line | None:
        """The line, or ``None`` where something in it is wrong."""
        before, self._number = len(self.complaints), number
        if len(cells) != len(self.heading):
            self._complain("", Problem.CELLS_WANTED)
            return None
        self._row = dict(zip(self.heading, cells, strict=True))
        public, private = (self._side(name) for name in self.names)
        line = Line(
            line=number,
            model=self._model(),
            organisation=self._organisation(),
            family=self._text("family"),
            access=self._access(),
            parameters=self._number_in("params_b", positive=True),
            active_parameters=self._number_in("active_params_b", positive=True),
            public_right=public[0],
            public_n=public[1],
            private_right=private[0],
            private_n=private[1],
            printed_gap=self._gap(),
            printed_z=self._number_in("z_printed"),
            loglik=self._number_in(f"ll_per_char_{self.names[0]}", negative=True),
            reference=self._text("reference", optional=True),
            kind=self._text("kind", optional=True),
        )
        return line if len(self.complaints) == before else None

    def _complain(self, column: str, problem: Problem) -> None:
        self.complaints.append(Complaint(self._number, column, problem))

    def _text(self, column: str, *, optional: bool = False) -> str:
        text = self._row.get(column, "")
        if not text and not optional:
            self._complain(column, Problem.MISSING)
        elif not text.isprintable() or len(text) > _LENGTHS[column]:
            self._complain(column, Problem.BAD_TEXT)
        return text

    def _model(self) -> str:
        model = self._text("model")
        if model and model in self._seen:
            self._complain("model", Problem.MODEL_TWICE)
        self._seen.add(model)
        return model

    def _organisation(self) -> str:
        """As told, or the owner in an identifier ``owner/name``; empty where neither is there."""
        told = self._text("organisation", optional=True)
        owner, stroke, _ = self._text("hf_or_api_id", optional=True).partition("/")
        return told or (owner if stroke else "")

    def _access(self) -> str:
        told = self._row["access"].lower()
        if told not in _ACCESS:
            self._complain("access", Problem.UNKNOWN_ACCESS if told else Problem.MISSING)
        return _ACCESS.get(told, "")

    def _number_in(
        self, column: str, *, positive: bool = False, negative: bool = False
    ) -> float | None:
        text = self._row.get(column, "")
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self._complain(column, Problem.NOT_A_NUMBER)
            return None
        if positive and float(text) <= 0:
            self._complain(column, Problem.NOT_POSITIVE)
        if negative and float(text) > 0:
            self._complain(column, Problem.ABOVE_ZERO)
        return float(text)

    def _count(self, column: str) -> int | None:
        text = self._row.get(column, "")
        if not re.fullmatch(r"\d{1,9}", text):
            self._complain(column, Problem.NOT_A_COUNT if text else Problem.MISSING)
            return None
        return int(text)

    def _side(self, name: str) -> tuple[int, int]:
        """(right, n) of one set: the count as told, or the one whose share rounds to what is printed."""
        n = self._count(f"n_{name}")
        if n == 0:
            self._complain(f"n_{name}", Problem.NOT_POSITIVE)
        share = self._number_in(f"{name}_acc")
        counted = f"{name}_right" in self.heading
        told = self._count(f"{name}_right") if counted else None
        if not counted and not self._row[f"{name}_acc"]:
            self._complain(f"{name}_acc", Problem.MISSING)
        if not n or (told is None and share is None):
            return 0, 0
        return self._right(name, n, told, share), n

    def _right(self, name: str, n: int, told: int | None, share: float | None) -> int:
        if share is not None and not 0 <= share <= 1:
            self._complain(f"{name}_acc", Problem.NOT_A_SHARE)
            return 0
        right = told if told is not None else round((share or 0.0) * n)
        if right > n:
            self._complain(f"{name}_right", Problem.NOT_A_SHARE)
        elif (
            share is not None
            and abs(right / n - share) > 0.5 * 10 ** -self.decimals[f"{name}_acc"] + 1e-9
        ):
            self._complain(f"{name}_acc", Problem.NO_SUCH_COUNT)
        return right

    def _gap(self) -> float | None:
        """The printed difference; three numbers were rounded, so it may be off by one and a half in the last place."""
        printed = self._number_in("diff_printed")
        public, private = (self._row.get(f"{name}_acc", "") for name in self.names)
        if printed is None or not _NUMBER.fullmatch(public) or not _NUMBER.fullmatch(private):
            return printed
        unit = 10.0 ** -min(self.decimals[f"{name}_acc"] for name in self.names)
        if abs(printed - (float(public) - float(private))) > 1.5 * unit + 1e-9:
            self._complain("diff_printed", Problem.GAP_DIFFERS)
        return printed
