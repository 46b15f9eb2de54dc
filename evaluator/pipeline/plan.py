"""Plan of a run: its checkpoint and sets on this host, the order of its items, its patience.

- ``find_checkpoint`` and ``load_public`` find on this host what a run names.
- ``PublicSource`` and ``SealedSource`` give the sets of a run one shape. A sealed set records and
  reports the exposure of an item before the item leaves it.
- ``portions`` cuts the items without an outcome, of all sets together, in an order that is drawn
  for each attempt: a model cannot tell by its place in the order which set a question is from.
- ``batches`` cuts what is read and not asked, set by set.
- ``Policy``, ``waits`` and ``Streak`` decide how often an item is tried again and when a run ends.

Nothing here reads a clock or draws a number: both are arguments.
"""

import hashlib
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evaluator.contract import Exposure, ItemKind
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading.ballots import Vote
from evaluator.items import Item, load_items, set_digest

Samples = Mapping[int, Mapping[int, Vote]]
"""Answers to items that have no outcome yet: by index of the item, by number of the sample."""


# --- checkpoints and sets on this host


def find_checkpoint(root: Path, name: str) -> Path:
    """Return the folder of the checkpoint ``name``, strictly inside ``root``, links resolved.

    Raises ``checkpoint_unknown`` for every other name: see :func:`folder_inside`.
    """
    folder = folder_inside(root, name)
    if folder is None:
        raise error(Code.CHECKPOINT_UNKNOWN)
    return folder


def folder_inside(root: Path, name: str) -> Path | None:
    """Return the folder ``name`` directly inside ``root``.

    None for a name with ``..`` or a slash in it, a link that leads elsewhere, a file, nothing.
    """
    try:
        inside = root.resolve()
        folder = (inside / name).resolve()
    except (OSError, RuntimeError):  # the latter is how pathlib names a circle of links
        return None
    return folder if folder.parent == inside and folder.is_dir() else None


class SetFacts(typing.Protocol):
    """Set as a message describes it."""

    @property
    def name(self) -> str:
        """Name of the set."""

    @property
    def n(self) -> int:
        """Number of its items."""

    @property
    def digest(self) -> str:
        """Digest of its items."""


def load_public(sets: Path, asked: SetFacts) -> Sequence[Item]:
    """Return the items of a public set below ``sets``.

    Raises ``unknown_set`` where it is not on this host, ``set_mismatch`` where another set is.
    """
    folder = folder_inside(sets, asked.name)
    if folder is None or not (folder / "items.jsonl").is_file():
        raise error(Code.UNKNOWN_SET, asked.name)
    try:
        items = load_items(folder / "items.jsonl")
    except EvaluatorError:  # the copy on this host is damaged, which is not the submitter's fault
        raise error(Code.SET_MISMATCH, asked.name) from None
    held = (len(items), set_digest(items))
    if held != (asked.n, asked.digest):
        raise error(Code.SET_MISMATCH, asked.name)
    return items


# --- the sets of a run


class Source(typing.Protocol):
    """Set of a run, public or sealed."""

    @property
    def name(self) -> str:
        """Name of the set."""

    @property
    def n(self) -> int:
        """Number of its items."""

    @property
    def selection(self) -> frozenset[int]:
        """Item selection: the indices that the run is scored on."""

    @property
    def done(self) -> frozenset[int]:
        """Indices of the selection that have an outcome already."""

    @property
    def samples(self) -> Samples:
        """Samples that were answered already, of items without an outcome."""

    @property
    def shots(self) -> Sequence[Item]:
        """Shot pool of the set; empty where there is none."""

    def reveal(self, indices: Sequence[int]) -> Sequence[Item]:
        """Return the items at ``indices``, in that order.

        A sealed set records the exposure first.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSource:
    """Set whose items lie open on this host, of which those in ``without`` are not asked.

    ``pool`` is the digest of the shots, where it has been computed already.
    """

    name: str
    items: Sequence[Item]
    shots: Sequence[Item] = ()
    pool: str = ""
    done: frozenset[int] = frozenset()
    without: frozenset[int] = frozenset()
    samples: Samples = field(default_factory=dict, repr=False)

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def kind(self) -> ItemKind:
        """Kind of the items."""
        return self.items[0].kind

    @property
    def selection(self) -> frozenset[int]:
        """Indices of the items that are asked."""
        return frozenset(range(self.n)) - self.without

    def reveal(self, indices: Sequence[int]) -> list[Item]:
        """Return the items at ``indices``."""
        return [self.items[index] for index in indices]


class Revealed(typing.Protocol):
    """Items that a vault has opened, and the journal's entry that it wrote before."""

    @property
    def items(self) -> Sequence[Item]:
        """Items, in the order asked for."""

    @property
    def entry(self) -> Exposure:
        """Exposure, as the journal has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSource:
    """Sealed set of ``n`` items, of which those in ``selection`` are asked.

    ``open_items`` is the vault's reveal, bound to this set, run, token and recipient.

    ``report`` spools the journal's entry. The items leave this object only after it has returned,
    so that the public ledger learns of an exposure even if this process dies while the prompts are
    on their way.

    With a ``cache``, an item that was revealed stays there for as long as this object lives and is
    not revealed again: weights are asked an item and later read it, under one exposure.
    """

    name: str
    n: int
    selection: frozenset[int]
    open_items: Callable[[Sequence[int]], Revealed] = field(repr=False)
    report: Callable[[Exposure], None] = field(repr=False)
    kind: ItemKind = "number"
    shots: Sequence[Item] = ()
    done: frozenset[int] = frozenset()
    samples: Samples = field(default_factory=dict, repr=False)
    cache: dict[int, Item] | None = field(default=None, repr=False)

    def reveal(self, indices: Sequence[int]) -> Sequence[Item]:
        """Return the items at ``indices``, once their exposure is journalled and spooled."""
        opened = {} if self.cache is None else self.cache
        new = [index for index in indices if index not in opened]
        if new:
            revealed = self.open_items(new)
            self.report(revealed.entry)
            opened.update(zip(new, revealed.items, strict=True))
        return [opened[index] for index in indices]


# --- order


@dataclass(frozen=True, slots=True)
class Portion:
    """Items to be asked next, in this order, as (position of the set, index in it)."""

    items: tuple[tuple[int, int], ...]

    def of(self, position: int) -> tuple[int, ...]:
        """Return the indices of one set, ascending: they are revealed together."""
        indices = [index for place, index in self.items if place == position]
        return tuple(sorted(indices))

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of the sets that it has items of, ascending."""
        positions = {position for position, _ in self.items}
        return tuple(sorted(positions))


