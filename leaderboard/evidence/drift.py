"""Change of a watched endpoint's answers between two times, on the same public items.

It has no cohort and no evidence level: nothing is decided about the model.
"""

import numpy as np

from evaluator.contract import Outcome
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.statistics.paired import paired
from leaderboard.submissions.models import COUNTED, Change, Run, public_outcomes


def change(before: Run, now: Run) -> Change:
    """Return the change over the public items that both graded runs were asked.

    Any answer that is not right counts as wrong, also a missing one.
    """
    found = paired(_values(now), _values(before))
    return Change(
        n=found.n,
        right=found.both + found.wins,
        gained=found.wins,
        lost=found.losses,
        p=found.p,
    )


def _values(run: Run) -> Floats:
    """Return by item 1 for a right answer, 0 for any other outcome, NaN where it was not asked."""
    answers = np.frombuffer(public_outcomes(run), dtype=np.uint8)
    asked = np.isin(answers, [int(outcome) for outcome in COUNTED])
    right = answers == int(Outcome.RIGHT)
    return np.where(asked, right.astype(float), np.nan)
