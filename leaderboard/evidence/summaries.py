"""Summaries of a ranking: shares, tests, families and correlations. Read by pages, which compute nothing."""

from evaluator.contract import Wire


class Share(Wire, frozen=True, kw_only=True):
    """Right answers of ``n``, the fraction, and Wilson's 95% interval."""

    right: int
    n: int
    accuracy: float
    interval: tuple[float, float]


class Tested(Wire, frozen=True, kw_only=True):
    """One p, and what is left of it among all tests of the table."""

    p: float
    holm: float
    benjamini_hochberg: float


class PooledGap(Wire, frozen=True, kw_only=True):
    """A family's mean gap by random effects, Hartung and Knapp's interval; no intervals for fewer than three members.

    ``above`` says whether the interval that allows for all pooled families lies wholly above zero.
    """

    estimate: float
    interval: tuple[float, float] | None
    prediction: tuple[float, float] | None
    i2: float
    above: bool


class FamilyLine(Wire, frozen=True, kw_only=True):
    """One family: how many members have a higher public score, the sign test's p, raw gap and gap against peers."""

    family: str
    members: int
    higher: int
    p_sign: float
    raw: PooledGap
    peers: PooledGap | None


class Correlation(Wire, frozen=True, kw_only=True):
    """A rank correlation over ``n`` models, its 95% interval and its two-sided p."""

    estimate: float
    interval: tuple[float, float]
    p: float
    n: int


class Without(Wire, frozen=True, kw_only=True):
    """Spearman's correlation when one family is left out."""

    family: str
    estimate: float
    p: float


class Likelihood(Wire, frozen=True, kw_only=True):
    """Log-likelihood per character of the public items against the gap; a missing one could not be computed.

    ``printed`` takes the gaps that the table prints, ``strong`` only models of at least 20% on the public set,
    ``beside`` holds size and private score fixed, ``contrast`` is that of the gap with how much likelier the public
    items are than the private ones.
    """

    models: int
    families: int
    spearman: Correlation
    kendall: Correlation
    over_families: tuple[float, float] | None
    printed: Correlation | None
    strong: Correlation | None
    strong_printed: Correlation | None
    strong_kendall: Correlation | None
    beside: Correlation | None
    lowest: Without | None
    highest: Without | None
    contrast: Correlation | None = None


class Likely(Wire, frozen=True, kw_only=True):
    """How likely weights find the texts of a set: the mean log-likelihood per character over ``n`` items, in nats."""

    per_character: float
    standard_error: float | None
    n: int


class Likelihoods(Wire, frozen=True, kw_only=True):
    """Both sets of a pair, read by one ``definition``. Items that were retired since count here all the same."""

    definition: str
    public: Likely
    private: Likely
