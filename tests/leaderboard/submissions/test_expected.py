"""When a run is expected to begin and to end, and the part of its page that follows it."""

from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from leaderboard.submissions.waiting import Measured, Pace
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_status import announce, held


def took(run: Any, seconds: float) -> None:
    """The run was graded after so long."""
    end = timezone.now()
    Run.objects.filter(pk=run.pk).update(
        state=RunState.RANKED,
        started_at=end - timedelta(seconds=seconds),
        ended_at=end,
        lease_expires=None,
    )
    cache.clear()


def about(moment: Any, seconds: float) -> bool:
    return abs((moment - timezone.now()).total_seconds() - seconds) < 30


def test_runs_of_the_same_kind_are_measured_first() -> None:
    pace = Pace([Measured(1, "hub", 1.0), Measured(1, "hub", 3.0), Measured(2, "endpoint", 10.0)])
    assert pace.seconds(pair=1, kind="hub", items=10) == 20
    assert pace.seconds(pair=2, kind="hub", items=10) == 20, "another benchmark's"
    assert pace.seconds(pair=1, kind="checkpoint", items=10) == 30, "the median of all"
    assert Pace([]).seconds(pair=1, kind="hub", items=10) is None


def test_a_queued_run_is_told_when_it_begins(
    run: Any, make_run: Any, evaluator: FakeEvaluator, client: Client, user: Any
) -> None:
    second, third = make_run(model="Model-2"), make_run(model="Model-3")
    announce(evaluator, sets=held(run))
    assert actions.expected(second) is None, "nothing was measured"
    took(run, 600)
    first = actions.expected(second)
    assert first is not None and about(first.start, 0) and about(first.end, 600)
    last = actions.expected(third)
    assert last is not None and about(last.start, 600) and about(last.end, 1200)
    assert actions.expected(third, held_up=True) is None
    client.force_login(user)
    page = client.get(f"/runs/{third.pk}/").content.decode()
    assert "Expected to begin" in page and "judging by the last 1 run of this pool" in page
    body = client.get(f"/api/v1/runs/{third.pk}").json()
    assert body["expected"]["runs"] == 1 and body["expected"]["start"] < body["expected"]["end"]
    announce(evaluator, later=1, sets=())
    assert client.get(f"/api/v1/runs/{third.pk}").json()["expected"] is None, "it is held up"


def test_a_run_under_way_is_measured_by_itself(
    run: Any, make_run: Any, evaluator: FakeEvaluator
) -> None:
    second = make_run(model="Model-2")
    took(run, 600)
    actions.record_report(envelope=evaluator.begin(second).started())
    second.refresh_from_db()
    begun = actions.expected(second)
    assert begun is not None and begun.start is None and about(begun.end, 600)
    second.change(done=second.total // 2, started_at=timezone.now() - timedelta(seconds=100))
    halfway = actions.expected(second)
    assert halfway is not None and about(halfway.end, 100)
    took(second, 100)
    second.refresh_from_db()
    assert actions.expected(second) is None


def test_the_page_is_sent_only_what_is_new(
    run: Any, evaluator: FakeEvaluator, client: Client, user: Any
) -> None:
    address = f"/runs/{run.pk}/progress/"
    assert client.get(address).status_code == 404, "not a visitor's"
    client.force_login(user)
    news = client.get(address, {"state": "queued"})
    assert "<b>Queued.</b>" in news.content.decode() and "HX-Retarget" not in news.headers
    seen = news.context["seen"]
    assert client.get(address, {"state": "queued", "seen": seen}).status_code == 204
    actions.record_report(envelope=evaluator.begin(run).started())
    news = client.get(address, {"state": "queued", "seen": seen})
    assert news.headers["HX-Retarget"] == "#run" and '<div id="run">' in news.content.decode()
    assert client.post(address).status_code == 405
