"""Organisations: names that nobody mistakes, invitations for one person, an owner always."""

import json
import re
import threading
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from leaderboard.accounts import actions, known_names
from leaderboard.accounts.models import (
    AuditEntry,
    Invitation,
    Membership,
    Organisation,
    Role,
    Scope,
    User,
)
from leaderboard.errors import Refusal, SiteError


def someone(name: str, email: str = "") -> User:
    """A user with a confirmed address and no organisation."""
    user = User.objects.create_user(username=name)
    address = email or f"{name}@lab.example"
    EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def refusal(call: Any) -> Any:
    with pytest.raises(SiteError) as refused:
        call()
    return refused.value.code


@pytest.fixture
def ada(db: None) -> User:
    user = someone("ada")
    actions.create_organisation(name="Analytical", by=user)
    return user


def invite(by: User, email: str, outbox: list[Any], role: str = "member") -> str:
    """Send an invitation on the page. The path of its link."""
    fields = {"email": email, "role": role}
    answer = signed_in(by).post("/organisations/Analytical/invite/", fields)
    assert answer.status_code == 302
    return re.search(r"http://testserver(/invitations/\S+)", outbox[-1].body)[1]


def test_an_invited_person_joins(ada: User, mailoutbox: list[Any]) -> None:
    bob = someone("bob")
    path = invite(ada, "BOB@lab.example", mailoutbox)
    client = signed_in(bob)
    assert "Join Analytical" in client.get(path).content.decode()
    assert not Membership.objects.filter(user=bob).exists(), "a look is no consent"
    assert client.post(path).headers["Location"] == "/organisations/Analytical/"
    assert bob.organisation() == Organisation.objects.get()
    assert Membership.objects.get(user=bob).role == Role.MEMBER
    assert path.split("/")[2] not in str(vars(Invitation.objects.get()))


@pytest.mark.parametrize("method", ["get", "post"])
def test_invitations_that_do_not_work(ada: User, mailoutbox: list[Any], method: str) -> None:
    bob, eve = someone("bob"), someone("eve")
    path = invite(ada, "bob@lab.example", mailoutbox)

    def asked(user: User, where: str = path) -> tuple[int, str]:
        answer = getattr(signed_in(user), method)(where)
        code = re.search(r"\((invitation_\w+)\)", answer.content.decode())
        return answer.status_code, code[1] if code else ""

    assert asked(eve) == (403, "invitation_for_another")
    assert asked(eve, "/invitations/nothing/") == (404, "invitation_unknown")
    unconfirmed = User.objects.create_user(username="mallory")
    EmailAddress.objects.create(user=unconfirmed, email="bob@lab.example", verified=False)
    assert asked(unconfirmed) == (403, "invitation_for_another")
    Invitation.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert asked(bob) == (409, "invitation_expired")
    Invitation.objects.update(expires=timezone.now() + timedelta(days=1))
    signed_in(bob).post(path)
    assert asked(bob) == (409, "invitation_used")
    assert asked(eve) == (403, "invitation_for_another"), "only its owner learns that it was used"
    assert Membership.objects.count() == 2
    assert Client().get(path).status_code == 302


def test_a_second_invitation_ends_the_first(ada: User, mailoutbox: list[Any]) -> None:
    bob = signed_in(someone("bob"))
    first = invite(ada, "bob@lab.example", mailoutbox)
    second = invite(ada, "bob@lab.example", mailoutbox, "owner")
    assert bob.post(first).status_code == 404
    assert bob.post(second).status_code == 302
    third = invite(ada, "eve@lab.example", mailoutbox)
    pk = Invitation.objects.get(used__isnull=True).pk
    signed_in(ada).post(f"/organisations/Analytical/invitations/{pk}/withdraw/")
    assert signed_in(someone("eve")).post(third).status_code == 404


