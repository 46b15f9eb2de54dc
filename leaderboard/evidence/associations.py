"""Association of likelihood and gap, in plain sentences."""

from leaderboard.evidence.summaries import Correlation, Likelihood


def likelihood(found: Likelihood | None) -> str:
    """How strongly gap and likelihood go together, how fragile that is, and what is left of it."""
    if found is None:
        return ""
    sentences = [
        f"Spearman's correlation over {found.models} models is {with_interval(found.spearman)}, "
        f"Kendall's {with_interval(found.kendall)}.",
        f"With the printed gaps it is {correlation_text(found.printed.estimate, 3)}, {p_text(found.printed.p)}."
        if found.printed
        else "",
        "Drawing whole families, since models of one are not independent, its interval is "
        f"{correlation_text(found.over_families[0])} to {correlation_text(found.over_families[1])}."
        if found.over_families
        else "",
        _without_weak(found),
        f"With size and private score held fixed it is {with_interval(found.beside)}."
        if found.beside
        else "",
        "Leaving out one family moves it from "
        f"{correlation_text(found.lowest.estimate)} (without {found.lowest.family}) to "
        f"{correlation_text(found.highest.estimate)} (without {found.highest.family})."
        if found.lowest and found.highest
        else "",
        f"With the difference, public less private, in place of the likelihood it is {with_interval(found.contrast)}."
        if found.contrast
        else "",
    ]
    return " ".join(filter(None, sentences))


def _without_weak(found: Likelihood) -> str:
    """What is left where models at the floor are left out."""
    if found.strong is None:
        return ""
    printed = (
        f" ({correlation_text(found.strong_printed.estimate)} with the printed gaps)"
        if found.strong_printed
        else ""
    )
    rests = abs(found.strong.estimate) < abs(found.spearman.estimate) / 2
    return (
        f"Among the {found.strong.n} models that solve at least 20% of the public set it is "
        f"{correlation_text(found.strong.estimate)}"
        f"{printed}, {p_text(found.strong.p)}{': it rests on the models that solve less' if rests else ''}."
    )


def with_interval(one: Correlation) -> str:
    """Return a correlation with its interval and p."""
    low, high = one.interval
    between = f"{correlation_text(low)} to {correlation_text(high)}"
    return f"{correlation_text(one.estimate)} ({between}, {p_text(one.p)})"


def correlation_text(value: float, places: int = 2) -> str:
    """Return a correlation as text, with a true minus."""
    return f"{value:.{places}f}".replace("-", "−")


def p_text(value: float) -> str:
    """Return a p-value that does not break over two lines."""
    return ("p < .001" if value < 0.001 else f"p = {value:.3f}").replace(" ", "\N{NO-BREAK SPACE}")
