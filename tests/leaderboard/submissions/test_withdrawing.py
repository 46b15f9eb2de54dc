"""A pair that was registered with a typo: refused at once, confirmed on a second page, or withdrawn in public."""

import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from evaluator import grading, protocols
from evaluator.errors import EXPLANATIONS, Code, Fault
from leaderboard.accounts.models import ApiToken, User
from leaderboard.benchmarks.actions import register_pair
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard import sealed
from tests.leaderboard.ruled import grade, make_maintainer, make_model, make_pair

pytestmark = pytest.mark.django_db

FACTS = {"slug": "twins", "title": "The twins", "protocol": "demo-0shot", "grader": "numeric-1"}


def refusal(work: Any) -> Refusal | Code:
    with pytest.raises(SiteError) as refused:
        work()
    code: Refusal | Code = refused.value.code
    return code


@pytest.fixture
def maintainer(client: Client) -> Client:
    client.force_login(make_maintainer("grace"))
    return client


@pytest.fixture
def registered() -> dict[str, str]:
    """Both sets, registered; the sealed one commits to its terms. No pair yet."""
    pair = sealed.register(sealed.seal())
    facts = FACTS | {"public": pair.public.name, "private": pair.private.name}
    pair.delete()
    return facts


# --- registering


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"protocol": "demo-shot"}, Refusal.PROTOCOL_UNPUBLISHED),
        ({"also": ["gsm1k-5-shot"]}, Refusal.PROTOCOL_UNPUBLISHED),
        ({"grader": "numeric"}, Refusal.GRADER_UNPUBLISHED),
        ({"grader": "tests-1"}, Refusal.BAD_REGISTRATION),
        ({"protocol": "humaneval-0shot"}, Refusal.BAD_REGISTRATION),
        ({"also": ["humaneval-0shot"]}, Refusal.BAD_REGISTRATION),
        ({"protocol": "gsm1k-5shot"}, Refusal.TERMS_DIFFER),
        ({"grader": "lm-eval-strict-3"}, Refusal.TERMS_DIFFER),
    ],
    ids=str,
)
def test_what_is_not_published_or_not_committed_to_is_refused(
    registered: dict[str, str], maintainer: Client, changed: dict[str, Any], code: Refusal
) -> None:
    assert refusal(lambda: register_pair(**registered | changed)) is code
    also = [option for name in changed.get("also", ()) for option in ("--also", name)]
    facts = {name: value for name, value in (registered | changed).items() if name != "also"}
    options = [
        option
        for name in ("title", "public", "private", "protocol", "grader")
        for option in (f"--{name}", facts[name])
    ]
    with pytest.raises(CommandError, match=code.value):
        call_command("register_pair", "twins", *options, *also)
    for confirmed in ({}, {"confirmed": "1"}):
        sent = facts | {"also": " ".join(changed.get("also", ()))} | confirmed
        page = maintainer.post("/sets/register/pair/", sent)
        assert page.status_code in (400, 409, 422), page.content
    assert not SetPair.objects.exists()


@pytest.mark.parametrize("field", ["protocol_digest", "grader_digest"])
def test_another_protocol_or_grader_of_the_same_name_is_refused(
    registered: dict[str, str], field: str
) -> None:
    from leaderboard.benchmarks.models import ItemSet

    known = ItemSet.objects.get(name=registered["private"])
    known.manifest["terms"][field] = "ab" * 32
    known.save()
    assert refusal(lambda: register_pair(**registered)) is Refusal.TERMS_DIFFER


def test_the_form_lists_what_is_published(registered: dict[str, str], maintainer: Client) -> None:
    page = maintainer.get(f"/sets/register/pair/?private={registered['private']}").content.decode()
    for name in (*protocols.ids(), *grading.ids()):
        assert f'value="{name}"' in page
    assert 'value="demo-0shot" selected' in page


