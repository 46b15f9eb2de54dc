"""Explanations of the verdict and the contrasts of one row, with the row's own numbers."""

from leaderboard.evidence.formats import (
    chance_count,
    of_many,
    p_value,
    percent,
    points,
    span,
)
from leaderboard.evidence.leaks import (
    LeakContrast,
    PriorExposure,
    PriorExposureContrast,
    StagedContrast,
)
from leaderboard.evidence.models import AdaptivePart, Judged
from leaderboard.evidence.summaries import DecidedBy, LaterTries, ReplacedRun
from leaderboard.evidence.vocabulary import FLAGGED, LEVELS, Evidence, Levels
from leaderboard.submissions.states import LATER_TRY_DAYS


def evidence(
    judged: Judged | None,
    gap: float,
    interval: tuple[float, float],
) -> str:
    """Return the reason for a row's evidence level, and its certainty.

    ``gap`` is the raw one and ``interval`` its own.
    """
    if judged is None:
        return "Not decided yet: evidence is decided when the board is closed."
    if judged.first:
        own = "It is a later try."
        if judged.p is not None:
            p = p_value(judged.p)
            own = f"{_comparison(judged, gap)} But it is a later try ({p} by itself)."
        level = judged.first.evidence.label
        if judged.first.evidence in FLAGGED:
            return (
                f"{own} Its level is that of the first run of the same name, weights or endpoint:"
                f" “{level}”."
            )
        return (
            f"{own} The first run of the same name, weights or endpoint got “{level}”, and no"
            " later run gets “watch” or “overfit”."
        )
    if judged.p is None:
        reason = (
            "Too few reference models are like it, and the sets may differ in difficulty: its gap"
            " is no evidence either way."
        )
        if judged.cut:
            reason = (
                "Too many of its answers on one of the sets were truncated: its score with the"
                " whole answers is not known."
            )
        elif judged.untested == "outside_panel":
            reason = (
                "It is stronger or weaker than all reference models, so nothing shows which gap to"
                " expect of it: its gap is no evidence either way."
            )
        return reason
    comparison = _comparison(judged, gap)
    if judged.is_corrected:
        return f"{comparison} {_corrected_certainty(judged)}"
    return f"{comparison} {_certainty(judged, interval)}"


def part_asked(part: AdaptivePart) -> str:
    """Return the part of the sealed items that an adaptive run was asked, as a sentence."""
    return (
        f"It was asked {part.asked:,} of {part.planned:,} sealed items, those that tell most about"
        " it; references were compared over as many of theirs."
    )


def _comparison(judged: Judged, raw_gap: float) -> str:
    if judged.basis == "panel" and judged.adjusted:
        gap = judged.adjusted.gap
        than = "than reference models of the same private score lead to expect"
    else:
        gap = raw_gap
        than = "than on the sealed set, which is equally hard by construction"
    side = "higher" if gap >= 0 else "lower"
    return f"It scores {percent(abs(gap))} pp {side} on the public set {than}."


def _certainty(judged: Judged, interval: tuple[float, float]) -> str:
    levels = judged.levels
    if judged.evidence == Evidence.OVERFIT:
        return (
            f"That is evidence of overfitting to the public set, whatever the cause"
            f" ({p_value(judged.p or 0)}): {of_many(levels.overfit)} this level."
        )
    if judged.evidence == Evidence.WATCH:
        return (
            f"That is weaker evidence of overfitting ({p_value(judged.p or 0)}):"
            f" {of_many(levels.watch)} this level or “overfit”."
        )
    bound = _upper_bound(judged, interval)
    visible = f"{percent(judged.visible or 0)} pp"
    cases = f"in {100 * levels.power:g}% of cases"
    if judged.evidence == Evidence.NO_EVIDENCE:
        strong = f"one of {percent(judged.visible_overfit or 0)} pp “overfit”"
        return (
            f"Its true gap is {bound}. A true gap of {visible} would be called “watch” or"
            f" “overfit” {cases}, {strong}."
        )
    return (
        f"The test is weak here: it would call a true gap “watch” or “overfit” {cases} only if the"
        f" gap were {visible} or more. Its true gap is {bound}."
    )


def _upper_bound(judged: Judged, interval: tuple[float, float]) -> str:
    """Return the upper end of the interval of the gap that was tested."""
    _, high = judged.gap_interval or interval
    return f"at most {points(min(high, 1.0))} pp (95%)"


def _corrected_certainty(judged: Judged) -> str:
    """Return the certainty of a level that was decided by corrected p-values."""
    levels = judged.levels
    name = f" ({judged.method})" if judged.method else ""
    method = (
        f"It was decided by an earlier method{name},"
        " which corrected p-values for the number of models in a close"
    )
    if judged.evidence == Evidence.OVERFIT:
        return (
            f"{method}: evidence of overfitting to the public set, whatever the cause. If no model"
            " of its close were overfitted, the close would have any such level in at most"
            f" {100 * levels.overfit:g}% of cases."
        )
    if judged.evidence == Evidence.WATCH:
        return f"{method}: weaker evidence of overfitting (corrected p ≤ {levels.watch:g})."
    return (
        f"{method}: after that it was no evidence. Before that correction a true gap of"
        f" {percent(judged.visible or 0)} pp would be found in {100 * levels.power:g}% of cases"
        f" (p ≤ {levels.single:g})."
    )


