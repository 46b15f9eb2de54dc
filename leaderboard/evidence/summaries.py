"""Summaries of a ranking that pages read: shares, tests, families and correlations."""

from evaluator.contract import Wire
from leaderboard.evidence.vocabulary import Levels


class Share(Wire, frozen=True, kw_only=True):
    """Right answers of ``n``, the fraction, and Wilson's 95% interval."""

    right: int
    n: int
    accuracy: float
    interval: tuple[float, float]


class Tested(Wire, frozen=True, kw_only=True):
    """One-sided p-value, and its corrections for all tests of the table."""

    p: float
    holm: float
    benjamini_hochberg: float


class DecidedBy(Wire, frozen=True, kw_only=True):
    """Rows of one ranking whose levels were decided by the same method and thresholds.

    ``tested`` of its ``rows`` were tested.
    """

    method: str
    levels: Levels
    rows: int
    tested: int


class SurestGap(Wire, frozen=True, kw_only=True):
    """Gap of one overfit model, drawn towards the mean of all gaps by its error, as a fraction."""

    model: str
    gap: float


class LaterTries(Wire, frozen=True, kw_only=True):
    """Decided runs of a ranked model that came after the ranked one and have no row.

    Their private scores lie from ``lowest`` to ``highest``, as fractions.
    """

    count: int
    lowest: float
    highest: float


class ReplacedRun(Wire, frozen=True, kw_only=True):
    """Run that had a model's row until the window for later tries was over."""

    run: str
    ended: str
    accuracy: float


class PooledGap(Wire, frozen=True, kw_only=True):
    """Mean gap of a family by random effects, with Hartung and Knapp's interval.

    There are no intervals for fewer than three members. ``above`` is True if the interval that is
    corrected for all pooled families lies wholly above zero.
    """

    estimate: float
    interval: tuple[float, float] | None
    prediction: tuple[float, float] | None
    i2: float
    above: bool


class FamilyLine(Wire, frozen=True, kw_only=True):
    """Family: members, those with a gap above zero, sign test, raw gap, gap against peers.

    On a board whose models are compared with references, only compared members count, by their
    adjusted gaps, and ``peers`` is the mean of these. Elsewhere all members count, by raw gaps.
    """

    family: str
    members: int
    higher: int
    p_sign: float
    raw: PooledGap
    peers: PooledGap | None


class Correlation(Wire, frozen=True, kw_only=True):
    """Rank correlation over ``n`` models, its 95% interval and its two-sided p-value."""

    estimate: float
    interval: tuple[float, float]
    p: float
    n: int


class Without(Wire, frozen=True, kw_only=True):
    """Spearman's correlation without one family."""

    family: str
    estimate: float
    p: float


class Likelihood(Wire, frozen=True, kw_only=True):
    """Correlations of log-likelihood per character of the public items with the gap.

    - ``reported``: with the gaps that a table prints;
    - ``strong``: only of models with at least 20% on the public set;
    - ``partial``: with size and private score held fixed;
    - ``contrast``: of public less private likelihood with the gap.

    One that could not be computed is None.
    """

    models: int
    families: int
    spearman: Correlation
    kendall: Correlation
    over_families: tuple[float, float] | None
    reported: Correlation | None
    strong: Correlation | None
    strong_reported: Correlation | None
    strong_kendall: Correlation | None
    partial: Correlation | None
    lowest: Without | None
    highest: Without | None
    contrast: Correlation | None = None


class Likely(Wire, frozen=True, kw_only=True):
    """Mean log-likelihood per character of a set's texts, over ``n`` items, in nats."""

    per_character: float
    standard_error: float | None
    n: int


class Likelihoods(Wire, frozen=True, kw_only=True):
    """Likelihoods of both sets by one ``definition``; items retired since are included."""

    definition: str
    public: Likely
    private: Likely
