"""The sets of a run, public and sealed, in the one shape that the pipeline reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as Shape

from evaluator.contract import Exposure
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading.ballots import Said
from evaluator.items import Item, load_items, set_digest
from evaluator.pipeline.models import folder_inside


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSource:
    """A set whose items lie open on this host. ``kept`` are answers of earlier attempts: by index, by sample.

    ``pool`` is the digest of the shots, where somebody has worked it out already.
    """

    name: str
    items: Sequence[Item]
    shots: Sequence[Item] = ()
    pool: str = ""
    done: frozenset[int] = frozenset()
    kept: Mapping[int, Mapping[int, Said]] = field(default_factory=dict, repr=False)

    @property
    def n(self) -> int:
        """The number of items."""
        return len(self.items)

    @property
    def form(self) -> frozenset[int]:
        """The indices that are asked: all."""
        return frozenset(range(self.n))

    def reveal(self, indices: Sequence[int]) -> list[Item]:
        """The items at ``indices``."""
        return [self.items[index] for index in indices]


class Known(Shape):
    """What is said of a set by whoever asks for it."""

    @property
    def name(self) -> str:
        """The set's name."""

    @property
    def n(self) -> int:
        """The number of its items."""

    @property
    def digest(self) -> str:
        """What commits to it."""


def load_public(sets: Path, asked: Known) -> Sequence[Item]:
    """The items of the public set that is asked for. Raises ``unknown_set``, and ``set_mismatch`` for another one."""
    folder = folder_inside(sets, asked.name)
    if folder is None or not (folder / "items.jsonl").is_file():
        raise error(Code.UNKNOWN_SET, asked.name)
    try:
        items = load_items(folder / "items.jsonl")
    except EvaluatorError:  # the copy on this host is damaged, which is not the submitter's fault
        raise error(Code.SET_MISMATCH, asked.name) from None
    if (len(items), set_digest(items)) != (asked.n, asked.digest):
        raise error(Code.SET_MISMATCH, asked.name)
    return items


class Revealed(Shape):
    """What a vault gives: the items asked for, and the journal's entry that was written before."""

    @property
    def items(self) -> Sequence[Item]:
        """The items, in the order asked for."""

    @property
    def entry(self) -> Exposure:
        """The exposure, as the journal has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSource:
    """A sealed set of ``n`` items, of which those in ``form`` are asked.

    ``open_items`` is the vault's reveal, bound to this set, run, token and recipient.

    ``tell`` spools the journal's entry; the items leave this object only after it has returned, so that
    the public ledger learns of an exposure even if this process dies while the prompts are on their way.

    With a ``seen``, what was revealed is kept there for as long as this object lives, and not revealed again: weights
    are asked an item and later read it, under one exposure.
    """

    name: str
    n: int
    form: frozenset[int]
    open_items: Callable[[Sequence[int]], Revealed] = field(repr=False)
    tell: Callable[[Exposure], None] = field(repr=False)
    shots: Sequence[Item] = ()
    done: frozenset[int] = frozenset()
    kept: Mapping[int, Mapping[int, Said]] = field(default_factory=dict, repr=False)
    seen: dict[int, Item] | None = field(default=None, repr=False)

    def reveal(self, indices: Sequence[int]) -> Sequence[Item]:
        """The items at ``indices``, once their exposure is in the journal and in the spool."""
        seen = {} if self.seen is None else self.seen
        if new := [index for index in indices if index not in seen]:
            revealed = self.open_items(new)
            self.tell(revealed.entry)
            seen.update(zip(new, revealed.items, strict=True))
        return [seen[index] for index in indices]
