"""A model's first official run has its row; later tries are counted and shown, and lift nothing."""

import csv
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from evaluator.contract import OutcomeCounts
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.actions import close_cohort, rebuild
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.board.snapshot import recompute
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.model_runs import DecidedRun, ranked_of
from leaderboard.evidence.models import AdaptiveResult
from leaderboard.evidence.prior_exposure import RunExposure
from leaderboard.evidence.summaries import LaterTries, ReplacedRun
from leaderboard.submissions.models import Lineage, Model, Run, SampleMean, Submission
from tests.leaderboard.ruled import retract
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def submitted(run: Run, days_ago: float) -> Run:
    moment = NOW - timedelta(days=days_ago)
    Submission.objects.filter(pk=run.submission_id).update(created=moment)
    return run


def asked(pair: SetPair, model: str, private: int, days_ago: float = 0, **more: Any) -> Run:
    return submitted(make_run(pair, model, public=private, private=private, **more), days_ago)


def close(pair: SetPair) -> dict[str, Row]:
    close_cohort(pair=pair)
    snapshot = Snapshot.objects.current(pair)
    assert snapshot is not None
    return {row.model: row for row in snapshot.ranking()}


@pytest.fixture
def pair() -> SetPair:
    made = make_pair()
    for number, right in enumerate((360, 300, 240)):
        asked(made, f"other-{number}", right)
    return made


def test_a_second_better_run_does_not_lift_the_row(pair: SetPair) -> None:
    first = asked(pair, "tried", 280, 30)
    before = close(pair)
    asked(pair, "tried", 399, 10)
    asked(pair, "tried", 310, 5)
    after = close(pair)
    ranks = {model: (row.rank, row.rank_range) for model, row in before.items()}
    assert {model: (row.rank, row.rank_range) for model, row in after.items()} == ranks
    row = after["tried"]
    assert (row.run, row.private.right, row.tries) == (str(first.pk), 280, 3)
    assert row.later == LaterTries(count=2, lowest=310 / 400, highest=399 / 400)
    snapshot = Snapshot.objects.current(pair)
    assert snapshot is not None and recompute(snapshot) is True


def test_the_earlier_close_comes_first_also_where_a_run_was_queued_before(pair: SetPair) -> None:
    slow = asked(pair, "tried", 399)
    quick = asked(pair, "tried", 280)
    Run.objects.filter(pk=slow.pk).update(state="running", ended_at=None, lease_expires=NOW)
    assert close(pair)["tried"].run == str(quick.pk)
    Run.objects.filter(pk=slow.pk).update(state="graded", ended_at=NOW, lease_expires=None)
    assert close(pair)["tried"].run == str(quick.pk)


def test_in_one_close_the_run_that_was_queued_first_ranks(pair: SetPair) -> None:
    first = asked(pair, "tried", 280)
    asked(pair, "tried", 399)
    assert close(pair)["tried"].run == str(first.pk)


def test_a_retracted_first_run_gives_its_place_to_the_next(pair: SetPair) -> None:
    first = asked(pair, "tried", 280, 30)
    second = asked(pair, "tried", 270, 20)
    asked(pair, "tried", 290, 10)
    close(pair)
    retract(first.pk)
    rebuild(pair=pair)
    row = close(pair)["tried"]
    assert (row.run, row.tries) == (str(second.pk), 3)
    assert row.later == LaterTries(count=1, lowest=290 / 400, highest=290 / 400)


@pytest.mark.parametrize(("days", "ranks"), [(89.9, "first"), (90.0, "second")])
def test_after_ninety_days_a_new_run_ranks_and_says_so(
    pair: SetPair, days: float, ranks: str, client: Any
) -> None:
    first = asked(pair, "tried", 280, days)
    close(pair)
    second = asked(pair, "tried", 250)
    row = close(pair)["tried"]
    page = client.get("/models/tried/").content.decode()
    if ranks == "first":
        assert (row.run, row.replaced) == (str(first.pk), None)
        assert "The first of 2 complete runs. A later one scored 62.5% and does not rank." in page
    else:
        assert row.run == str(second.pk) and row.later is None
        assert row.replaced is not None and row.replaced.run == str(first.pk)
        assert "submitted 90 days or more after the run that ended on" in page
        assert "which ranked before it with 70.0%." in page


def test_a_run_that_is_queued_again_keeps_the_time_of_its_submission(pair: SetPair) -> None:
    first = asked(pair, "tried", 280, 100)
    close(pair)
    again = asked(pair, "tried", 399, 50)
    Run.objects.filter(pk=again.pk).update(queued_at=NOW)
    assert close(pair)["tried"].run == str(first.pk)


