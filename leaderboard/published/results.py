"""Analysis of a published table: read by its page, its API and its exports, which compute nothing."""

from typing import Literal

from evaluator.contract import Wire
from leaderboard.evidence.summaries import FamilyLine, Likelihood, Share, Tested
from leaderboard.evidence.vocabulary import LEVELS, Evidence, Levels

Basis = Literal["raw", "peers"]
"""What a word supposes: that both sets are equally hard, or that most of a model's peers are not fitted to one."""


FEWEST_MEMBERS = 3
"""Families with fewer members have a mean, and neither a test nor an interval."""


Role = Literal["reference", "put_aside", "none"]


class RawTest(Wire, frozen=True, kw_only=True):
    """Miettinen and Nurminen's test of equal shares: public higher, and different either way."""

    z: float
    greater: Tested
    two_sided: Tested
    visible: float
    word: Evidence


class PeerTest(Wire, frozen=True, kw_only=True):
    """The gap to what ``references`` models of other families lead to expect, and its test, public higher."""

    gap: float
    interval: tuple[float, float]
    expected: float
    visible: float
    references: int
    greater: Tested
    word: Evidence


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

    def word(self, basis: Basis) -> Evidence:
        """The word under one of the two suppositions; without a test there is nothing to tell."""
        if basis == "raw":
            return self.raw.word
        return self.peers.word if self.peers else Evidence.CANNOT_TELL

    def test(self, basis: Basis) -> Tested | None:
        """Return the one-sided test behind the level under ``basis``; None where there was none."""
        if basis == "raw":
            return self.raw.greater
        return self.peers.greater if self.peers else None

    def visible(self, basis: Basis) -> float | None:
        """The smallest gap that the word's test would have found four times in five."""
        if basis == "raw":
            return self.raw.visible
        return self.peers.visible if self.peers else None


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

    levels: Levels = LEVELS
    basis: Basis
    lines: tuple[PublishedLine, ...]
    families: tuple[FamilyLine, ...]
    panel: PanelFacts | None
    likelihood: Likelihood | None
    order: Order

    def find(self, model: str) -> PublishedLine | None:
        """Return the row of a model; None where the table has none."""
        return next((line for line in self.lines if line.model == model), None)


def is_tested(family: FamilyLine) -> bool:
    """Return True if a family has members enough for a test."""
    return family.members >= FEWEST_MEMBERS