def definitions(levels: Levels) -> tuple[tuple[Evidence, str], ...]:
    """Return the meaning of each evidence level by these thresholds."""
    power = f"{100 * levels.power:g}%"
    truncated = f"more than {100 * levels.truncated:g}% of the answers on a set were truncated"
    if levels.correction == "cohort":
        overfit = (
            "The p-value, corrected for the number of models in the close (Holm), is at most"
            f" {levels.overfit:g}. If no model of a close were overfitted, the close would have any"
            f" such level in at most {100 * levels.overfit:g}% of cases."
        )
        watch = (
            "Weaker evidence: the p-value, corrected less strictly (Benjamini and Hochberg), is at"
            f" most {levels.watch:g}."
        )
        weak_at = f"p ≤ {levels.single:g} before any correction"
        chance_alone = "After the correction the gap is no evidence."
    else:
        overfit = (
            "Evidence of overfitting to the public set, whatever the cause: the p-value is at most"
            f" {levels.overfit:g}. So {of_many(levels.overfit)} this level, however many models"
            " are submitted."
        )
        watch = (
            f"Weaker evidence: the p-value is at most {levels.watch:g}. So"
            f" {of_many(levels.watch)} this level or “overfit”."
        )
        weak_at = "as “watch” or “overfit”"
        chance_alone = f"The p-value is above {levels.watch:g}: chance alone may have made the gap."
    return (
        (Evidence.OVERFIT, overfit),
        (Evidence.WATCH, watch),
        (
            Evidence.CANNOT_TELL,
            f"The test is too weak: it would find a true gap of {100 * levels.visible_gap:g} pp"
            f" ({weak_at}) in fewer than {power} of cases. Or too few models are like it to compare"
            f" with. Or {truncated}.",
        ),
        (
            Evidence.NO_EVIDENCE,
            f"{chance_alone} The model can still be overfitted: “at most” is the upper end of the"
            " gap's 95% interval.",
        ),
        (
            Evidence.PENDING,
            "The board has changed to another grader and has not been closed since.",
        ),
    )


