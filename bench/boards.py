"""Board of many models for ``bench.web``: random counts, the real ranking, the site's tables."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from evaluator.contract import OutcomeCounts
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import METHOD, decided_by, families, rank, surest_gaps
from leaderboard.evidence.decide import METHOD as EVIDENCE_METHOD
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.models import Judged
from leaderboard.evidence.summaries import Likelihoods, Likely
from leaderboard.evidence.vocabulary import LEVELS as IN_FORCE
from leaderboard.evidence.vocabulary import Evidence
from leaderboard.submissions.models import Model, Run, Submission

PUBLIC = 1319
PRIVATE = 1205
FAMILIES = 400
ORGANISATIONS = 150
WAITING = 30
BATCH = 5000
"""Models written by one statement."""
SIZES = (0.5, 1.5, 3, 7, 8, 13, 14, 32, 70, None)
LEVELS: Sequence[Evidence] = (
    (Evidence.NO_EVIDENCE,) * 70
    + (Evidence.CANNOT_TELL,) * 15
    + (Evidence.WATCH,) * 3
    + (Evidence.OVERFIT,) * 2
)
START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(models: int, seed: int) -> tuple[Row, ...]:
    """Write a pair with so many ranked models and a few that wait."""
    entries: list[Entry] = []
    for number in range(models):
        # A model is the same however many there are.
        rng = random.Random(seed * 1_000_003 + number)  # noqa: S311
        entries.append(_entry(number, rng))
    rows = rank(entries)
    public = ItemSet.objects.create(
        name="public",
        sealed=False,
        n=PUBLIC,
        digest="a" * 64,
    )
    private = ItemSet.objects.create(
        name="private",
        sealed=True,
        n=PRIVATE,
        digest="b" * 64,
    )
    pair = SetPair.objects.create(
        slug="pair",
        title="A board of many",
        public=public,
        private=private,
        protocol="gsm8k-8shot",
        grader="numeric-1",
    )
    pooled = families(entries[:2000], compared=False)
    _write_runs(pair, [row.model for row in rows])
    Snapshot.objects.write(
        rows,
        pair=pair,
        method=METHOD,
        inputs_hash="c" * 64,
        families=[one.to_dict() for one in pooled],
        decided=[one.to_dict() for one in decided_by(rows)],
        surest=[one.to_dict() for one in surest_gaps(rows)],
    )
    return rows


KINDS = ("base", "chat", "instruct", "math")


def _entry(number: int, rng: random.Random) -> Entry:
    skill = rng.betavariate(4, 3)
    gap = rng.gauss(0.01, 0.02)
    public = min(max(skill + gap, 0.0), 1.0)
    private = min(max(skill, 0.0), 1.0)
    size = rng.choice(SIZES)
    weights = rng.random() < 0.7
    kind = rng.choice(KINDS)
    family = f"Family {number % FAMILIES}" if rng.random() < 0.9 else ""
    tries = rng.randint(1, 4)
    ended = date(2025, 1, 1) + timedelta(days=rng.randrange(600))
    evidence = rng.choice(LEVELS)
    p = rng.random()
    likelihood = None
    if weights:
        mean = rng.gauss(-0.6, 0.1)
        likelihood = Likelihoods(
            definition="characters-1",
            public=Likely(per_character=mean, standard_error=0.01, n=1200),
            private=Likely(per_character=mean - 0.01, standard_error=0.01, n=1200),
        )
    return Entry(
        model=f"model-{number:06d}-{size or 'x'}b-{kind}",
        organisation=f"Laboratory {number % ORGANISATIONS}",
        access="weights" if weights else "endpoint",
        run=str(UUID(int=number)),
        public=OutcomeCounts.of_score(round(public * PUBLIC), PUBLIC),
        private=OutcomeCounts.of_score(round(private * PRIVATE), PRIVATE),
        family=family,
        parameters=int(size * 1e9) if size else None,
        open_weights=weights,
        protocol="gsm8k-8shot",
        grader="numeric-1",
        tries=tries,
        ended=ended.isoformat(),
        judged=Judged(
            evidence=evidence,
            basis="twins",
            p=p,
            visible=0.04,
            visible_overfit=0.05,
            adjusted=None,
            cut=False,
            fewest=None,
            levels=IN_FORCE,
            closed="2026-01-31",
            method=EVIDENCE_METHOD,
        ),
        likelihood=likelihood,
    )


def _write_runs(pair: SetPair, ranked: Sequence[str]) -> None:
    """Write what the site itself would hold: a run for each model, of which some are waiting."""
    owner = Organisation.objects.create(name="Laboratory")
    user = User.objects.create(username="submitter")
    waiting = [f"waiting-{number}" for number in range(WAITING)]
    names = [*ranked, *waiting]
    for first in range(0, len(names), BATCH):
        models = Model.objects.bulk_create(
            Model(name=name, organisation=owner) for name in names[first : first + BATCH]
        )
        submissions = Submission.objects.bulk_create(
            Submission(
                model=model,
                submitted_by=user,
                pair=pair,
                kind="checkpoint",
                idempotency_key=model.name,
                fingerprint="0" * 64,
                checkpoint="weights",
            )
            for model in models
        )
        runs = []
        for submission in submissions:
            waits = submission.model.name in waiting
            run = Run(
                submission=submission,
                organisation=submission.model.organisation,
                pool="default",
                state="queued" if waits else "ranked",
                queued_at=START,
                deadline=START + timedelta(days=3650),
                total=PUBLIC + PRIVATE,
                ended_at=None if waits else START,
            )
            runs.append(run)
        Run.objects.bulk_create(runs)
