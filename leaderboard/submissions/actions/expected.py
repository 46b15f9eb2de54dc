"""Expected start and end of a run, from how long runs of its pool took lately."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.actions.paces import pace_of, seconds_left, seconds_of_run
from leaderboard.submissions.actions.queue_forecast import Forecast, NewRun, foresee
from leaderboard.submissions.models import Run
from leaderboard.submissions.preflight import Prospect
from leaderboard.submissions.scheduling import Needs
from leaderboard.submissions.states import LIVE, RunState


@dataclass(frozen=True)
class Expected:
    """Expected moments of a run, judged by ``runs`` others; ``start`` is None once it has begun."""

    start: datetime | None
    end: datetime
    runs: int


def prospect(
    *,
    pair: SetPair,
    organisation: int,
    kind: str,
    items: int,
    needs: Needs,
) -> Prospect:
    """Return the place and the expected moments of a run of ``items`` that would be queued now."""
    pace = pace_of(settings.POOL)
    own = pace.seconds(pair=pair.pk, kind=kind, items=items)
    new = NewRun(organisation, needs, own, pair.practice)
    turn = foresee(settings.POOL, new=new).new
    if own is None or turn.start is None:
        return Prospect(turn.position)
    end = turn.start + timedelta(seconds=own)
    return Prospect(turn.position, turn.start, end, pace.count)


def expected(
    run: Run,
    *,
    held_up: bool = False,
    forecast: Forecast | None = None,
) -> Expected | None:
    """Return when a run is expected to begin and to end.

    None for a run that has ended or is held up, and while no run of its pool was measured.
    ``forecast`` is that of its pool, where it is known already.
    """
    pace = pace_of(run.pool)
    own = seconds_of_run(run, pace)
    if own is None or held_up:
        return None
    if run.state in LIVE:
        now = timezone.now()
        left = seconds_left(run, pace, now) or 0.0
        end = now + timedelta(seconds=left)
        return Expected(None, end, pace.count)
    if run.state != RunState.QUEUED:
        return None
    if forecast is None:
        forecast = foresee(run.pool)
    start = forecast.turn(run).start
    if start is None:
        return None
    end = start + timedelta(seconds=own)
    return Expected(start, end, pace.count)
