"""What a table of counts allows where nobody has the answers item by item: ranks, a panel of peers, shared errors.

Without the items the errors that models share, because they answered the same questions, cannot be known. Each function
says which way it errs for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from leaderboard.evidence.statistics.adjusted import AdjustedGap, gaps_against
from leaderboard.evidence.statistics.intervals import LEVEL, critical_value
from leaderboard.evidence.statistics.logits import Floats, Sides, logits
from leaderboard.evidence.statistics.multiplicity import holm
from leaderboard.evidence.statistics.panel import FEWEST_REFERENCES, Panel, fit_panel
from leaderboard.evidence.statistics.ranksets import RankSet, sets_from

LOWEST, HIGHEST = 0.03, 0.98
"""Outside these private shares a model is no reference and is not tested against any: there is too little to see."""


@dataclass(frozen=True)
class Peers:
    """A panel of the table's own rows, by their places, and each row's gap against it, its own family left out.

    ``used`` and ``put_aside`` are of the whole panel. ``gaps`` is ``None`` for rows that cannot be tested, ``sizes``
    says how many references each row was compared with. Without eight references there is no panel and no gap.
    """

    panel: Panel | None
    used: tuple[int, ...]
    put_aside: tuple[int, ...]
    gaps: tuple[AdjustedGap | None, ...]
    sizes: tuple[int, ...]


def rank_ranges(shares: Sequence[tuple[int, int]], level: float = LEVEL) -> list[RankSet]:
    """The ranks that each of m shares, (right, n), may have, highest first; all hold at once with ``level``.

    Every pair is tested by the pooled score statistic as two independent shares and all pairs are adjusted by Holm.
    Models that answer the same items err together, so their true difference is known better: the ranges are cautious.
    Raises ``ValueError`` unless each n is positive.
    """
    table = np.array(shares, dtype=float).reshape(-1, 2)
    right, n = table[:, 0], table[:, 1]
    if np.any(n <= 0) or np.any(right < 0) or np.any(right > n):
        raise ValueError("a share needs 0 <= k <= n and n > 0")
    critical_value(level)
    above = right / n - (right / n)[:, None]
    total = n + n[:, None]
    pooled = (right + right[:, None]) / total
    variance = pooled * (1 - pooled) * (1 / n + 1 / n[:, None]) * total / (total - 1)
    z = np.divide(above, np.sqrt(variance), out=np.zeros_like(above), where=variance > 0)
    upper = np.triu_indices(len(table), 1)
    told = np.zeros(z.shape, dtype=bool)
    told[upper] = holm(2 * ndtr(-np.abs(z[upper]))) <= 1 - level
    told |= told.T
    # z[i, j] > 0 says that j stands above i.
    return sets_from(told & (z < 0))


def peers(models: Sequence[Sides], families: Sequence[str], known: Sequence[int] = ()) -> Peers:
    """Compare each model of a table with a panel of the others.

    The panel are the ``known`` references where there are eight of them, else every row with a private share between
    3% and 98%; the robust fit puts aside those that look contaminated. A row is compared with other families only.

    No row is chosen for a small gap of its own, because that makes gaps of the rest. In 40 simulated tables without
    overfitting (63 models that differ by .08 logit, one set 5 pp harder) a panel of the rows with p > .2 had a model
    called overfit in 18, this one in none; where 16 models gained .35 logit, 49% of them were called so, and 79% at
    least ``watch``. If flagged rows then leave with their families, fewer are found (20% and 71%).
    A panel that is mostly contaminated hides gaps.
    """
    places = [
        i for i, one in enumerate(models) if LOWEST <= one.private_right / one.private_n <= HIGHEST
    ]
    inside = set(places)
    if len(known) >= FEWEST_REFERENCES:
        places = [i for i in known if i in inside]
    gaps, sizes = _against(models, families, places, inside)
    if len(places) < FEWEST_REFERENCES:
        return Peers(None, (), (), gaps, sizes)
    panel = fit_panel([models[i] for i in places])
    used, aside = (tuple(places[i] for i in some) for some in (panel.used, panel.put_aside))
    return Peers(panel, used, aside, gaps, sizes)


def _against(
    models: Sequence[Sides], families: Sequence[str], places: Sequence[int], inside: set[int]
) -> tuple[tuple[AdjustedGap | None, ...], tuple[int, ...]]:
    """Each row's gap against the references of other families, and how many they were."""
    gaps: list[AdjustedGap | None] = [None] * len(models)
    sizes = [0] * len(models)
    for family in dict.fromkeys(families):
        members = [i for i, own in enumerate(families) if own == family and i in inside]
        panel = without_family(models, places, families, family)
        if panel is None or len(panel.used) < FEWEST_REFERENCES:
            continue
        for i, gap in zip(members, gaps_against(panel, [models[i] for i in members]), strict=True):
            gaps[i], sizes[i] = gap, len(panel.used)
    return tuple(gaps), tuple(sizes)


def gap_covariance(members: Sequence[Sides]) -> Floats:
    """The sampling covariance (k, k) of raw gaps, for ``family_gap``, as if each model had items of its own.

    Members err together where they answered the same items, so a family's true interval is wider.
    """
    public, private = _variances(members)
    return np.diag(public + private)


def peer_covariance(panel: Panel, members: Sequence[Sides]) -> Floats:
    """As :func:`gap_covariance` for gaps against ``panel``: what the members share of its curve is in it."""
    x = logits(members).x
    q, p = expit(panel.expected(x)), expit(x)
    public, private = _variances(members)
    moved = q * (1 - q) * panel.slope(x) / (p * (1 - p))
    pull = panel.design(x) * (q * (1 - q))[:, None]
    return np.asarray(
        np.diag(public + private * moved**2) + pull @ panel.covariance @ pull.T, dtype=float
    )


def _variances(members: Sequence[Sides]) -> tuple[Floats, Floats]:
    """p(1-p)/n of either set, from (k + ½)/(n + 1), which is never nothing."""
    table = np.array(members, dtype=float).reshape(-1, 4)
    shares = (table[:, [0, 2]] + 0.5) / (table[:, [1, 3]] + 1)
    variance = shares * (1 - shares) / table[:, [1, 3]]
    return variance[:, 0], variance[:, 1]


def without_family(
    models: Sequence[Sides], places: Sequence[int], families: Sequence[str], family: str
) -> Panel | None:
    """The panel of the references at ``places`` that are of other families; ``None`` for fewer than eight."""
    others = [models[i] for i in places if families[i] != family]
    return fit_panel(others) if len(others) >= FEWEST_REFERENCES else None


def curve(panel: Panel, private: Sequence[float]) -> list[float]:
    """The public shares that ``panel`` expects at shares ``private`` strictly between 0 and 1."""
    share = np.asarray(private, dtype=float)
    return [float(one) for one in expit(panel.expected(np.log(share / (1 - share))))]


def order_changes(first: Sequence[float], second: Sequence[float]) -> tuple[int, int]:
    """(how many pairs stand the other way round in the second list, how many pairs differ in the first)."""
    one, two = (
        np.sign(np.subtract.outer(np.asarray(side, float), np.asarray(side, float)))
        for side in (first, second)
    )
    upper: tuple[NDArray[np.intp], ...] = np.triu_indices(len(one), 1)
    return int((one * two < 0)[upper].sum()), int((one != 0)[upper].sum())


def two_sided(z: float) -> float:
    """The two-sided p of a standard normal statistic."""
    return float(2 * ndtr(-abs(z)))
