"""Plan of a run: its checkpoint and sets on this host, the order of its items, its patience.

- ``find_checkpoint`` and ``load_public`` find on this host what a run names.
- ``PublicSource`` and ``SealedSource`` are the sets of a run in the one shape that is asked. A sealed
  set records and reports the exposure before an item leaves it.
- ``portions`` cuts the items without an outcome, of all sets together, in an order that is drawn for
  each attempt: a model cannot tell by its place in the order which set a question is from. What is
  read and not asked goes set by set (``batches``).
- ``Policy``, ``waits`` and ``Streak`` say how often an item is tried again, and when a run ends.

No clock and no chance: both are arguments.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol as Shape

from evaluator.contract import Exposure
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading.ballots import Said
from evaluator.items import Item, load_items, set_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a run asks. Times are seconds.

    ``concurrency`` requests are in flight at most. ``batch`` items are revealed at a time: not many, so that
    a kill leaves little revealed but unasked; some hundreds, since each batch waits for the disk, which is most
    of what opening costs (``bench/reveal.py``); at least as many as are in flight, so that nobody waits.
    One item is tried ``tries`` times, after waits that double from ``first_wait`` up to ``longest_wait``.
    ``give_up`` items in a row without an answer end the run, and so does an endpoint that refuses more than
    ``most_refused`` of the items. Outcomes are handed on every
    ``flush_seconds``, or as soon as ``group`` of them have gathered. ``seeded`` says that draws are given seeds. Every
    ``watch_seconds`` the gateway is asked whether the endpoint is silent.
    """

    concurrency: int = 32
    batch: int = 256
    tries: int = 3
    first_wait: float = 0.5
    longest_wait: float = 10.0
    give_up: int = 20
    most_refused: float = 0.5
    flush_seconds: float = 1.0
    group: int = 200
    seeded: bool = True
    watch_seconds: float = 1.0


WAITING = 3
"""Questions handed to the gateway for each that may be on its way."""
FEWEST = 8
"""Questions handed to the gateway at least: it tells a refused item from a refused key by what others meet with."""


def for_endpoint(policy: Policy) -> Policy:
    """The same policy without tries of our own: the gateway owns those, and two layers would multiply.

    It also owns how many are on their way. It is handed more than those, since a question that waits out what a
    refusal asked for is on its way to nobody, and another takes its place. Seeds are not sent: some APIs refuse a
    request that has one, and none is bound by it.
    """
    return replace(
        policy, tries=1, concurrency=max(FEWEST, WAITING * policy.concurrency), seeded=False
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Items to be revealed together: ``indices`` of the set at ``position`` in the run's order of sets."""

    position: int
    indices: tuple[int, ...]


def batches(sets: Sequence[Collection[int]], *, size: int) -> Iterator[Batch]:
    """Cut what is left of each set, given as its indices, into batches of at most ``size``, ascending."""
    for position, indices in enumerate(sets):
        left = sorted(indices)
        for start in range(0, len(left), size):
            yield Batch(position, tuple(left[start : start + size]))


@dataclass(frozen=True, slots=True)
class Portion:
    """Items to be asked next, in this order, as (position of the set, index in it)."""

    items: tuple[tuple[int, int], ...]

    def of(self, position: int) -> tuple[int, ...]:
        """Return the indices of one set, ascending: what is revealed together."""
        return tuple(sorted(index for place, index in self.items if place == position))

    @property
    def positions(self) -> tuple[int, ...]:
        """The sets that it has items of, ascending."""
        return tuple(sorted({position for position, _ in self.items}))


def portions(
    sets: Sequence[Collection[int]], *, size: int, names: Sequence[str], secret: bytes
) -> Iterator[Portion]:
    """Cut what is left of all sets, in one drawn order, into portions of at most ``size`` items for each open set.

    The place of an item is a keyed hash of its set's name and its index, so that the same ``secret`` brings what is
    left in the same order, whatever was asked already. Without one the order is that of the sets.
    """

    def rank(item: tuple[int, int]) -> bytes:
        position, index = item
        return hashlib.blake2b(
            f"{names[position]}:{index}".encode(), key=secret, digest_size=16
        ).digest()

    everything = ((position, index) for position, left in enumerate(sets) for index in left)
    order = sorted(everything, key=rank if secret else None)
    step = size * max(1, sum(bool(left) for left in sets))
    for start in range(0, len(order), step):
        yield Portion(tuple(order[start : start + step]))


def waits(policy: Policy, chance: Callable[[], float]) -> Iterator[float]:
    """The seconds to wait before each further try: exponential backoff with full jitter.

    ``chance`` returns a number in [0, 1). Without jitter, the items that failed together would come
    back together (M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015).
    """
    for attempt in range(policy.tries - 1):
        yield chance() * min(policy.longest_wait, policy.first_wait * 2**attempt)


class Streak:
    """Counts items in a row that got no answer. ``missed`` says when it is time to give up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._length = 0

    def answered(self) -> None:
        """An answer came: the row is broken."""
        self._length = 0

    def missed(self) -> bool:
        """One more without an answer. True when the limit is reached."""
        self._length += 1
        return self._length >= self._limit


class Source(Shape):
    """A set as the pipeline sees it. ``reveal`` gives the items at ``indices``, in that order."""

    @property
    def name(self) -> str:
        """The set's name."""

    @property
    def n(self) -> int:
        """The number of its items."""

    @property
    def form(self) -> frozenset[int]:
        """The indices that are asked."""

    @property
    def done(self) -> frozenset[int]:
        """Those of the form that have an outcome already."""

    @property
    def kept(self) -> Mapping[int, Mapping[int, Said]]:
        """Of items without an outcome, the samples that were answered already: by index, by number."""

    @property
    def shots(self) -> Sequence[Item]:
        """The set's shot pool; empty where there is none."""

    def reveal(self, indices: Sequence[int]) -> Sequence[Item]:
        """The items at ``indices``, in that order. A sealed set records the exposure first."""


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


def find_checkpoint(root: Path, name: str) -> Path:
    """The folder of the checkpoint ``name``, strictly inside ``root``, links resolved.

    Raises ``checkpoint_unknown`` for every other name: see :func:`folder_inside`.
    """
    folder = folder_inside(root, name)
    if folder is None:
        raise error(Code.CHECKPOINT_UNKNOWN)
    return folder


def folder_inside(root: Path, name: str) -> Path | None:
    """The folder ``name`` directly inside ``root``, or None: for a name with ``..`` or a slash in it, a link
    that leads elsewhere, a file, nothing."""
    try:
        inside = root.resolve()
        folder = (inside / name).resolve()
    except (OSError, RuntimeError):  # the latter is how pathlib names a circle of links
        return None
    return folder if folder.parent == inside and folder.is_dir() else None
