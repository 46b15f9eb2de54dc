"""Strict import of a published table from CSV; all that is wrong is reported at once, by line.

The columns are described in ``docs/operations.md``. An empty cell is missing, which is never 0.
Steps of :func:`read`:

- cells: decode, split, check the heading;
- sets: find the two sets in the columns ``n_…``;
- rows: read each line, collect what is wrong, raise ``bad_table`` if anything is.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from io import StringIO
from typing import NamedTuple, NoReturn

from leaderboard.errors import Refusal, refuse

MOST_BYTES = 1_000_000
MOST_ROWS = 1_000
MOST_REPORTED = 20
ROUNDING = 1e-9
_REPORTED_GAP = "diff_printed"
_REPORTED_Z = "z_printed"
_ACCESS = {"open": "open", "closed": "closed", "api": "closed"}
_REQUIRED = ("model", "family", "access")
_OPTIONAL = (
    "organisation",
    "hf_or_api_id",
    "params_b",
    "active_params_b",
    _REPORTED_GAP,
    _REPORTED_Z,
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
_COUNT = re.compile(r"\d{1,9}")
_SET_COLUMN = re.compile(r"n_[A-Za-z0-9_-]{1,58}")

NumberedCells = tuple[int, list[str]]


class Problem(StrEnum):
    """Reason why a file, a line or a cell cannot be read."""

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


_HINTS = {
    Problem.TWO_SETS_WANTED: "A table is of a public set P and its private twin Q, in columns n_P"
    " and n_Q; scores on two benchmarks are no such table.",
    Problem.NO_SUCH_COUNT: "No whole number of right answers has such a share: give the count of"
    " one run as P_right, or leave out models whose score is a mean over samples.",
}
"""Next step after a problem that may not be a mistake in one cell."""


class Complaint(NamedTuple):
    """One problem; ``line`` counts from the heading, which is 1."""

    line: int
    column: str
    problem: Problem

    def __str__(self) -> str:
        column = f", {self.column}" if self.column else ""
        return f"line {self.line}{column}: {self.problem}"


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
    reported_gap: float | None
    reported_z: float | None
    loglik: float | None
    reference: str
    kind: str


@dataclass(frozen=True)
class Table:
    """A whole file; ``unread`` are its columns that have no meaning here."""

    digest: str
    public_name: str
    private_name: str
    lines: tuple[Line, ...]
    unread: tuple[str, ...]


def read(data: bytes, *, public: str = "", private: str = "") -> Table:
    """Return the table in ``data``.

    The sets are the columns ``n_…`` in their order, public first, unless ``public`` and
    ``private`` name them, in small letters or capitals alike.

    Raises ``bad_table`` with lines, columns and problems, and nothing of what stands in the cells.
    """
    heading, rows = _split(data)
    _check_repeated(heading)
    sets = _set_names(heading, public, private)
    missing = sorted({*_REQUIRED, f"n_{sets[0]}", f"n_{sets[1]}"} - set(heading))
    for name in sets:
        if f"{name}_acc" not in heading and f"{name}_right" not in heading:
            missing.append(f"{name}_acc")
    _fail_on([Complaint(1, column, Problem.COLUMN_MISSING) for column in missing])
    reader = _Reader(heading, rows, sets)
    lines = [reader.line(number, row) for number, row in rows]
    _fail_on(reader.complaints)
    return Table(
        digest=sha256(data).hexdigest(),
        public_name=public or sets[0],
        private_name=private or sets[1],
        lines=tuple(line for line in lines if line is not None),
        unread=tuple(column for column in heading if column not in reader.known),
    )


def _fail_on(complaints: Sequence[Complaint]) -> None:
    if complaints:
        _fail(*complaints)


def _fail(*complaints: Complaint) -> NoReturn:
    reported = "; ".join(map(str, complaints[:MOST_REPORTED]))
    rest = len(complaints) - MOST_REPORTED
    more = f"; and {rest} more" if rest > 0 else ""
    raise refuse(Refusal.BAD_TABLE, reported + more)


def hints(detail: str) -> str:
    """Return the next steps after the problems that the detail of a ``bad_table`` names."""
    return " ".join(hint for problem, hint in _HINTS.items() if problem in detail)


def _split(data: bytes) -> tuple[list[str], list[NumberedCells]]:
    """Return the heading, and each row with its last line's number; empty lines are skipped."""
    if len(data) > MOST_BYTES:
        _fail(Complaint(1, "", Problem.TOO_LARGE))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = 1 + data[: failure.start].count(b"\n")
        _fail(Complaint(line, "", Problem.NOT_UTF8))
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    rows: list[NumberedCells] = []
    try:
        for row in reader:
            if any(row):
                cells = [cell.strip() for cell in row]
                rows.append((reader.line_num, cells))
    except csv.Error:
        _fail(Complaint(reader.line_num, "", Problem.NOT_CSV))
    if len(rows) < 2:
        _fail(Complaint(1, "", Problem.NO_ROWS))
    if len(rows) > MOST_ROWS + 1:
        _fail(Complaint(rows[MOST_ROWS + 1][0], "", Problem.TOO_LARGE))
    return rows[0][1], rows[1:]


