"""Shows how runs get on: bars that move on a terminal, a line for each change elsewhere."""

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Protocol, TextIO

from tqdm import tqdm


class Display(Protocol):
    """Shows one run, as the API describes it, under its model's name."""

    def show(self, name: str, run: dict[str, Any]) -> None:
        """Show where the run of ``name`` stands now."""


class Bars:
    """One bar for each run, below one another."""

    def __init__(self, names: Iterable[str], stack: ExitStack) -> None:
        form = "{desc}|{bar:30}| {n:.0f}/{total:.0f}"
        self._bars = {
            name: stack.enter_context(
                tqdm(total=1, desc=f"{name:>12} queued", position=line, bar_format=form)
            )
            for line, name in enumerate(names)
        }

    def show(self, name: str, run: dict[str, Any]) -> None:
        """Move the bar."""
        bar = self._bars[name]
        bar.set_description_str(f"{name:>12} {run['state']:<9}", refresh=False)
        bar.total, bar.n = run["total"], run["done"]
        bar.refresh()


class Lines:
    """A line whenever a run's state or its progress has changed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._shown: dict[str, tuple[str, int]] = {}

    def show(self, name: str, run: dict[str, Any]) -> None:
        """Print the line, if there is news."""
        news = run["state"], run["done"]
        if self._shown.get(name) != news:
            self._shown[name] = news
            self._say(f"{name:>12} {run['state']:<9} {run['done']:>4}/{run['total']}")


def display(
    names: Iterable[str], stack: ExitStack, say: Callable[[str], None], to: TextIO = sys.stderr
) -> Display:
    """Bars where ``to`` is a terminal, else lines."""
    return Bars(names, stack) if to.isatty() else Lines(say)
