"""Adaptive test ``adaptive-1``: an evidence level from a part of the private items.

Each private item that an endpoint is shown costs secrecy. The test asks those first that tell most:

1. All public items are asked. They suggest the model's ability, in a Rasch model with the easiness
   that the references give each item.
2. The private items are ordered by their information p(1 - p) at that ability.
3. After 8, 15, 25 and 35% of them the score test of ``ancova`` is made on the items asked so far.
   Each reference is replayed through the same procedure, leaving itself out: only so its contrast
   is comparable, because which items are asked depends on the public answers.
4. The model is found where z passes the bound of ``sequential``; the test ends for futility where
   z is below ``FUTILITY``.

References need an outcome for every item.

The score of the model is *linked* to the whole private set: the items that it was not asked count
as a Rasch model expects them. References replayed in the same way show how far that may be off.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri, stdtrit

from leaderboard.evidence.statistics.ancova import ItemGap, gap_at, score_test_at
from leaderboard.evidence.statistics.calibration import calibrate
from leaderboard.evidence.statistics.contrasts import Cells, cells, contrasts
from leaderboard.evidence.statistics.intervals import LEVEL, Interval
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.statistics.power import POWER
from leaderboard.evidence.statistics.sequential import spending_bounds

SHARES = (0.08, 0.15, 0.25, 0.35)
"""Shares of the private items after which the test is made."""
FUTILITY = (0.0, 0.3, 0.6)
"""Values of z at the looks before the last, below which the test ends without a finding."""
STEEPEST = 15.0
"""Limit of an ability, in logits."""
HALVINGS = 50
WEAKEST_P = 0.95
"""Largest p-value that is computed."""


class Look(NamedTuple):
    """Score test after ``asked`` private items: one-sided p, and the same as a normal z.

    ``information`` is the planned one: it depends on the public answers only.
    """

    asked: int
    z: float
    p: float
    information: float


class Outcome(NamedTuple):
    """End of a test: found or not, at the look of this number, from 0."""

    found: bool
    look: int


class LinkedScore(NamedTuple):
    """Score on all private items and its interval, as fractions."""

    score: float
    interval: Interval


@dataclass(frozen=True)
class _State:
    """Data of one look: the model's cells, all abilities, and the contrast of a clean model."""

    grouped: Cells
    ability: Floats
    expected: float
    variance: float
    freedom: int