def test_no_mail_no_invitation(ada: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    fields = {"email": "bob@lab.example", "role": "member"}
    page = signed_in(ada).post("/organisations/Analytical/invite/", fields, follow=True)
    assert "The mail server does not take the mail" in page.content.decode()
    assert not Invitation.objects.exists()


def test_only_owners_decide(ada: User, mailoutbox: list[Any]) -> None:
    bob, eve = someone("bob"), someone("eve")
    signed_in(bob).post(invite(ada, "bob@lab.example", mailoutbox))
    link = {"link": lambda secret: secret}
    for by in (bob, eve):
        at = {"name": "Analytical", "by": by}
        for call in (
            partial(actions.invite, email="x@x.example", role=Role.OWNER, **at, **link),
            partial(actions.set_role, username="bob", role=Role.OWNER, **at),
            partial(actions.remove_member, username="ada", **at),
            partial(actions.withdraw_invitation, invitation=1, **at),
        ):
            assert refusal(call) is Refusal.OWNERS_ONLY
    page = Client().get("/organisations/Analytical/").content.decode()
    assert "unverified" in page and "bob" not in page, "members are not public"
    assert "bob" in signed_in(bob).get("/organisations/Analytical/").content.decode()


def test_an_owner_remains(ada: User, mailoutbox: list[Any]) -> None:
    bob = someone("bob")
    member = {"name": "Analytical", "by": ada}
    assert refusal(lambda: actions.remove_member(username="ada", **member)) is Refusal.LAST_OWNER
    demote = {"username": "ada", "role": Role.MEMBER} | member
    assert refusal(lambda: actions.set_role(**demote)) is Refusal.LAST_OWNER
    assert refusal(lambda: actions.remove_member(username="bob", **member)) is Refusal.NOT_A_MEMBER
    signed_in(bob).post(invite(ada, "bob@lab.example", mailoutbox, "owner"))
    page = signed_in(ada).post("/organisations/Analytical/members/ada/", {"to": "out"})
    assert page.headers["Location"] == "/organisations/"
    assert ada.organisation() is None
    assert (
        refusal(lambda: actions.remove_member(name="Analytical", username="bob", by=bob))
        is Refusal.LAST_OWNER
    )


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once() -> None:
    owners = [someone("ada"), someone("bob")]
    actions.create_organisation(name="Analytical", by=owners[0])
    Membership.objects.create(
        user=owners[1], organisation=Organisation.objects.get(), role=Role.OWNER
    )
    barrier, codes = threading.Barrier(2), []

    def leave(user: User) -> None:
        barrier.wait()
        try:
            actions.remove_member(name="Analytical", username=user.username, by=user)
        except SiteError as failure:
            codes.append(failure.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=(user,)) for user in owners]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert codes == [Refusal.LAST_OWNER] and Membership.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("analytical", Refusal.NAME_TAKEN),
        ("Ana1ytical", Refusal.NAME_ALIKE),
        ("AnaIytlcal", Refusal.NAME_ALIKE),
        ("Ana-lytical", Refusal.NAME_ALIKE),
        ("OpenAI", Refusal.NAME_KNOWN),
        ("0pen AI", Refusal.NAME_KNOWN),
        ("Meta", Refusal.NAME_KNOWN),
        ("rnistral", Refusal.NAME_KNOWN),
    ],
)
def test_names_that_could_be_mistaken(ada: User, name: str, code: Refusal) -> None:
    other = someone("eve")
    assert refusal(lambda: actions.create_organisation(name=name, by=other)) is code
    page = signed_in(other).post("/organisations/", {"name": name})
    assert page.status_code in (403, 409) and b"field" in page.content
    assert Organisation.objects.count() == 1


@pytest.mark.parametrize("name", ["Anаlytical", "A\u202eB", "<b>x</b>", "", "-x", "x" * 81])
def test_names_in_other_letters(ada: User, name: str) -> None:
    assert signed_in(ada).post("/organisations/", {"name": name}).status_code == 422
    assert Organisation.objects.count() == 1


