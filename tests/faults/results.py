"""Results of faults and storms: a line as each of them ends, and a table with its totals.

A test hands over its figures as the property ``FIGURES``, and the check of the invariants, which
follows it, adds theirs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

FIGURES = "figures"
"""Property of a test: its row of the table, a value by the name of each column."""
CHECKED, BROKEN = "invariants", "broken"
"""Properties: how many invariants were checked, and the identifiers of those that do not hold."""
SUMS = ("faults", "runs", "ranked", "refused", "cancelled")
"""Columns that the totals add up."""
LONGEST = "longest s"


class Results:
    """Plugin that keeps the rows of this session and prints them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: list[dict[str, Any]] = []
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the row of a test that has ended, with its verdict, and print it."""
        if report.failed:
            self._failed.add(report.nodeid)
        properties = dict(report.user_properties)
        if report.when != "teardown" or FIGURES not in properties:
            return
        broken = properties.get(BROKEN, "")
        verdict = "failed" if report.nodeid in self._failed else "held"
        row = {**properties[FIGURES], CHECKED: properties.get(CHECKED, 0)}
        self._rows.append({**row, "verdict": f"{verdict} {broken}".strip()})
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            line = "  ".join(f"{name} {value}" for name, value in self._rows[-1].items())
            terminal.write_line(f"\n{line}", flush=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a table for each kind of row, and one line of totals below it."""
        kinds = dict.fromkeys(tuple(row) for row in self._rows)
        for columns in kinds:
            rows = [row for row in self._rows if tuple(row) == columns]
            terminalreporter.section(f"by {columns[0]}")
            for line in (*table(columns, rows), totals(rows)):
                terminalreporter.write_line(line)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table with aligned columns, its head first."""
    cells = [[str(row[name]) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [columns, *cells]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def totals(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line: how many rows, their sums, the longest time, the checks, the verdicts."""
    sums = [f"{sum(row[name] for row in rows)} {name}" for name in SUMS if name in rows[0]]
    longest = max(row[LONGEST] for row in rows)
    checks = sum(row[CHECKED] for row in rows)
    held = sum(row["verdict"] == "held" for row in rows)
    parts = [f"{len(rows)} in all", *sums, f"longest {longest} s", f"{checks} checks of invariants"]
    return f"total: {', '.join(parts)}; {held} held, {len(rows) - held} failed"
