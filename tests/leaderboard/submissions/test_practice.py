"""Practice: both sets public, the result at once, prompts and answers for the organisation only."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from evaluator.contract import EVALUATE_TASK, JobSpec
from evaluator.errors import EvaluatorError
from leaderboard.accounts.actions import sign_up
from leaderboard.accounts.models import ApiToken, Membership, User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.celery import REBUILD_TASK
from leaderboard.errors import Refusal, SiteError
from leaderboard.evidence.model_runs import newest
from leaderboard.submissions import actions
from leaderboard.submissions.actions import queue
from leaderboard.submissions.models import QuotaEntry, Run
from leaderboard.submissions.models import Transcript as StoredTranscript
from leaderboard.submissions.states import Disposition
from tests.leaderboard import routes as table
from tests.leaderboard.conftest import PUBLIC_N, FakeEvaluator
from tests.leaderboard.practising import practice_pair, run_through, transcripts


@pytest.fixture
def practice(pair: SetPair) -> SetPair:
    """A practice pair: the public set of the pair, and another public one."""
    return practice_pair(pair)


@pytest.fixture
def practise(
    practice: SetPair, make_run: Callable[..., Run], evaluator: FakeEvaluator
) -> Callable[..., Run]:
    """Submit for practice and return the queued run."""
    evaluator.register()

    def make(**changes: Any) -> Run:
        return make_run(**{"pair": "warm-up"} | changes)

    return make


def test_a_practice_run_has_its_result_at_once(
    practise: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    run = practise()
    run_through(evaluator, run)
    assert run.state == "graded"
    assert run.is_final
    assert run.practice_result.low < run.practice_result.gap < run.practice_result.high
    assert StoredTranscript.objects.filter(run=run).count() == 2


def test_the_same_weights_may_practise_again(
    practise: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    for _ in range(2):
        run = practise()
        run_through(evaluator, run)
        assert run.same_as is None
        assert run.state == "graded"


def test_transcripts_of_a_sealed_set_or_an_official_run_are_refused(
    practise: Callable[..., Run], make_run: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    official, run = make_run(), practise()
    with pytest.raises(EvaluatorError, match="bad_message"):
        actions.record_report(envelope=evaluator.begin(official).report(transcripts("public")))
    with pytest.raises(EvaluatorError, match="bad_message"):
        actions.record_report(envelope=evaluator.begin(official).report(transcripts("private")))
    attempt = evaluator.begin(run)
    for body in (transcripts("private"), transcripts("public", PUBLIC_N)):
        with pytest.raises(EvaluatorError, match="bad_message"):
            actions.record_report(envelope=attempt.report(body))
    assert not StoredTranscript.objects.exists()


def test_the_database_refuses_transcripts_of_a_sealed_set(
    pair: SetPair, practise: Callable[..., Run], make_run: Callable[..., Run]
) -> None:
    for run, item_set in ((practise(), pair.private), (make_run(), pair.public)):
        with pytest.raises(IntegrityError), transaction.atomic():
            StoredTranscript.objects.create(run=run, item_set=item_set, body={})


def test_the_database_refuses_a_practice_pair_over_a_sealed_set(pair: SetPair) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        SetPair.objects.filter(pk=pair.pk).update(practice=True)


def test_a_job_with_a_sealed_set_asks_for_no_transcripts(
    make_run: Callable[..., Run], practise: Callable[..., Run], evaluator: FakeEvaluator
) -> None:
    practising = evaluator.begin(practise()).spec
    assert JobSpec.from_dict(practising).transcripts > 0
    official = evaluator.begin(make_run()).spec
    assert "transcripts" not in official
    with pytest.raises(EvaluatorError, match="bad_message"):
        JobSpec.from_dict(official | {"transcripts": 1})


def test_fair_use_bounds_practice_and_not_official_runs(
    practise: Callable[..., Run], make_run: Callable[..., Run], settings: Any
) -> None:
    settings.PRACTICE_PER_DAY, settings.PRACTICE_UNFINISHED = 3, 2
    settings.UNFINISHED_RUNS = 1
    first = practise()
    practise()
    with pytest.raises(SiteError) as refused:
        practise()
    assert refused.value.code == Refusal.QUEUE_SHARE
    make_run()
    actions.cancel(run=first.pk)
    practise()
    settings.PRACTICE_UNFINISHED = 10
    with pytest.raises(SiteError) as refused:
        practise()
    assert refused.value.code == Refusal.PRACTICE_SHARE
    assert 86_000 < (refused.value.retry_after or 0) <= 86_400
    assert not QuotaEntry.objects.filter(pair__practice=True).exists()


def test_prompts_and_answers_are_shown_to_the_organisation_only(
    practise: Callable[..., Run], evaluator: FakeEvaluator, user: Any, client: Client
) -> None:
    run = practise()
    run_through(evaluator, run)
    page, api = f"/runs/{run.pk}/", f"/api/v1/runs/{run.pk}/transcripts"
    member = sign_up(username="bob", password=None, organisation="Other")
    Membership.objects.create(user=member, organisation=user.organisation(), role="member")
    other = sign_up(username="eve", password=None, organisation="Elsewhere")
    maintainer = User.objects.create_user("mo", is_staff=True)
    for person, sees_run, sees_texts in (
        (None, False, False),
        (other, False, False),
        (maintainer, True, False),
        (user, True, True),
        (member, True, True),
    ):
        client.logout()
        headers = {}
        if person:
            client.force_login(person)
            headers = {
                "Authorization": f"Bearer {ApiToken.objects.issue(user=person, name='t')[1]}"
            }
        response = client.get(page)
        assert response.status_code == (200 if sees_run else 404)
        assert ("It is 4." in response.content.decode()) == sees_texts
        answer = client.get(api, headers=headers)
        assert ("It is 4." in answer.content.decode()) == sees_texts
        assert "<script>alert" not in response.content.decode()


# --- nobody else's result, page or turn


def begun(evaluator: FakeEvaluator, run: Run) -> None:
    assert actions.record_report(envelope=evaluator.begin(run).started()) is Disposition.APPLIED


def sent(bell: list[Any]) -> list[str]:
    return [args[0]["run"] for name, args, _ in bell if name == EVALUATE_TASK]


def test_practice_is_sent_when_no_official_run_waits(
    practise: Callable[..., Run],
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    settings: Any,
) -> None:
    settings.PRACTICE_UNFINISHED = 10
    practising = [practise(model=f"Model-{number}") for number in range(3)]
    assert actions.drain_outbox() == 1, "one evaluator, one practice attempt"
    assert actions.drain_outbox() == 0
    official = make_run()
    assert actions.drain_outbox() == 1
    assert sent(bell) == [str(practising[0].pk), str(official.pk)]
    actions.cancel(run=practising[0].pk)
    assert actions.drain_outbox() == 0, "the official run has not begun"
    begun(evaluator, official)
    assert actions.drain_outbox() == 1
    assert sent(bell)[2:] == [str(practising[1].pk)]
    begun(evaluator, practising[1])
    assert actions.drain_outbox() == 0, "a practice run is under way"


def test_without_the_share_practice_fills_the_queue_before_others(
    practise: Callable[..., Run],
    bell: list[Any],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.PRACTICE_UNFINISHED = 10
    monkeypatch.setattr(queue, "_practice_left", lambda *_: 100)
    for number in range(4):
        practise(model=f"Model-{number}")
    assert actions.drain_outbox() == queue.PER_EVALUATOR


@pytest.mark.parametrize(("serving", "share"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (9, 4)])
def test_practice_has_half_of_the_evaluators_or_one(db: None, serving: int, share: int) -> None:
    with transaction.atomic():
        assert queue._practice_left("default", serving) == share


def test_practice_takes_nobodys_place(
    practise: Callable[..., Run], make_run: Callable[..., Run], settings: Any
) -> None:
    settings.PRACTICE_UNFINISHED = 10
    practising = [practise(model=f"Model-{number}") for number in range(3)]
    official = make_run()
    place = actions.queue_place(official)
    assert place is not None
    assert place.position == 1
    last = actions.queue_place(practising[2])
    assert last is not None
    assert last.position == 4
    assert "Practice waits" in last.reason


def test_a_practised_run_waits_for_no_close_and_asks_for_no_ranking(
    practise: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.COHORT_SECONDS = 1
    run = practise()
    with django_capture_on_commit_callbacks(execute=True):
        run_through(evaluator, run)
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(days=1))
    assert actions.next_closes() == {}
    assert actions.request_rankings() == 0
    assert not any(name == REBUILD_TASK for name, _, _ in bell)
    assert is_in_no_round(run)


def is_in_no_round(run: Run) -> bool:
    """Return True if no ranked pair has the run among those that count or wait."""
    pairs = SetPair.objects.all()
    waiting = [one for pair in pairs for one in actions.graded(pair=pair)]
    counting = [entry.run for pair in pairs for entry in newest(pair)]
    return run.pk not in waiting and str(run.pk) not in counting


def test_no_page_and_no_api_shows_a_practice_run_to_others(
    practise: Callable[..., Run], pair: SetPair, evaluator: FakeEvaluator, client: Client
) -> None:
    run = practise(model="Warming-Model")
    run_through(evaluator, run)
    other = sign_up(username="eve", password=None, organisation="Elsewhere")
    values = {
        "str": "Warming-Model", "int": "1", "uuid": str(run.pk), "path": "statement.json", "object_id": "1",
        "base36": "1", "evaluator": evaluator.name, "chart": "gaps", "submission_id": str(run.submission_id),
        "run_id": str(run.pk), "app_label": "accounts", "content_type_id": "1", "url": "x", "username": "eve",
        "secret": "none", "upload_id": str(run.pk), "key": "none",
    }  # fmt: skip
    shown = []
    for user in (None, other):
        client.logout()
        if user:
            client.force_login(user)
        for route, slug in itertools.product(table.routes(), ("pair", "warm-up")):
            known = values | {"slug": slug}
            path = route.path({name: known.get(name) or known[kind] for kind, name in route.parts})
            answer = client.get(path)
            body = answer.getvalue()
            assert answer.status_code < 500
            if answer.status_code == 200 and (b"Warming" in body or str(run.pk).encode() in body):
                shown.append(path)
            if answer.status_code == 200 and slug == "warm-up" and "warm-up" in path:
                shown.append(path)
    assert shown == []


def test_run_officially_fills_in_the_form(
    practise: Callable[..., Run], evaluator: FakeEvaluator, user: Any, client: Client
) -> None:
    run = practise(
        kind="endpoint",
        checkpoint="",
        url="https://models.example/v1",
        served_model="m-1",
        api="chat",
        licence="mit",
    )
    assert run.tier == "T3"
    run_through(evaluator, run)
    client.force_login(user)
    assert f'href="/submit/?run={run.pk}"' in client.get(f"/runs/{run.pk}/").content.decode()
    form = client.get(f"/submit/?run={run.pk}").context["form"]
    assert form["pair"].value() == "pair"
    assert form["url"].value() == "https://models.example/v1"
    assert (form["model"].value(), form["licence"].value()) == ("Model-1", "mit")
    other = sign_up(username="eve", password=None, organisation="Elsewhere")
    client.force_login(other)
    assert client.get(f"/submit/?run={run.pk}").context["form"]["url"].value() is None
    for hostile in ("?run=x", "?run=1", "?pair=nowhere", "?pair=warm-up&run="):
        assert client.get(f"/submit/{hostile}").status_code == 200


def test_transcripts_are_deleted_after_their_time(
    practise: Callable[..., Run], evaluator: FakeEvaluator, settings: Any
) -> None:
    settings.PRACTICE_DAYS = 14
    run_through(evaluator, practise())
    assert actions.prune().transcripts == 0
    StoredTranscript.objects.update(received=timezone.now() - timedelta(days=15))
    assert actions.prune(dry_run=True).transcripts == 2
    assert actions.prune().transcripts == 2
    assert not StoredTranscript.objects.exists()


def test_registering_a_practice_pair(pair: SetPair, capsys: pytest.CaptureFixture[str]) -> None:
    ItemSet.objects.create(name="other", sealed=False, n=3, digest="d" * 64)
    names = {"title": "Try", "public": "public", "protocol": "demo-0shot", "practice": True}
    call_command("register_pair", "try", private="other", **names)
    made = SetPair.with_practice.get(slug="try")
    assert made.practice
    assert made.official() == pair
    assert not SetPair.objects.filter(slug="try").exists()
    for wrong in ("private", "public", "nowhere"):
        with pytest.raises(CommandError, match="two registered public sets"):
            call_command("register_pair", "try-2", private=wrong, **names)
    with pytest.raises(CommandError, match="already"):
        call_command("register_pair", "pair", private="other", **names)
    maintainer = User.objects.create_user("mo", is_staff=True)
    assert actions.withdraw_pair(slug="try", reason="not_needed", by=maintainer).withdrawn_at


def test_the_api_lists_practice_pairs_and_what_is_left(
    practise: Callable[..., Run], user: Any, client: Client, settings: Any
) -> None:
    settings.PRACTICE_PER_DAY = 5
    practise()
    answer = client.get("/api/v1/practice").json()
    assert answer["use"] is None
    assert [(one["pair"], one["official"]) for one in answer["pairs"]] == [("warm-up", "pair")]
    client.force_login(user)
    assert client.get("/api/v1/practice").json()["use"]["left"] == 4
    assert "4 of 5 practice runs left" in client.get("/practice/").content.decode()
