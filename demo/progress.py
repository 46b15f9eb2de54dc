"""Shows how runs get on: bars that move on a terminal, a line for each change elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Protocol, TextIO

from tqdm import tqdm


def narrator() -> Callable[[str], None]:
    """Return a function that prints a line with the seconds since now."""
    begun = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)


class Display(Protocol):
    """Shows one run, as the API describes it, under its model's name."""

    def show(self, name: str, run: dict[str, Any]) -> None:
        """Show where the run of ``name`` stands now."""


class Bars:
    """One bar for each run, below one another."""

    def __init__(self, names: Iterable[str], stack: ExitStack) -> None:
        bar_format = "{desc}|{bar:30}| {n:.0f}/{total:.0f}"
        self._bars = {}
        for row, name in enumerate(names):
            bar = tqdm(
                total=1,
                desc=f"{name:>23} queued",
                position=row,
                bar_format=bar_format,
            )
            self._bars[name] = stack.enter_context(bar)

    def show(self, name: str, run: dict[str, Any]) -> None:
        """Move the bar."""
        bar = self._bars[name]
        is_writing = run["written_percent"] is not None and not run["done"]
        doing = f"{run['written_percent']}% written" if is_writing else run["state"]
        bar.set_description_str(f"{name:>23} {doing:<11}", refresh=False)
        bar.total = run["total"]
        bar.n = run["done"]
        bar.refresh()


class Lines:
    """A line whenever a run's state or its progress has changed."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._shown: dict[str, tuple[str, int, int | None]] = {}

    def show(self, name: str, run: dict[str, Any]) -> None:
        """Print the line, if there is news."""
        written = run["written_percent"]
        news = run["state"], run["done"], written
        if self._shown.get(name) != news:
            self._shown[name] = news
            candidates = "" if written is None else f", {written}% of the candidates written"
            self._report(
                f"{name:>23} {run['state']:<9} {run['done']:>4}/{run['total']}{candidates}"
            )


def display(
    names: Iterable[str],
    stack: ExitStack,
    report: Callable[[str], None],
    to: TextIO = sys.stderr,
) -> Display:
    """Bars where ``to`` is a terminal, else lines."""
    return Bars(names, stack) if to.isatty() else Lines(report)
