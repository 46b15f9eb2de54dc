"""What a row tells of leaks: how a model does on private items that were shown before, beside those that were not."""

from typing import Literal

from evaluator.contract import Wire

Look = Literal["first", "part", "again", "unknown"]
"""How much of a run's items its provider was shown for the first time: all, some, none."""


class LeakContrast(Wire, frozen=True, kw_only=True):
    """Weights on blocks that endpoints may be shown less on blocks that never left, as fractions.

    ``interval`` is Miettinen and Nurminen's 95%, ``p`` one-sided and of this model alone; ``visible`` the smallest leak
    that would have been found four times in five, None where none would. No word of evidence depends on it.
    """

    exposed_right: int
    exposed_n: int
    local_right: int
    local_n: int
    difference: float
    interval: tuple[float, float]
    p: float
    visible: float | None


class ContactContrast(Wire, frozen=True, kw_only=True):
    """An endpoint on whole parts that its provider had been shown before less on whole parts at first contact.

    ``difference`` and what follows are as in :class:`LeakContrast`.
    """

    seen_right: int
    seen_n: int
    fresh_right: int
    fresh_n: int
    difference: float
    interval: tuple[float, float]
    p: float
    visible: float | None


class Contact(Wire, frozen=True, kw_only=True):
    """What the provider of an endpoint had been shown of a run's private items that count, by the evaluators' logs.

    ``before`` of them by other runs before this one's first line, from the day ``since`` on (an ISO date, empty for
    none); of ``fresh`` this run was the first to show them; both None where that is unknown. The rest another run
    showed in the meantime. Without a ``contrast`` there is nothing to compare: one side has no whole part.
    """

    look: Look
    before: int | None = None
    fresh: int | None = None
    since: str = ""
    contrast: ContactContrast | None = None
