"""Ranks, a panel of peers and shared errors from a table of counts, without item outcomes.

Models err together because they answered the same questions. Counts alone cannot show by how much;
each function states the direction in which it errs for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from leaderboard.evidence.statistics.adjusted import AdjustedGap, gaps_against
from leaderboard.evidence.statistics.calibration import FEWEST_VOTES
from leaderboard.evidence.statistics.intervals import LEVEL, critical_value
from leaderboard.evidence.statistics.logits import Floats, Sides, logits
from leaderboard.evidence.statistics.multiplicity import holm
from leaderboard.evidence.statistics.panel import FEWEST_REFERENCES, Panel, fit_panel
from leaderboard.evidence.statistics.ranksets import RankSet, sets_from

LOWEST = 0.03
HIGHEST = 0.98
"""Private shares outside which a model is no reference and has no test: they show too little."""
SHARED_ERRORS = 0.35
"""Correlation of the sampling errors of two models' gaps on the same items.

Measured as .335 between the gaps of 41 models on random halves of GSM8K, rounded up. A table
without item outcomes cannot show its own.
"""


@dataclass(frozen=True)
class Peers:
    """Panel of the table's own rows, by their places, and the gap of each row against it.

    - ``used`` and ``put_aside`` are those of the whole panel;
    - ``gaps`` leave out a row's own family, and are None for rows that cannot be tested;
    - ``outside`` marks rows that are not tested because no reference is like them: their private
      score is beyond all of the panel's;
    - ``sizes`` are the numbers of references that each row was compared with.

    Without eight references there is no panel and no gap.
    """

    panel: Panel | None
    used: tuple[int, ...]
    put_aside: tuple[int, ...]
    gaps: tuple[AdjustedGap | None, ...]
    outside: tuple[bool, ...]
    sizes: tuple[int, ...]

    @classmethod
    def untested(cls, rows: int) -> "Peers":
        """Return no panel and no gap for a table of so many rows."""
        return cls(
            panel=None,
            used=(),
            put_aside=(),
            gaps=(None,) * rows,
            outside=(False,) * rows,
            sizes=(0,) * rows,
        )


def rank_ranges(shares: Sequence[tuple[float, float]], level: float = LEVEL) -> list[RankSet]:
    """Return the ranks that each of m shares, (right, n), may have; all hold at ``level``.

    Every pair is tested as two independent shares by the pooled score statistic, and all pairs are
    adjusted by Holm. Models that answer the same items err together, so their true difference is
    known better: the ranges are cautious. Raises ValueError unless each is a share.
    """
    table = np.array(shares, dtype=float).reshape(-1, 2)
    right = table[:, 0]
    n = table[:, 1]
    is_no_share = (n <= 0) | (right < 0) | (right > n)
    if np.any(is_no_share):
        raise ValueError("a share needs 0 <= k <= n and n > 0")
    critical_value(level)
    # z[i, j] > 0 where j stands above i.
    share = right / n
    difference = share - share[:, None]
    total = n + n[:, None]
    pooled = (right + right[:, None]) / total
    of_outcomes = pooled * (1 - pooled)
    of_counts = 1 / n + 1 / n[:, None]
    variance = of_outcomes * of_counts * total / (total - 1)
    se = np.sqrt(variance)
    z = np.zeros_like(difference)
    np.divide(difference, se, out=z, where=variance > 0)
    pairs = np.triu_indices(len(table), 1)
    sizes = np.abs(z[pairs])
    p_values = 2 * ndtr(-sizes)
    different = np.zeros(z.shape, dtype=bool)
    different[pairs] = holm(p_values) <= 1 - level
    different |= different.T
    return sets_from(different & (z < 0))


def peers(models: Sequence[Sides], families: Sequence[str], known: Sequence[int] = ()) -> Peers:
    """Compare each model of a table with a panel of the others.

    The panel consists of the ``known`` references if there are eight of them, else of every row
    with a private share between 3% and 98%. The robust fit puts aside those that look contaminated.
    A row is compared with other families only.

    No row is chosen for a small gap of its own, because that makes gaps of the rest. In 40
    simulated tables without overfitting (63 models that differ by .08 logit, one set 5 pp harder),
    a panel of the rows with p > .2 had a model called overfit in 18, this one in none. Where 16
    models gained .35 logit, 49% of them were called overfit, and 79% at least ``watch``. If flagged
    rows then leave with their families, fewer are found (20% and 71%).

    A panel that is mostly contaminated hides gaps.
    """
    testable: list[int] = []
    for place, model in enumerate(models):
        if LOWEST <= model.private_share <= HIGHEST:
            testable.append(place)
    places = testable
    if len(known) >= FEWEST_REFERENCES:
        candidates = set(testable)
        places = [place for place in known if place in candidates]
    gaps, outside, sizes = _gaps_against_other_families(models, families, places, testable)
    panel = panel_of(models, places, families)
    used: list[int] = []
    put_aside: list[int] = []
    if panel is not None:
        used = [places[index] for index in panel.used]
        put_aside = [places[index] for index in panel.put_aside]
    return Peers(
        panel=panel,
        used=tuple(used),
        put_aside=tuple(put_aside),
        gaps=gaps,
        outside=outside,
        sizes=sizes,
    )


def _gaps_against_other_families(
    models: Sequence[Sides],
    families: Sequence[str],
    places: Sequence[int],
    testable: Sequence[int],
) -> tuple[tuple[AdjustedGap | None, ...], tuple[bool, ...], tuple[int, ...]]:
    """Return each row's gap against other families, if it is outside, and its references."""
    members: dict[str, list[int]] = {family: [] for family in families}
    for place in testable:
        members[families[place]].append(place)
    gaps: list[AdjustedGap | None] = [None] * len(models)
    outside = [False] * len(models)
    sizes = [0] * len(models)
    for family, own in members.items():
        panel = without_family(models, places, families, family)
        if panel is None or len(panel.used) < FEWEST_REFERENCES:
            continue
        targets = [models[place] for place in own]
        of_family = gaps_against(panel, targets)
        covered = panel.covers(targets)
        for index, place in enumerate(own):
            sizes[place] = len(panel.used)
            outside[place] = not covered[index]
            if covered[index]:
                gaps[place] = of_family[index]
    return tuple(gaps), tuple(outside), tuple(sizes)