def _check_repeated(heading: Sequence[str]) -> None:
    """Raise ``bad_table`` for columns that are there twice."""
    complaints = []
    repeated = {column for column in heading if heading.count(column) > 1}
    for column in sorted(repeated):
        # Only names of columns of ours are repeated, and no other text of the file.
        named = column if column in (*_REQUIRED, *_OPTIONAL) else "an unknown column"
        complaints.append(Complaint(1, named, Problem.COLUMN_TWICE))
    _fail_on(complaints)


def _set_names(
    heading: Sequence[str],
    public: str,
    private: str,
) -> tuple[str, str]:
    """Return the names of the public and the private set as the columns have them."""
    sets = [column[2:] for column in heading if _SET_COLUMN.fullmatch(column)]
    both_named = bool(public and private)
    if not both_named and len(sets) != 2:
        _fail(Complaint(1, "n_…", Problem.TWO_SETS_WANTED))
    first = _match_case(public, sets) if public else sets[0]
    second = _match_case(private, sets) if private else sets[1]
    if first == second:
        _fail(Complaint(1, "n_…", Problem.TWO_SETS_WANTED))
    return first, second


def _match_case(name: str, sets: Sequence[str]) -> str:
    matches = [known for known in sets if known.casefold() == name.casefold()]
    return matches[0] if matches else name


