"""The watch list: occasions on their days, controls around a run, and nothing that counts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from evaluator.contract import Graded, JobSpec, Outcome, SetCounts, unpack_bits
from evaluator.errors import Code
from leaderboard.accounts.actions import issue_token
from leaderboard.accounts.models import AuditEntry
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.board.watched import watched
from leaderboard.errors import Refusal, SiteError
from leaderboard.evidence.models import Verdict
from leaderboard.submissions import actions
from leaderboard.submissions.actions import quotas, watches
from leaderboard.submissions.actions.fair_order import FairOrder
from leaderboard.submissions.fair_share import MAINTAINERS, Priority
from leaderboard.submissions.models import (
    Occasion,
    QuotaEntry,
    Run,
    StateChange,
    Submission,
    Watch,
)
from leaderboard.submissions.models.watching import PARTS
from tests.leaderboard import closing
from tests.leaderboard.conftest import PUBLIC_N, FakeAttempt, FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.planting import Fault, planted

TODAY = date(2030, 3, 10)
ENDPOINT = {
    "kind": "endpoint",
    "checkpoint": "",
    "url": "https://models.example/v1",
    "served_model": "m",
    "api": "completions",
}
CONTROLS = 3


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """The day it is; a test changes the one item."""
    days = [TODAY]
    monkeypatch.setattr(watches, "_today", lambda: days[0])
    monkeypatch.setattr(watches, "CONTROLS", CONTROLS)
    return days


@pytest.fixture
def maintainer() -> Any:
    return make_maintainer("curator")


@pytest.fixture
def author_run(make_run: Callable[..., Run], evaluator: FakeEvaluator) -> Run:
    evaluator.register()
    return make_run(**ENDPOINT)


@pytest.fixture
def add(author_run: Run, maintainer: Any) -> Callable[..., Watch]:
    """Put the author's endpoint on the list."""

    def make(**changes: Any) -> Watch:
        fields = {"model": "Model-1", "pair": "pair", "by": maintainer, "day": 10}
        watch = actions.watch_endpoint(**fields | changes)
        Watch.objects.filter(pk=watch.pk).update(added_at=datetime(2030, 3, 1, tzinfo=UTC))
        watch.refresh_from_db()
        return watch

    return make


def answer(evaluator: FakeEvaluator, run: Run, wrong: tuple[int, ...] = ()) -> FakeAttempt:
    """Answer every item that a run asks: right, but for some."""
    attempt = evaluator.begin(run)
    items = [index for _, index in attempt.open_items()]
    outcomes = tuple((one, Outcome.WRONG if one in wrong else Outcome.RIGHT) for one in items)
    bad = len(set(items) & set(wrong))
    counts = {"right": len(items) - bad, "wrong": bad}
    zero = {one.name.lower(): 0 for one in Outcome}
    claim = SetCounts(name="public", n=len(items), **zero | counts)
    for report in (attempt.started(), attempt.report(Graded(set="public", outcomes=outcomes))):
        actions.record_report(envelope=report)
    actions.record_report(envelope=attempt.finished((claim,)))
    return attempt


def newest() -> Run:
    return Run.objects.filter(submission__occasion__isnull=False).latest("queued_at")


def whole_occasion(evaluator: FakeEvaluator, *wrong: tuple[int, ...]) -> Occasion:
    """Take an occasion through its three runs, each with these items wrong."""
    for some in (*wrong, (), (), ())[:3]:
        assert actions.follow_watches() == 1
        answer(evaluator, newest(), some)
    assert actions.follow_watches() == 0
    return Occasion.objects.latest("day")


