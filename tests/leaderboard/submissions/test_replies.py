"""An author's reply to a result: who writes it, where it stands, and how maintainers hide it."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from leaderboard.accounts.actions import enrol, issue_token
from leaderboard.accounts.models import AuditEntry, Membership, Organisation, Role, Scope, User
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Reply, Run
from tests.leaderboard.closing import publish
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
TEXT = "We trained on <b>new</b> data, see https://lab.example/paper"


@pytest.fixture
def run() -> Run:
    """Return a published run of a model whose organisation has an owner and a member."""
    pair = make_pair()
    made = make_run(pair, "answered", public=300, private=300)
    publish(pair=pair)
    organisation = Organisation.objects.get(name="Holdfast demo")
    for name, role in (("boss", Role.OWNER), ("mate", Role.MEMBER)):
        user = enrol(username=name)
        Membership.objects.filter(user=user).delete()
        Membership.objects.create(user=user, organisation=organisation, role=role)
    Membership.objects.create(
        user=User.objects.get(username="submitter"), organisation=organisation, role=Role.MEMBER
    )
    made.refresh_from_db()
    return made


def person(name: str) -> User:
    return User.objects.get(username=name)


def signed_in(name: str) -> Client:
    client = Client()
    client.force_login(person(name))
    return client


def refused(action: Any, **facts: Any) -> str:
    with pytest.raises(SiteError) as failure:
        action(**facts)
    return str(failure.value.code)


def test_a_reply_stands_on_both_pages_and_in_the_api_as_plain_text(
    run: Run, client: Client
) -> None:
    page = f"/runs/{run.pk}/"
    assert "reply" not in client.get(page).content.decode().lower()
    answer = signed_in("boss").post(f"{page}reply/", {"text": f"  {TEXT}\n and  more "})
    assert answer.status_code == 302
    for address in (page, "/models/answered/"):
        text = client.get(address).content.decode()
        assert "Reply of Holdfast demo" in text and "The site does not check it." in text
        assert "&lt;b&gt;new&lt;/b&gt; data, see https://lab.example/paper and more" in text
        assert 'href="https://lab.example' not in text
    told = client.get(f"/api/v1/runs/{run.pk}").json()["reply"]
    assert told["text"] == f"{TEXT} and more" and told["organisation"] == "Holdfast demo"
    assert client.get("/api/v1/models/answered").json()["replies"]["demo"]["text"] == told["text"]


def test_owners_and_the_submitter_write_and_no_one_else(run: Run) -> None:
    stranger = enrol(username="stranger")
    keeper = make_maintainer("curator")
    for by in (person("mate"), stranger, keeper):
        assert refused(actions.write_reply, run=run.pk, text="x", by=by) == "forbidden"
    for name in ("boss", "submitter"):
        actions.write_reply(run=run.pk, text=f"by {name}", by=person(name))
    assert Reply.objects.get().text == "by submitter"
    Membership.objects.filter(user=person("submitter")).delete()
    gone = refused(actions.write_reply, run=run.pk, text="x", by=person("submitter"))
    assert gone == "forbidden"
    assert "write-reply" not in signed_in("mate").get(f"/runs/{run.pk}/").content.decode()
    assert f"/runs/{run.pk}/reply/" in signed_in("boss").get(f"/runs/{run.pk}/").content.decode()


def test_a_run_that_is_not_published_has_no_reply(run: Run) -> None:
    waits = make_run(run.submission.pair, "answered", public=1, private=1)
    assert refused(actions.write_reply, run=waits.pk, text="x", by=person("boss")) == "not_found"


@pytest.mark.parametrize(
    "text",
    ["", " \n", "x" * 501, "a\0b", "\u202egnp.exe"],
    ids=["empty", "blank", "long", "nul", "turned"],
)
def test_only_plain_short_text_is_taken(run: Run, text: str) -> None:
    assert refused(actions.write_reply, run=run.pk, text=text, by=person("boss")) == "reply_refused"
    signed_in("boss").post(f"/runs/{run.pk}/reply/", {"text": text})
    assert not Reply.objects.exists()
    actions.write_reply(run=run.pk, text="y" * 500, by=person("boss"))


def test_a_hidden_reply_has_its_reason_and_no_text(run: Run, client: Client) -> None:
    actions.write_reply(run=run.pk, text="a slander", by=person("boss"))
    keeper = make_maintainer("curator")
    signed_in("curator").post(f"/runs/{run.pk}/reply/hide/", {"why": "it names a person"})
    for address in (f"/runs/{run.pk}/", "/models/answered/", f"/api/v1/runs/{run.pk}"):
        text = client.get(address).content.decode()
        assert "slander" not in text and "it names a person" in text, address
    assert AuditEntry.objects.filter(act="hide_reply", why="it names a person").exists()
    boss = person("boss")
    assert refused(actions.write_reply, run=run.pk, text="again", by=boss) == "reply_hidden"
    assert refused(actions.withdraw_reply, run=run.pk, by=boss) == "reply_hidden"
    assert refused(actions.hide_reply, run=run.pk, why="", by=boss) == "forbidden"
    actions.hide_reply(run=run.pk, why="", by=keeper)
    assert "a slander" in client.get(f"/runs/{run.pk}/").content.decode()
    assert AuditEntry.objects.filter(act="show_reply").exists()


def test_a_reply_is_withdrawn_by_an_empty_text(run: Run, client: Client) -> None:
    actions.write_reply(run=run.pk, text="too early", by=person("boss"))
    signed_in("boss").post(f"/runs/{run.pk}/reply/", {"text": ""})
    assert not Reply.objects.exists()
    assert refused(actions.withdraw_reply, run=run.pk, by=person("boss")) == "not_found"


def test_the_api_and_the_command_write_hide_and_withdraw(run: Run, client: Client) -> None:
    make_maintainer("curator")
    heads = {
        name: {
            "Authorization": f"Bearer {issue_token(user=person(name), name='t', scope=Scope.MANAGE)}"
        }
        for name in ("boss", "curator")
    }
    path = f"/api/v1/runs/{run.pk}/reply"
    body = {"text": "by the API"}
    made = client.put(path, body, "application/json", headers=heads["boss"])
    assert (made.status_code, made.json()["text"]) == (200, "by the API")
    hidden = client.put(
        f"{path}/hidden", {"why": "off topic"}, "application/json", headers=heads["curator"]
    )
    assert (hidden.status_code, hidden.json()["text"]) == (200, "")
    out = StringIO()
    call_command("reply", str(run.pk), stdout=out)
    call_command("reply", str(run.pk), show=True, by="curator", stdout=out)
    call_command("reply", str(run.pk), "by hand", by="boss", stdout=out)
    call_command("reply", str(run.pk), hide="no", by="curator", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0] == "hidden by the maintainers: off topic" and lines[1].endswith(": by the API")
    assert lines[2].endswith(": by hand") and lines[3] == "hidden by the maintainers: no"
    call_command("reply", str(run.pk), show=True, by="curator", stdout=out)
    assert client.delete(path, headers=heads["boss"]).status_code == 204
    call_command("reply", str(run.pk), stdout=out)
    assert out.getvalue().splitlines()[-1] == "no reply"
