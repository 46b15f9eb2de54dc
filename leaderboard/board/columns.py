"""What a board is sorted and filtered by, as columns: written beside a snapshot's rows, so that no page reads them all.

A page costs one look at these columns and one query for the rows that it shows, however many models there are. Every
position is that of a row in the snapshot, from 0, best private score first.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from leaderboard.evidence.vocabulary import LABELS

if TYPE_CHECKING:
    from leaderboard.board.rows import Row

Positions: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]

_LAST = float("inf")
_WORDS = tuple(LABELS)
HOTTEST = 10
_END = b"\n"
"""Stands between the texts that are searched; no name holds one."""


def _adjusted(row: "Row") -> float:
    return -row.judged.adjusted.gap if row.judged and row.judged.adjusted else _LAST


BOARD_SORTS: "Mapping[str, tuple[str, Callable[[Row], tuple[object, ...]]]]" = {
    "private": ("by private score", lambda row: (row.rank,)),
    "public": ("by public score", lambda row: (row.public_rank,)),
    "gap": ("largest gap first", lambda row: (-row.gap,)),
    "adjusted": ("largest adjusted gap first", lambda row: (_adjusted(row),)),
    "evidence": ("by evidence", lambda row: (_WORDS.index(row.evidence), -row.gap)),
    "size": ("largest model first", lambda row: (-row.parameters if row.parameters else _LAST,)),
    "family": ("by family", lambda row: (not row.family, row.family.lower())),
    "organisation": ("by organisation", lambda row: (row.organisation.lower(),)),
    "access": ("by access", lambda row: (row.access,)),
    "protocol": ("by protocol", lambda row: (row.protocol,)),
    "tries": ("most tries first", lambda row: (-row.tries,)),
    "date": ("newest first", lambda row: (-day(row.ended),)),
    "model": ("by name", lambda row: (row.model.lower(),)),
}
"""How a board's rows may be ordered, missing values last; ties by private score and name, as they come."""


def day(text: str) -> int:
    """An ISO date as a number that sorts like it; 0 where there is none."""
    return int(text.replace("-", "") or 0)


class Tick(NamedTuple):
    """One model's gap, as a fraction."""

    gap: float


class Coded(msgspec.Struct, frozen=True, dict=True):
    """A column of names: each one once in order, and for each row the number of its own as int32."""

    names: list[str]
    codes: bytes

    @classmethod
    def of(cls, values: Sequence[str]) -> "Coded":
        """The column of these values."""
        names = sorted(set(values))
        numbers = {name: number for number, name in enumerate(names)}
        return cls(names, np.array([numbers[value] for value in values], np.int32).tobytes())

    def are(self, name: str) -> Mask:
        """Which rows have this name."""
        number = self.names.index(name) if name in self.names else -1
        return np.asarray(np.frombuffer(self.codes, np.int32) == number)

    @cached_property
    def counted(self) -> dict[str, int]:
        """How many rows have each name."""
        counts = np.bincount(np.frombuffer(self.codes, np.int32), minlength=len(self.names))
        return dict(zip(self.names, map(int, counts), strict=True))

    def most(self, number: int) -> list[str]:
        """At most so many of the names, those that most rows have, in alphabetical order."""
        kept = sorted(filter(None, self.names), key=lambda name: -self.counted[name])[:number]
        return sorted(kept, key=str.lower)