def test_an_occasion_asks_controls_the_public_set_and_controls(
    add: Callable[..., Watch], evaluator: FakeEvaluator
) -> None:
    watch = add()
    asked = []
    for part in ("before", "run", "after"):
        assert actions.follow_watches() == 1
        assert actions.follow_watches() == 0  # it waits for the run
        run = newest()
        assert run.submission.part == part
        spec = JobSpec.from_dict(evaluator.begin(run).spec)
        assert [ask.name for ask in spec.sets] == ["public"]  # nothing sealed
        asked.append(frozenset(range(PUBLIC_N)) - unpack_bits(spec.sets[0].without, PUBLIC_N))
        answer(evaluator, run)
        run.refresh_from_db()
        assert run.state == "graded" and run.is_final
    assert asked[0] == asked[2] == watch.control_items() and len(asked[0]) == CONTROLS
    assert len(asked[1]) == PUBLIC_N
    assert actions.follow_watches() == 0
    occasion = watch.occasions.get()
    assert (occasion.state, occasion.day) == ("done", TODAY)
    during = occasion.change("during")
    assert during is not None and (during.n, during.right, during.p) == (CONTROLS, CONTROLS, 1.0)


def test_drift_is_counted_item_by_item(
    add: Callable[..., Watch], evaluator: FakeEvaluator, clock: list[date]
) -> None:
    watch = add()
    controls = sorted(watch.control_items())
    whole_occasion(evaluator, (), (0,), controls[:1])
    clock[0] = date(2030, 4, 11)
    later = whole_occasion(evaluator, controls[:2], (1, 2, 3), ())
    assert later.day == date(2030, 4, 10)
    changes = {name: later.change(name) for name in ("during", "controls", "public")}
    found = {
        name: (one.n, one.before, one.right, one.gained, one.lost)
        for name, one in changes.items()
        if one
    }
    assert found == {
        "during": (CONTROLS, CONTROLS - 2, CONTROLS, 2, 0),
        "controls": (CONTROLS, CONTROLS, CONTROLS - 2, 0, 2),
        "public": (PUBLIC_N, PUBLIC_N - 1, PUBLIC_N - 3, 1, 3),
    }
    public = changes["public"]
    assert public is not None and public.p == pytest.approx(2 * 5 / 16)


def test_an_occasion_begins_once_and_the_last_one_only(
    add: Callable[..., Watch], evaluator: FakeEvaluator, clock: list[date]
) -> None:
    watch = add(day=5)
    clock[0] = date(2030, 3, 4)
    assert actions.follow_watches() == 0 and not watch.occasions.exists()
    clock[0] = date(2030, 7, 20)  # four days have passed without the site
    whole_occasion(evaluator)
    assert [one.day for one in watch.occasions.all()] == [date(2030, 7, 5)]
    assert actions.follow_watches() == 0
    assert watch.next_after(clock[0]) == date(2030, 8, 5)


def test_dates_are_asked_and_then_no_more(
    add: Callable[..., Watch], evaluator: FakeEvaluator, clock: list[date]
) -> None:
    watch = add(day=None, dates=[date(2030, 5, 1), date(2030, 3, 12)])
    assert watch.schedule == "on 2030-03-12, 2030-05-01"
    assert actions.follow_watches() == 0
    for day in (date(2030, 3, 12), date(2030, 5, 2)):
        clock[0] = day
        whole_occasion(evaluator)
    clock[0] = date(2031, 1, 1)
    assert actions.follow_watches() == 0 and watch.next_after(clock[0]) is None
    assert [f"{one.day}" for one in watch.occasions.all()] == ["2030-03-12", "2030-05-01"]


def test_a_failed_run_makes_the_occasion_missed_with_its_code(
    add: Callable[..., Watch], evaluator: FakeEvaluator, settings: Any
) -> None:
    settings.MAX_ATTEMPTS = 1
    watch = add()
    actions.follow_watches()
    attempt = evaluator.begin(newest())
    actions.record_report(envelope=attempt.started())
    actions.record_report(envelope=attempt.failed(Code.ENDPOINT_TIMEOUT))
    assert actions.follow_watches() == 0
    occasion = watch.occasions.get()
    assert (occasion.state, occasion.code) == ("missed", "endpoint_timeout")
    with pytest.raises(SiteError) as refused:
        actions.requeue(run=newest().pk)
    assert refused.value.code is Refusal.NOT_NOW
    assert actions.follow_watches() == 0


