"""Association of likelihood and gap as text."""

from leaderboard.evidence.summaries import Correlation, Likelihood


def likelihood(association: Likelihood | None) -> str:
    """Return the strength of the association, its fragility, and what is left of it; '' for none.

    Figures that could not be computed are left out.
    """
    if association is None:
        return ""
    statements = [
        f"Spearman's correlation over {association.models} models is"
        f" {with_interval(association.spearman)}, Kendall's {with_interval(association.kendall)}."
    ]
    if association.reported:
        estimate = correlation_text(association.reported.estimate, 3)
        p = p_text(association.reported.p)
        statements.append(f"With the reported gaps it is {estimate}, {p}.")
    if association.over_families:
        low, high = association.over_families
        statements.append(
            "Drawing whole families, since models of one are not independent, its interval is"
            f" {correlation_text(low)} to {correlation_text(high)}."
        )
    if association.strong:
        strong = association.strong
        reported = ""
        if association.strong_reported:
            estimate = correlation_text(association.strong_reported.estimate)
            reported = f" ({estimate} with the reported gaps)"
        consequence = ""
        if abs(strong.estimate) < abs(association.spearman.estimate) / 2:
            consequence = ": it rests on the models that solve less"
        statements.append(
            f"Among the {strong.n} models that solve at least 20% of the public set it is"
            f" {correlation_text(strong.estimate)}{reported}, {p_text(strong.p)}{consequence}."
        )
    if association.partial:
        fixed = with_interval(association.partial)
        statements.append(f"With size and private score held fixed it is {fixed}.")
    if association.lowest and association.highest:
        lowest = association.lowest
        highest = association.highest
        statements.append(
            f"Leaving out one family moves it from {correlation_text(lowest.estimate)}"
            f" (without {lowest.family}) to {correlation_text(highest.estimate)}"
            f" (without {highest.family})."
        )
    if association.contrast:
        statements.append(
            "With the difference, public less private, in place of the likelihood it is"
            f" {with_interval(association.contrast)}."
        )
    return " ".join(statements)


def with_interval(correlation: Correlation) -> str:
    """Return a correlation with its interval and p-value."""
    low, high = correlation.interval
    interval = f"{correlation_text(low)} to {correlation_text(high)}"
    return f"{correlation_text(correlation.estimate)} ({interval}, {p_text(correlation.p)})"


def correlation_text(value: float, places: int = 2) -> str:
    """Return a correlation as text, with a true minus."""
    return f"{value:.{places}f}".replace("-", "−")


def p_text(value: float) -> str:
    """Return a p-value that does not break over two lines."""
    text = "p < .001" if value < 0.001 else f"p = {value:.3f}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")