@dataclass(frozen=True)
class Procedure:
    """Panel and one model, each with the order in which its private items are asked.

    Rows are the m references and last the model. ``outcomes`` (m + 1, n); ``right`` (m + 1, n) and
    ``others`` (m + 1, n) count the other references' answers to each item; ``order`` (m + 1, n2)
    has places of private items.
    """

    outcomes: Floats
    right: Floats
    others: Floats
    public: NDArray[np.bool_]
    order: NDArray[np.intp]
    lineages: tuple[Hashable, ...]

    def look(self, asked: int) -> Look:
        """Return the test after the first ``asked`` private items of each row's order."""
        at = self._state(asked)
        test = score_test_at(at.grouped, at.expected, at.variance, at.freedom)
        p_within = np.clip(test.p, 1e-300, 1 - 1e-16)
        return Look(
            asked=asked,
            z=float(-ndtri(p_within)),
            p=test.p,
            information=self.planned_information(asked),
        )

    def gap(self, asked: int, level: float = LEVEL) -> ItemGap:
        """Return the adjusted gap after ``asked`` private items, as if there were one look."""
        at = self._state(asked)
        return gap_at(at.grouped, at.expected, at.variance, at.freedom, level)

    def smallest_visible(self, asked: int, plan: Sequence[int], alpha: float) -> float:
        """Return about the smallest gap that the test of all looks of ``plan`` finds.

        With the usual power at the last look's bound, from the calibration after ``asked`` items.
        Ending for futility costs a little more.
        """
        at = self._state(asked)
        gap = gap_at(at.grouped, at.expected, at.variance, at.freedom)
        information = [self.planned_information(number) for number in plan]
        se = sqrt(1 / information[-1] + at.variance)
        last_bound = spending_bounds(information, alpha)[-1]
        z_power = float(ndtri(POWER))
        shift = (last_bound + z_power) * se
        lifted = expit(gap.predictor + shift) - expit(gap.predictor)
        total = (lifted * gap.weight).sum()
        return float(total / gap.weight.sum())

    def linked(self, asked: int, level: float = LEVEL) -> "LinkedScore":
        """Return the model's score on all private items, from the first ``asked`` of its order.

        The squared errors of the references, each replayed, widen the interval of a score on all
        items.
        """
        shown = np.zeros(self.outcomes.shape, dtype=bool)
        places = self.order[:, :asked]
        np.put_along_axis(shown, places, values=True, axis=1)
        seen = np.where(shown, self.outcomes, np.nan)
        ease = easiness(self.right, self.others)
        ability = _abilities(seen, ease)
        chance = expit(ability[:, None] + ease)
        linked = np.where(np.isfinite(seen), seen, chance)
        private = ~self.public
        scores = linked[:, private].mean(axis=1)
        of_references = self.outcomes[:-1]
        true_scores = np.nanmean(of_references[:, private], axis=1)
        errors = scores[:-1] - true_scores
        squared_errors = errors**2
        references = len(squared_errors)
        of_linking = float(squared_errors.mean()) * (1 + 1 / references)
        score = float(scores[-1])
        n = private.sum()
        of_items = max(score * (1 - score), 1 / n) / n
        se = sqrt(of_linking + of_items)
        critical = float(stdtrit(references - 1, (1 + level) / 2))
        reach = critical * se
        low = max(0.0, score - reach)
        high = min(1.0, score + reach)
        return LinkedScore(score, Interval(low, high))

    def is_covered(self, asked: int) -> bool:
        """Return True if the model's ability on private items is within the references' range."""
        abilities = self._state(asked).ability
        references = abilities[:-1]
        own = abilities[-1]
        return bool(references.min() <= own <= references.max())

    def _state(self, asked: int) -> "_State":
        shown = np.broadcast_to(self.public, self.outcomes.shape).copy()
        places = self.order[:, :asked]
        np.put_along_axis(shown, places, values=True, axis=1)
        seen = np.where(shown, self.outcomes, np.nan)
        grouped = cells(seen, self.right, self.others, self.public)
        delta, se = contrasts(grouped)
        private = np.where(self.public, np.nan, seen)
        ease = easiness(self.right, self.others)
        ability = _abilities(private, ease)
        chance = expit(ability[:, None] + ease)
        of_items = np.isfinite(private) * chance * (1 - chance)
        information = of_items.sum(axis=1)
        variance = 1 / information
        calibration = calibrate(
            x=ability[:-1],
            contrasts=delta[:-1],
            variance=se[:-1] ** 2,
            x_variance=variance[:-1],
            lineages=self.lineages,
        )
        own_cells = Cells(
            trials=grouped.trials[-1:],
            hits=grouped.hits[-1:],
            easiness=grouped.easiness[-1:],
            public=grouped.public,
        )
        own = ability[-1:]
        expected = float(calibration.expected(own)[0])
        uncertainty = float(calibration.uncertainty(own)[0])
        return _State(
            grouped=own_cells,
            ability=ability,
            expected=expected,
            variance=calibration.tau2 + uncertainty,
            freedom=calibration.freedom,
        )

    def planned_information(self, asked: int) -> float:
        """Return the information on the model's contrast that is expected after ``asked`` items.

        ``P S / (P + S)`` with the sums of p(1 - p) over the public and over the asked items.
        """
        ease = easiness(self.right[-1:], self.others[-1:])
        own_outcomes = self.outcomes[-1:]
        public_outcomes = np.where(self.public, own_outcomes, np.nan)
        ability = _abilities(public_outcomes, ease)
        chance = expit(ability[0] + ease[0])
        spread = chance * (1 - chance)
        asked_items = self.order[-1, :asked]
        of_public = float(spread[self.public].sum())
        of_private = float(spread[asked_items].sum())
        return of_public * of_private / (of_public + of_private)

    def looks(self, shares: Sequence[float] = SHARES) -> list[Look]:
        """Return the looks after these shares of the private items."""
        size = self.order.shape[1]
        return [self.look(round(share * size)) for share in shares]


