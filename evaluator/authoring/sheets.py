"""Comma-separated sheets that authors fill in: read strictly, private to their owner.

They hold the plaintext of a set that is to be sealed, so each is created with mode 0600.
"""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from evaluator.errors import Code, error

ATTESTATION = (
    "I wrote this problem and its solution myself. No language model was used for any part of it."
)
YES = "yes"


def write_rows(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
) -> None:
    """Write a new sheet. Raises ``out_unwritable``, also if it exists."""
    with _new(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a sheet that has at least these columns.

    Raises ``sheet_unreadable`` with the row's number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, reader.fieldnames or (), columns)
            rows = list(reader)
    except UnicodeError:
        raise error(Code.SHEET_UNREADABLE, f"{path.name} is not UTF-8") from None
    except (OSError, csv.Error):
        raise error(Code.SHEET_UNREADABLE, path.name) from None
    for number, row in enumerate(rows, start=1):
        if None in row or any(row[name] is None for name in columns):
            raise error(Code.SHEET_UNREADABLE, f"{path.name} row {number}")
    return rows


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def _check_columns(
    path: Path,
    fields: Sequence[str],
    columns: Sequence[str],
) -> None:
    """Raise ``sheet_unreadable`` for a missing column, or another separator than the comma."""
    missing = [name for name in columns if name not in fields]
    if not missing:
        return
    if len(fields) == 1:
        for mark, name in _SEPARATORS.items():
            if mark in fields[0]:
                raise error(Code.SHEET_UNREADABLE, f"{path.name} is separated by {name}")
    raise error(Code.SHEET_UNREADABLE, f"{path.name} lacks the column {missing[0]}")


def read_numbered(
    path: Path,
    columns: Sequence[str],
) -> dict[int, Mapping[str, str]]:
    """Return the rows of a sheet by the number in the first of ``columns``.

    Raises ``sheet_unreadable``, also for a cell that is not a number, or a repeated one.
    """
    by_number: dict[int, Mapping[str, str]] = {}
    rows = read_rows(path, columns)
    for position, row in enumerate(rows, start=1):
        text = row[columns[0]].strip()
        is_number = text.isascii() and text.isdigit()
        if not is_number or int(text) in by_number:
            raise error(Code.SHEET_UNREADABLE, f"{path.name} row {position}: {columns[0]}")
        by_number[int(text)] = row
    return by_number


def write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write a new file of JSON lines. Raises ``out_unwritable``, also if it exists."""
    with _new(path) as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, sort_keys=True)
            file.write(line + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a new file. Raises ``out_unwritable``, also if it exists."""
    with _new(path) as file:
        file.write(text)


def _new(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        raise error(Code.OUT_UNWRITABLE, str(path)) from None
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