def test_a_watched_run_counts_for_nothing(
    add: Callable[..., Watch], evaluator: FakeEvaluator, pair: SetPair, author_run: Run
) -> None:
    charges, changes = QuotaEntry.objects.count(), StateChange.objects.count()
    add()
    whole_occasion(evaluator)
    assert Run.objects.filter(submission__occasion__isnull=False, state="graded").count() == 3
    assert not Run.objects.undecided().exists()
    assert not actions.graded(pair=pair)
    assert list(Run.objects.official()) == [author_run]
    assert (QuotaEntry.objects.count(), StateChange.objects.count()) == (charges, changes)
    assert not Run.objects.visible_to(author_run.submission.submitted_by).exclude(pk=author_run.pk)


def test_a_watched_run_comes_after_authors_and_is_charged_to_none(
    add: Callable[..., Watch], author_run: Run
) -> None:
    add()
    actions.follow_watches()
    first = {due.run: due for due in FairOrder("default", (), ()).first(10)}
    watched, authors = first[newest().pk], first[author_run.pk]
    assert (watched.priority, watched.organisation) == (Priority.WATCH, MAINTAINERS)
    assert authors.priority is Priority.AUTHOR
    assert authors.organisation == author_run.submission.model.organisation_id


def test_the_key_stays_sealed_until_the_watch_ends(
    add: Callable[..., Watch], evaluator: FakeEvaluator, maintainer: Any
) -> None:
    watch = add(api_key="sk-maintainers")
    assert watch.is_keyed and "sk-maintainers" not in str(watch.sealed_keys)
    whole_occasion(evaluator)
    own = Submission.objects.filter(occasion__isnull=False)
    assert not own.exclude(sealed_keys={}).exists() and all(one.keyed for one in own)
    watch.refresh_from_db()
    assert watch.is_keyed
    ended = actions.end_watch(watch=watch.pk, why="the provider  ended it", by=maintainer)
    assert (ended.ended_why, ended.is_keyed) == ("the provider ended it", False)
    assert AuditEntry.objects.filter(act="end_watch", why="the provider ended it").exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Watch.objects.filter(pk=watch.pk).update(sealed_keys={"evaluator-1": "AAAA"})


def test_the_end_of_a_watch_cancels_its_run(
    add: Callable[..., Watch], maintainer: Any, clock: list[date]
) -> None:
    watch = add()
    actions.follow_watches()
    actions.end_watch(watch=watch.pk, why="enough", by=maintainer)
    assert newest().state == "cancelled"
    assert watch.occasions.get().code == actions.WATCH_ENDED
    clock[0] += timedelta(days=40)
    assert actions.follow_watches() == 0
    with pytest.raises(SiteError) as refused:
        actions.end_watch(watch=watch.pk, why="again", by=maintainer)
    assert refused.value.code is Refusal.NOT_FOUND