class Columns(msgspec.Struct, frozen=True, dict=True):
    """The columns of one snapshot of ``models`` rows.

    ``orders`` are permutations of the positions as int32, one for each of :data:`BOARD_SORTS` but the first, in which
    the rows stand. ``text`` is what is searched, in lower case, ``starts`` where each row's begins. ``parameters`` (-1
    where unknown) and ``ended`` (as :func:`day`) are int64, ``public`` accuracies and ``gap`` fractions as float64.
    ``hottest`` are the positions of the first overfit rows by the lower end of the gap's interval, the largest first,
    ``read`` those of the rows whose likelihood is known, as int32.
    """

    models: int
    orders: dict[str, bytes]
    text: bytes
    starts: bytes
    family: Coded
    organisation: Coded
    access: Coded
    protocol: Coded
    evidence: Coded
    parameters: bytes
    ended: bytes
    public: bytes
    gap: bytes
    hottest: list[int]
    read: bytes

    @classmethod
    def of(cls, rows: "Sequence[Row]") -> "Columns":
        """The columns of a whole ranking, which stands by private score."""
        texts = [
            searched(row).encode("utf-8", "surrogatepass").replace(_END, b" ") + _END
            for row in rows
        ]
        red = [position for position, row in enumerate(rows) if row.evidence == "overfit"]
        return cls(
            models=len(rows),
            orders={
                name: _order(rows, key)
                for name, (_, key) in BOARD_SORTS.items()
                if name != "private"
            },
            text=b"".join(texts),
            starts=np.cumsum([0, *map(len, texts)], dtype=np.int32)[:-1].tobytes(),
            **{
                name: Coded.of([getattr(row, name) for row in rows])
                for name in ("family", "organisation", "access", "protocol", "evidence")
            },
            parameters=_packed((row.parameters or -1 for row in rows), np.int64),
            ended=_packed((day(row.ended) for row in rows), np.int64),
            public=_packed((row.public.accuracy for row in rows), np.float64),
            gap=_packed((row.gap for row in rows), np.float64),
            hottest=sorted(red, key=lambda position: -rows[position].interval[0])[:HOTTEST],
            read=np.array(
                [position for position, row in enumerate(rows) if row.likelihood], np.int32
            ).tobytes(),
        )

    def pack(self) -> bytes:
        """As it is stored."""
        return zlib.compress(msgspec.msgpack.encode(self), 1)

    @classmethod
    def unpack(cls, data: bytes) -> "Columns":
        """What :meth:`pack` gave."""
        return msgspec.msgpack.decode(zlib.decompress(data), type=cls)

    def order(self, sort: str) -> Positions:
        """All positions in the order of one of :data:`BOARD_SORTS`."""
        found = self.orders.get(sort)
        return (
            np.arange(self.models, dtype=np.int32)
            if found is None
            else np.frombuffer(found, np.int32)
        )

    def sized(self, smallest: float | None, largest: float | None) -> Mask:
        """The rows whose parameters, in billions, are known and within these ends."""
        found = np.frombuffer(self.parameters, np.int64)
        within = found > 0
        if smallest is not None:
            within &= found / 1e9 >= smallest
        if largest is not None:
            within &= found / 1e9 <= largest
        return within

    def since(self, text: str) -> Mask:
        """The rows of that day or later."""
        return np.asarray(np.frombuffer(self.ended, np.int64) >= day(text))

    def near(self, accuracy: float, *, within: float, most: int) -> tuple[list[int], int]:
        """At most so many rows whose public accuracy is nearest to this one, and how many there are ``within``."""
        apart = np.abs(np.frombuffer(self.public, np.float64) - accuracy)
        found = np.flatnonzero(apart <= within)
        nearest = found[np.argsort(apart[found], kind="stable")[:most]]
        return sorted(nearest.tolist()), len(found)

    def of_family(self, name: str) -> list[int]:
        """The rows of one family."""
        return list(np.flatnonzero(self.family.are(name)).tolist())

    def families_at(self, positions: Positions) -> set[str]:
        """The families of these rows."""
        return {
            self.family.names[code]
            for code in np.unique(np.frombuffer(self.family.codes, np.int32)[positions])
        }

    def ticks(self, family: str, most: int) -> "list[Tick]":
        """The gaps of one family's rows, the smallest first; where there are more, so many that stand for all."""
        gaps = np.sort(np.frombuffer(self.gap, np.float64)[self.family.are(family)])
        if len(gaps) > most:
            gaps = gaps[np.linspace(0, len(gaps) - 1, most).round().astype(int)]
        return [Tick(gap) for gap in gaps.tolist()]

    def read_evenly(self, most: int) -> tuple[list[int], int]:
        """At most so many rows whose likelihood is known, evenly over the ranking, and how many there are."""
        known = np.frombuffer(self.read, np.int32)
        kept = (
            known[np.linspace(0, len(known) - 1, most).round().astype(int)]
            if len(known) > most
            else known
        )
        return list(kept.tolist()), len(known)

    def texts_with(self, wanted: str) -> Mask:
        """The rows whose text holds ``wanted``, which is in lower case.

        Every place of its rarest byte is looked at, all at once; texts in UTF-8 match where their bytes do.
        """
        found = np.zeros(self.models, np.bool_)
        needle = wanted.encode("utf-8", "surrogatepass")
        if _END in needle:
            return found
        letters, starts = self._letters, np.frombuffer(self.starts, np.int32)
        by_rarity = sorted(range(len(needle)), key=lambda at: int(self._common[needle[at]]))
        first = by_rarity[0]
        places = np.flatnonzero(letters == needle[first]) - first
        places = places[(places >= 0) & (places <= len(letters) - len(needle))]
        for at in by_rarity[1:]:
            places = places[letters[places + at] == needle[at]]
        found[np.searchsorted(starts, places, side="right") - 1] = True
        return found

    @cached_property
    def _letters(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.text, np.uint8)

    @cached_property
    def _common(self) -> npt.NDArray[np.int64]:
        """How often each byte occurs."""
        return np.bincount(self._letters, minlength=256)


def searched(row: "Row") -> str:
    """What a search for a text looks at, in lower case."""
    return " ".join((row.model, row.organisation, row.family)).lower()


def _order(rows: "Sequence[Row]", key: "Callable[[Row], tuple[object, ...]]") -> bytes:
    keys = [key(row) for row in rows]
    return np.array(sorted(range(len(rows)), key=keys.__getitem__), np.int32).tobytes()


def _packed(values: Iterable[float], kind: type[np.int64] | type[np.float64]) -> bytes:
    return np.array(list(values), kind).tobytes()
