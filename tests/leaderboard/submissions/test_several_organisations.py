"""A member of two organisations chooses which one submits, and gains nothing else by it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from leaderboard.accounts.actions import create_organisation, issue_token
from leaderboard.accounts.models import Membership, Organisation, User
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Model, Probe, QuotaEntry, Run, Submission, Upload
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.submissions.test_probes import ENDPOINT, ready
from tests.leaderboard.uploading import author_of, stranger

__all__ = ["ready"]  # a fixture

FIRST, SECOND = "Analytical", "Second Lab"
FORM = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "checkpoint", "checkpoint": "honest"}
ADDRESS = {name: ENDPOINT[name] for name in ("url", "served_model", "api")}


@pytest.fixture
def member(user: User) -> User:
    """A member of Analytical, and later of Second Lab."""
    create_organisation(name=SECOND, by=user)
    return user


@pytest.fixture
def browser(member: User) -> Client:
    client = Client()
    client.force_login(member)
    return client


def code_of(action: Any) -> Any:
    with pytest.raises(SiteError) as refused:
        action()
    return refused.value.code


def submit(user: User, ask: Any, key: str = "k1", **changes: Any) -> Run:
    return actions.submit(user=user, key=key, ask=ask(**changes)).runs.get()


def send(client: Client, user: User, path: str, body: dict[str, Any] | None) -> Any:
    """Send a request of the API: by GET where there is no body."""
    token = issue_token(user=user, name=f"t{user.tokens.count()}")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k1"}
    if body is None:
        return client.get(f"/api/v1{path}", headers=headers)
    text = json.dumps(body)
    return client.post(f"/api/v1{path}", text, "application/json", headers=headers)


# --- chosen on the page and by the API


@pytest.mark.usefixtures("pair", "bell")
def test_the_form_offers_a_choice_to_a_member_of_several(
    user: User, client: Client, settings: Any
) -> None:
    settings.QUOTA_RUNS = 3
    client.force_login(user)
    assert 'name="organisation"' not in client.get("/submit/").content.decode()
    create_organisation(name=SECOND, by=user)
    page = client.get("/submit/").content.decode()
    select = re.search(r'<select name="organisation".*?</select>', page, re.DOTALL)
    assert select and re.findall(r'value="([^"]*)"', select[0]) == [FIRST, SECOND]
    assert client.post("/submit/", FORM | {"organisation": SECOND}).status_code == 302
    assert Model.objects.get().organisation.name == SECOND
    (charge,) = QuotaEntry.objects.all()
    assert charge.organisation is not None and charge.organisation.name == SECOND
    page = client.get(f"/quotas/?organisation={SECOND}").content.decode()
    run = Run.objects.get().get_absolute_url()
    assert "2 of 3" in page and run in page
    assert run not in client.get("/quotas/").content.decode()


@pytest.mark.usefixtures("pair", "bell")
def test_without_a_choice_the_organisation_joined_first_submits(member: User, ask: Any) -> None:
    assert submit(member, ask).submission.model.organisation.name == FIRST


@pytest.mark.usefixtures("pair", "bell")
def test_the_api_submits_for_the_organisation_that_it_names(member: User, client: Client) -> None:
    order = {name: value for name, value in FORM.items() if name != "key"}
    made = send(client, member, "/submissions", order | {"organisation": "second lab"})
    assert made.status_code == 201, made.content
    assert Model.objects.get().organisation.name == SECOND
    other = send(client, member, "/submissions", order)
    assert other.json()["code"] == "idempotency_key_reused", "it would be another submission"
    quotas = send(client, member, f"/quotas?organisation={SECOND}", None).json()
    assert (quotas["organisation"], [one["used"] for one in quotas["quotas"]]) == (SECOND, [1])
    assert {one["organisation"] for one in quotas["entries"]} == {SECOND}


def test_a_probe_and_the_form_after_it_are_of_the_chosen_one(
    member: User, pair: Any, ready: Any, browser: Client
) -> None:
    order = {"pair": "pair", **ADDRESS, "organisation": SECOND}
    assert send(browser, member, "/probes", order).status_code == 201
    probe = Probe.objects.get()
    assert probe.organisation.name == SECOND
    page = browser.get(f"/submit/?probe={probe.pk}").content.decode()
    assert f'<option value="{SECOND}" selected>' in page


# --- refused


FILES = [
    {"name": name, "size": 8, "digest": "0" * 64}
    for name in ("config.json", "tokenizer.json", "model.safetensors")
]
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "checkpoint": ("/submissions", {"model": "M", "kind": "checkpoint", "checkpoint": "honest"}),
    "hub": ("/submissions", {"model": "M", "kind": "hub", "repo": "a/b"}),
    "endpoint": ("/submissions", {"model": "M", "kind": "endpoint", **ADDRESS}),
    "preflight": ("/preflight", {"repo": "a/b"}),
    "probe": ("/probes", ADDRESS),
}


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("request_", list(REQUESTS))
def test_another_organisation_is_refused(member: User, client: Client, request_: str) -> None:
    """No hub is there to be asked: the refusal comes before."""
    stranger()
    path, body = REQUESTS[request_]
    for name in ("Elsewhere", "Nowhere", "é"):
        order = body | {"pair": "pair", "organisation": name}
        answer = send(client, member, path, order)
        assert (answer.status_code, answer.json()["code"]) == (403, "organisation_not_yours")
    assert not Submission.objects.exists() and not Probe.objects.exists()


@pytest.mark.usefixtures("uploads")
def test_an_upload_for_another_organisation_is_refused(member: User, client: Client) -> None:
    stranger()
    answer = send(client, member, "/uploads", {"files": FILES, "organisation": "Elsewhere"})
    assert (answer.status_code, answer.json()["code"]) == (403, "organisation_not_yours")
    assert send(client, member, "/uploads", {"files": FILES}).status_code == 201


@pytest.mark.usefixtures("pair", "bell")
@pytest.mark.parametrize("several", [True, False])
def test_the_page_refuses_another_organisation(user: User, client: Client, several: bool) -> None:
    stranger()
    if several:
        create_organisation(name=SECOND, by=user)
    client.force_login(user)
    answer = client.post("/submit/", FORM | {"organisation": "Elsewhere"})
    assert answer.status_code == 403 and "not a member" in answer.content.decode()
    assert client.get("/quotas/?organisation=Elsewhere").status_code == 403
    assert not Submission.objects.exists()


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("path", ["/quotas", "/practice", "/uploads"])
def test_lists_about_another_organisation_are_refused(
    member: User, client: Client, path: str
) -> None:
    stranger()
    answer = send(client, member, f"{path}?organisation=Elsewhere", None)
    assert (answer.status_code, answer.json()["code"]) == (403, "organisation_not_yours")
    assert send(client, member, f"{path}?organisation={SECOND}", None).status_code == 200


@pytest.mark.usefixtures("pair", "bell")
def test_one_who_left_does_not_submit_for_it_any_more(member: User, ask: Any) -> None:
    submit(member, ask, organisation=SECOND)
    Membership.objects.filter(user=member, organisation__name=SECOND).delete()
    again = code_of(lambda: submit(member, ask, key="k2", organisation=SECOND))
    assert again is Refusal.ORGANISATION_NOT_YOURS
    assert code_of(lambda: submit(member, ask, key="k2")) is Refusal.MODEL_TAKEN


@pytest.mark.usefixtures("pair", "bell")
def test_a_model_of_the_other_organisation_names_the_way_out(member: User, ask: Any) -> None:
    submit(member, ask, organisation=SECOND)
    refused = code_of(lambda: submit(member, ask, key="k2"))
    assert refused is Refusal.MODEL_OF_OTHER
    assert submit(member, ask, key="k2", organisation=SECOND)


# --- uploads stay with their organisation


@pytest.fixture
def uploads(settings: Any, tmp_path: Path) -> None:
    settings.UPLOADS = tmp_path / "uploads"


@pytest.mark.usefixtures("uploads", "pair", "bell")
def test_an_upload_is_submitted_by_its_own_organisation_only(member: User, ask: Any) -> None:
    upload = Upload.objects.create(
        organisation=Organisation.objects.get(name=SECOND), created_by=member, size=1,
        fingerprint="a" * 64,
    )  # fmt: skip
    weights = {"kind": "upload", "checkpoint": "", "upload": str(upload.pk)}
    others = {"base": str(upload.pk), "kind": "hub", "checkpoint": "", "repo": "a/b"}

    def refusals(**changes: Any) -> tuple[Any, Any]:
        asked: Ask = ask(**changes)
        submitted = code_of(lambda: actions.submit(user=member, key="k1", ask=asked))
        return submitted, code_of(lambda: actions.preflight_of(asked, user=member))

    for changes in (weights, others):
        assert refusals(**changes) == (Refusal.UPLOAD_UNKNOWN, Refusal.UPLOAD_UNKNOWN)
        own = refusals(**changes, organisation=SECOND)
        assert own == (Refusal.UPLOAD_INCOMPLETE, Refusal.UPLOAD_INCOMPLETE)
    verifier = code_of(lambda: submit(member, ask, verifier=str(upload.pk)))
    assert verifier is Refusal.UPLOAD_UNKNOWN


@pytest.mark.usefixtures("uploads")
def test_uploads_of_both_are_listed_and_changed_by_a_member(member: User, browser: Client) -> None:
    author, other = author_of(member), stranger()
    body: dict[str, Any] = {"files": FILES}
    first = author.ask("POST", "", body).json()
    second = author.ask("POST", "", body | {"organisation": SECOND}).json()
    assert first["id"] != second["id"], "each organisation has its own files"
    assert (first["organisation"], second["organisation"]) == (FIRST, SECOND)
    rows = author.ask("GET", "").json()
    assert [row["organisation"] for row in rows] == [SECOND, FIRST]
    page = browser.get("/uploads/").content.decode()
    assert 'data-label="Organisation"' in page and first["id"] in page and second["id"] in page
    form = browser.get(f"/submit/?upload={second['id']}").content.decode()
    assert f'<option value="{SECOND}" selected>' in form
    for upload in (first, second):
        path = f"/{upload['id']}"
        assert other.ask("GET", path).status_code == other.ask("DELETE", path).status_code == 404
        assert author.ask("DELETE", path).status_code == 200


# --- nobody has more for being in several organisations


@pytest.mark.usefixtures("pair", "bell")
def test_a_quota_also_holds_for_one_who_submits_for_several(
    member: User, ask: Any, settings: Any, browser: Client
) -> None:
    settings.QUOTA_RUNS = 1
    submit(member, ask)
    other: dict[str, Any] = {"key": "k2", "model": "M-2", "organisation": SECOND}
    assert code_of(lambda: submit(member, ask, **other)) is Refusal.QUOTA_USED
    assert "0 of 1" in browser.get(f"/quotas/?organisation={SECOND}").content.decode()
    colleague = User.objects.create_user(username="bob")
    Membership.objects.create(user=colleague, organisation=Organisation.objects.get(name=SECOND))
    assert submit(colleague, ask, **other), "the organisation itself has its run left"


@pytest.mark.usefixtures("pair", "bell")
def test_the_queue_holds_no_more_runs_of_one_who_submits_for_several(
    member: User, ask: Any, settings: Any
) -> None:
    settings.UNFINISHED_RUNS = 1
    submit(member, ask)
    other = {"key": "k2", "model": "M-2", "organisation": SECOND}
    assert code_of(lambda: submit(member, ask, **other)) is Refusal.QUEUE_SHARE


@pytest.mark.usefixtures("bell")
def test_practice_is_bounded_for_one_who_submits_for_several(
    member: User, pair: Any, ask: Any, settings: Any
) -> None:
    practice_pair(pair)
    settings.PRACTICE_PER_DAY = 1
    submit(member, ask, pair="warm-up")
    other = {"key": "k2", "model": "M-2", "organisation": SECOND, "pair": "warm-up"}
    assert code_of(lambda: submit(member, ask, **other)) is Refusal.PRACTICE_SHARE


@pytest.mark.usefixtures("ready")
def test_a_season_counts_endpoints_of_one_who_submits_for_several(member: User, ask: Any) -> None:
    submit(member, ask, **ENDPOINT)
    elsewhere = ENDPOINT | {"url": "https://other.example.org/v1", "organisation": SECOND}
    refused = code_of(lambda: submit(member, ask, key="k2", model="M-2", **elsewhere))
    assert refused is Refusal.COHORT_SHARE


@pytest.mark.usefixtures("ready")
def test_an_account_has_no_more_checks_of_endpoints(
    member: User, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leaderboard.accounts import throttle

    monkeypatch.setattr(throttle, "PROBES", throttle.Limit("probes by organisation", 1, 300))

    def check(organisation: str) -> Any:
        endpoint: Ask = ask(**ENDPOINT, organisation=organisation)
        return actions.preflight_of_endpoint(endpoint, user=member)

    check(FIRST)
    assert code_of(lambda: check(SECOND)) is Refusal.TOO_OFTEN
