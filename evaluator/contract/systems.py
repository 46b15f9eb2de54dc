"""Systems of more than one model: their parts by role, and what a run reports about each part."""

from typing import Annotated, Literal

from msgspec import Meta

from evaluator.contract.adapters import AdapterModel
from evaluator.contract.base import Hex32, Name, Wire
from evaluator.contract.hub import HubModel
from evaluator.contract.summary import Share, Version, VoteBin
from evaluator.contract.uploads import UploadModel


class Checkpoint(Wire, tag_field="kind", tag="checkpoint", frozen=True, kw_only=True):
    """A folder of weights that the evaluator knows by this name."""

    name: Name


class System(Wire, tag_field="kind", tag="system", frozen=True, kw_only=True):
    """Two models that answer together.

    The ``generator`` writes candidates, the ``verifier`` scores each, and the best one is the
    answer. Both are weights that run on the evaluator.
    """

    generator: Checkpoint | HubModel | UploadModel | AdapterModel
    verifier: Checkpoint | HubModel | UploadModel


Role = Literal["generator", "verifier"]
"""Task of a model in a system."""
MOST_CANDIDATES = 1000
"""Most candidates of an item."""
Tokens = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Signed = Annotated[float, Meta(ge=-1, le=1)]
Total = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Part(Wire, frozen=True, kw_only=True):
    """One part of a system: its files, its tensors, its size, and what it computed.

    Tokens are of all attempts whose answers are stored on this evaluator, ``seconds`` of the last
    attempt only, from the start of the part's model server to its end. Those of parts that are
    loaded at once overlap.
    """

    role: Role
    artefact: Hex32
    weights: Hex32
    parameters: Annotated[int, Meta(ge=0, le=1 << 53)]
    engine: Version
    tokens_in: Tokens
    tokens_out: Tokens
    seconds: Annotated[float, Meta(ge=0)]


class Estimate(Wire, frozen=True, kw_only=True):
    """Mean over items, of an accuracy or of a difference of two, with its 95% interval."""

    value: Signed
    low: Signed
    high: Signed


class CandidatesPoint(Wire, frozen=True, kw_only=True):
    """Accuracies with ``k`` candidates of each item, means over all subsets of that size.

    - ``chosen``: of the verifier's choice;
    - ``vote``: of the majority's answer;
    - ``any_right``: share of items with a right candidate, which no choice can exceed;
    - ``over_random``, ``over_vote``: the verifier's choice less a random one, and less the vote;
    - ``more``: the choice among all candidates less the one among ``k``. Its interval holds for
      all ``k`` of a curve at once.
    """

    k: Annotated[int, Meta(ge=1, le=MOST_CANDIDATES)]
    chosen: Estimate
    vote: Share
    any_right: Share
    over_random: Estimate
    over_vote: Estimate
    more: Estimate

    @property
    def is_better_than_all(self) -> bool:
        """True where all candidates are worse than ``k``, and the interval excludes chance."""
        return self.more.high < 0


class Candidates(Wire, frozen=True, kw_only=True):
    """Aggregates over ``samples`` scored candidates of each of ``n`` items: the whole selection.

    ``right`` counts the right ones of all ``n * samples``, ``unreadable`` those without an answer,
    ``unscored`` those whose score is no number. ``bins``, ``error`` and ``brier`` are the
    calibration of the chosen candidates' scores, as of votes.
    """

    name: Name
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    samples: Annotated[int, Meta(ge=2, le=MOST_CANDIDATES)]
    right: Total
    unreadable: Total
    unscored: Total
    curve: Annotated[tuple[CandidatesPoint, ...], Meta(min_length=1, max_length=16)]
    bins: Annotated[tuple[VoteBin, ...], Meta(min_length=1, max_length=10)]
    error: Share
    brier: Share

    @property
    def random(self) -> float:
        """Accuracy of a candidate that is chosen at random."""
        return self.right / (self.n * self.samples)

    @property
    def last(self) -> CandidatesPoint:
        """The point of all candidates."""
        return self.curve[-1]

    @property
    def fewer_are_better(self) -> CandidatesPoint | None:
        """The best point that all candidates are worse than; None where more never hurt."""
        better = [point for point in self.curve if point.is_better_than_all]
        return max(better, key=lambda point: point.chosen.value, default=None)
