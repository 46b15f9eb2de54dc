"""What was found in a published table: read by its page, its API and its exports, which compute nothing."""

from collections.abc import Mapping
from typing import Literal

from evaluator.contract import Wire

EvidenceWord = Literal["overfit", "watch", "no_evidence", "cannot_tell"]
Basis = Literal["raw", "peers"]
"""What a word supposes: that both sets are equally hard, or that most of a model's peers are not fitted to one."""

Role = Literal["reference", "put_aside", "none"]

EVIDENCE: Mapping[EvidenceWord, str] = {
    "overfit": "overfit",
    "watch": "watch",
    "no_evidence": "no evidence",
    "cannot_tell": "cannot tell",
}


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


class RawTest(Wire, frozen=True, kw_only=True):
    """Miettinen and Nurminen's test of equal shares: public higher, and different either way."""

    z: float
    greater: Tested
    two_sided: Tested
    visible: float
    word: EvidenceWord


class PeerTest(Wire, frozen=True, kw_only=True):
    """The gap to what ``references`` models of other families lead to expect, and its test, public higher."""

    gap: float
    interval: tuple[float, float]
    expected: float
    visible: float
    references: int
    greater: Tested
    word: EvidenceWord


class PublishedLine(Wire, frozen=True, kw_only=True):
    """One model. Fractions throughout; ``gap`` is public less private, ``interval`` its Newcombe 95%.

    ``role`` says whether it is in the panel, was put aside by its robust fit, or is not in it.
    """

    model: str
    organisation: str
    family: str
    access: Literal["open", "closed"]
    parameters: float | None
    active_parameters: float | None
    public: Share
    private: Share
    public_rank: int
    rank: int
    rank_range: tuple[int, int]
    gap: float
    interval: tuple[float, float]
    raw: RawTest
    peers: PeerTest | None
    printed_gap: float | None
    printed_z: float | None
    printed: Tested | None
    """Two-sided, from the statistic that the table prints."""
    loglik: float | None
    role: Role

    def word(self, basis: Basis) -> EvidenceWord:
        """The word under one of the two suppositions; without a test there is nothing to tell."""
        if basis == "raw":
            return self.raw.word
        return self.peers.word if self.peers else "cannot_tell"

    def visible(self, basis: Basis) -> float | None:
        """The smallest gap that the word's test would have found four times in five."""
        if basis == "raw":
            return self.raw.visible
        return self.peers.visible if self.peers else None


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


class PanelFacts(Wire, frozen=True, kw_only=True):
    """Who the models were compared with. ``known`` says that it was known from elsewhere that they are clean.

    ``curve`` are (private, public) points of what it expects.
    """

    known: bool
    references: tuple[str, ...]
    put_aside: tuple[str, ...]
    tau: float
    curve: tuple[tuple[float, float], ...]


class Order(Wire, frozen=True, kw_only=True):
    """How the private score reorders the models: pairs that change places, of those that differ in public score."""

    changed: int
    pairs: int
    spearman: float | None


class Analysis(Wire, frozen=True, kw_only=True):
    """All that is shown of a published table, best private score first. ``basis`` is the supposition shown first."""

    basis: Basis
    lines: tuple[PublishedLine, ...]
    families: tuple[FamilyLine, ...]
    panel: PanelFacts | None
    likelihood: Likelihood | None
    order: Order
