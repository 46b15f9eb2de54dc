"""Quotas: official runs are charged, refunded where nothing was gained, and refused beyond the limit."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from evaluator.contract import Identified
from evaluator.errors import Code
from leaderboard.accounts import actions as accounts
from leaderboard.accounts.models import AuditEntry, Membership, Organisation
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.actions import bounds
from leaderboard.submissions.actions.attempts import fail
from leaderboard.submissions.models import QuotaEntry, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.test_races import at_once, meet_before
from tests.planting import planted

pytestmark = pytest.mark.usefixtures("bell")
Submit = Callable[..., Run]


@pytest.fixture(autouse=True)
def defaults(settings: Any) -> None:
    """The limits that a site has unless its environment says otherwise."""
    settings.QUOTA_RUNS, settings.QUOTA_DAYS, settings.UNFINISHED_RUNS = 3, 30, 10


@pytest.fixture
def quota_of_one(settings: Any) -> None:
    settings.QUOTA_RUNS = 1


@pytest.fixture
def submit(run: Run, make_run: Submit) -> Submit:
    """Submits another model each time. The first run is there already."""
    return lambda: make_run(model=f"Model-{uuid.uuid4().hex[:8]}")


def refusal(act: Callable[[], object]) -> SiteError:
    with pytest.raises(SiteError) as refused:
        act()
    return refused.value


def left(run: Run) -> int:
    (quota,) = actions.quotas_of(run.submission.model.organisation)
    return quota.use.left


def age(days: float) -> None:
    """Make all entries older, which no program can."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE submissions_quotaentry SET at = at - %s", [timedelta(days=days)])
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_the_fourth_official_run_in_thirty_days_is_refused(run: Run, submit: Submit) -> None:
    submit(), submit()
    refused = refusal(submit)
    assert refused.code is Refusal.QUOTA_USED and refused.status == 429
    assert "3 in 30 days; the next is free on" in refused.to_dict()["message"]
    assert 29 * 86_400 < refused.retry_after <= 30 * 86_400
    assert Run.objects.count() == QuotaEntry.objects.count() == 3, "nothing of it is stored"
    age(30)
    assert submit().state == RunState.QUEUED


def test_a_charge_says_why_and_who(run: Run, user: Any) -> None:
    entry = QuotaEntry.objects.get()
    assert (entry.kind, entry.reason, entry.by, entry.run) == ("charge", "submitted", "ada", run)


def test_the_same_key_is_charged_once(run: Run, user: Any, ask: Any) -> None:
    for _ in range(2):
        actions.submit(user=user, key="again", ask=ask(model="Other"))
    assert left(run) == 1


def our_fault(run: Run, evaluator: FakeEvaluator) -> None:
    with transaction.atomic():
        fail(Run.objects.locked(run.pk), Code.LOST)  # type: ignore[arg-type]


def their_fault(run: Run, evaluator: FakeEvaluator) -> None:
    evaluator_begins(run, evaluator)
    with transaction.atomic():
        fail(Run.objects.locked(run.pk), Code.CHECKPOINT_PICKLE)  # type: ignore[arg-type]


def evaluator_begins(run: Run, evaluator: FakeEvaluator, *, exposed: bool = False) -> Any:
    attempt = evaluator.begin(run)
    actions.record_report(envelope=attempt.started())
    if exposed:
        actions.record_report(envelope=attempt.exposed())
    return attempt


def cancelled_at_once(run: Run, evaluator: FakeEvaluator) -> None:
    actions.cancel(run=run.pk)


def cancelled_after_an_item(run: Run, evaluator: FakeEvaluator) -> None:
    evaluator_begins(run, evaluator, exposed=True)
    actions.cancel(run=run.pk)