REFUSED: dict[str, tuple[dict[str, Any], Refusal]] = {
    "no schedule": ({"day": None}, Refusal.INVALID_FIELD),
    "two schedules": ({"dates": [date(2030, 4, 1)]}, Refusal.INVALID_FIELD),
    "day 29": ({"day": 29}, Refusal.INVALID_FIELD),
    "day 0": ({"day": 0}, Refusal.INVALID_FIELD),
    "past date": ({"day": None, "dates": [date(2030, 3, 9)]}, Refusal.INVALID_FIELD),
    "date twice": ({"day": None, "dates": [TODAY, TODAY]}, Refusal.INVALID_FIELD),
    "model": ({"model": "unknown"}, Refusal.NOT_FOUND),
    "NUL": ({"model": "\0"}, Refusal.NOT_FOUND),
    "pair": ({"pair": "unknown"}, Refusal.UNKNOWN_PAIR),
    "key": ({"api_key": "two words"}, Refusal.INVALID_FIELD),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_watched_is_refused(add: Callable[..., Watch], case: str) -> None:
    changes, code = REFUSED[case]
    with pytest.raises(SiteError) as refused:
        add(**changes)
    assert refused.value.code is code and not Watch.objects.exists()


def test_only_maintainers_and_only_endpoints_once(
    add: Callable[..., Watch], user: Any, make_run: Callable[..., Run]
) -> None:
    make_run(model="Weights-1")
    for changes, code in (
        ({"by": user}, Refusal.FORBIDDEN),
        ({"model": "Weights-1"}, Refusal.NOT_FOUND),
    ):
        with pytest.raises(SiteError) as refused:
            add(**changes)
        assert refused.value.code is code
    watch = add()
    with pytest.raises(SiteError) as refused:
        add()
    assert refused.value.code is Refusal.ALREADY_WATCHED
    with pytest.raises(SiteError) as refused:
        actions.end_watch(watch=watch.pk, why="mine", by=user)
    assert refused.value.code is Refusal.FORBIDDEN


def test_the_database_refuses_a_watched_run_that_could_be_ranked(
    add: Callable[..., Watch], author_run: Run
) -> None:
    add()
    actions.follow_watches()
    of_list = Submission.objects.filter(occasion__isnull=False)
    for changes in ({"protocol": ""}, {"part": ""}, {"kind": "checkpoint"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            of_list.update(**changes)
    occasion = Occasion.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Submission.objects.filter(pk=author_run.submission_id).update(occasion=occasion)


def test_outcomes_are_read_one_by_one_on_public_sets_only(
    add: Callable[..., Watch], evaluator: FakeEvaluator, pair: SetPair
) -> None:
    from leaderboard.submissions.models import public_outcomes

    add()
    whole_occasion(evaluator)
    ItemSet.objects.filter(pk=pair.public_id).update(sealed=True)
    with pytest.raises(ValueError, match="sealed"):
        public_outcomes(newest())


def test_the_command_adds_ends_and_lists(author_run: Run, maintainer: Any) -> None:
    out = StringIO()
    call_command("watch_endpoint", "Model-1", "pair", day=10, by="curator", stdout=out)
    watch = Watch.objects.get()
    assert out.getvalue() == (
        f"{watch.pk}: Model-1 on pair  each month on day 10  last: not asked yet\n"
    )
    out = StringIO()
    call_command("watch_endpoint", end=watch.pk, why="enough", by="curator", stdout=out)
    assert "ended: enough" in out.getvalue()
    for wrong in ({"day": 10, "by": "ada"}, {"on": ["tomorrow"], "by": "curator"}):
        with pytest.raises(CommandError):
            call_command("watch_endpoint", "Model-1", "pair", **wrong)


def ranked(run: Run) -> None:
    """Rank the author's run, so that the model's name is public."""
    Run.objects.filter(pk=run.pk).update(state="ranked", ended_at=datetime(2030, 2, 1, tzinfo=UTC))


def test_the_api_adds_lists_shows_and_ends(
    author_run: Run,
    maintainer: Any,
    evaluator: FakeEvaluator,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "_today", lambda: timezone.now().date())
    token = {"Authorization": f"Bearer {issue_token(user=maintainer, name='t')}"}
    order = {
        "model": "Model-1",
        "pair": "pair",
        "dates": [f"{timezone.now():%F}"],
        "api_key": "sk-maintainers",
    }
    made = client.post("/api/v1/watches", order, "application/json", headers=token)
    assert made.status_code == 201, made.content
    assert client.get("/api/v1/watches").json() == []  # its name is not public yet
    number = made.json()["id"]
    assert client.get(f"/api/v1/watches/{number}").status_code == 404
    whole_occasion(evaluator)
    ranked(author_run)
    [listed] = client.get("/api/v1/watches").json()
    assert (listed["model"], listed["pair"], listed["next"]) == ("Model-1", "pair", None)
    answer_text = client.get(f"/api/v1/watches/{number}").content.decode()
    assert "sk-maintainers" not in answer_text and "models.example" not in answer_text
    [occasion] = client.get(f"/api/v1/watches/{number}").json()["occasions"]
    assert occasion["public"] == {
        **{"n": PUBLIC_N, "before": PUBLIC_N, "right": PUBLIC_N},
        **{"lost": 0, "gained": 0, "p": 1.0},
    }
    ended = client.post(
        f"/api/v1/watches/{number}/end", {"why": "enough"}, "application/json", headers=token
    )
    assert ended.status_code == 200 and ended.json()["ended_why"] == "enough"
    again = client.post("/api/v1/watches", order | {"day": 1}, "application/json", headers=token)
    assert again.status_code == 422


def test_the_console_adds_and_ends(author_run: Run, maintainer: Any, client: Client) -> None:
    client.force_login(maintainer)
    address = "/manage/submissions/watch/"
    form = {"model": "Model-1", "pair": "pair", "why": "each month", "api_key": "sk-maintainers"}
    wrong = client.post(f"{address}add/", form | {"dates": "tomorrow"})
    assert wrong.status_code == 422 and b"sk-maintainers" not in wrong.content
    assert client.post(f"{address}add/", form | {"day": "10"}).status_code == 302
    watch = Watch.objects.get()
    page = client.get(address).content.decode()
    assert "each month on day 10" in page and "sealed" in page and "never" in page
    assert str(next(iter(watch.sealed_keys.values()))) not in page
    assert client.get(f"{address}{watch.pk}/change/").status_code == 200
    end = {"action": "end", "_selected_action": watch.pk, "why": "enough"}
    assert client.post(address, end).status_code == 302
    watch.refresh_from_db()
    assert watch.ended_why == "enough"


def test_the_model_page_states_drift(
    add: Callable[..., Watch], evaluator: FakeEvaluator, author_run: Run, clock: list[date]
) -> None:
    watch = add()
    whole_occasion(evaluator)
    clock[0] = date(2030, 4, 10)
    whole_occasion(evaluator, (), (1, 2), ())
    [shown] = watched(watch.model)
    newest_one, first = shown.occasions
    assert first.public_since == "first time" and first.controls == f"{CONTROLS} and 3 of 3"
    assert newest_one.public == f"{100 * (PUBLIC_N - 2) / PUBLIC_N:.1f}% of {PUBLIC_N}"
    assert newest_one.public_since == "2 lost, 0 gained (p = 0.500)"
    assert newest_one.during == "same answers right"
    page = render_to_string("board/watched.html", {"one": shown})
    assert "2 lost, 0 gained (p = 0.500)" in page and "10 April 2030" in page


def test_doctor_names_what_was_not_asked(
    add: Callable[..., Watch], evaluator: FakeEvaluator, clock: list[date], settings: Any
) -> None:
    settings.MAX_ATTEMPTS = 1
    add()

    def found() -> list[str]:
        return [one.sentence for one in actions.status().check_results if "watch_" in one.code]

    assert not found()  # its day is not over
    clock[0] = date(2030, 3, 11)
    assert found() == ["Model-1 on pair was to be asked on 2030-03-10. It is not over."]
    actions.follow_watches()
    attempt = evaluator.begin(newest())
    actions.record_report(envelope=attempt.started())
    actions.record_report(envelope=attempt.failed(Code.ENDPOINT_UNAUTHORIZED))
    actions.follow_watches()
    assert found() == [
        "Model-1 on pair was to be asked on 2030-03-10. It was missed: endpoint_unauthorized."
    ]
    clock[0] = date(2030, 4, 10)
    whole_occasion(evaluator)
    clock[0] = date(2030, 4, 11)
    assert not found()


# --- the walls around a watched run, each shown to be missed where it is taken down


@dataclass(frozen=True)
class Site:
    """What the scenarios of the walls act on."""

    add: Callable[..., Watch]
    evaluator: FakeEvaluator
    pair: SetPair
    author_run: Run
    make_run: Callable[..., Run]
    member: Any
    settings: Any


@pytest.fixture
def site(add: Callable[..., Watch], request: pytest.FixtureRequest) -> Site:
    names = ("evaluator", "pair", "author_run", "make_run", "user", "settings")
    return Site(add, *(request.getfixturevalue(name) for name in names))


def is_in_no_cohort_and_not_ranked(site: Site) -> None:
    """The close of the cohort after an occasion judges and ranks no watched run."""
    site.add()
    whole_occasion(site.evaluator)
    closing.publish(pair=site.pair)
    watched_runs = Run.objects.filter(submission__occasion__isnull=False)
    assert {run.state for run in watched_runs} == {"graded"}
    assert not Verdict.objects.filter(run__in=watched_runs).exists()


def takes_no_place_of_the_organisation(site: Site) -> None:
    """The organisation may have two runs under way; a watched one is not among them."""
    site.settings.UNFINISHED_RUNS = 2
    site.add()
    actions.follow_watches()
    try:
        site.make_run(model="Weights-2")
    except SiteError as refused:
        raise AssertionError(f"refused: {refused.code}") from refused


def is_charged_to_no_quota(site: Site) -> None:
    """Neither by an occasion nor where a charge is asked for, as after a cancellation."""
    charges = QuotaEntry.objects.count()
    site.add()
    whole_occasion(site.evaluator)
    quotas.charge(newest(), QuotaEntry.Reason.SHOWN_AFTER_ALL)
    assert QuotaEntry.objects.count() == charges


def is_asked_nothing_sealed(site: Site) -> None:
    site.add()
    for _ in PARTS:
        actions.follow_watches()
        run = newest()
        assert [row.item_set.sealed for row in run.outcomes.select_related("item_set")] == [False]
        spec = JobSpec.from_dict(site.evaluator.begin(run).spec)
        assert [ask.name for ask in spec.sets] == ["public"]
        answer(site.evaluator, run)


def is_made_by_maintainers_alone(site: Site) -> None:
    with pytest.raises(SiteError, match="forbidden"):
        site.add(by=site.member)


def is_ended_by_maintainers_alone(site: Site) -> None:
    with pytest.raises(SiteError, match="forbidden"):
        actions.end_watch(watch=site.add().pk, why="mine", by=site.member)


def is_graded_by_one_grader_alone(site: Site) -> None:
    """The rescoring of a pair leaves watched runs out: they would be compared by two graders."""
    site.add()
    whole_occasion(site.evaluator)
    maintainer = make_maintainer("regrader")
    assert actions.ask_all_again(slug="pair", grader="numeric-2", by=maintainer) == []


def is_seen_by_maintainers_alone(site: Site) -> None:
    site.add()
    actions.follow_watches()
    assert list(Run.objects.visible_to(site.member)) == [site.author_run]
    assert list(Run.objects.visible_to(None)) == []


OFFICIAL: Fault = (
    "leaderboard/submissions/models/runs.py",
    "return self.filter(submission__pair__practice=False, submission__occasion=None)",
    "return self.filter(submission__pair__practice=False)",
)
WATCHES = "leaderboard/submissions/actions/watches.py"
NO_RIGHT = "if not by.is_staff:\n        raise refuse(Refusal.FORBIDDEN)\n    "
WALLS: dict[str, tuple[Callable[[Site], None], Fault]] = {
    "ranked": (is_in_no_cohort_and_not_ranked, OFFICIAL),
    "regraded": (is_graded_by_one_grader_alone, OFFICIAL),
    "place taken": (
        takes_no_place_of_the_organisation,
        (
            "leaderboard/submissions/actions/bounds.py",
            "own = Run.objects.of_authors()",
            "own = Run.objects.all()",
        ),
    ),
    "charged": (
        is_charged_to_no_quota,
        (
            "leaderboard/submissions/actions/quotas.py",
            "if submission.is_watched or not is_official(submission.pair):",
            "if not is_official(submission.pair):",
        ),
    ),
    "seen by its author": (
        is_seen_by_maintainers_alone,
        (WATCHES, "submitted_by=watch.added_by", "submitted_by=source.submitted_by"),
    ),
    "sealed": (
        is_asked_nothing_sealed,
        (
            WATCHES,
            "source, public = watch.source, watch.pair.public",
            "source, public = watch.source, watch.pair.private",
        ),
    ),
    "made by a member": (is_made_by_maintainers_alone, (WATCHES, f"{NO_RIGHT}pair =", "pair =")),
    "ended by a member": (
        is_ended_by_maintainers_alone,
        (WATCHES, f"{NO_RIGHT}reason =", "reason ="),
    ),
}


@pytest.mark.parametrize("wall", WALLS)
def test_a_watched_run_keeps_to_the_wall(site: Site, wall: str) -> None:
    WALLS[wall][0](site)


@pytest.mark.parametrize("wall", WALLS)
def test_a_build_without_the_wall_is_noticed(site: Site, wall: str) -> None:
    scenario, fault = WALLS[wall]
    with planted(fault), pytest.raises((AssertionError, pytest.fail.Exception)):
        scenario(site)
