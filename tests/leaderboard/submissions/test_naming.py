"""A model is renamed or transferred: its history goes with it, and nothing is counted anew."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from leaderboard.accounts import actions as accounts
from leaderboard.accounts.models import Membership, Organisation, Role, User
from leaderboard.board.actions import close_cohort, rebuild
from leaderboard.board.models import Snapshot
from leaderboard.errors import Refusal, SiteError
from leaderboard.evidence import decide
from leaderboard.evidence.models import Cohort
from leaderboard.submissions import actions
from leaderboard.submissions.models import FormerIdentity, Model, Submission, Transfer, names_of
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.sample import make_board, make_pair
from tests.leaderboard.submissions.test_shares import Site, member, refusal, site, submit

pytestmark = pytest.mark.usefixtures("bell")


@pytest.fixture
def held(db: None, evaluator: FakeEvaluator, user: Any) -> Site:
    return site(evaluator, user)


@pytest.fixture
def board(db: None) -> Any:
    """A board whose cohort is closed."""
    pair = make_pair()
    make_board(pair)
    close_cohort(pair=pair)
    return pair


def owner(name: str) -> User:
    """The owner of an organisation of the same name."""
    return accounts.sign_up(username=name, password=None, organisation=name)


def owner_of(model: str) -> User:
    """An owner of the organisation of a model of the board."""
    user = owner(f"owner-of-{model}")
    organisation = Model.objects.get(name=model).organisation
    Membership.objects.create(user=user, organisation=organisation, role=Role.OWNER)
    return user


def refused(call: Any) -> object:
    with pytest.raises(SiteError) as failure:
        call()
    return failure.value.code


def test_a_former_name_leads_to_the_model(board: Any) -> None:
    by = owner_of("demo-small")
    before = Snapshot.objects.current(board)
    assert before
    actions.rename_model(name="Demo-Small", new="tiny-2", by=by)
    board.refresh_from_db()
    assert board.stale
    for _ in ("before the next ranking", "after it"):
        answer = Client().get("/models/demo-small/")
        assert (answer.status_code, answer.headers["Location"]) == (301, "/models/tiny-2/")
        page = Client().get("/models/tiny-2/").content.decode()
        assert "Is tiny-2 overfitted" in page and "demo-small of " in page
        answer = Client().get("/api/v1/models/demo-small")
        assert (answer.status_code, answer.headers["Location"]) == (301, "/api/v1/models/tiny-2")
        facts = Client().get("/api/v1/models/tiny-2").json()
        assert facts["former"][0]["name"] == "demo-small" and board.slug in facts["ranks"]
        query = {"pair": board.slug, "a": "demo-small", "b": "demo-honest"}
        assert Client().get("/api/v1/board/compare", query).status_code == 200
        rebuild(pair=board)
    after = Snapshot.objects.current(board)
    assert after and after.row_of("tiny-2") and not after.row_of("demo-small")
    assert before.row_of("demo-small"), "a finished ranking stays as it was"


def test_a_closed_cohort_stays_and_can_be_recomputed(board: Any) -> None:
    cohort = Cohort.objects.get(pair=board)
    assert decide.recompute(cohort) is True
    by = owner_of("demo-small")
    actions.rename_model(name="demo-small", new="tiny-2", by=by)
    actions.rename_model(name="tiny-2", new="tiny-3", by=by)
    assert decide.recompute(Cohort.objects.get()) is True
    assert names_of("DEMO-small") == ["tiny-3", "tiny-2", "demo-small"]


def test_names_of_models_without_a_rank_stay_private(held: Site) -> None:
    submit(held, "Hidden-1")
    actions.rename_model(name="Hidden-1", new="Hidden-2", by=held.user)
    for name in ("Hidden-1", "Hidden-2"):
        assert Client().get(f"/models/{name}/").status_code == 404
        assert Client().get(f"/api/v1/models/{name}").status_code == 404


def test_a_name_that_another_model_had_is_not_free(held: Site) -> None:
    submit(held, "First")
    actions.rename_model(name="First", new="Second", by=held.user)
    other = member("elsewhere")
    assert refusal(held, "first", user=other, host="x.example") is Refusal.MODEL_RENAMED
    submit(held, "Other", user=other, host="x.example")
    other.membership_set.update(role=Role.OWNER)
    taking = refused(lambda: actions.rename_model(name="Other", new="FIRST", by=other))
    assert taking is Refusal.MODEL_RENAMED
    assert not Model.objects.filter(name__iexact="first").exists()
    assert names_of("Other") == ["Other"]
    actions.rename_model(name="Second", new="First", by=held.user)
    assert names_of("Second") == ["First", "Second"], "its own former name is its own"


def test_names_that_mislead_are_refused(held: Site) -> None:
    submit(held, "Model-1", user=held.user)
    submit(held, "Rival-10", user=member("elsewhere"), host="x.example")

    def to(new: str) -> object:
        return refused(lambda: actions.rename_model(name="Model-1", new=new, by=held.user))

    assert to("RIVAL-10") is Refusal.MODEL_TAKEN
    assert to("Riva1-lO") is Refusal.MODEL_ALIKE
    assert to("0penAI") is Refusal.NAME_KNOWN
    assert to("two words") is Refusal.INVALID_FIELD
    assert not FormerIdentity.objects.exists()
    organisation = Model.objects.get(name="Model-1").organisation
    accounts.set_verified(name=organisation.name, verified=True, by="keeper")
    assert actions.rename_model(name="Model-1", new="0penAI", by=held.user).name == "0penAI"


def test_only_owners_rename_and_offer(held: Site) -> None:
    submit(held, "Model-1")
    organisation = Model.objects.get(name="Model-1").organisation
    plain = User.objects.create_user(username="plain")
    Membership.objects.create(user=plain, organisation=organisation)
    eve = owner("eve")
    for by, code in ((plain, Refusal.OWNERS_ONLY), (eve, Refusal.NOT_FOUND)):
        about: dict[str, Any] = {"name": "Model-1", "by": by}
        assert refused(lambda about=about: actions.rename_model(new="x", **about)) is code
        assert refused(lambda about=about: actions.offer_transfer(to="eve", **about)) is code
    assert Model.objects.filter(name="Model-1").exists() and not Transfer.objects.exists()


def test_a_transfer_needs_the_consent_of_the_other_owner(held: Site) -> None:
    submit(held, "Model-1")
    receiver, eve = owner("receiver"), owner("eve")
    offer = actions.offer_transfer(name="Model-1", to="Receiver", by=held.user)
    assert Model.objects.get(name="Model-1").organisation.name != "receiver", (
        "an offer changes nothing"
    )
    for by in (eve, held.user):
        take = {"transfer": offer.pk, "by": by}
        assert refused(lambda take=take: actions.accept_transfer(**take)) is Refusal.OWNERS_ONLY
    assert refused(lambda: actions.end_transfer(transfer=offer.pk, by=eve)) is Refusal.OWNERS_ONLY
    Transfer.objects.update(offered=timezone.now() - timedelta(days=8))
    accept = {"transfer": offer.pk, "by": receiver}
    assert refused(lambda: actions.accept_transfer(**accept)) is Refusal.TRANSFER_EXPIRED
    offer = actions.offer_transfer(name="Model-1", to="receiver", by=held.user)
    assert actions.accept_transfer(**accept).organisation.name == "receiver"
    assert refused(lambda: actions.accept_transfer(**accept)) is Refusal.TRANSFER_UNKNOWN
    former = FormerIdentity.objects.get()
    assert (former.name, former.by) == ("Model-1", receiver)
    again = {"name": "Model-1", "new": "Mine", "by": held.user}
    assert refused(lambda: actions.rename_model(**again)) is Refusal.NOT_FOUND


def test_the_owners_of_the_receiving_organisation_get_a_mail(held: Site) -> None:
    submit(held, "Model-1")
    receiver = owner("receiver")
    plain = owner("plain")
    to = Organisation.objects.get(name="receiver")
    Membership.objects.create(user=plain, organisation=to, role=Role.MEMBER)
    EmailAddress.objects.create(user=receiver, email="r@lab.example", primary=True, verified=True)
    for _ in range(2):
        offer = actions.offer_transfer(name="Model-1", to="receiver", by=held.user)
    assert mail.outbox == [], "nothing is sent within the request"
    actions.deliver()
    (sent,) = mail.outbox
    assert sent.to == ["r@lab.example"]
    assert sent.subject == "Analytical offers you the model Model-1"
    assert "/organisations/receiver/" in sent.body and f"{offer.expires:%d %B %Y}" in sent.body
    actions.deliver()
    assert len(mail.outbox) == 1


def test_shares_are_not_escaped_by_a_name_or_an_owner(held: Site) -> None:
    run = submit(held, "Model-1")
    actions.rename_model(name="Model-1", new="Model-9", by=held.user)
    elsewhere = {"host": "elsewhere.example"}
    assert refusal(held, "Model-9", **elsewhere) is Refusal.COHORT_SHARE
    receiver = owner("receiver")
    offer = actions.offer_transfer(name="Model-9", to="receiver", by=held.user)
    actions.accept_transfer(transfer=offer.pk, by=receiver)
    # The former owner's run stays the former owner's, and the model brings it along.
    assert refusal(held, "Another", **elsewhere) is Refusal.COHORT_SHARE
    assert refusal(held, "Model-9", user=receiver, **elsewhere) is Refusal.COHORT_SHARE
    own = submit(held, "Of-receiver", user=receiver, host="third.example")
    parties = [Submission.objects.get(runs=one.pk).organisations for one in (run, own)]
    assert parties == [[Organisation.objects.get(name="Analytical").pk],
                       [Organisation.objects.get(name="receiver").pk]]  # fmt: skip


def test_the_pages(held: Site) -> None:
    submit(held, "Model-1")
    receiver = owner("receiver")
    giving, taking = Client(), Client()
    giving.force_login(held.user)
    taking.force_login(receiver)
    assert giving.get("/models/Model-1/settings/").status_code == 200
    assert taking.get("/models/Model-1/settings/").status_code == 404
    page = giving.post("/models/Model-1/rename/", {"name": "Model-2"}, follow=True)
    assert page.redirect_chain[-1][0] == "/models/Model-2/settings/"
    page = giving.post("/models/Model-2/rename/", {"name": "a b"}, follow=True)
    assert "A field is missing" in page.content.decode()
    page = giving.post("/models/Model-2/transfer/", {"to": "nobody"}, follow=True)
    assert "no organisation of this name" in page.content.decode()
    page = giving.post("/models/Model-2/transfer/", {"to": "receiver"}, follow=True)
    assert "Offered to receiver" in page.content.decode()
    assert "rename or transfer" in giving.get("/organisations/Analytical/").content.decode()
    assert "Models offered" in taking.get("/organisations/receiver/").content.decode()
    assert "Models offered" not in giving.get("/organisations/receiver/").content.decode()
    offer = Transfer.objects.get()
    taking.post(f"/transfers/{offer.pk}/accept/")
    assert Model.objects.get(name="Model-2").organisation.name == "receiver"


def test_the_api_and_the_commands(held: Site) -> None:
    submit(held, "Model-1")
    receiver = owner("receiver")
    given, taken = (
        {"Authorization": f"Bearer {accounts.issue_token(user=one, name='x')}"}
        for one in (held.user, receiver)
    )

    def send(method: str, path: str, headers: Any, body: Any = None) -> Any:
        client = Client()
        data = json.dumps(body or {})
        return client.generic(method, f"/api/v1{path}", data, "application/json", headers=headers)

    renamed = send("POST", "/models/Model-1/name", given, {"name": "Model-2"}).json()
    assert renamed["name"] == "Model-2" and renamed["former_names"] == ["Model-1"]
    offer = send("POST", "/models/Model-2/transfer", given, {"to": "receiver"})
    assert offer.status_code == 201
    assert send("GET", "/transfers", taken).json()[0]["model"] == "Model-2"
    assert send("GET", "/transfers", given).json() == []
    assert send("DELETE", f"/transfers/{offer.json()['id']}", taken).status_code == 204
    offer = send("POST", "/models/Model-2/transfer", given, {"to": "receiver"}).json()
    answer = send("POST", f"/transfers/{offer['id']}/accept", taken).json()
    assert answer["organisation"] == "receiver"
    out = StringIO()
    call_command("rename_model", "Model-2", "Model-3", by="receiver", stdout=out)
    about = {"to": "Analytical", "by": "receiver", "stdout": out}
    call_command("transfer_model", "Model-3", **about)
    call_command("transfer_model", "Model-3", accepted_by="ada", **about)
    assert out.getvalue().splitlines()[0] == "Model-2 is Model-3 now"
    assert out.getvalue().splitlines()[2] == "Model-3 belongs to Analytical now"
    with pytest.raises(CommandError):
        call_command("rename_model", "Model-3", "Model-4", by="receiver")
