"""What a test could have seen: printed beside every word, so that silence is not taken for an acquittal."""

from math import ceil, sqrt

from scipy.optimize import brentq
from scipy.special import ndtri

from leaderboard.evidence.vocabulary import LEVELS

ALPHA = LEVELS.single
POWER = LEVELS.power


def visible(se: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """The true difference that a one-sided test at ``alpha`` finds with ``power``: ``(z₁₋α + z_power) · se``.

    ``se`` is that of the test used, unadjusted for how many tests there are. Raises ``ValueError`` if negative.
    """
    if se < 0:
        raise ValueError("a standard error is not negative")
    return float(ndtri(1 - alpha) + ndtri(power)) * se


def visible_raw_gap(
    p: float, n1: int, n2: int, alpha: float = ALPHA, power: float = POWER
) -> float:
    """The smallest raw gap that two independent sets of ``n1`` and ``n2`` items show, for a private share ``p``.

    Solves δ = z₁₋α √(p̄q̄(1/n1 + 1/n2)) + z_power √(p1q1/n1 + pq/n2) with p1 = p + δ: J. L. Fleiss, Statistical Methods
    for Rates and Proportions (1981), section 3.2. NaN where no possible gap is large enough.
    Raises ``ValueError`` unless 0 < p < 1 and both sets have items.
    """
    if not 0 < p < 1 or n1 <= 0 or n2 <= 0:
        raise ValueError("power needs 0 < p < 1 and items in both sets")
    z_alpha, z_power = float(ndtri(1 - alpha)), float(ndtri(power))

    def short(delta: float) -> float:
        first = p + delta
        pooled = (n1 * first + n2 * p) / (n1 + n2)
        null = sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
        return delta - z_alpha * null - z_power * sqrt(first * (1 - first) / n1 + p * (1 - p) / n2)

    return float(brentq(short, 0.0, 1 - p, xtol=1e-9)) if short(1 - p) > 0 else float("nan")


def visible_paired(discordant: float, n: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest difference of two models on the same ``n`` items of which a share ``discordant`` tells them apart.

    Solves δ = (z₁₋α √ψ + z_power √(ψ - δ²)) / √n: R. J. Connor, Biometrics 43 (1987) 207.
    Raises ``ValueError`` unless 0 < discordant <= 1 and n > 0; NaN where no possible difference is large enough.
    """
    if not 0 < discordant <= 1 or n <= 0:
        raise ValueError("power needs a share of discordant items between 0 and 1, and items")
    z_alpha, z_power = float(ndtri(1 - alpha)), float(ndtri(power))

    def short(delta: float) -> float:
        spread = z_alpha * sqrt(discordant) + z_power * sqrt(max(discordant - delta**2, 0.0))
        return delta - spread / sqrt(n)

    return float(brentq(short, 0.0, discordant)) if short(discordant) > 0 else float("nan")


def items_needed(
    delta: float,
    omega2: float,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
    within: tuple[float, float] = (0.0, 0.0),
    samples: tuple[float, float] = (float("inf"), float("inf")),
) -> int:
    """How many items a paired comparison needs to see ``delta``, two-sided at ``alpha``.

    ``n = (z_{α/2} + z_β)² (ω² + σ_A²/K_A + σ_B²/K_B) / δ²``, rounded up: E. Miller (2024), arXiv 2411.00640.
    ``omega2`` is the variance of the items' true differences, ``within`` each model's sampling variance per item,
    ``samples`` how many samples each draws. Raises ``ValueError`` unless delta and omega2 are positive.
    """
    if delta <= 0 or omega2 <= 0:
        raise ValueError("a sample size needs a positive difference and a positive variance")
    variance = omega2 + within[0] / samples[0] + within[1] / samples[1]
    return ceil(float(ndtri(1 - alpha / 2) + ndtri(power)) ** 2 * variance / delta**2)
