"""Do models that find the public items likelier have larger gaps? Of ranked rows, and of a table that others published.

Annotations only: no word depends on any of it.
"""

from collections.abc import Sequence
from math import isnan
from typing import NamedTuple, cast

import numpy as np

from leaderboard.evidence import statistics
from leaderboard.evidence.statistics.likelihood import DRAWS
from leaderboard.evidence.summaries import Correlation, Likelihood, Without

LEVEL, SEED = 0.95, 20240501


FEWEST = 8
"""Models below which a correlation says too little to be printed."""


STRONG = 0.20
"""Models below this public share hardly solve anything: both their gap and their likelihood are at the floor."""


WORK = 4_000_000
"""Models drawn in all by the bootstrap over families, so that a large board is drawn less often than 2,000 times."""


LEAST_DRAWS, MOST_FAMILIES = 400, 200
"""Of more families than these none is left out in turn: one of so many moves nothing."""


class Read(NamedTuple):
    """A model whose likelihood is known, in nats per character of the public items; fractions but for ``parameters``.

    ``private`` is its likelihood of the private items, ``printed`` the gap that a table prints, where they are known.
    """

    likelihood: float
    gap: float
    family: str
    public_score: float
    private_score: float
    parameters: float | None = None
    private: float | None = None
    printed: float | None = None


def associated(own: Sequence[Read]) -> Likelihood | None:
    """Likelihood against gap; ``None`` for fewer than eight models or a constant side."""
    first = _spearman(own) if len(own) >= FEWEST else None
    if first is None:
        return None
    strong = [one for one in own if one.public_score >= STRONG]
    families = sorted({one.family for one in own})
    without = sorted(_without(own, families), key=lambda one: (one.estimate, one.family))
    return Likelihood(
        models=len(own),
        families=len(families),
        spearman=first,
        kendall=cast("Correlation", _kendall(own)),
        over_families=_over_families(own) if len(families) >= 3 else None,
        printed=_spearman(own, printed=True),
        strong=_spearman(strong),
        strong_printed=_spearman(strong, printed=True),
        strong_kendall=_kendall(strong) if len(strong) > 3 else None,
        beside=_beside(own),
        lowest=without[0] if without else None,
        highest=without[-1] if without else None,
        contrast=_contrast(own),
    )


def _likelihoods(models: Sequence[Read]) -> list[float]:
    return [one.likelihood for one in models]


def _gaps(models: Sequence[Read]) -> list[float]:
    return [one.gap for one in models]


def _spearman(models: Sequence[Read], *, printed: bool = False) -> Correlation | None:
    gaps = [one.printed for one in models if one.printed is not None] if printed else _gaps(models)
    if len(models) < 4 or len(gaps) < len(models):
        return None
    return _correlation(statistics.spearman(_likelihoods(models), gaps, LEVEL))


def _kendall(models: Sequence[Read]) -> Correlation | None:
    return _correlation(statistics.kendall(_likelihoods(models), _gaps(models), LEVEL))


def _contrast(models: Sequence[Read]) -> Correlation | None:
    """How much likelier the public items are than the private ones, against the gap: a better model gains on both."""
    differences = [one.likelihood - one.private for one in models if one.private is not None]
    if len(differences) < len(models):
        return None
    return _correlation(statistics.spearman(differences, _gaps(models), LEVEL))


def _correlation(one: statistics.Association) -> Correlation | None:
    if isnan(one.estimate):
        return None
    return Correlation(estimate=one.estimate, interval=one.interval, p=one.p, n=one.n)


def _over_families(models: Sequence[Read]) -> tuple[float, float]:
    names = [one.family for one in models]
    rng, draws = np.random.default_rng(SEED), min(DRAWS, max(LEAST_DRAWS, WORK // len(models)))
    return statistics.bca_over_families(
        _likelihoods(models), _gaps(models), names, rng, LEVEL, draws=draws
    )


def _beside(models: Sequence[Read]) -> Correlation | None:
    """Spearman's correlation of what size and private score leave; of the models whose size is known."""
    sized = [(one, one.parameters) for one in models if one.parameters]
    if len(sized) < FEWEST:
        return None
    own = [one for one, _ in sized]
    given = ([float(np.log(size)) for _, size in sized], [one.private_score for one in own])
    return _correlation(statistics.partial_spearman(_likelihoods(own), _gaps(own), given, LEVEL))


def _without(models: Sequence[Read], families: Sequence[str]) -> list[Without]:
    """Each family left out in turn."""
    if len(families) > MOST_FAMILIES:
        return []
    found = []
    for family in families:
        one = _spearman([other for other in models if other.family != family])
        if one is not None:
            found.append(Without(family=family, estimate=one.estimate, p=one.p))
    return found
