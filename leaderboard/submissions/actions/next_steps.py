"""Next step of a run's author: what there is to do, and what happens by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from django.conf import settings

from evaluator.errors import Fault
from leaderboard.errors import explain_code
from leaderboard.submissions.actions.expected import expected
from leaderboard.submissions.actions.queue_forecast import Forecast
from leaderboard.submissions.continuation import is_continuable
from leaderboard.submissions.models import Run, is_decided, shown_from
from leaderboard.submissions.states import RunState

NO_FORECASTS: Mapping[str, Forecast] = MappingProxyType({})


class Act(StrEnum):
    """Act that is open to an author, to maintainers only, or to no one."""

    WAIT = "wait"
    CONTINUE = "continue"
    SUBMIT = "submit"
    MAINTAINERS = "maintainers"
    READ = "read"
    NONE = "none"


@dataclass(frozen=True)
class NextStep:
    """Next step of a run. ``urgent`` is true where nothing happens before its author acts.

    The sentence about a failure is the explanation's advice, as everywhere.
    """

    act: Act
    sentence: str

    @property
    def urgent(self) -> bool:
        """Return True where the author has to act."""
        return self.act in (Act.CONTINUE, Act.SUBMIT)


def next_step(
    run: Run,
    closes: Mapping[int, datetime],
    forecasts: Mapping[str, Forecast] = NO_FORECASTS,
) -> NextStep:
    """Return the next step of a run; ``closes`` are those of :func:`next_closes`.

    The ``forecasts`` of :func:`foresee_of` add the turn of a queued run.
    """
    state = RunState(run.state)
    if state is RunState.FAILED:
        explained = explain_code(run.code) or {"advice": ""}
        if is_continuable(run.code) and run.continued < settings.MAX_CONTINUES:
            act = Act.CONTINUE
        elif run.fault == Fault.OURS:
            act = Act.MAINTAINERS
        else:
            act = Act.SUBMIT
        return NextStep(act, explained["advice"])
    if state is RunState.CANCELLED:
        problem = explain_code(run.ended_because)
        return NextStep(Act.NONE, problem["advice"] if problem else "It was withdrawn.")
    if state is RunState.RANKED or run.has_practised:
        return NextStep(Act.READ, "Read the result.")
    if state is RunState.GRADED:
        return _after_grading(run, closes.get(run.submission.pair_id))
    return NextStep(Act.WAIT, _under_way(run, forecasts.get(run.pool)))


def _after_grading(run: Run, close: datetime | None) -> NextStep:
    if run.submission.is_watched:
        return NextStep(Act.NONE, "It is of the watch list and never ranked.")
    if is_decided(run):
        end = shown_from(run)
        until = f" until {end:%d %b %Y}" if end else ""
        return NextStep(Act.READ, f"Read the result. It is under embargo{until}.")
    return NextStep(Act.WAIT, results_on(close))


def _under_way(run: Run, forecast: Forecast | None) -> str:
    if run.state != RunState.QUEUED:
        if run.phase == "waiting":
            return "The endpoint does not answer at the moment: check that it runs."
        return "It goes on by itself."
    lack = run.waiting or (forecast and forecast.lack(run))
    problem = explain_code(lack) if lack else None
    if problem:
        return problem["message"]
    if forecast is None:
        return "It begins by itself."
    turn = forecast.turn(run)
    place = f"It begins by itself. It is number {turn.position} in the queue"
    start = expected(run, forecast=forecast)
    if start and start.start:
        return f"{place}, about {start.start:%H:%M} UTC on {start.start:%d %b}."
    return f"{place}."


def results_on(close: datetime | None) -> str:
    """Return when the result of a graded run is published, as a sentence."""
    if close is None:
        return "Results are published when the maintainers close the board."
    return f"Results are published on {close:%d %b %Y, %H:%M} UTC.".replace(" 0", " ", 1)
