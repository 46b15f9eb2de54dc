"""Association over models of the likelihood of public items with the gap.

Used for ranked rows and for published tables. No evidence level depends on it.
"""

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple

import numpy as np

from leaderboard.evidence import statistics
from leaderboard.evidence.statistics.likelihood import DRAWS
from leaderboard.evidence.summaries import Correlation, Likelihood, Without

LEVEL = 0.95
SEED = 20240501
FEWEST = 8
"""Number of models below which a correlation is too uncertain to be shown."""
FEWEST_FAMILIES = 3
STRONG = 0.20
"""Public share below which gap and likelihood of a model are both at the floor."""
WORK = 4_000_000
"""Models drawn in all by the bootstrap over families: large boards are drawn less often."""
LEAST_DRAWS = 400
MOST_FAMILIES = 200
"""Number of families above which none is left out in turn: a single one moves nothing."""


class Read(NamedTuple):
    """Model with a known likelihood of the public items, in nats per character.

    Scores and gaps are fractions. ``private`` is its likelihood of the private items, ``reported``
    the gap that a table prints, where they are known.
    """

    likelihood: float
    gap: float
    family: str
    public_score: float
    private_score: float
    parameters: float | None = None
    private: float | None = None
    reported: float | None = None


def associated(models: Sequence[Read]) -> Likelihood | None:
    """Correlate likelihood and gap; None for fewer than eight models or a constant side."""
    if len(models) < FEWEST:
        return None
    spearman = _spearman(models)
    kendall = _kendall(models)
    if spearman is None or kendall is None:
        return None
    strong = [model for model in models if model.public_score >= STRONG]
    families = sorted({model.family for model in models})
    without = _without_each_family(models, families)
    lowest = without[0] if without else None
    highest = without[-1] if without else None
    over_families = None
    if len(families) >= FEWEST_FAMILIES:
        affordable = max(LEAST_DRAWS, WORK // len(models))
        over_families = statistics.bca_over_families(
            _likelihoods(models),
            _gaps(models),
            [model.family for model in models],
            np.random.default_rng(SEED),
            LEVEL,
            draws=min(DRAWS, affordable),
        )
    return Likelihood(
        models=len(models),
        families=len(families),
        spearman=spearman,
        kendall=kendall,
        over_families=over_families,
        reported=_with_reported_gaps(models),
        strong=_spearman(strong),
        strong_reported=_with_reported_gaps(strong),
        strong_kendall=_kendall(strong),
        partial=_with_size_and_score_fixed(models),
        lowest=lowest,
        highest=highest,
        contrast=_with_contrast(models),
    )


def _likelihoods(models: Sequence[Read]) -> list[float]:
    return [model.likelihood for model in models]


def _gaps(models: Sequence[Read]) -> list[float]:
    return [model.gap for model in models]


def _spearman(models: Sequence[Read]) -> Correlation | None:
    if len(models) < 4:
        return None
    association = statistics.spearman(_likelihoods(models), _gaps(models), LEVEL)
    return _correlation(association)


def _kendall(models: Sequence[Read]) -> Correlation | None:
    if len(models) < 4:
        return None
    association = statistics.kendall(_likelihoods(models), _gaps(models), LEVEL)
    return _correlation(association)


def _with_reported_gaps(models: Sequence[Read]) -> Correlation | None:
    """Return Spearman's correlation with the reported gaps; None if one of them is missing."""
    reported = [model.reported for model in models if model.reported is not None]
    if len(models) < 4 or len(reported) < len(models):
        return None
    association = statistics.spearman(_likelihoods(models), reported, LEVEL)
    return _correlation(association)


def _with_contrast(models: Sequence[Read]) -> Correlation | None:
    """Correlate public less private likelihood with the gap; a better model gains on both sides."""
    contrasts = []
    for model in models:
        if model.private is None:
            return None
        contrasts.append(model.likelihood - model.private)
    association = statistics.spearman(contrasts, _gaps(models), LEVEL)
    return _correlation(association)


def _correlation(association: statistics.Association) -> Correlation | None:
    if isnan(association.estimate):
        return None
    return Correlation(
        estimate=association.estimate,
        interval=association.interval,
        p=association.p,
        n=association.n,
    )


def _with_size_and_score_fixed(models: Sequence[Read]) -> Correlation | None:
    """Return the partial correlation over the models whose size is known."""
    sized = []
    sizes = []
    for model in models:
        if model.parameters:
            sized.append(model)
            sizes.append(float(np.log(model.parameters)))
    if len(sized) < FEWEST:
        return None
    scores = [model.private_score for model in sized]
    partial = statistics.partial_spearman(
        _likelihoods(sized),
        _gaps(sized),
        (sizes, scores),
        LEVEL,
    )
    return _correlation(partial)


def _without_each_family(
    models: Sequence[Read],
    families: Sequence[str],
) -> list[Without]:
    """Return the correlations without each family in turn, ascending; none for many families."""
    if len(families) > MOST_FAMILIES:
        return []
    result = []
    for family in families:
        others = [model for model in models if model.family != family]
        correlation = _spearman(others)
        if correlation is not None:
            without = Without(
                family=family,
                estimate=correlation.estimate,
                p=correlation.p,
            )
            result.append(without)
    return sorted(result, key=lambda without: (without.estimate, without.family))