def pair_withdrawn(run: Run, evaluator: FakeEvaluator) -> None:
    evaluator_begins(run, evaluator, exposed=True)
    maintainer = make_maintainer("keeper")
    actions.withdraw_pair(slug="pair", reason="wrong_protocol", by=maintainer)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (our_fault, "our_fault"),
        (their_fault, None),
        (cancelled_at_once, "nothing_shown"),
        (cancelled_after_an_item, None),
        (pair_withdrawn, "pair_withdrawn"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_run_is_refunded_where_its_author_gained_nothing_by_it(
    run: Run, evaluator: FakeEvaluator, end: Any, reason: str | None
) -> None:
    end(run, evaluator)
    refunds = list(QuotaEntry.objects.filter(kind="refund").values_list("reason", flat=True))
    assert refunds == ([reason] if reason else [])
    own = QuotaEntry.objects.charges(
        run.submission.model.organisation, run.submission.pair, days=30
    )
    assert own.count() == (0 if reason else 1)


def test_the_same_weights_are_refunded(run: Run, submit: Submit, evaluator: FakeEvaluator) -> None:
    body = Identified(artefact="a" * 64, weights="b" * 64, layers=2)
    for each in (run, submit()):
        actions.record_report(envelope=evaluator_begins(each, evaluator).report(body))
    assert QuotaEntry.objects.get(kind="refund").reason == "same_weights"
    assert left(run) == 2


def test_an_item_that_is_reported_late_is_charged_after_all(
    run: Run, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator_begins(run, evaluator)
    actions.cancel(run=run.pk)
    assert left(run) == 3
    for report in (attempt.exposed(), attempt.exposed()):
        actions.record_report(envelope=report)
    assert left(run) == 2
    assert QuotaEntry.objects.latest("pk").reason == "shown_after_all"


def test_a_run_that_is_continued_is_charged_again(
    run: Run, submit: Submit, evaluator: FakeEvaluator, user: Any
) -> None:
    our_fault(run, evaluator)
    for _ in range(3):
        submit()
    assert refusal(lambda: actions.continue_run(run=run.pk, by=user)).code is Refusal.QUOTA_USED
    actions.requeue(run=run.pk)  # a maintainer may
    assert QuotaEntry.objects.latest("pk").reason == "queued_again"
    assert left(run) == 0


def test_a_run_that_is_charged_goes_on_beyond_the_limit(
    run: Run, submit: Submit, evaluator: FakeEvaluator, settings: Any, user: Any
) -> None:
    evaluator_begins(run, evaluator)
    Run.objects.filter(pk=run.pk).update(
        state="failed",
        fault="theirs",
        code="incomplete",
        ended_at=timezone.now(),
        lease_expires=None,
    )
    settings.QUOTA_RUNS = 1
    actions.continue_run(run=run.pk, by=user)
    assert QuotaEntry.objects.count() == 1


def test_limits_are_set_for_an_organisation_a_benchmark_or_both(run: Run, user: Any) -> None:
    keeper = make_maintainer("keeper")
    organisation = user.organisation()

    def limit(**about: Any) -> int:
        actions.set_limit(**about, reason="as agreed", by=keeper)
        (quota,) = actions.quotas_of(organisation)
        return quota.use.limit

    assert limit(runs=7) == 7
    assert limit(pair="pair", runs=6) == 6
    assert limit(organisation="analytical", runs=5) == 5
    assert limit(organisation="Analytical", pair="pair", runs=4) == 4
    assert limit(organisation="Analytical", runs=9) == 4
    assert limit(organisation="Analytical", pair="pair", runs=0) == 0
    assert AuditEntry.objects.filter(act="set_quota").count() == 6


def test_no_official_run_at_all_has_no_next_one(run: Run, submit: Submit, settings: Any) -> None:
    settings.QUOTA_RUNS = 0
    refused = refusal(submit)
    assert refused.code is Refusal.QUOTA_USED
    assert refused.to_dict()["message"].endswith("on this benchmark: 0 in 30 days.")


@pytest.mark.parametrize(
    ("about", "code"),
    [
        ({"organisation": "Nobody"}, Refusal.UNKNOWN_ORGANISATION),
        ({"pair": "none"}, Refusal.UNKNOWN_PAIR),
        ({"runs": -1}, Refusal.INVALID_FIELD),
        ({"runs": 10**9}, Refusal.INVALID_FIELD),
        ({"reason": "  "}, Refusal.INVALID_FIELD),
        ({"reason": "x" * 201}, Refusal.INVALID_FIELD),
    ],
)
def test_a_bad_limit_is_refused(pair: Any, about: dict[str, Any], code: Refusal) -> None:
    order = {"runs": 1, "reason": "as agreed", "by": make_maintainer("keeper")} | about
    assert refusal(lambda: actions.set_limit(**order)).code is code
    assert not QuotaEntry.objects.exists()


def test_only_maintainers_set_limits(pair: Any, user: Any) -> None:
    refused = refusal(lambda: actions.set_limit(runs=99, reason="I want", by=user))
    assert refused.code is Refusal.FORBIDDEN


def test_o04_an_entry_is_final(run: Run) -> None:
    for attempt in (
        lambda: QuotaEntry.objects.update(reason="other"),
        lambda: QuotaEntry.objects.all().delete(),
        lambda: QuotaEntry.objects.get().save(),
    ):
        with pytest.raises(DatabaseError, match="final"), transaction.atomic():
            attempt()
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER quota_entry_is_final ON submissions_quotaentry")
    assert QuotaEntry.objects.update(reason="other") == 1, "without the trigger"


def test_the_queue_of_one_organisation_is_bounded(
    run: Run, submit: Submit, settings: Any, evaluator: FakeEvaluator, user: Any
) -> None:
    settings.QUOTA_RUNS, settings.UNFINISHED_RUNS = 100, 2
    evaluator_begins(run, evaluator)
    second = submit()
    refused = refusal(submit)
    assert refused.code is Refusal.QUEUE_SHARE and refused.status == 429
    assert refused.retry_after == 60 and "2 runs at a time" in refused.to_dict()["message"]
    actions.cancel(run=second.pk)
    submit()


def test_other_organisations_have_their_own(run: Run, settings: Any, ask: Any) -> None:
    settings.QUOTA_RUNS = settings.UNFINISHED_RUNS = 1
    other = accounts.sign_up(username="bob", password=None, organisation="Bletchley")
    made = actions.submit(user=other, key="k", ask=ask(model="Bombe"))
    assert made.runs.get().state == "queued"


@pytest.mark.django_db(transaction=True)
def test_parallel_submissions_of_one_organisation_share_its_quota(
    run: Run, ask: Any, user: Any
) -> None:
    organisation = user.organisation()
    people = []
    for number in range(6):
        one = accounts.enrol(username=f"member-{number}")
        Membership.objects.filter(user=one).delete()
        Organisation.objects.filter(name=one.username).delete()
        Membership.objects.create(user=one, organisation=organisation)
        people.append(one)
    start = threading.Barrier(len(people))
    codes: list[Any] = []

    def hand_in(one: Any) -> None:
        start.wait()
        try:
            actions.submit(user=one, key="k", ask=ask(model=f"Model-of-{one.username}"))
            codes.append(None)
        except SiteError as failure:
            codes.append(failure.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=hand_in, args=[one]) for one in people]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert codes.count(None) == 2 and codes.count(Refusal.QUOTA_USED) == 4
    assert QuotaEntry.objects.count() == 3


def two_at_once(ask: Any, user: Any, *, of_one_organisation: bool) -> list[Any]:
    """Submit twice at once: two members for one organisation, or one person for two.

    Returns the code of each refusal, None for a submission that was taken.
    """
    second = Organisation.objects.create(name="Second")
    bob = accounts.enrol(username="bob")
    Membership.objects.create(user=bob, organisation=user.organisation())
    Membership.objects.create(user=user, organisation=second)
    other = (bob, "Analytical") if of_one_organisation else (user, "Second")
    works = [
        partial(
            actions.submit,
            user=who,
            key=f"k{number}",
            ask=ask(model=f"Model-{number}", organisation=organisation),
        )
        for number, (who, organisation) in enumerate([(user, "Analytical"), other])
    ]
    results = at_once(*works)
    return [getattr(one, "code", None) for one in results]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("pair", "quota_of_one")
def test_one_person_does_not_pass_a_quota_by_two_organisations_at_once(user: Any, ask: Any) -> None:
    codes = two_at_once(ask, user, of_one_organisation=False)
    assert set(codes) == {None, Refusal.QUOTA_USED}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("pair", "quota_of_one")
@pytest.mark.parametrize(
    ("of_one_organisation", "left"),
    [
        pytest.param(True, 'of=("user",)', id="organisation-is-not-locked"),
        pytest.param(False, 'of=("organisation",)', id="submitter-is-not-locked"),
    ],
)
def test_without_a_lock_two_at_once_pass_a_quota_of_one(
    user: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, of_one_organisation: bool, left: str
) -> None:
    """Both have counted before either is stored, as no two do while the lock is held."""
    meet_before(monkeypatch, bounds, "decide_bounds", 2)
    lock = 'of=("user", "organisation")'
    with planted(("leaderboard/accounts/models.py", lock, left)):
        codes = two_at_once(ask, user, of_one_organisation=of_one_organisation)
    assert codes == [None, None]


def test_without_the_check_a_fourth_run_is_taken(
    run: Run, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "decide_bounds", lambda _: None)
    for _ in range(3):
        submit()
    assert Run.objects.count() == 4


# --- pages, API, commands


def test_what_is_left_is_shown_before_submitting(run: Run, client: Any, user: Any) -> None:
    client.force_login(user)
    page = client.get("/submit/").content.decode()
    assert "Official runs left to your organisation: 2 of 3 on A pair" in page
    assert 'href="/quotas/"' in client.get("/mine/").content.decode()
    ledger = client.get("/quotas/").content.decode()
    assert "2 of 3 in 30 days" in ledger and "submitted, by ada" in ledger


def test_the_form_says_when_the_next_run_is_free(
    run: Run, submit: Submit, client: Any, user: Any
) -> None:
    submit(), submit()
    client.force_login(user)
    fields = {
        "key": "k", "pair": "pair", "model": "M-4", "kind": "checkpoint", "checkpoint": "honest",
    }  # fmt: skip
    answer = client.post("/submit/", fields)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 86_400
    assert "the next is free on" in answer.content.decode()
    assert "0 of 3 in 30 days" in answer.content.decode()


def test_the_api_says_what_is_left(run: Run, client: Any, user: Any) -> None:
    token = accounts.issue_token(user=user, name="t")
    found = client.get("/api/v1/quotas", headers={"Authorization": f"Bearer {token}"}).json()
    (quota,) = found["quotas"]
    assert found["organisation"] == "Analytical"
    assert (quota["pair"], quota["used"], quota["limit"], quota["left"]) == ("pair", 1, 3, 2)
    assert [entry["reason"] for entry in found["entries"]] == ["submitted"]


def test_others_do_not_see_the_ledger(run: Run, client: Any) -> None:
    other = accounts.sign_up(username="bob", password=None, organisation="Bletchley")
    client.force_login(other)
    assert str(run.pk) not in client.get("/quotas/").content.decode()
    token = accounts.issue_token(user=other, name="t")
    found = client.get("/api/v1/quotas", headers={"Authorization": f"Bearer {token}"}).json()
    assert found["entries"] == [] and found["quotas"][0]["left"] == 3


def test_maintainers_set_a_quota_by_api_command_and_console(
    pair: Any, user: Any, client: Any
) -> None:
    keeper = make_maintainer("keeper")
    token = accounts.issue_token(user=keeper, name="t")
    order = {"organisation": "Analytical", "pair": "pair", "runs": 5, "reason": "as agreed"}
    answer = client.post(
        "/api/v1/quotas", order, "application/json", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 201 and answer.json()["runs"] == 5
    out = StringIO()
    call_command(
        "set_quota",
        "6",
        "--organisation",
        "Analytical",
        "--reason",
        "more",
        "--by",
        "keeper",
        stdout=out,
    )
    assert out.getvalue() == "Analytical on every benchmark: 6 runs\n"
    client.force_login(keeper)
    form = {"organisation": "", "pair": "pair", "runs": "4", "why": "for all"}
    answer = client.post("/manage/submissions/quotaentry/add/", form, follow=True)
    assert "every organisation has 4 runs on A pair." in str([*answer.context["messages"]])
    out = StringIO()
    call_command("quotas", "Analytical", "--ledger", stdout=out)
    assert out.getvalue().startswith("pair: 5 of 5 left in 30 days\n")
    assert "limit 4 for all" in out.getvalue()
    with pytest.raises(CommandError, match="unknown_organisation"):
        call_command("quotas", "Nobody")