def gap_covariance(members: Sequence[Sides]) -> Floats:
    """Return the sampling covariance (k, k) of raw gaps, for ``family_gap``.

    Members err together because they answered the same items: see :data:`SHARED_ERRORS`.
    """
    public, private = _variances(members)
    return with_shared_errors(public + private)


def peer_covariance(panel: Panel, members: Sequence[Sides]) -> Floats:
    """Return the covariance (k, k) of gaps against ``panel``, as :func:`gap_covariance`.

    It contains the error of the panel's curve, which the members share too.
    """
    x = logits(members).x
    expected = expit(panel.expected(x))
    private_share = expit(x)
    public, private = _variances(members)
    steepness = expected * (1 - expected)
    # Change of the expected public share with the private one.
    private_steepness = private_share * (1 - private_share)
    sensitivity = steepness * panel.slope(x) / private_steepness
    own_variance = public + private * sensitivity**2
    of_errors = with_shared_errors(own_variance)
    curve_terms = panel.calibration.design(x) * steepness[:, None]
    of_curve = curve_terms @ panel.calibration.covariance @ curve_terms.T
    return np.asarray(of_errors + of_curve, dtype=float)


def with_shared_errors(variances: Floats) -> Floats:
    """Return the covariance (k, k) of gaps whose errors correlate by :data:`SHARED_ERRORS`.

    ``variances`` (k,) are those of the gaps.
    """
    errors = np.sqrt(variances)
    shared = SHARED_ERRORS * np.outer(errors, errors)
    np.fill_diagonal(shared, variances)
    return shared


def _variances(members: Sequence[Sides]) -> tuple[Floats, Floats]:
    """Return p(1-p)/n of either set, with p = (k + ½)/(n + 1), which is never 0 or 1."""
    table = np.array(members, dtype=float).reshape(-1, 4)
    right = table[:, [0, 2]]
    n = table[:, [1, 3]]
    shares = (right + 0.5) / (n + 1)
    variance = shares * (1 - shares) / n
    public = variance[:, 0]
    private = variance[:, 1]
    return public, private


def without_family(
    models: Sequence[Sides],
    places: Sequence[int],
    families: Sequence[str],
    family: str,
) -> Panel | None:
    """Return the panel of the references at ``places`` less a family, as :func:`panel_of`."""
    others = [place for place in places if families[place] != family]
    return panel_of(models, others, families)


def panel_of(
    models: Sequence[Sides],
    places: Sequence[int],
    families: Sequence[str],
) -> Panel | None:
    """Return the panel of the references at ``places``.

    None for fewer than eight references or four families.
    """
    names = [families[place] for place in places]
    if len(places) < FEWEST_REFERENCES or len(set(names)) < FEWEST_VOTES:
        return None
    references = [models[place] for place in places]
    return fit_panel(references, names)


def curve(panel: Panel, private: Sequence[float]) -> list[float]:
    """Return the public shares that ``panel`` expects at shares ``private`` between 0 and 1."""
    share = np.asarray(private, dtype=float)
    private_logits = np.log(share / (1 - share))
    expected = expit(panel.expected(private_logits))
    return [float(value) for value in expected]


def order_changes(first: Sequence[float], second: Sequence[float]) -> tuple[int, int]:
    """Return the number of pairs in reverse order in the second list, and of all unequal pairs.

    Pairs that are equal in the first list count in neither number.
    """
    in_first = np.asarray(first, float)
    in_second = np.asarray(second, float)
    first_differences = np.subtract.outer(in_first, in_first)
    second_differences = np.subtract.outer(in_second, in_second)
    pairs: tuple[NDArray[np.intp], ...] = np.triu_indices(len(in_first), 1)
    first_signs = np.sign(first_differences)[pairs]
    second_signs = np.sign(second_differences)[pairs]
    is_reversed = first_signs * second_signs < 0
    is_unequal = first_signs != 0
    return int(is_reversed.sum()), int(is_unequal.sum())


def two_sided(z: float) -> float:
    """Return the two-sided p-value of a standard normal statistic."""
    return float(2 * ndtr(-abs(z)))
