"""What one row says, in plain sentences; every number in them is the row's own."""

from leaderboard.evidence.formats import p_value, percent, points, span
from leaderboard.evidence.leaks import Contact, ContactContrast, LeakContrast
from leaderboard.evidence.models import Judged

ALONE = 0.05


def evidence(judged: Judged | None, gap: float) -> str:
    """Why the row has its word, and how sure that is."""
    if judged is None:
        return "Nothing is decided about these outcomes: words are decided when maintainers close the board."
    if judged.cut:
        return "Too many of its answers on one of the sets were cut off: what it would have scored is not known."
    if judged.holm is None:
        return "Few reference models are like it, and the sets may differ in how hard they are: its gap tells nothing."
    return f"{_compared(judged, gap)}{_sure(judged)}"


def _compared(judged: Judged, raw_gap: float) -> str:
    if judged.basis == "panel" and judged.adjusted:
        gap, than = (
            judged.adjusted.gap,
            "than reference models of the same private score lead to expect",
        )
    else:
        gap, than = raw_gap, "than on the sealed set, which is as hard by the way both were made"
    side = "higher" if gap >= 0 else "lower"
    return f"It scores {percent(abs(gap))} pp {side} on the public set {than}. "


def _sure(judged: Judged) -> str:
    seen = f"{percent(judged.visible or 0)} pp"
    said = {
        "overfit": "That is more than chance, and evidence that it is fitted to the public set, whatever the cause:"
        " were none of the models decided with it, even one such word would come about once in twenty at most.",
        "watch": "That is more than chance often gives: of all models with this word or “overfit” about one in ten may "
        "have it by chance.",
        "no_evidence": f"That is no more than chance. A gap of {seen} would have been found four times in five; a "
        "smaller one may be there.",
        "cannot_tell": f"That is no more than chance, and the test is weak here: only a gap of {seen} or more would"
        " have been found four times in five.",
    }
    return said[judged.word]


def leak(one: LeakContrast) -> str:
    """Whether weights do better on what endpoints may have been shown, how sure that is, what would have been seen."""
    exposed, local = one.exposed_right / one.exposed_n, one.local_right / one.local_n
    return (
        f"{percent(exposed)}% of the {one.exposed_n:,} items that endpoints may have been shown, {percent(local)}% of"
        f" the {one.local_n:,} that never left: {_contrast(one)}"
    )


def contact(one: Contact | None, n: int) -> str:
    """What an endpoint's provider had been shown before, and whether it does better on that; empty of weights."""
    if one is None:
        return ""
    if one.look == "unknown":
        return "Not known: the published logs do not say yet of each of these items when the provider was shown it."
    if one.look == "first":
        return f"Yes: its provider had been shown none of these {n:,} items before, so there is nothing to compare."
    if one.look == "again":
        return (
            f"No: its provider had been shown each of these {n:,} items before, the first on {one.since}, and there are"
            " none at first contact to compare with."
        )
    return f"In part. {_part(one, n)}"


def _part(one: Contact, n: int) -> str:
    since = f", the first on {one.since}" if one.since else ""
    if one.contrast is None:
        return (
            f"Of these {n:,} items its provider had been shown {one.before:,} before{since}; {one.fresh:,} it was shown"
            " here for the first time. One side is too small to compare: it has no whole part of the set."
        )
    seen, fresh = (
        one.contrast.seen_right / one.contrast.seen_n,
        one.contrast.fresh_right / one.contrast.fresh_n,
    )
    aside = n - one.contrast.seen_n - one.contrast.fresh_n
    left = f" The other {aside:,} are of parts that had been shown incompletely, and count on neither side."
    return (
        f"{percent(seen)}% of the {one.contrast.seen_n:,} items that its provider had been shown before{since};"
        f" {percent(fresh)}% of the {one.contrast.fresh_n:,} that it had not: {_contrast(one.contrast)}"
        f"{left if aside else ''}"
    )


def _contrast(one: LeakContrast | ContactContrast) -> str:
    alone = f"more than chance would give one model in twenty ({p_value(one.p)})"
    chance = alone if one.p <= ALONE else "no more than chance"
    seen = f"A leak of {percent(one.visible)} pp" if one.visible else "No leak that is possible"
    difference = f"{points(one.difference)} pp (95% {span(one.interval)})"
    return f"{difference}, {chance}. {seen} would have been found four times in five."
