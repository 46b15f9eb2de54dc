"""Plan of an adaptive run: which items of a sealed set it is asked, in which order, up to where.

The plan is public and committed to before the run: the site's grants and the evaluator's log name
its digest. Numbers of single items are in the :class:`Easiness` only, which the plan commits to by
a salted hash and which only the evaluator receives. Items are numbered; no field holds a text.

Both sides derive the order by :func:`item_order`, so that the evaluator can tell whether the items
of a job are those of the plan.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from math import exp, log
from typing import Annotated, Final, Literal

from msgspec import Meta

from evaluator.contract.base import Count, Hex32, Name, RunId, Wire, canonical_json
from evaluator.errors import Code, error

ADAPTIVE_1: Final = "adaptive-1"
UNPLANNED = 255
"""Byte of an item that the plan does not have."""
MOST_REFERENCES = 254

_PLAN_DOMAIN = b"holdfast/plan/v1\n"
_EASINESS_DOMAIN = b"holdfast/easiness/v1\n"
_STEEPEST = 15.0
_HALVINGS = 50
_DIGITS = 9
"""Digits of an item's information that decide its place: machines agree on so many."""

Probability = Annotated[float, Meta(gt=0, lt=1)]
Packed = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z", max_length=2_000_000)]
"""One byte an item, in base64."""


class Plan(Wire, frozen=True, kw_only=True):
    """Public plan of a run on the sealed set ``set`` of this ``root``.

    - ``looks``: numbers of items, ascending, after which the test is made; the last is the most
      that the run is asked.
    - ``levels``: one-sided levels at which the test is made, the strictest first; the run ends
      once it is significant at the first.
    - ``futility``: values of z at the looks before the last, below which the run ends.
    - ``references``: runs that the model is compared with.
    - ``seed``: decides the order of equally informative items.
    - ``easiness``: digest of the references' right answers by item (:meth:`Easiness.digest`).
    """

    method: Literal["adaptive-1"]
    run: RunId
    set: Name
    root: Hex32
    looks: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=8)]
    levels: Annotated[tuple[Probability, ...], Meta(min_length=1, max_length=4)]
    futility: Annotated[tuple[float, ...], Meta(max_length=7)]
    references: Annotated[tuple[RunId, ...], Meta(min_length=1, max_length=MOST_REFERENCES)]
    seed: Hex32
    easiness: Hex32

    def digest(self) -> Hex32:
        """Return the SHA-256 by which grants and logs name the plan."""
        facts = canonical_json(self.to_dict())
        return hashlib.sha256(_PLAN_DOMAIN + facts).hexdigest()


class Easiness(Wire, frozen=True, kw_only=True):
    """Number of references that answered each item right, of the public and of the sealed set.

    ``UNPLANNED`` marks sealed items outside the plan.
    """

    public: Packed
    private: Packed
    salt: Hex32

    def digest(self) -> Hex32:
        """Return the salted SHA-256 that the plan commits to."""
        facts = canonical_json(self.to_dict())
        return hashlib.sha256(_EASINESS_DOMAIN + facts).hexdigest()


class AdaptiveStep(Wire, frozen=True, kw_only=True):
    """Part of an adaptive run that an attempt carries out.

    At ``look`` 0 only public items are asked, at look k the first ``plan.looks[k - 1]`` sealed
    ones. ``right`` is the number of public items that the run has answered right, once all are.
    """

    plan: Plan
    easiness: Easiness
    right: Count = 0
    look: Annotated[int, Meta(ge=0, le=8)] = 0

    def chosen(self) -> frozenset[int]:
        """Return the indices of the sealed items of this part. Raises ``bad_message``."""
        if self.look == 0:
            return frozenset()
        if self.look > len(self.plan.looks):
            raise error(Code.BAD_MESSAGE, "a look that the plan does not have")
        order = item_order(
            unpack_bytes(self.easiness.public),
            unpack_bytes(self.easiness.private),
            right=self.right,
            references=len(self.plan.references),
            seed=self.plan.seed,
        )
        asked = self.plan.looks[self.look - 1]
        return frozenset(order[:asked])


def pack_bytes(values: bytes) -> str:
    """Return one byte an item as base64."""
    return base64.b64encode(values).decode("ascii")


def unpack_bytes(packed: str) -> bytes:
    """Return the bytes of :func:`pack_bytes`. Raises ``bad_message``."""
    try:
        return base64.b64decode(packed, validate=True)
    except ValueError:
        raise error(Code.BAD_MESSAGE, "bytes of items are not base64") from None


def item_order(
    public: Sequence[int],
    private: Sequence[int],
    *,
    right: int,
    references: int,
    seed: Hex32,
) -> list[int]:
    """Return the indices of the planned sealed items, the most informative first.

    Information is p(1 - p) of a Rasch model with the references' easiness, at the ability that
    ``right`` right public answers suggest. Raises ``bad_message`` for impossible counts.
    """
    planned = [index for index, count in enumerate(private) if count != UNPLANNED]
    counts = set(public)
    counts.update(private[index] for index in planned)
    if not public or right > len(public) or max(counts) > references:
        raise error(Code.BAD_MESSAGE, "counts of references do not fit")
    ability = _ability(public, right, references)
    information: dict[int, float] = {}
    for count in counts:
        chance = _expit(ability + _easiness(count, references))
        information[count] = round(chance * (1 - chance), _DIGITS)
    places = tie_places(len(private), seed)

    def rank(index: int) -> tuple[float, int]:
        count = private[index]
        return -information[count], places[index]

    return sorted(planned, key=rank)


def tie_places(n: int, seed: Hex32) -> list[int]:
    """Return for each of n items its place in the order of the seed."""
    keys: list[bytes] = []
    for index in range(n):
        name = f"{seed}:{index}"
        keys.append(hashlib.sha256(name.encode()).digest())
    places = [0] * n
    order = sorted(range(n), key=keys.__getitem__)
    for place, index in enumerate(order):
        places[index] = place
    return places


def _easiness(count: int, references: int) -> float:
    return log((count + 0.5) / (references - count + 0.5))


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x))


def _ability(public: Sequence[int], right: int, references: int) -> float:
    """Return the ability at which so many right answers are expected, half an answer added."""
    n = len(public)
    wanted = (right + 0.5) / (n + 1) * n
    cells: list[tuple[float, int]] = []
    for count, items in Counter(public).items():
        ease = _easiness(count, references)
        cells.append((ease, items))
    low = -_STEEPEST
    high = _STEEPEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = sum(items * _expit(middle + ease) for ease, items in cells)
        if expected < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