def test_page_board_files_and_api_show_the_later_tries(pair: SetPair, client: Any) -> None:
    first = asked(pair, "tried", 280, 30)
    asked(pair, "tried", 399, 10)
    asked(pair, "tried", 310, 5)
    close(pair)
    sentence = "The first of 3 complete runs. 2 later ones scored 77.5 to 99.8% and do not rank."
    board = client.get(f"/boards/{pair.slug}/").content.decode()
    assert "1 of 3 runs" in board and sentence in board
    assert sentence in client.get("/models/tried/").content.decode()
    text = client.get(f"/boards/{pair.slug}.csv").content.decode()
    (line,) = (one for one in csv.DictReader(StringIO(text)) if one["model"] == "tried")
    assert (line["run"], line["tries"], line["later_tries"]) == (str(first.pk), "3", "2")
    assert (line["later_lowest"], line["later_highest"]) == ("0.775", "0.9975")
    told = client.get("/api/v1/models/tried").json()["tries"]["demo"]
    assert (told["run"], told["complete"]) == (str(first.pk), 3)
    assert told["later"] == {"count": 2, "lowest": 0.775, "highest": 0.9975}
    (row,) = (
        one
        for one in client.get(f"/api/v1/board?pair={pair.slug}").json()["rows"]
        if one["model"] == "tried"
    )
    assert row["later"] == told["later"]
    out = StringIO()
    call_command("board", stdout=out)
    assert "tried (1 of 3 runs)" in out.getvalue()


def test_a_run_of_another_lineage_member_has_a_row_and_is_counted(
    pair: SetPair, client: Any
) -> None:
    lineage = Lineage.objects.create(name="seed-line")
    for model, days in (("tuned-a", 20), ("tuned-b", 10), ("tuned-old", 150)):
        asked(pair, model, 280, days)
    asked(pair, "tuned-elsewhere", 280, 10, organisation="Another")
    Model.objects.filter(name__startswith="tuned").update(lineage=lineage)
    rows = close(pair)
    counted = {model: row.lineage_runs for model, row in rows.items() if row.family}
    assert counted == {"tuned-a": 1, "tuned-b": 1, "tuned-old": 0, "tuned-elsewhere": 0}
    page = client.get("/models/tuned-a/").content.decode()
    assert "had 1 decided run of other models of the lineage seed-line within 90 days" in page


# --- the pure rule


def counts(right: int) -> OutcomeCounts:
    return OutcomeCounts(n=80, right=right, wrong=80 - right, no_answer=0, truncated=0)


def decided(name: str, day: int, private: int, **facts: Any) -> DecidedRun:
    entry = Entry(
        model="m", organisation="o", access="endpoint", run=name,
        public=counts(private), private=counts(private), ended="2026-01-01", **facts,
    )  # fmt: skip
    return DecidedRun(entry, datetime(2026, 1, 1, tzinfo=NOW.tzinfo) + timedelta(days=day))


def test_each_window_begins_with_the_run_that_ranks() -> None:
    runs = [decided("a", 0, 40), decided("b", 60, 70), decided("c", 120, 50), decided("d", 150, 20)]
    found = ranked_of(runs).entry
    assert found.run == "c" and found.replaced == ReplacedRun(
        run="a", ended="2026-01-01", accuracy=0.5
    )
    assert found.later == LaterTries(count=1, lowest=0.25, highest=0.25)


def test_adaptive_and_sampled_tries_are_shown_by_their_published_scores() -> None:
    linked = AdaptiveResult(
        asked=9, planned=80, look=1, looks=4, p=0.5, gap=0.0, interval=(0.0, 0.0), expected=0.5,
        references=9, visible=0.1, visible_overfit=0.2, score=0.7, score_interval=(0.6, 0.8), z=(),
    )  # fmt: skip
    mean = SampleMean(right=96, samples=4, error=0.01)
    runs = [
        decided("a", 0, 40),
        decided("adaptive", 1, 10, adaptive=linked),
        decided("sampled", 2, 40, mean=mean),
    ]
    found = ranked_of(runs).entry
    assert found.run == "a" and found.later == LaterTries(count=2, lowest=0.3, highest=0.7)


def test_the_newest_exposure_counts_with_the_stages_of_the_ranked_run() -> None:
    first = RunExposure("first", before=0, fresh=40, stages=(1, 3))
    newest = RunExposure("part", before=40, fresh=40, since="2026-01-01", stages=(2, 3))
    runs = [
        decided("a", 0, 40, prior_exposure=first),
        decided("b", 5, 70, prior_exposure=newest),
        decided("planned", 6, 70),
    ]
    exposure = ranked_of(runs).entry.prior_exposure
    assert exposure is not None and (exposure.extent, exposure.stages) == ("part", (1, 3))
    assert (exposure.run, exposure.items) == ("b", 80)