def procedure(
    public: ArrayLike,
    private: ArrayLike,
    own: tuple[ArrayLike, ArrayLike],
    lineages: Sequence[Hashable] | None = None,
    *,
    ties: Sequence[int] | None = None,
    own_order: Sequence[int] | None = None,
) -> Procedure:
    """Return the procedure of a model against m references.

    Shapes: ``public`` (m, n1), ``private`` (m, n2), ``own`` ((n1,), (n2,)), of 0 and 1. A private
    outcome of the model may be missing (NaN) until the item is asked. ``ties`` (n2,) is the place
    of each private item among equally informative ones, their own order by default. ``own_order``
    (n2,) are the private items in the model's order, where that is known already.
    """
    public_side = np.asarray(public, dtype=float)
    private_side = np.asarray(private, dtype=float)
    public_count = public_side.shape[1]
    references = np.concatenate([public_side, private_side], axis=1)
    own_sides = [np.asarray(side, dtype=float) for side in own]
    model = np.concatenate(own_sides)
    outcomes = np.concatenate([references, model[None]])
    total = references.sum(axis=0)
    right = np.concatenate([total - references, total[None]])
    others = np.full(right.shape, float(len(references) - 1))
    others[-1] = len(references)
    is_public = np.arange(len(model)) < public_count
    names: Sequence[Hashable] = range(len(references))
    if lineages is not None:
        names = lineages
    public_outcomes = np.where(is_public, outcomes, np.nan)
    order = private_order(public_outcomes, right, others, is_public, ties)
    if own_order is not None:
        own_places = np.asarray(own_order, dtype=np.intp)
        order[-1] = public_count + own_places
    return Procedure(
        outcomes=outcomes,
        right=right,
        others=others,
        public=is_public,
        order=order,
        lineages=tuple(names),
    )


def private_order(
    outcomes: Floats,
    right: Floats,
    others: Floats,
    public: NDArray[np.bool_],
    ties: Sequence[int] | None = None,
) -> NDArray[np.intp]:
    """Return the private items of R models, (R, n2), the most informative first.

    ``outcomes`` (R, n) are those of the public items and otherwise missing. Equally informative
    items are in the order of ``ties``, else in their own, which the seal has drawn.
    """
    private = np.flatnonzero(~public)
    if ties is not None:
        by_tie = np.argsort(np.asarray(ties), kind="stable")
        private = private[by_tie]
    ease = easiness(right, others)
    ability = _abilities(outcomes, ease)
    chance = expit(ability[:, None] + ease[:, private])
    negative_information = -chance * (1 - chance)
    by_information = np.argsort(negative_information, axis=1, kind="stable")
    return private[by_information]


def easiness(right: Floats, others: Floats) -> Floats:
    """Return the log odds with which the other references answer each item."""
    wrong = others - right
    return np.log((right + 0.5) / (wrong + 0.5))


def decide(looks: Sequence[Look], level: float) -> Outcome:
    """Return how a test at one-sided ``level`` ends, given all its looks.

    Of the looks after the one at which it ends only the planned information is used.
    """
    information = [look.information for look in looks]
    bounds = spending_bounds(information, level)
    last = len(looks) - 1
    for number, look in enumerate(looks):
        if look.z >= bounds[number]:
            return Outcome(found=True, look=number)
        if number < last and look.z < FUTILITY[number]:
            return Outcome(found=False, look=number)
    return Outcome(found=False, look=last)


def has_ended(
    looks: Sequence[Look],
    information: Sequence[float],
    level: float,
    futility: Sequence[float] = FUTILITY,
) -> bool:
    """Return True if a test at ``level`` ends at the last of ``looks``.

    ``information`` (planned) is of all looks of the plan, ``futility`` of all but the last.
    """
    number = len(looks) - 1
    if number == len(information) - 1:
        return True
    z = looks[-1].z
    bound = spending_bounds(information, level)[number]
    return bool(z >= bound or z < futility[number])


def sequential_p(looks: Sequence[Look], information: Sequence[float]) -> float:
    """Return the smallest one-sided level at which a test that has ended has found the model.

    ``looks`` are those that were made, ``information`` (planned) is of all looks of the plan. At
    most ``WEAKEST_P``. Under the null hypothesis it is at most any level of the plan with that
    chance.
    """

    def is_found(level: float) -> bool:
        bounds = spending_bounds(information, level)
        # Later looks of the plan have a bound, but were not made.
        made = zip(looks, bounds, strict=False)
        return any(look.z >= bound for look, bound in made)

    low = log(1e-12)
    high = log(WEAKEST_P)
    if not is_found(exp(high)):
        return WEAKEST_P
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if is_found(exp(middle)):
            high = middle
        else:
            low = middle
    return exp(high)


def _abilities(outcomes: Floats, ease: Floats) -> Floats:
    """Return the ability at which each of R models is expected to be as good as it was, (R,).

    Half an answer is added on either side, so that it is finite.
    """
    answered = np.isfinite(outcomes)
    count = answered.sum(axis=1)
    right = np.where(answered, outcomes, 0.0).sum(axis=1)
    wanted = (right + 0.5) / (count + 1) * count
    low = np.full(len(outcomes), -STEEPEST)
    high = np.full(len(outcomes), STEEPEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        chance = expit(middle[:, None] + ease)
        expected = (answered * chance).sum(axis=1)
        is_above = expected < wanted
        low = np.where(is_above, middle, low)
        high = np.where(is_above, high, middle)
    return np.asarray((low + high) / 2)
