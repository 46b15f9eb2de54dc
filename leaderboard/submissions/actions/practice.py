"""Practice runs: their result at once, and the transcripts that their evaluator sends."""

from dataclasses import asdict

from evaluator.contract import Transcripts
from evaluator.errors import Code, error
from leaderboard.submissions.adaptive import statistician
from leaderboard.submissions.models import PracticeResult, Run, Transcript
from leaderboard.submissions.states import LIVE, Disposition, RunState


def store_result(run: Run) -> None:
    """Store the gap of a practice run that has just been graded."""
    gap = statistician().raw_gap(run)
    PracticeResult.objects.create(run=run, **asdict(gap))


def store_transcripts(run: Run, body: Transcripts) -> Disposition:
    """Store the transcripts of one set of a practice run.

    They may come after the last outcome. Raises ``bad_message`` for another run, and for a set that
    is sealed or not the run's.
    """
    pair = run.submission.pair
    by_name = {item_set.name: item_set for item_set in pair.sets()}
    item_set = by_name.get(body.set)
    if not pair.practice or item_set is None or item_set.sealed:
        raise error(Code.BAD_MESSAGE, "transcripts are of public sets of practice runs only")
    if any(item.index >= item_set.n for item in body.items):
        raise error(Code.BAD_MESSAGE, "transcripts do not fit their set")
    if run.state not in (*LIVE, RunState.GRADED):
        return Disposition.LATE
    Transcript.objects.update_or_create(
        run=run,
        item_set=item_set,
        defaults={"body": body.to_dict()},
    )
    return Disposition.APPLIED
