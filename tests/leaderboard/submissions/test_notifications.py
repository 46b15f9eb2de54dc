"""Mail and webhooks about runs: to whom, with what, signed, repeated, and never to a private address."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from evaluator import addresses
from evaluator.errors import Code
from leaderboard.accounts.actions import enrol, issue_token
from leaderboard.accounts.models import Membership, Organisation, Role
from leaderboard.celery import NOTIFY_TASK
from leaderboard.errors import SiteError
from leaderboard.submissions import actions, posting
from leaderboard.submissions.actions import deliveries, notifications
from leaderboard.submissions.actions.attempts import fail
from leaderboard.submissions.models import Delivery, Run, StateChange, Webhook, seconds_from_now
from tests.leaderboard.conftest import FakeEvaluator

RECEIVER = Path(__file__).resolve().parents[1] / "receiver.py"


class Received:
    """What the receiver was sent."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def calls(self) -> list[dict[str, Any]]:
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def receiver(tmp_path: Path, settings: Any) -> Iterator[Received]:
    settings.PRIVATE_WEBHOOKS = True
    log = tmp_path / "calls"
    command = [sys.executable, str(RECEIVER), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Received(int(process.stdout.readline()), log)
        process.kill()


@pytest.fixture
def hook(user: Any, receiver: Received) -> Callable[[str], tuple[Webhook, bytes]]:
    def make(path: str) -> tuple[Webhook, bytes]:
        made, secret = actions.add_webhook(
            organisation="Analytical", url=receiver.url(path), by=user
        )
        return made, base64.b64decode(secret.removeprefix("whsec_"))

    return make


def verifies(call: dict[str, Any], secret: bytes) -> bool:
    """What a receiver does with a call, by the text of Standard Webhooks and nothing of ours."""
    headers = {name.lower(): value for name, value in call["headers"].items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{call['body']}".encode()
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    version, _, given = headers["webhook-signature"].partition(",")
    return version == "v1" and hmac.compare_digest(given, expected)


def again() -> None:
    """All that waits is due now."""
    Delivery.objects.exclude(due=None).update(due=seconds_from_now(-1))


def failed(run: Run) -> Run:
    fail(run, Code.LOST)
    return run


def test_a_webhook_is_told_each_step_and_can_check_who_says_so(
    run: Run, evaluator: FakeEvaluator, hook: Any, receiver: Received
) -> None:
    _, secret = hook("ok")
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    actions.mark_ranked(run_ids=[run.pk])
    for _ in range(3):
        actions.deliver()
    calls = receiver.calls()
    bodies = [json.loads(call["body"]) for call in calls]
    assert [body["type"] for body in bodies] == ["run.running", "run.graded", "run.ranked"]
    assert all(verifies(call, secret) for call in calls)
    assert set(bodies[-1]) == {"type", "timestamp", "data"}
    assert set(bodies[-1]["data"]) == {"run", "state", "model", "benchmark", "code", "fault", "url"}
    assert bodies[-1]["data"]["url"].endswith(f"/runs/{run.pk}/")
    ids = {call["headers"]["webhook-id"] for call in calls}
    assert len(ids) == 3 and not StateChange.objects.exists()
    # The control: neither another body nor another time, id or secret has this signature.
    call = calls[0]
    assert not verifies(call | {"body": call["body"].replace("running", "ranked ")}, secret)
    for name in ("webhook-id", "webhook-timestamp"):
        assert not verifies(call | {"headers": call["headers"] | {name: "1"}}, secret)
    assert not verifies(call, secret[::-1])


def test_a_call_that_fails_is_repeated_later_under_its_id(
    run: Run, hook: Any, receiver: Received
) -> None:
    hook("fail-once")
    failed(run)
    actions.deliver()
    delivery = Delivery.objects.get()
    assert (delivery.tries, delivery.result, delivery.delivered_at) == (1, "500", None)
    assert actions.deliver() == 0, "not before its time"
    again()
    actions.deliver()
    delivery.refresh_from_db()
    assert (delivery.tries, delivery.result, delivery.due) == (2, "204", None)
    first, second = receiver.calls()
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"] == str(delivery.pk)
    assert first["body"] == second["body"]
    again()
    assert actions.deliver() == 0


def test_a_sender_that_dies_in_between_sends_again_and_the_id_tells(
    run: Run, hook: Any, receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook("ok")
    failed(run)
    with monkeypatch.context() as patch:
        patch.setattr(notifications, "settle", lambda *_: None)
        actions.deliver()
    assert actions.deliver() == 0, "it is claimed"
    again()
    actions.deliver()
    first, second = receiver.calls()
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]


def test_it_is_given_up_in_the_end(run: Run, hook: Any) -> None:
    hook("moved")
    failed(run)
    for _ in range(deliveries.MOST_TRIES + 2):
        actions.deliver()
        again()
    delivery = Delivery.objects.get()
    assert (delivery.tries, delivery.due) == (deliveries.MOST_TRIES, None)


def test_no_redirect_is_followed(run: Run, hook: Any, receiver: Received) -> None:
    hook("moved")
    failed(run)
    actions.deliver()
    assert Delivery.objects.get().result == "302"
    assert [call["path"] for call in receiver.calls()] == ["/moved"]


def test_a_slow_receiver_is_cut_off_and_delays_no_other(
    run: Run, hook: Any, receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "ANSWER_SECONDS", 0.5)
    hook("slow")
    hook("ok")
    failed(run)
    actions.deliver()
    results = dict(Delivery.objects.values_list("webhook__url", "result"))
    assert results == {receiver.url("slow"): "no_answer", receiver.url("ok"): "204"}


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/x", "https://127.0.0.1/x", "https://localhost/x", "https://10.0.0.1/x",
        "https://169.254.169.254/x", "https://hooks.example.org:22/x", "https://a:b@hooks.example.org/x",
        "https://hooks.example.org/x?secret=1", "https://hooks.internal/x", "file:///etc/passwd", "x", "",
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused(url: str, user: Any) -> None:
    with pytest.raises(SiteError, match="webhook_refused"):
        actions.add_webhook(organisation="Analytical", url=url, by=user)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1"])
def test_a_name_that_leads_to_a_private_address_is_not_called(
    run: Run, user: Any, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return [address]

    monkeypatch.setattr(addresses, "_system_lookup", lookup)
    actions.add_webhook(organisation="Analytical", url="https://hooks.example.org/x", by=user)
    failed(run)
    actions.deliver()
    assert Delivery.objects.get().result == "endpoint_refused"


def test_link_local_addresses_are_never_called(run: Run, hook: Any, settings: Any) -> None:
    made, _ = hook("ok")
    Webhook.objects.filter(pk=made.pk).update(url="http://169.254.169.254/latest")
    failed(run)
    actions.deliver()
    assert Delivery.objects.get().result == "endpoint_refused"


def test_only_owners_see_and_change_webhooks(hook: Any, user: Any, client: Client) -> None:
    made, _ = hook("ok")
    organisation = Organisation.objects.get(name="Analytical")
    member = enrol(username="grace")
    Membership.objects.create(user=member, organisation=organisation, role=Role.MEMBER)
    stranger = enrol(username="eve")
    base = f"/organisations/Analytical/webhooks/{made.pk}"
    for one in (member, stranger):
        client.force_login(one)
        assert client.get("/organisations/Analytical/webhooks/").status_code == 403
        for act in ("remove", "ping"):
            client.post(f"{base}/{act}/")
        token = {"Authorization": f"Bearer {issue_token(user=one, name='x')}"}
        assert client.delete(f"/api/v1{base}", headers=token).status_code == 403
        assert client.get("/api/v1/organisations/Analytical/webhooks", headers=token).status_code == 403  # fmt: skip
    assert Webhook.objects.count() == 1 and not Delivery.objects.exists()
    client.force_login(user)
    assert client.post("/organisations/Analytical/webhooks/999/ping/", follow=True).status_code == 200  # fmt: skip
    client.post(f"{base}/remove/")
    assert not Webhook.objects.exists()


def test_the_secret_is_shown_once_and_the_log_after_a_call(
    user: Any, receiver: Received, client: Client
) -> None:
    client.force_login(user)
    address = "/organisations/Analytical/webhooks/"
    page = client.post(address, {"url": receiver.url("ok")}).content.decode()
    secret = page.partition("whsec_")[2].partition("<")[0]
    assert len(secret) == 44
    (made,) = Webhook.objects.all()
    client.post(f"{address}{made.pk}/ping/")
    client.post(f"{address}{made.pk}/ping/")
    actions.deliver()
    (call,) = receiver.calls()
    assert json.loads(call["body"])["type"] == "ping" and verifies(call, base64.b64decode(secret))
    page = client.get(address).content.decode()
    assert "taken, 204" in page and secret not in page
    assert secret not in str(list(Webhook.objects.values())), "it is derived, not stored"
    answer = client.post(address, {"url": "http://169.254.169.254/"})
    assert answer.status_code == 422 and "may not be called" in answer.content.decode()


def test_the_api_does_the_same(user: Any, receiver: Received, client: Client) -> None:
    token = {"Authorization": f"Bearer {issue_token(user=user, name='x')}"}
    address = "/api/v1/organisations/Analytical/webhooks"

    def post(path: str, body: dict[str, Any]) -> Any:
        return client.post(path, json.dumps(body), "application/json", headers=token)

    made = post(address, {"url": receiver.url("ok")})
    assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
    assert post(f"{address}/{made.json()['id']}/ping", {}).status_code == 202
    actions.deliver()
    (listed,) = client.get(address, headers=token).json()
    assert listed["secret"] is None and listed["deliveries"][0]["result"] == "204"
    for _ in range(notifications.MOST_WEBHOOKS - 1):
        assert post(address, {"url": receiver.url("ok")}).status_code == 201
    assert post(address, {"url": receiver.url("ok")}).json()["code"] == "too_many_webhooks"
    assert post(address, {"url": "https://10.0.0.1/", "x": 1}).status_code == 422
    assert client.delete(f"{address}/{listed['id']}", headers=token).status_code == 204
    assert len(client.get(address, headers=token).json()) == 4


def test_a_dead_webhook_is_called_once_for_all_that_waits(
    run: Run, make_run: Any, hook: Any, receiver: Received
) -> None:
    hook("moved")
    for one in (run, make_run(model="Model-2"), make_run(model="Model-3")):
        failed(one)
    actions.deliver()
    assert len(receiver.calls()) == 1
    assert sorted(Delivery.objects.values_list("tries", flat=True)) == [0, 0, 1]


# --- mail


@pytest.fixture
def confirmed(user: Any) -> Any:
    EmailAddress.objects.create(user=user, email="ada@lab.example", verified=True, primary=True)
    return user


def test_mail_is_sent_to_those_who_asked_and_in_one(
    run: Run, make_run: Any, confirmed: Any, client: Client
) -> None:
    failed(run)
    actions.deliver()
    assert mail.outbox == [] and not Delivery.objects.exists(), "nobody asked"
    client.force_login(confirmed)
    client.post("/accounts/notifications/", {"ends": "on"})
    failed(make_run(model="Model-2"))
    actions.cancel(run=make_run(model="Model-3").pk)
    actions.deliver()
    assert mail.outbox == [], "it waits for more"
    again()
    actions.deliver()
    (sent,) = mail.outbox
    assert sent.to == ["ada@lab.example"]
    assert sent.subject == "Model-2 on A pair: failed, and 1 more"
    assert "Model-3 on A pair: cancelled" in sent.body and "/accounts/notifications/" in sent.body
    assert "Continue it once the status page" in sent.body, "the advice of the code"
    client.post("/accounts/notifications/", {})
    failed(make_run(model="Model-4"))
    actions.deliver()
    again()
    actions.deliver()
    assert len(mail.outbox) == 1


def test_results_are_a_choice_of_their_own(
    run: Run, evaluator: FakeEvaluator, confirmed: Any, client: Client
) -> None:
    token = {"Authorization": f"Bearer {issue_token(user=confirmed, name='x')}"}
    choice = {"ends": False, "results": True}
    stored = client.put("/api/v1/notifications", json.dumps(choice), "application/json", headers=token)  # fmt: skip
    assert stored.json() == client.get("/api/v1/notifications", headers=token).json() == choice
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    actions.mark_ranked(run_ids=[run.pk])
    actions.deliver()
    again()
    actions.deliver()
    (sent,) = mail.outbox
    assert sent.subject == "Model-1 on A pair: ranked"


def test_an_address_that_is_not_confirmed_gets_no_mail(run: Run, user: Any) -> None:
    actions.choose_mail(user=user, ends=True, results=True)
    EmailAddress.objects.create(user=user, email="ada@lab.example", verified=False, primary=True)
    failed(run)
    actions.deliver()
    again()
    actions.deliver()
    assert mail.outbox == [] and Delivery.objects.get().result == "no_address"


def test_a_mail_server_that_is_away_is_tried_again(run: Run, confirmed: Any, settings: Any) -> None:
    actions.choose_mail(user=confirmed, ends=True, results=True)
    failed(run)
    actions.deliver()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    again()
    actions.deliver()
    delivery = Delivery.objects.get()
    assert delivery.result == "mail_away" and delivery.due is not None


# --- the program that sends


def test_the_housekeeping_asks_once_for_what_is_due(
    run: Run, hook: Any, bell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [0]
    monkeypatch.setattr(notifications.dispatch, "depth", lambda queue: waiting[0])
    hook("ok")
    bell.clear()
    assert actions.request_notifications() == 0, "nothing has happened"
    failed(run)
    assert actions.request_notifications() == 1
    assert [(name, options["queue"]) for name, _, options in bell] == [(NOTIFY_TASK, "notifications")]  # fmt: skip
    waiting[0] = 1
    assert actions.request_notifications() == 0, "it was asked"


def test_a_step_that_is_undone_is_announced_to_nobody(run: Run, hook: Any) -> None:
    from django.db import transaction

    hook("ok")
    with transaction.atomic():
        failed(run)
        transaction.set_rollback(True)
    actions.deliver()
    assert not Delivery.objects.exists()
