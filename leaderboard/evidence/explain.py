"""Explanations of the verdict and the contrasts of one row, with the row's own numbers."""

from leaderboard.evidence.formats import p_value, percent, points, span
from leaderboard.evidence.leaks import LeakContrast, PriorExposure, PriorExposureContrast
from leaderboard.evidence.models import Judged
from leaderboard.evidence.vocabulary import LEVELS, Evidence, Levels


def evidence(judged: Judged | None, gap: float) -> str:
    """Return the reason for a row's evidence level, and its certainty. ``gap`` is the raw one."""
    if judged is None:
        return "Not decided yet: evidence is decided when maintainers close the board."
    if judged.cut:
        return (
            "Too many of its answers on one of the sets were truncated: its score with the whole"
            " answers is not known."
        )
    if judged.holm is None:
        return (
            "Too few reference models are like it, and the sets may differ in difficulty: its gap"
            " is no evidence either way."
        )
    return f"{_comparison(judged, gap)} {_certainty(judged)}"


def _comparison(judged: Judged, raw_gap: float) -> str:
    if judged.basis == "panel" and judged.adjusted:
        gap = judged.adjusted.gap
        than = "than reference models of the same private score lead to expect"
    else:
        gap = raw_gap
        than = "than on the sealed set, which is equally hard by construction"
    side = "higher" if gap >= 0 else "lower"
    return f"It scores {percent(abs(gap))} pp {side} on the public set {than}."


def _certainty(judged: Judged) -> str:
    levels = judged.levels
    seen = f"{percent(judged.visible or 0)} pp"
    power = f"{100 * levels.power:g}%"
    if judged.word == Evidence.OVERFIT:
        return (
            "That is more than chance: evidence of overfitting to the public set, whatever the"
            " cause. If no model of its cohort were overfitted, a cohort would have any such"
            f" verdict in at most {100 * levels.overfit:g}% of cases."
        )
    if judged.word == Evidence.WATCH:
        return (
            "That is more than chance often gives: of all models with this level or “overfit”"
            f" about {100 * levels.watch:g}% may have it by chance."
        )
    if judged.word == Evidence.NO_EVIDENCE:
        return (
            f"That is no more than chance. A gap of {seen} would be found in {power} of cases; a"
            " smaller one may be there."
        )
    return (
        "That is no more than chance, and the test is weak here: only a gap of"
        f" {seen} or more would be found in {power} of cases."
    )


def leak(contrast: LeakContrast, levels: Levels = LEVELS) -> str:
    """Return the score of weights on items that endpoints had been shown, against local ones."""
    exposed = contrast.exposed_right / contrast.exposed_n
    local = contrast.local_right / contrast.local_n
    return (
        f"{percent(exposed)}% of the {contrast.exposed_n:,} items that endpoints had been"
        f" shown, {percent(local)}% of the {contrast.local_n:,} that never left:"
        f" {_contrast(contrast, levels)}"
    )


def prior_exposure(exposure: PriorExposure | None, n: int, levels: Levels = LEVELS) -> str:
    """Return which of ``n`` items an endpoint's provider had been shown before; '' for weights."""
    if exposure is None:
        return ""
    if exposure.look == "unknown":
        return (
            "Not known: the published logs do not state yet when the provider was shown each of"
            " these items."
        )
    if exposure.look == "first":
        return (
            f"Yes: its provider had been shown none of these {n:,} items before, so there is"
            " nothing to compare."
        )
    if exposure.look == "again":
        return (
            f"No: its provider had been shown each of these {n:,} items before, the first on"
            f" {exposure.since}, so there are no new ones to compare with."
        )
    return f"In part. {_part(exposure, n, levels)}"


def _part(exposure: PriorExposure, n: int, levels: Levels) -> str:
    since = f", the first on {exposure.since}" if exposure.since else ""
    contrast = exposure.contrast
    if contrast is None:
        return (
            f"Of these {n:,} items its provider had been shown {exposure.before:,} before{since};"
            f" it was shown {exposure.fresh:,} here for the first time. One side is too small to"
            " compare: it has no whole part of the set."
        )
    seen = contrast.seen_right / contrast.seen_n
    fresh = contrast.fresh_right / contrast.fresh_n
    remaining = ""
    if rest := n - contrast.seen_n - contrast.fresh_n:
        remaining = (
            f" The other {rest:,} are of parts that had been shown in part; they count on neither"
            " side."
        )
    return (
        f"{percent(seen)}% of the {contrast.seen_n:,} items that its provider had been shown"
        f" before{since}; {percent(fresh)}% of the {contrast.fresh_n:,} that it had not:"
        f" {_contrast(contrast, levels)}{remaining}"
    )


def _contrast(one: LeakContrast | PriorExposureContrast, levels: Levels) -> str:
    more = f"more than chance gives {100 * levels.single:g}% of models ({p_value(one.p)})"
    chance = more if one.p <= levels.single else "no more than chance"
    seen = f"A leak of {percent(one.visible)} pp" if one.visible else "No possible leak"
    difference = f"{points(one.difference)} pp (95% {span(one.interval)})"
    return f"{difference}, {chance}. {seen} would be found in {100 * levels.power:g}% of cases."


def grounds(judged: Judged | None, public: tuple[int, int], private: tuple[int, int]) -> str:
    """Return the number behind an evidence level in a few words.

    ``public`` and ``private`` are (truncated answers, items).
    """
    if judged is None:
        return "by this grader at the next close"
    if judged.cut:
        truncated = max(count / n for count, n in (public, private))
        return f"{percent(truncated)}% truncated"
    if judged.holm is None or judged.benjamini_hochberg is None:
        return "nothing to compare with" if judged.basis == "none" else "too few references like it"
    if judged.word == Evidence.OVERFIT:
        found = f"Holm {p_value(judged.holm)}"
    elif judged.word == Evidence.WATCH:
        found = f"BH {p_value(judged.benjamini_hochberg)}"
    else:
        found = f"visible from {percent(judged.visible or 0)} pp"
    return f"{found}{_fragility(judged.fewest)}"


def _fragility(fewest: int | None) -> str:
    if not fewest:
        return ""
    return f", turns with {fewest} reference{'' if fewest == 1 else 's'}"