def test_nothing_is_registered_before_it_is_confirmed_on_a_second_page(
    registered: dict[str, str], maintainer: Client
) -> None:
    page = maintainer.post("/sets/register/pair/", registered | {"also": "gsm1k-5shot"})
    text = page.content.decode()
    assert page.status_code == 200 and not SetPair.objects.exists()
    assert (
        "Check the pair before you register it" in text
        and "as the sealed set commits to it" in text
        and "gsm1k-5shot" in text
    )
    assert 'name="slug" value="twins"' in text or 'value="twins"' in text
    done = maintainer.post(
        "/sets/register/pair/", registered | {"also": "gsm1k-5shot", "confirmed": "1"}
    )
    assert done.status_code == 302 and SetPair.objects.get().also == ["gsm1k-5shot"]


# --- withdrawing


@pytest.fixture
def typo(user: User) -> SetPair:
    """A pair as it was registered before protocols were checked."""
    pair = make_pair()
    SetPair.objects.filter(pk=pair.pk).update(protocol="demo-shot")
    pair.refresh_from_db()
    return pair


def waiting(pair: SetPair, user: Any, ask: Any, key: str = "key") -> Run:
    run: Run = actions.submit(user=user, key=key, ask=ask()).runs.get()
    return run


def test_a_pair_is_withdrawn_in_public_and_its_waiting_runs_are_cancelled_with_the_reason(
    typo: SetPair, user: Any, ask: Any, bell: Any, client: Client
) -> None:
    run = waiting(typo, user, ask)
    grace = make_maintainer("grace")
    made = actions.withdraw_pair(slug="pair", reason="wrong_protocol", by=grace)
    assert (made.published_state, made.withdrawn_by, made.withdrawn_why) == (
        "withdrawn",
        grace,
        "wrong_protocol",
    )
    run.refresh_from_db()
    assert (run.state, run.ended_because) == (RunState.CANCELLED, "pair_withdrawn")
    client.force_login(user)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "Maintainers have withdrawn this pair." in page
    failure = client.get(f"/api/v1/runs/{run.pk}").json()["failure"]
    assert failure["code"] == "pair_withdrawn"
    client.logout()
    told = client.get("/api/v1/sets/pair").json()
    assert (told["state"], told["set_state"], told["withdrawn"]["reason"]) == (
        "withdrawn",
        "sealed",
        "wrong_protocol",
    )
    assert [one["state"] for one in client.get("/api/v1/sets").json()["pairs"]] == ["withdrawn"]
    page = client.get("/sets/pair/").content.decode()
    assert "<b>Withdrawn</b> by grace" in page and "it names the wrong protocol" in page
    assert "withdrawn" in client.get("/sets/").content.decode()


def test_a_run_that_its_author_cancelled_before_is_not_said_to_be_ended_by_it(
    typo: SetPair, user: Any, ask: Any, bell: Any
) -> None:
    run = waiting(typo, user, ask)
    actions.cancel(run=run.pk)
    Run.objects.filter(pk=run.pk).update(ended_at="2026-01-01T00:00:00Z")
    actions.withdraw_pair(slug="pair", reason="duplicate", by=make_maintainer("grace"))
    run.refresh_from_db()
    assert run.ended_because == ""


def test_nothing_is_submitted_to_it_or_queued_again_and_it_is_not_withdrawn_twice(
    typo: SetPair, user: Any, ask: Any, bell: Any, client: Client
) -> None:
    run = waiting(typo, user, ask)
    Run.objects.filter(pk=run.pk).update(
        state="failed", code="unknown_protocol", fault="theirs", ended_at="2026-01-01T00:00:00Z"
    )
    grace = make_maintainer("grace")
    actions.withdraw_pair(slug="pair", reason="wrong_protocol", by=grace)
    assert refusal(lambda: waiting(typo, user, ask, "again")) is Refusal.PAIR_WITHDRAWN
    assert Run.objects.count() == 1, "nothing of it is left"
    assert refusal(lambda: actions.requeue(run=run.pk)) is Refusal.PAIR_WITHDRAWN
    assert (
        refusal(lambda: actions.withdraw_pair(slug="pair", reason="duplicate", by=grace))
        is Refusal.PAIR_WITHDRAWN
    )
    client.force_login(user)
    assert 'value="pair"' not in client.get("/submit/").content.decode()


