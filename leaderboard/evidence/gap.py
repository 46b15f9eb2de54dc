"""Gap of one model from counts, without a site: ``python -m leaderboard.evidence.gap``.

It reads one JSON object (:class:`Question`) from standard input and prints another
(:class:`Answer`). The statistics are those of a board: the raw test for sets that are equally hard
by construction, and against a panel the adjusted gap by counts. ``holdfast gap`` starts it.
"""

import sys
from collections.abc import Sequence

import msgspec

from leaderboard.evidence import statistics
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.statistics import GapTest
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.vocabulary import LEVELS, Evidence

LEVEL = 0.95
BAD_INPUT = 2
"""Exit code where the object cannot be read."""


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Outcomes on one set: right and truncated ones, of ``n`` items."""

    right: int
    n: int
    truncated: int = 0

    def __post_init__(self) -> None:
        negative = self.right < 0 or self.truncated < 0
        too_many = self.right + self.truncated > self.n
        if negative or too_many or self.n < 1:
            raise ValueError("counts must be of at least one item, and no more than all")


class PanelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Model of the panel, held for clean. Models of one family count as one lineage."""

    model: str
    family: str
    public: Counts
    private: Counts


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Counts of one model on both sets, its family, and the panel, which may be empty."""

    public: Counts
    private: Counts
    family: str = ""
    panel: list[PanelRow] = []


class Score(msgspec.Struct, frozen=True):
    """Share of right answers, with its 95% interval (Wilson)."""

    right: int
    n: int
    share: float
    interval: tuple[float, float]


class Tested(msgspec.Struct, frozen=True):
    """Gap as a fraction with its 95% interval, one-sided p, level, and smallest visible gap.

    ``visible`` is the true gap that is found as "watch" or "overfit" in 80% of cases.
    """

    gap: float
    interval: tuple[float, float]
    p: float
    evidence: Evidence
    visible: float


class AgainstPanel(msgspec.Struct, frozen=True):
    """Gap against a panel: ``tested`` is None where too few references are like the model."""

    tested: Tested | None
    expected_public: float | None
    references: int
    set_aside: list[str]


class Answer(msgspec.Struct, frozen=True):
    """Scores, raw gap, and the adjusted gap where a panel was given."""

    public: Score
    private: Score
    raw: Tested
    adjusted: AgainstPanel | None


def answer(question: Question) -> Answer:
    """Return the gap. Pure. Raises ValueError for a panel of fewer than eight references."""
    public = question.public
    private = question.private
    sides = _sides(public, private)
    raw = statistics.raw_test(public, private, LEVEL)
    interval = statistics.newcombe(*sides, LEVEL)
    adjusted = None
    panel = question.panel
    if panel:
        if len(panel) < statistics.FEWEST_REFERENCES:
            raise ValueError(f"a panel needs {statistics.FEWEST_REFERENCES} references")
        models = []
        families = []
        for row in panel:
            models.append(_sides(row.public, row.private))
            families.append(row.family or f"={row.model}")
        models.append(sides)
        families.append(question.family or "=")
        compared = statistics_of_counts.peers(models, families, range(len(panel)))
        gap = compared.gaps[-1]
        tested = None
        expected = None
        if gap is not None and not compared.outside[-1]:
            test = _beyond_noise(gap.gap, statistics.adjusted_test(gap))
            tested = _tested(question, gap.gap, gap.interval, test)
            expected = gap.expected
        adjusted = AgainstPanel(
            tested=tested,
            expected_public=expected,
            references=compared.sizes[-1],
            set_aside=[panel[place].model for place in compared.put_aside],
        )
    raw_beyond_noise = _beyond_noise(sides.gap, raw)
    return Answer(
        public=_score(public),
        private=_score(private),
        raw=_tested(question, sides.gap, interval, raw_beyond_noise),
        adjusted=adjusted,
    )


def _beyond_noise(gap: float, test: GapTest) -> GapTest:
    floor = noise_floor().floor
    return statistics.beyond_noise(gap, test, floor)


def _tested(
    question: Question,
    gap: float,
    interval: Sequence[float],
    test: GapTest,
) -> Tested:
    case = statistics.Case(question.public, question.private, test)
    low, high = interval
    return Tested(
        gap=gap,
        interval=(low, high),
        p=test.p,
        evidence=statistics.verdict(case, LEVELS).evidence,
        visible=test.visible,
    )


def _sides(public: Counts, private: Counts) -> statistics.Sides:
    return statistics.Sides(public.right, public.n, private.right, private.n)


def _score(counts: Counts) -> Score:
    low, high = statistics.wilson(counts.right, counts.n, LEVEL)
    share = counts.right / counts.n
    return Score(counts.right, counts.n, share, (low, high))


def main() -> int:
    """Answer the question on standard input. Returns 2, with one sentence, for a bad one."""
    try:
        text = sys.stdin.buffer.read()
        question = msgspec.json.decode(text, type=Question)
        result = answer(question)
    except (msgspec.DecodeError, ValueError) as failure:
        print(failure, file=sys.stderr)
        return BAD_INPUT
    encoded = msgspec.json.encode(result)
    sys.stdout.write(encoded.decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
