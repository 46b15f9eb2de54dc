"""Analysis of a published table, as its page, API and exports read it."""

from typing import Literal

from evaluator.contract import Wire
from leaderboard.evidence.summaries import FamilyLine, Likelihood, Share, Tested
from leaderboard.evidence.vocabulary import Evidence, Levels

Basis = Literal["raw", "peers"]
"""Assumption: both sets are equally hard, or most of a model's peers do not overfit."""


FEWEST_MEMBERS = 3
"""Families with fewer members have a mean, and neither a test nor an interval."""


Role = Literal["reference", "put_aside", "none"]


class RawTest(Wire, frozen=True, kw_only=True):
    """Miettinen and Nurminen's test of equal shares: public higher, and different either way."""

    z: float
    greater: Tested
    two_sided: Tested
    visible: float
    evidence: Evidence


class PeerTest(Wire, frozen=True, kw_only=True):
    """Gap beyond that of ``references`` models of other families, and its test, public higher."""

    gap: float
    interval: tuple[float, float]
    expected: float
    visible: float
    references: int
    greater: Tested
    evidence: Evidence


class PublishedResult(Wire, frozen=True, kw_only=True):
    """One model. All shares are fractions.

    - ``gap``: public minus private accuracy; ``interval``: Newcombe's 95%;
    - ``raw``, ``peers``: tests of the gap, None where there is none;
    - ``role``: member of the panel of peers, excluded by its robust fit, or neither;
    - ``reported``: two-sided, from the statistic that the table prints.
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
    raw: RawTest | None
    peers: PeerTest | None
    reported_gap: float | None
    reported_z: float | None
    reported: Tested | None
    loglik: float | None
    role: Role

    @property
    def search_text(self) -> str:
        """Text that a search looks at, in lower case."""
        return f"{self.model} {self.organisation} {self.family}".lower()

    def level(self, basis: Basis) -> Evidence:
        """Return the evidence level under ``basis``; "cannot tell" without a test."""
        test = self._test(basis)
        return test.evidence if test else Evidence.CANNOT_TELL

    def test(self, basis: Basis) -> Tested | None:
        """Return the one-sided test behind the level under ``basis``; None where there was none."""
        test = self._test(basis)
        return test.greater if test else None

    def gap_interval(self, basis: Basis) -> tuple[float, float] | None:
        """Return the 95% interval of the gap that was tested; None without a test."""
        if basis == "raw":
            return self.interval if self.raw else None
        return self.peers.interval if self.peers else None

    def visible(self, basis: Basis) -> float | None:
        """Return the smallest gap that gets ``watch`` with the usual power; None without a test."""
        test = self._test(basis)
        return test.visible if test else None

    def _test(self, basis: Basis) -> RawTest | PeerTest | None:
        return self.raw if basis == "raw" else self.peers


class PanelFacts(Wire, frozen=True, kw_only=True):
    """Panel of models that the others are compared with.

    ``known``: they are known from elsewhere not to overfit; ``put_aside``: excluded as outliers;
    ``curve``: (private, public) points of the expectation.
    """

    known: bool
    references: tuple[str, ...]
    put_aside: tuple[str, ...]
    tau: float
    curve: tuple[tuple[float, float], ...]


class Order(Wire, frozen=True, kw_only=True):
    """Rank changes: pairs that change places, of the ``pairs`` that differ in public score."""

    changed: int
    pairs: int
    spearman: float | None


class Analysis(Wire, frozen=True, kw_only=True):
    """Analysis of a table, best private score first; ``basis`` is the assumption shown first."""

    levels: Levels
    basis: Basis
    lines: tuple[PublishedResult, ...]
    families: tuple[FamilyLine, ...]
    panel: PanelFacts | None
    likelihood: Likelihood | None
    order: Order

    def find(self, model: str) -> PublishedResult | None:
        """Return the row of a model; None where the table has none."""
        return next((line for line in self.lines if line.model == model), None)


def is_tested(family: FamilyLine) -> bool:
    """Return True if a family has members enough for a test."""
    return family.members >= FEWEST_MEMBERS