@pytest.mark.parametrize("state", ["graded", "ranked"])
def test_a_pair_with_a_result_is_never_withdrawn(state: str) -> None:
    pair = make_pair()
    grade(pair, make_model("Alpha"), 9, state=state)
    grace = make_maintainer("grace")
    assert (
        refusal(lambda: actions.withdraw_pair(slug="pair", reason="wrong_protocol", by=grace))
        is Refusal.PAIR_RANKED
    )
    assert SetPair.objects.get().withdrawn_at is None


def test_who_may_and_for_which_reason(typo: SetPair, user: Any) -> None:
    assert (
        refusal(lambda: actions.withdraw_pair(slug="pair", reason="duplicate", by=user))
        is Refusal.FORBIDDEN
    )
    grace = make_maintainer("grace")
    assert (
        refusal(lambda: actions.withdraw_pair(slug="pair", reason="because", by=grace))
        is Refusal.INVALID_FIELD
    )
    assert (
        refusal(lambda: actions.withdraw_pair(slug="nowhere", reason="duplicate", by=grace))
        is Refusal.UNKNOWN_PAIR
    )


def test_by_page_command_and_api(
    typo: SetPair, user: Any, maintainer: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    page = maintainer.get("/sets/pair/withdraw/").content.decode()
    assert "it names the wrong protocol" in page
    assert maintainer.post("/sets/pair/withdraw/", {"reason": "duplicate"}).status_code == 422, (
        "not sure"
    )
    assert (
        maintainer.post("/sets/pair/withdraw/", {"reason": "because", "sure": "on"}).status_code
        == 422
    )
    assert SetPair.objects.get().withdrawn_at is None
    assert (
        maintainer.post("/sets/pair/withdraw/", {"reason": "duplicate", "sure": "on"}).status_code
        == 302
    )
    assert SetPair.objects.get().withdrawn_why == "duplicate"
    with pytest.raises(CommandError, match="pair_withdrawn"):
        call_command("withdraw_pair", "pair", "--reason", "duplicate", "--by", "grace")
    make_pair(slug="other")
    call_command("withdraw_pair", "other", "--reason", "wrong_sets", "--by", "grace")
    assert capsys.readouterr().out == "other: withdrawn, it pairs the wrong sets\n"
    make_pair(slug="third")
    for who, status in ((user, 403), (make_maintainer("grace"), 201)):
        _, secret = ApiToken.objects.issue(user=who, name="token")
        sent = maintainer.post(
            "/api/v1/sets/third/withdrawal", {"reason": "not_needed"}, content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip
        assert sent.status_code == status, sent.content


def test_a_run_on_an_unknown_protocol_is_our_fault() -> None:
    assert EXPLANATIONS[Code.UNKNOWN_PROTOCOL].fault is Fault.OURS


@pytest.mark.django_db(transaction=True)
def test_a_submission_at_the_same_time_is_cancelled_or_refused(
    user: Any, ask: Any, bell: Any
) -> None:
    make_pair()
    grace, start, found = make_maintainer("grace"), threading.Barrier(2), []

    def run(work: Any) -> None:
        start.wait(timeout=30)
        try:
            work()
            found.append(None)
        except SiteError as refused:
            found.append(refused.code)
        finally:
            connection.close()

    works = [
        lambda: actions.submit(user=user, key="key", ask=ask()),
        lambda: actions.withdraw_pair(slug="pair", reason="duplicate", by=grace),
    ]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert SetPair.objects.get().withdrawn_at is not None
    states = set(Run.objects.values_list("state", flat=True))
    assert states <= {"cancelled"} and (states or Refusal.PAIR_WITHDRAWN in found), (states, found)
