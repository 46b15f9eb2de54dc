"""What is asked, in which portions, and how often something is tried again. Pure: no clock, no chance.

An item is asked when it has no outcome yet. A run asks the items of all its sets in one order that is drawn for each
attempt: whoever is asked cannot tell by the place in the row which set a question is from. What is read and not asked
goes set by set.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace


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