def chance(decided: DecidedBy) -> str:
    """Return how many levels of a ranking chance gives at most."""
    levels = decided.levels
    if levels.correction == "cohort" or not decided.tested:
        return ""
    if decided.tested == 1:
        return (
            "If the one tested model is not overfitted, chance calls it “overfit” with a"
            f" probability of at most {levels.overfit:g}, and “watch” or “overfit” with at most"
            f" {levels.watch:g}."
        )
    n = f"{decided.tested:,}"
    return (
        f"If none of the {n} tested models were overfitted, chance would on average call at most"
        f" {chance_count(decided.tested, levels.overfit)} of them “overfit”"
        f" ({n} × {levels.overfit:g}) and"
        f" {chance_count(decided.tested, levels.watch)} “watch” or “overfit”"
        f" ({n} × {levels.watch:g})."
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


def tries(
    complete: int,
    later: LaterTries | None,
    replaced: ReplacedRun | None,
) -> str:
    """Return which of a model's ``complete`` runs ranks, in words; '' for its only one."""
    if complete < 2:
        return ""
    lead = f"The first of {complete:,} complete runs."
    if replaced:
        lead = (
            f"One of {complete:,} complete runs. It was submitted {LATER_TRY_DAYS} days or more"
            f" after the run that ended on {replaced.ended}, which ranked before it with"
            f" {percent(replaced.accuracy)}%."
        )
    if later is None:
        return lead
    low = percent(later.lowest)
    high = percent(later.highest)
    if later.count == 1:
        return f"{lead} A later one scored {low}% and does not rank."
    scores = f"{low}%" if low == high else f"{low} to {high}%"
    return f"{lead} {later.count:,} later ones scored {scores} and do not rank."


def prior_exposure(
    exposure: PriorExposure | None,
    n: int,
    levels: Levels = LEVELS,
) -> str:
    """Return which items an endpoint's provider had been shown before; '' for weights.

    ``n`` is the number of items of the row's own run.
    """
    if exposure is None:
        return ""
    if exposure.run:
        return f"At its newest run. {_extent(exposure, exposure.items, levels)}"
    return _extent(exposure, n, levels)


def lineage_runs(count: int, organisation: str, family: str) -> str:
    """Return how often the organisation had other models of a lineage asked; '' for never."""
    if not count:
        return ""
    runs = "1 decided run" if count == 1 else f"{count:,} decided runs"
    return (
        f"{organisation} had {runs} of other models of the lineage {family} within"
        f" {LATER_TRY_DAYS} days of this one. Each model has a row of its own."
    )


def _extent(exposure: PriorExposure, n: int, levels: Levels) -> str:
    if exposure.extent == "unknown":
        return (
            "Not known: the published logs do not state yet when the provider was shown each of"
            " these items."
        )
    if exposure.extent == "first":
        return (
            f"None: its provider had been shown none of these {n:,} items before, so there is"
            " nothing to compare."
        )
    if exposure.extent == "again":
        return (
            f"All: its provider had been shown each of these {n:,} items before, the first on"
            f" {exposure.since}, so there are no new ones to compare with."
            + _staged(exposure.staged, levels)
        )
    staged = _staged(exposure.staged, levels)
    since = f", the first on {exposure.since}" if exposure.since else ""
    contrast = exposure.contrast
    if contrast is None:
        return (
            f"In part. Of these {n:,} items its provider had been shown {exposure.before:,}"
            f" before{since}; it was shown {exposure.fresh:,} here for the first time. One side is"
            f" too small to compare: it has no whole part of the set.{staged}"
        )
    seen = contrast.seen_right / contrast.seen_n
    fresh = contrast.fresh_right / contrast.fresh_n
    remaining = ""
    rest = n - contrast.seen_n - contrast.fresh_n
    if rest:
        remaining = (
            f" The other {rest:,} are of parts that had been shown in part; they count on neither"
            " side."
        )
    return (
        f"In part. {percent(seen)}% of the {contrast.seen_n:,} items that its provider had been"
        f" shown before{since}; {percent(fresh)}% of the {contrast.fresh_n:,} that it had not:"
        f" {_contrast(contrast, levels, tested=not exposure.staged)}{remaining}{staged}"
    )


def _staged(one: StagedContrast | None, levels: Levels) -> str:
    """Return the test over all runs of an endpoint; '' where there is none."""
    if one is None:
        return ""
    runs = "this run" if one.runs == 1 else f"its {one.runs} runs"
    low, high = (percent(max(0.0, end)) for end in one.interval)
    corrected = f", corrected for {one.comparisons} comparisons" if one.comparisons > 1 else ""
    models = f"{100 * levels.single:g}% of models ({p_value(one.p)}{corrected})"
    more = f"more than chance gives {models}"
    less = f"as much as chance gives more than {models}"
    chance = more if one.p <= levels.single else less
    visible = f"A share of {percent(one.visible)}%" if one.visible else "No share"
    return (
        f" Over {runs} it answers as if it had memorised {percent(max(0.0, one.share))}% (95% {low}"
        f" to {high}) of the items shown before that it would have had wrong: {chance}. {visible}"
        f" would be found in {100 * levels.power:g}% of cases."
    )


def _contrast(
    one: LeakContrast | PriorExposureContrast, levels: Levels, *, tested: bool = True
) -> str:
    if not tested:
        return f"{points(one.difference)} pp (95% {span(one.interval)})."
    models = f"{100 * levels.single:g}% of models ({p_value(one.p)})"
    more = f"more than chance gives {models}"
    chance = more if one.p <= levels.single else f"as much as chance gives more than {models}"
    seen = f"A leak of {percent(one.visible)} pp" if one.visible else "No possible leak"
    difference = f"{points(one.difference)} pp (95% {span(one.interval)})"
    return f"{difference}, {chance}. {seen} would be found in {100 * levels.power:g}% of cases."


def grounds(
    judged: Judged | None,
    interval: tuple[float, float],
    public: tuple[int, int],
    private: tuple[int, int],
) -> str:
    """Return the number behind an evidence level in a few words.

    ``interval`` is that of the raw gap; ``public`` and ``private`` are (truncated answers, items).
    """
    if judged is None:
        return "by this grader at the next close"
    if judged.first:
        own = f", {p_value(judged.p)}" if judged.p is not None else ""
        return f"later try{own}; first run: {judged.first.evidence.label}"
    if judged.cut:
        truncated = max(count / n for count, n in (public, private))
        return f"{percent(truncated)}% truncated"
    if judged.p is not None:
        number = _number(judged, interval)
        if judged.fewest == 0:
            number = f"{number}, another level by counts alone"
        elif judged.fewest is not None:
            plural = "" if judged.fewest == 1 else "s"
            number = f"{number}, changes with {judged.fewest} reference{plural}"
        return number
    if judged.untested == "outside_panel":
        return "beyond the references"
    return "nothing to compare with" if judged.basis == "none" else "too few references like it"


def _number(judged: Judged, interval: tuple[float, float]) -> str:
    """Return the number behind the level of a first run."""
    if judged.is_corrected and judged.evidence == Evidence.OVERFIT:
        return f"Holm {p_value(judged.holm or 0)}"
    if judged.is_corrected and judged.evidence == Evidence.WATCH:
        return f"BH {p_value(judged.benjamini_hochberg or 0)}"
    if judged.evidence in FLAGGED:
        return p_value(judged.p or 0)
    if judged.evidence == Evidence.NO_EVIDENCE:
        return _upper_bound(judged, interval)
    return f"visible from {percent(judged.visible or 0)} pp"
