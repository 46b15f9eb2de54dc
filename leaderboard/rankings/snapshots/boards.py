"""From complete runs to a finished ranking of what we ran."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from uuid import UUID

from evaluator.contract import canonical_json
from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings import statistics
from leaderboard.rankings.models import BoardPanel, Cohort, GraderScore, Row, Score, Snapshot
from leaderboard.rankings.snapshots.entries import LEVEL, Entry, Graded, Tally, facts, matrix, newest
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState

METHOD = "board-5"
"""Names everything below that turns counts into rows; a change of the rows for equal counts needs a new name."""
SEED = 20240501
"""Of the draws behind the rank sets, so that equal inputs give equal rows."""


@dataclass(frozen=True)
class Draft:
    """A ranking that is computed and not yet saved, and the graded runs that it took note of.

    A run that a newer one of the same model replaces is among ``graded`` too: it has had its turn.
    """

    rows: tuple[Row, ...]
    panel: BoardPanel | None
    inputs_hash: str
    graded: tuple[UUID, ...]

    def save(self, pair: SetPair) -> Snapshot:
        """Write it down as the newest snapshot of ``pair``."""
        return Snapshot.objects.create(
            pair=pair,
            inputs_hash=self.inputs_hash,
            method=METHOD,
            rows=[row.to_dict() for row in self.rows],
            panel=self.panel and self.panel.to_dict(),
        )


def rank(entries: Sequence[Entry]) -> tuple[Row, ...]:
    """The rows of a ranking: best private score first, equal scores in order of the models' names."""
    ordered = sorted(entries, key=lambda entry: (-entry.private.right / entry.private.n, entry.model))
    scores = [_score(entry.private) for entry in ordered]
    places = _places(ordered, scores)
    return tuple(_row(entry, private, place) for entry, private, place in zip(ordered, scores, places, strict=True))


def _places(entries: Sequence[Entry], scores: Sequence[Score]) -> list[statistics.Standing]:
    """Where each stands: from the items that two models share, or by overlapping intervals where only counts are known.

    A rank is by the whole score; it belongs to its range also where models were asked different blocks.
    """
    places = statistics.standings(
        [score.accuracy for score in scores], [statistics.Interval(*score.interval) for score in scores]
    )
    if not entries or not all(entry.outcomes for entry in entries):
        return places
    _, private = matrix(entries)
    return [
        statistics.Standing(place.rank, min(place.rank, held.low), max(place.rank, held.high))
        for place, held in zip(places, statistics.rank_sets(private, LEVEL, SEED), strict=True)
    ]


def _score(tally: Tally) -> Score:
    return Score(
        right=tally.right,
        n=tally.n,
        accuracy=tally.right / tally.n,
        interval=statistics.wilson(tally.right, tally.n, LEVEL),
        wrong=tally.wrong,
        no_answer=tally.no_answer,
        truncated=tally.truncated,
    )


def _row(entry: Entry, private: Score, place: statistics.Standing) -> Row:
    public = _score(entry.public)
    gap = statistics.newcombe(public.right, public.n, private.right, private.n, LEVEL)
    sides = [statistics.Counts(side.right, side.truncated, side.n) for side in (public, private)]
    return Row(
        model=entry.model,
        organisation=entry.organisation,
        family=entry.family,
        parameters=entry.parameters,
        open_weights=entry.open_weights,
        access=entry.access,
        protocol=entry.protocol,
        grader=entry.grader,
        tries=entry.tries,
        ended=entry.ended,
        run=entry.run,
        rank=place.rank,
        rank_range=(place.best, place.worst),
        private=private,
        public=public,
        gap=public.accuracy - private.accuracy,
        interval=gap,
        worst=statistics.worst_case_gap(*sides),
        smallest_visible_gap=statistics.smallest_visible_gap(gap, LEVEL),
        evidence=entry.judged.word if entry.judged else "pending",
        judged=entry.judged,
        tier=entry.tier,
        version=entry.version,
        graders=tuple(_graded(one) for one in entry.graders),
    )


def _graded(one: Graded) -> GraderScore:
    public, private = one.public_right / one.public_n, one.private_right / one.private_n
    return GraderScore(**asdict(one), gap=public - private)


def build(pair: SetPair) -> Draft:
    """Gather the newest complete run of every model that was asked ``pair`` and rank them."""
    # Read first: a run that is graded after this moment belongs to the next ranking.
    graded = tuple(Run.objects.filter(submission__pair=pair, state=RunState.GRADED).values_list("pk", flat=True))
    entries = newest(pair)
    panel = _panel(pair)
    return Draft(rows=rank(entries), panel=panel, inputs_hash=_hash(pair, entries, panel), graded=graded)


def recompute(snapshot: Snapshot) -> bool | None:
    """Whether a pair's newest ranking comes out of its runs again, bit for bit; ``None`` where they are others now."""
    draft = build(snapshot.pair)
    if (draft.inputs_hash, METHOD) != (snapshot.inputs_hash, snapshot.method):
        return None
    return (draft.rows, draft.panel) == (snapshot.ranking(), snapshot.facts())


def _panel(pair: SetPair) -> BoardPanel | None:
    """Whom the newest cohort was compared with; None before the first close."""
    cohort = Cohort.objects.filter(pair=pair).order_by("pk").last()
    return cohort.facts() if cohort else None


def _hash(pair: SetPair, entries: Iterable[Entry], panel: BoardPanel | None) -> str:
    inputs = {
        "method": METHOD,
        "pair": pair.slug,
        "grader": pair.board_grader,
        "sets": [pair.public.digest, pair.private.digest],
        "panel": panel and panel.to_dict(),
        "runs": sorted((facts(entry) for entry in entries), key=lambda entry: str(entry["model"])),
    }
    return sha256(canonical_json(inputs)).hexdigest()