def portions(
    sets: Sequence[Collection[int]],
    *,
    size: int,
    names: Sequence[str],
    secret: bytes,
) -> Iterator[Portion]:
    """Cut the open items of all sets, in one drawn order, into portions.

    A portion has at most ``size`` items for each open set. The place of an item is a keyed hash of
    its set's name and its index, so that the same ``secret`` gives open items the same order,
    whatever was asked already. Without a secret the order is that of the sets.
    """

    def rank(item: tuple[int, int]) -> bytes:
        position, index = item
        place = f"{names[position]}:{index}".encode()
        return hashlib.blake2b(place, key=secret, digest_size=16).digest()

    items: list[tuple[int, int]] = []
    for position, left in enumerate(sets):
        items += [(position, index) for index in left]
    order = sorted(items, key=rank if secret else None)
    open_sets = sum(bool(left) for left in sets)
    step = size * max(1, open_sets)
    for start in range(0, len(order), step):
        yield Portion(tuple(order[start : start + step]))


@dataclass(frozen=True, slots=True)
class Batch:
    """Items to be revealed together: ``indices`` of the set at ``position`` in the run's order."""

    position: int
    indices: tuple[int, ...]


def batches(sets: Sequence[Collection[int]], *, size: int) -> Iterator[Batch]:
    """Cut each set, given as its indices, into batches of at most ``size``, ascending."""
    for position, indices in enumerate(sets):
        left = sorted(indices)
        for start in range(0, len(left), size):
            yield Batch(position, tuple(left[start : start + size]))


# --- patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Numbers that decide how a run asks. Times are seconds.

    - ``concurrency`` requests are in flight at most.
    - ``batch`` items are revealed at a time: not many, so that a kill leaves few items revealed and
      not asked; some hundreds, since each batch waits for the disk, which is most of what opening
      costs (``bench/reveal.py``); at least as many as are in flight, so that no request waits.
    - One item is tried ``tries`` times, after waits that double from ``first_wait`` up to
      ``longest_wait``.
    - ``longest_streak`` items in a row without an answer end the run, and so does an endpoint that
      refuses more than ``most_refused`` of the items.
    - Outcomes are handed on every ``flush_seconds``, or as soon as there are ``group`` of them.
    - ``seeded``: draws are given seeds.
    - The gateway is asked every ``watch_seconds`` whether the endpoint is silent.
    """

    concurrency: int = 32
    batch: int = 256
    tries: int = 3
    first_wait: float = 0.5
    longest_wait: float = 10.0
    longest_streak: int = 20
    most_refused: float = 0.5
    flush_seconds: float = 1.0
    group: int = 200
    seeded: bool = True
    watch_seconds: float = 1.0


FLUSHES_A_LEASE = 6
"""Times in a lease that outcomes are handed on, where that is less often than every second: each
report costs the site a transaction."""


def for_run(policy: Policy, *, concurrency: int, lease_seconds: float) -> Policy:
    """Return the policy of a run with these limits."""
    flush_seconds = max(policy.flush_seconds, lease_seconds / FLUSHES_A_LEASE)
    return replace(policy, concurrency=concurrency, flush_seconds=flush_seconds)


WAITING = 3
"""Questions handed to the gateway for each that may be on its way."""
FEWEST = 8
"""Questions handed to the gateway at least.

The gateway tells a refused item from a refused key by the answers to other questions.
"""


def for_endpoint(policy: Policy) -> Policy:
    """Return the policy for an endpoint: the gateway owns the tries, and two layers would multiply.

    The gateway also owns how many questions are on their way. It is handed more than those: while
    one waits as long as a refusal asked for, another takes its place. Seeds are not sent: some APIs
    refuse a request that has one, and none is bound by it.
    """
    concurrency = max(FEWEST, WAITING * policy.concurrency)
    return replace(policy, tries=1, concurrency=concurrency, seeded=False)


def waits(policy: Policy, chance: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds to wait before each further try: exponential backoff with full jitter.

    ``chance`` returns a number in [0, 1). Without jitter, the items that failed together would come
    back together (M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015).
    """
    for attempt in range(policy.tries - 1):
        doubled = policy.first_wait * 2**attempt
        yield chance() * min(policy.longest_wait, doubled)


class Streak:
    """Counter of items in a row that got no answer."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._length = 0

    def answered(self) -> None:
        """Start again from zero."""
        self._length = 0

    def missed(self) -> bool:
        """Count one more. Return True when the limit is reached."""
        self._length += 1
        return self._length >= self._limit
