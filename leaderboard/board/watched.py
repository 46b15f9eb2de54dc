"""Watched endpoints as a model's page shows them: each time that they were asked, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.utils import timezone

from leaderboard.errors import explain_code
from leaderboard.evidence.formats import p_value, percent
from leaderboard.submissions.models import Change, Model, Occasion, Watch

_MISSED = {
    "cancelled": "A run of it was cancelled.",
    "watch_ended": "The watch was ended before it was over.",
}


@dataclass(frozen=True)
class WatchedOccasion:
    """One time at which an endpoint was asked; ``note`` states why there is no result.

    ``controls`` are the right answers to the control items before and after the run.
    """

    day: date
    note: str = ""
    controls: str = ""
    during: str = ""
    controls_since: str = ""
    public: str = ""
    public_since: str = ""

    @classmethod
    def of(cls, occasion: Occasion, *, first: Occasion | None) -> "WatchedOccasion":
        """Return the texts of an occasion; ``first`` is the watch's first with a result."""
        during = occasion.change("during")
        public = occasion.change("public")
        controls = occasion.change("controls")
        if during is None or public is None or controls is None:
            if occasion.state == "asking":
                return cls(occasion.day, note="It is being asked.")
            problem = explain_code(occasion.code)
            reason = _MISSED.get(occasion.code) or (problem["message"] if problem else "")
            return cls(occasion.day, note=f"Missed. {reason}")
        is_first = occasion == first
        return cls(
            occasion.day,
            controls=f"{during.before} and {during.right} of {during.n}",
            during=_in_words(during),
            controls_since="first time" if is_first else _in_words(controls),
            public=f"{percent(public.right / public.n)}% of {public.n:,}",
            public_since="first time" if is_first else _in_words(public),
        )


@dataclass(frozen=True)
class Watched:
    """Watch of a model's endpoint on one benchmark. ``next_day`` is None where none follows."""

    watch: Watch
    next_day: date | None
    occasions: tuple[WatchedOccasion, ...]


def watched(model: Model) -> Iterator[Watched]:
    """Yield the watches of a model, with what was found, the newest first."""
    today = timezone.now().date()
    for watch in Watch.objects.with_facts().filter(model=model).order_by("-pk"):
        occasions = []
        for occasion in reversed(watch.occasions.all()):
            occasions.append(WatchedOccasion.of(occasion, first=watch.first_result()))
        yield Watched(watch, watch.next_after(today), tuple(occasions))


def _in_words(change: Change) -> str:
    """Return the items that changed and the p-value of so unequal a change."""
    if not change.gained and not change.lost:
        return "same answers right"
    return f"{change.lost} lost, {change.gained} gained ({p_value(change.p)})"