def test_the_database_and_python_agree_on_looks(db: None) -> None:
    for name in ("Ana 1l", "rnodern 0. v-v W", "vvv rnrn", "A&B_c"):
        made = Organisation.objects.create(name=name)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT replace(replace(translate(lower(name), '01i ._&-', 'oll'), 'rn', 'm'),"
                " 'vv', 'w') FROM accounts_organisation WHERE id = %s",
                [made.pk],
            )
            assert cursor.fetchone() == (known_names.skeleton(name),)
    with pytest.raises(IntegrityError), transaction.atomic():
        Organisation.objects.create(name="anall")


def test_a_mail_domain_verifies_a_known_name(db: None) -> None:
    anyone = someone("eve", "eve@openai.com.evil.example")
    assert refusal(lambda: actions.create_organisation(name="OpenAI", by=anyone)) is (
        Refusal.NAME_KNOWN
    )
    theirs = someone("sam", "sam@OpenAI.com")
    made = actions.create_organisation(name="OpenAI", by=theirs)
    assert made.verified and made.verified_by == "mail at openai.com"
    assert "unverified" not in Client().get("/organisations/OpenAI/").content.decode()


def test_the_command_verifies_and_renames(ada: User) -> None:
    someone("keeper")
    actions.set_maintainer(username="keeper", maintains=True)

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("verify_organisation", *arguments, stdout=out)
        return out.getvalue().strip()

    assert run("analytical", "--by", "keeper") == "Analytical: verified"
    assert Organisation.objects.get().verified_by == "keeper"
    assert run("Analytical", "--by", "keeper", "--rename", "Other") == "Other: unverified"
    for wrong in (["Other", "--by", "ada"], ["None", "--by", "keeper"], ["Other", "--by", "x"]):
        with pytest.raises(CommandError):
            run(*wrong)
    acts = AuditEntry.objects.filter(act__contains="organisation").order_by("pk")
    assert [(one.actor, one.act) for one in acts][:2] == [
        ("keeper", "verify_organisation"),
        ("keeper", "rename_organisation"),
    ]


def test_the_same_by_the_api(ada: User, mailoutbox: list[Any]) -> None:
    token = actions.issue_token(user=ada, name="x", scope=Scope.MANAGE)

    def ask(path: str, body: Any = None, secret: str = token) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {secret}"}
        if body is None:
            answer = Client().get(path, headers=headers)
        else:
            answer = Client().post(
                path, json.dumps(body), content_type="application/json", headers=headers
            )
        return answer.status_code, answer.json()

    base = "/api/v1/organisations"
    assert ask(base)[1][0]["name"] == "Analytical"
    assert ask(base, {"name": "Second"})[0] == 201
    assert ask(base, {"name": "a<b"})[1]["code"] == "invalid_field"
    assert ask(base, {"name": "2econd"})[0] == 201
    assert ask(base, {"name": "Sec0nd"})[1]["code"] == "name_looks_like_another"
    assert ask(f"{base}/Analytical/invitations", {"email": "bob@lab.example"})[0] == 202
    assert ask(f"{base}/Analytical/invitations", {"email": "bob"})[0] == 422
    assert ask(f"{base}/Analytical/invitations", {"email": "b@x.example", "role": "x"})[0] == 422
    path = re.search(r"http://testserver(/invitations/\S+)", mailoutbox[-1].body)[1]
    signed_in(someone("bob")).post(path)
    bob = f"{base}/Analytical/members/bob"
    assert ask(bob, {"role": "owner"})[1]["members"][1] == {"username": "bob", "role": "owner"}
    assert ask(bob, {"role": "king"})[0] == 422
    assert len(ask(bob, {"role": "none"})[1]["members"]) == 1
    assert ask(bob, {"role": "none"})[1]["code"] == "not_a_member"
    assert Client().get(f"{base}/Analytical").json() == {
        "name": "Analytical",
        "verified": False,
        "members": [],
    }
    weaker = actions.issue_token(user=ada, name="x", scope=Scope.SUBMIT)
    assert ask(base, {"name": "Third"}, weaker)[1]["code"] == "scope_missing"
    assert ask(base, None, weaker)[0] == 200