class _Reader:
    """Reader of one line after the other, which collects complaints."""

    def __init__(
        self,
        heading: Sequence[str],
        rows: Sequence[NumberedCells],
        sets: tuple[str, str],
    ) -> None:
        self.heading = heading
        self.sets = sets
        self.complaints: list[Complaint] = []
        self._models: set[str] = set()
        self._number = 0
        self._row: dict[str, str] = {}
        self.known = {*_REQUIRED, *_OPTIONAL, f"ll_per_char_{sets[0]}"}
        # Decimals of each column of shares: the most of any cell, as zeros are dropped.
        self.decimals: dict[str, int] = {}
        for name in sets:
            column = f"{name}_acc"
            self.known |= {f"n_{name}", column, f"{name}_right"}
            if column not in heading:
                continue
            at = heading.index(column)
            lengths = []
            for _, row in rows:
                if at < len(row):
                    _, _, decimals = row[at].partition(".")
                    lengths.append(len(decimals))
            self.decimals[column] = max(lengths, default=0)

    def line(self, number: int, cells: list[str]) -> Line | None:
        """Return the line, or None where something in it is wrong."""
        before = len(self.complaints)
        self._number = number
        if len(cells) != len(self.heading):
            self._complain("", Problem.CELLS_WANTED)
            return None
        self._row = dict(zip(self.heading, cells, strict=True))
        public, private = self.sets
        public_right, public_n = self._score(public)
        private_right, private_n = self._score(private)
        model = self._text("model")
        if model and model in self._models:
            self._complain("model", Problem.MODEL_TWICE)
        self._models.add(model)
        organisation = self._text("organisation", optional=True)
        owner, slash, _ = self._text("hf_or_api_id", optional=True).partition("/")
        if slash and not organisation:
            organisation = owner  # of a model on a hub, owner/name
        family = self._text("family")
        access = self._row["access"].lower()
        if not access:
            self._complain("access", Problem.MISSING)
        elif access not in _ACCESS:
            self._complain("access", Problem.UNKNOWN_ACCESS)
        line = Line(
            line=number,
            model=model,
            organisation=organisation,
            family=family,
            access=_ACCESS.get(access, ""),
            parameters=self._positive("params_b"),
            active_parameters=self._positive("active_params_b"),
            public_right=public_right,
            public_n=public_n,
            private_right=private_right,
            private_n=private_n,
            reported_gap=self._reported_gap(),
            reported_z=self._decimal(_REPORTED_Z),
            loglik=self._negative(f"ll_per_char_{public}"),
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

    def _decimal(self, column: str) -> float | None:
        text = self._row.get(column, "")
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self._complain(column, Problem.NOT_A_NUMBER)
            return None
        return float(text)

    def _positive(self, column: str) -> float | None:
        value = self._decimal(column)
        if value is not None and value <= 0:
            self._complain(column, Problem.NOT_POSITIVE)
        return value

    def _negative(self, column: str) -> float | None:
        value = self._decimal(column)
        if value is not None and value > 0:
            self._complain(column, Problem.ABOVE_ZERO)
        return value

    def _count(self, column: str) -> int | None:
        text = self._row.get(column, "")
        if not _COUNT.fullmatch(text):
            self._complain(column, Problem.NOT_A_COUNT if text else Problem.MISSING)
            return None
        return int(text)

    def _score(self, name: str) -> tuple[int, int]:
        """Return (right, n) of one set: the count, or the one whose share rounds to the cell."""
        n = self._count(f"n_{name}")
        if n == 0:
            self._complain(f"n_{name}", Problem.NOT_POSITIVE)
        share = self._decimal(f"{name}_acc")
        has_counts = f"{name}_right" in self.heading
        count = self._count(f"{name}_right") if has_counts else None
        if not has_counts and not self._row[f"{name}_acc"]:
            self._complain(f"{name}_acc", Problem.MISSING)
        if not n or (count is None and share is None):
            return 0, 0
        right = self._right(name, n, count, share)
        return right, n

    def _right(
        self,
        name: str,
        n: int,
        count: int | None,
        share: float | None,
    ) -> int:
        if share is not None and not 0 <= share <= 1:
            self._complain(f"{name}_acc", Problem.NOT_A_SHARE)
            return 0
        right = count if count is not None else round((share or 0.0) * n)
        if right > n:
            self._complain(f"{name}_right", Problem.NOT_A_SHARE)
        elif share is not None:
            half_a_digit = 0.5 * 10 ** -self.decimals[f"{name}_acc"]
            if abs(right / n - share) > half_a_digit + ROUNDING:
                self._complain(f"{name}_acc", Problem.NO_SUCH_COUNT)
        return right

    def _reported_gap(self) -> float | None:
        """Return the reported difference; three roundings allow 1.5 in its last digit."""
        reported = self._decimal(_REPORTED_GAP)
        columns = [f"{name}_acc" for name in self.sets]
        public, private = (self._row.get(column, "") for column in columns)
        has_shares = _NUMBER.fullmatch(public) and _NUMBER.fullmatch(private)
        if reported is None or not has_shares:
            return reported
        digit = 10.0 ** -min(self.decimals[column] for column in columns)
        difference = float(public) - float(private)
        if abs(reported - difference) > 1.5 * digit + ROUNDING:
            self._complain(_REPORTED_GAP, Problem.GAP_DIFFERS)
        return reported
