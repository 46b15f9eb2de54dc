"""A check warns that a run under a name that has its row never ranks, and until when."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.actions.later_tries import later_try_checks
from leaderboard.submissions.models import Run, Submission
from leaderboard.submissions.states import LATER_TRY_DAYS, RunState
from tests.leaderboard.practising import practice_pair


def submitted(run: Run, days: int) -> None:
    """Let a run have been submitted so many days ago."""
    moment = timezone.now() - timedelta(days=days)
    Submission.objects.filter(pk=run.submission_id).update(created=moment)


def test_the_form_says_that_a_name_has_one_row(pair: SetPair, user: Any, client: Client) -> None:
    client.force_login(user)
    page = client.get("/submit/").content.decode()
    assert f"within {LATER_TRY_DAYS} days are a later try and never rank" in page


@pytest.mark.parametrize("days", [0, 89, 90])
def test_other_weights_under_a_ranked_name_are_a_later_try(
    run: Run, pair: SetPair, user: Any, ask: Any, days: int
) -> None:
    submitted(run, days)
    found = later_try_checks(user, ask(checkpoint="other"), pair)
    assert len(found) == (1 if days < LATER_TRY_DAYS else 0)
    assert all(check.level == "warning" and "never ranks" in check.sentence for check in found)


def test_a_run_after_the_window_has_a_window_of_its_own(
    run: Run, make_run: Any, pair: SetPair, user: Any, ask: Any
) -> None:
    submitted(run, 170)
    submitted(make_run(checkpoint="second"), 60)
    (check,) = later_try_checks(user, ask(), pair)
    second = timezone.now() - timedelta(days=60)
    assert f"a run of {second:%Y-%m-%d}" in check.sentence, "it has the row now"
    submitted(run, 100)
    assert later_try_checks(user, ask(), pair) == (), "the second is a later try itself"


def test_names_that_are_free(run: Run, make_run: Any, pair: SetPair, user: Any, ask: Any) -> None:
    assert later_try_checks(user, ask(), pair)
    assert later_try_checks(user, ask(model="Model-2"), pair) == ()
    assert later_try_checks(user, ask(protocol="other"), pair) == (), "it is not ranked"
    practice = practice_pair(pair)
    assert later_try_checks(user, ask(), practice) == ()
    run.move(RunState.CANCELLED)
    assert later_try_checks(user, ask(), pair) == ()
