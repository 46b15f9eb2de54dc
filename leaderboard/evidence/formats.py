"""Numbers as text: shares, gaps, intervals, sizes and p-values."""

from math import ceil

from leaderboard.evidence.vocabulary import LEVELS

SIZE_UNITS = (
    (1e12, "T"),
    (1e9, "B"),
    (1e6, "M"),
    (1e3, "k"),
)
"""Units of sizes, each with its letter, the largest first."""


def percent(share: float) -> str:
    """Return a fraction as a percentage with one decimal: 0.8291 is ``82.9``."""
    return f"{100 * share:.1f}"


def points(gap: float) -> str:
    """Return a gap in percentage points, signed, with a true minus: -0.038 is ``−3.8``."""
    text = f"{100 * gap:+.1f}"
    if text in ("+0.0", "-0.0"):
        return "0.0"
    return f"−{text[1:]}" if gap < 0 else text


def span(interval: tuple[float, float]) -> str:
    """Return an interval of gaps in percentage points, cut at -100 and 100."""
    low, high = interval
    return f"{points(max(low, -1.0))} to {points(min(high, 1.0))}"


def size(parameters: float) -> str:
    """Return a number of parameters in three digits: 434000 is ``434k``."""
    for unit, letter in SIZE_UNITS:
        # 999.5 of a unit and more would round to 1000.
        if parameters >= 0.9995 * unit:
            return f"{parameters / unit:.3g}{letter}"
    return f"{parameters:.3g}"


def p_value(p: float) -> str:
    """Return a p-value as text, as shown next to an evidence level.

    One that is above a level never looks as if it were not: .00104 is ``p = 0.0011``.
    """
    if p < 0.001:
        return "p < .001"
    rounded = round(p, 3)
    levels = (LEVELS.overfit, LEVELS.watch, LEVELS.single)
    if any(rounded <= level < p for level in levels):
        rounded_up = ceil(p * 10_000) / 10_000
        return f"p = {rounded_up:.4f}"
    return f"p = {rounded:.3f}"


def chance_count(tested: int, level: float) -> str:
    """Return how many of ``tested`` models pass ``level`` by chance, on average and at most."""
    expected = tested * level
    return f"{expected:,.0f}" if expected >= 10 else f"{expected:.2g}"


def of_many(level: float) -> str:
    """Return a level as a share of models: .001 is ``of 1,000 models … about one gets``.

    The dots stand for "that are not overfitted to the public set".
    """
    base = 1_000
    while base * level < 1 and base < 1_000_000:
        base *= 10
    number = f"{base * level:g}"
    gets = "one gets" if number == "1" else f"{number} get"
    return f"of {base:,} models that are not overfitted to the public set, about {gets}"


REPRODUCED = {
    True: "the same to the last bit",
    False: "DIFFERS from what it was made of",
    None: "made of other inputs, or by another method",
}
"""Result of computing a snapshot once more, as text."""
