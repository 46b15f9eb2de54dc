"""First contact: what the provider of an endpoint had been shown of a set before a run, by the evaluators' logs.

Outcomes are added up over whole parts of a set only (ADR 15): a part of which the provider had been shown some items
and not the others is on neither side. Sets of items are numbers here, bit i for item i.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from evaluator.ledger.manifests import Manifest
from evaluator.policy import JAIL
from leaderboard.evidence.leaks import Look
from leaderboard.ledger.models import Entry as LogLine
from leaderboard.submissions.models import PublicCounts

Gate = Callable[[frozenset[int]], PublicCounts | None]
"""What may be told of a run's private outcomes without these items."""


@dataclass(frozen=True)
class Line:
    """A line of a log that shows items. ``chained`` where nothing of the log is missing before it."""

    run: UUID | None
    recipient: str
    moment: str
    items: int
    chained: bool = True


@dataclass
class Shown:
    """What one run showed: all that is ``chained``, and what was ``fresh`` to its recipient, who had been shown
    ``before`` by other runs; ``earlier`` is what of that was new to it when, oldest first."""

    before: int = 0
    earlier: tuple[tuple[str, int], ...] = ()
    chained: int = 0
    fresh: int = 0

    def since(self, items: int) -> str:
        """The day on which the first of these items was shown by another run; empty for none."""
        return next((moment[:10] for moment, new in self.earlier if new & items), "")


@dataclass
class _Recipient:
    known: int = 0
    news: list[tuple[str, int]] = field(default_factory=list)


def shown(lines: Iterable[Line]) -> dict[UUID | None, Shown]:
    """By run, from all lines about a set in their order. A run's earlier attempts are its own: they are not before."""
    found: dict[UUID | None, Shown] = {}
    recipients: dict[str, _Recipient] = {}
    for line in lines:
        recipient = recipients.setdefault(line.recipient, _Recipient())
        if line.run not in found:
            found[line.run] = Shown(recipient.known, tuple(recipient.news))
        run, new = found[line.run], line.items & ~recipient.known
        run.fresh |= new
        run.chained |= line.items if line.chained else 0
        if new:
            recipient.known |= new
            recipient.news.append((line.moment, new))
    return found


@dataclass(frozen=True)
class Sides:
    """Right answers on whole parts that the provider had been shown before, and on whole parts at first contact."""

    seen_right: int
    seen_n: int
    fresh_right: int
    fresh_n: int


@dataclass(frozen=True)
class Met:
    """How a run met its provider, over the items that count; as in ``models.Contact``."""

    look: Look
    before: int | None = None
    fresh: int | None = None
    since: str = ""
    sides: Sides | None = None


@dataclass(frozen=True)
class Contacts:
    """What is known of all runs on a set of ``n`` items in these ``parts``."""

    n: int
    parts: tuple[int, ...]
    by_run: Mapping[UUID | None, Shown]

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """By every line that is here."""
        return cls(manifest.n, parts_of(manifest), shown(lines_of(manifest)))

    def met(self, run: UUID, counts: int, told: Gate) -> Met:
        """How this run met its provider, over the items that ``counts`` names."""
        known = self.by_run.get(run, Shown())
        if counts & ~known.chained:
            return Met("unknown")
        before, fresh = counts & known.before, counts & known.fresh
        look: Look = "first" if fresh == counts else "again" if before == counts else "part"
        sides = self._sides(
            told, whole(self.parts, counts, before), whole(self.parts, counts, fresh)
        )
        return Met(look, before.bit_count(), fresh.bit_count(), known.since(before), sides)

    def _sides(self, told: Gate, seen: int, first: int) -> Sides | None:
        if not (seen and first):
            return None
        old, new = (
            told(frozenset(at for at in range(self.n) if not side >> at & 1))
            for side in (seen, first)
        )
        return Sides(old.right, old.n, new.right, new.n) if old and new else None


def parts_of(manifest: Manifest) -> tuple[int, ...]:
    """The parts of a set, each as its items."""
    return tuple(
        sum((1 << block.n) - 1 << block.start for block in part) for part in manifest.parts()
    )


def whole(parts: Iterable[int], counts: int, side: int) -> int:
    """What counts of those parts of which ``side`` has all that counts."""
    return sum(part & counts for part in parts if not part & counts & ~side)


def lines_of(manifest: Manifest) -> list[Line]:
    """Every line that shows items of the set to somebody outside: of one log by index, of several by moment.

    Also such as their log does not hold: what was shown is shown.
    """
    rows = LogLine.objects.filter(kind="exposure", set_name=manifest.name, line__root=manifest.root)
    rows = rows.exclude(recipient=JAIL).order_by("evaluator", "index", "pk")
    found: list[tuple[str, Line]] = []
    evaluator, clock = None, ""
    for row in rows.values_list(
        "evaluator", "run", "recipient", "moment", "line__items", "status"
    ).iterator():
        moment = row[3].removesuffix("Z")
        # The order of a log is certain, the clock of its host is not.
        clock = moment if row[0] != evaluator else max(clock, moment)
        evaluator = row[0]
        items = int.from_bytes(base64.b64decode(row[4]), "little")
        found.append((clock, Line(row[1], row[2], moment, items, row[5] == LogLine.Status.CHAINED)))
    return [line for _, line in sorted(found, key=lambda one: one[0])]
