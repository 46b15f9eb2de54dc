"""A practice pair, and the reports of a practice run."""

from evaluator.contract import Outcome, Transcript, Transcripts
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import Disposition
from tests.leaderboard.conftest import PRIVATE_N, FakeAttempt, FakeEvaluator

PROMPT = "<script>alert(1)</script> What is 2 + 2?"


def practice_pair(pair: SetPair) -> SetPair:
    """Pair the public set of a pair with another public one."""
    other = ItemSet.objects.create(name="warm-up", sealed=False, n=PRIVATE_N, digest="d" * 64)
    return SetPair.with_practice.create(
        slug="warm-up",
        title="Warm-up",
        public=pair.public,
        private=other,
        protocol="demo-0shot",
        grader="numeric-1",
        practice=True,
    )


def transcripts(name: str = "public", *indices: int) -> Transcripts:
    items = [
        Transcript(
            index=index,
            prompt=PROMPT,
            completions=("It is 4.",),
            extracted=("4",),
            gold="4",
            outcome=Outcome.RIGHT,
        )
        for index in indices or (0, 1)
    ]
    return Transcripts(set=name, items=tuple(items))


def run_through(
    evaluator: FakeEvaluator, run: Run, names: tuple[str, str] = ("public", "warm-up")
) -> FakeAttempt:
    """Send every report of an undisturbed practice attempt."""
    attempt = evaluator.begin(run)
    story = [attempt.started(), attempt.progress(phase="loading"), *attempt.graded()]
    for report in story:
        assert actions.record_report(envelope=report) is Disposition.APPLIED
    for name in names:
        actions.record_report(envelope=attempt.report(transcripts(name)))
    assert actions.record_report(envelope=attempt.finished()) is Disposition.APPLIED
    run.refresh_from_db()
    return attempt
