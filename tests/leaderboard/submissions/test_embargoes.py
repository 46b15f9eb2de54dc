"""A result under embargo is decided at its close and appears nowhere before its day."""

import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from leaderboard.accounts.actions import enrol, issue_token
from leaderboard.accounts.models import Membership, Organisation, Role, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.actions import close_cohort, rebuild
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.errors import SiteError
from leaderboard.evidence import actions as references
from leaderboard.evidence.models import Verdict
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Embargo, Run
from tests.leaderboard import routes
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
NOW = timezone.now()
SECRET = "Unheard-7b"
TRACES = (SECRET, SECRET.lower(), "287", "0.7175", "71.75", "71.7", "71.8")
"""The model's name, and its right answers and score on the sealed set."""


@pytest.fixture
def demo() -> SetPair:
    made = make_pair()
    for number, right in enumerate((360, 300, 240)):
        make_run(made, f"other-{number}", public=right, private=right)
    return made


def embargoed(demo: SetPair, model: str = SECRET, right: int = 287, days: float = 30) -> Run:
    run = make_run(demo, model, public=right, private=right)
    Embargo.objects.create(submission=run.submission, until=NOW + timedelta(days=days))
    return run


def rows(demo: SetPair) -> dict[str, Row]:
    close_cohort(pair=demo)
    snapshot = Snapshot.objects.current(demo)
    assert snapshot is not None
    return {row.model: row for row in snapshot.ranking()}


def pass_days(**days: float) -> None:
    """Move the ends of all embargoes into the past."""
    for one in Embargo.objects.all():
        Embargo.objects.filter(pk=one.pk).update(until=one.until - timedelta(**days))


def addresses(run: Run, model: str) -> Iterator[str]:
    """Yield the address of each GET route of the site, filled in with this run and this model."""
    known = {
        "slug": run.submission.pair.slug, "str": model, "name": model, "int": "1", "uuid": str(run.pk),
        "run_id": str(run.pk), "path": "statement.json", "object_id": str(run.pk), "base36": "1",
        "evaluator": "evaluator-1", "chart": "scatter", "submission_id": str(run.submission_id),
        "app_label": "submissions", "content_type_id": "1", "url": "x", "username": "submitter",
        "secret": "none", "upload_id": str(run.pk), "key": "none",
    }  # fmt: skip
    for route in routes.routes():
        yield route.path({name: known.get(name) or known[kind] for kind, name in route.parts})
    pair = run.submission.pair.slug
    yield f"/api/v1/board?pair={pair}"
    yield f"/boards/{pair}/?q={model}&cols=chosen&sort=model"
    yield f"/boards/{pair}/compare/?a={model}&b=other-0"
    yield f"/api/v1/board/compare?pair={pair}&a={model}&b=other-0"
    yield f"/api/v1/runs?pair={pair}&limit=500"
    for chart in ("scatter", "rank-changes", "families", "likelihood", "peers", "gaps"):
        yield f"/boards/{pair}/charts/{chart}/?model={model}"


def leaks(run: Run, traces: tuple[str, ...]) -> set[str]:
    """Return the addresses whose answer to an anonymous visitor has a trace of a result.

    An answer may repeat the name that its address has.
    """
    client = Client(raise_request_exception=False)
    name = run.submission.model.name
    found = set()
    for address in addresses(run, name):
        answer = client.get(address)
        assert answer.status_code < 500, address
        text = b"".join(answer).decode(errors="replace")
        sought = [one for one in traces if name not in address or one.lower() != name.lower()]
        if any(re.search(rf"(?<![\w.]){re.escape(one)}(?!\w)", text) for one in sought):
            found.add(address)
    return found


def test_an_embargoed_result_is_on_no_public_page(demo: SetPair) -> None:
    run = embargoed(demo)
    rows(demo)
    run.refresh_from_db()
    assert run.state == "graded" and Verdict.objects.filter(run=run).exists()
    assert leaks(run, TRACES) == set()
    pass_days(days=31)
    assert actions.end_embargoes() == 1
    rebuild(pair=demo)
    shown = leaks(run, TRACES)
    slug = demo.slug
    for address in (
        f"/boards/{slug}/", f"/boards/{slug}.csv", f"/models/{SECRET}/", f"/runs/{run.pk}/",
        f"/boards/{slug}/feed.atom", "/feed.atom", f"/api/v1/board?pair={slug}",
        f"/api/v1/runs/{run.pk}", f"/boards/{slug}/models/{SECRET}/badge.svg", "/api/v1/board",
    ):  # fmt: skip
        assert address in shown, f"the search finds a result that is shown: {address}"


def test_nothing_about_others_depends_on_an_embargo(demo: SetPair) -> None:
    alone = rows(demo)
    embargoed(demo)
    held = rows(demo)
    assert held == alone
    Embargo.objects.all().delete()
    Run.objects.filter(state="graded").update(state="ranked")
    with_it = {row.model: row for row in rebuild(pair=demo).ranking()}
    for model, row in alone.items():
        assert with_it[model].judged == row.judged and with_it[model].private == row.private


def test_the_verdict_is_that_of_the_close_and_stays(demo: SetPair) -> None:
    run = embargoed(demo)
    rows(demo)
    before = Verdict.objects.get(run=run).body
    rows(demo)
    pass_days(days=31)
    actions.end_embargoes()
    row = rows(demo)[SECRET]
    assert Verdict.objects.get(run=run).body == before and row.run == str(run.pk)
    assert row.judged is not None and row.judged.p == before["p"]


def test_that_a_run_exists_stays_public(demo: SetPair, client: Client) -> None:
    run = embargoed(demo)
    rows(demo)
    end = f"{NOW + timedelta(days=30):%Y-%m-%d}"
    told = client.get(f"/api/v1/board?pair={demo.slug}").json()
    assert told["embargoes"] == [
        {"submitted": f"{run.submission.created:%Y-%m-%d}", "until": end, "decided": True}
    ]
    assert told["pending"] == {"embargo": 1}
    assert "Results under embargo" in client.get(f"/boards/{demo.slug}/").content.decode()
    (listed,) = (
        one
        for one in client.get(f"/api/v1/runs?pair={demo.slug}").json()["runs"]
        if one["id"] == str(run.pk)
    )
    assert listed["embargo_until"].startswith(end) and listed["queued_at"] and not listed["model"]


def test_a_later_run_waits_with_the_embargoed_one_that_decides_its_level(demo: SetPair) -> None:
    first = embargoed(demo, days=30)
    rows(demo)
    later = make_run(demo, SECRET, public=399, private=283)
    found = rows(demo)
    later.refresh_from_db()
    assert SECRET not in found and later.state == "graded"
    assert leaks(later, (*TRACES, "283", "0.7075")) == set()
    pass_days(days=29)
    assert actions.end_embargoes() == 0
    pass_days(days=2)
    assert actions.end_embargoes() == 2
    row = rows(demo)[SECRET]
    assert row.run == str(first.pk) and row.later is not None and row.later.count == 1


def test_a_later_try_under_embargo_is_counted_on_the_row(demo: SetPair, client: Client) -> None:
    make_run(demo, SECRET, public=300, private=300)
    rows(demo)
    embargoed(demo, right=287)
    row = rows(demo)[SECRET]
    assert (row.private.right, row.tries, row.later) == (300, 2, None)
    page = client.get(f"/models/{SECRET}/").content.decode()
    assert "1 of 2 runs" in client.get(f"/boards/{demo.slug}/").content.decode()
    assert "is under embargo until" in page and "71.8" not in page
    assert len(client.get(f"/api/v1/models/{SECRET}").json()["embargoes"]) == 1


def test_an_embargo_keeps_no_board_open(demo: SetPair, settings: Any) -> None:
    settings.COHORT_SECONDS = 1
    embargoed(demo)
    assert actions.is_due(pair=demo)
    rows(demo)
    assert not actions.is_due(pair=demo) and actions.next_closes() == {}
    assert actions.request_rankings() == 0
    assert "graded_long" not in {one.code for one in actions.status().check_results}
    assert close_cohort(pair=demo) is None


def test_its_author_sees_the_result_and_lifts_the_embargo(demo: SetPair, client: Client) -> None:
    run = embargoed(demo)
    author = User.objects.get(username="submitter")
    signed_in = Client()
    signed_in.force_login(author)
    page = f"/runs/{run.pk}/"
    assert signed_in.get(page).content.decode().count(">287<") == 1, "the public set alone"
    rows(demo)
    text = signed_in.get(page).content.decode()
    assert "Decided, under embargo." in text and text.count(">287<") == 2
    token = issue_token(user=author, name="t")
    headers = {"Authorization": f"Bearer {token}"}
    told = client.get(f"/api/v1/runs/{run.pk}", headers=headers).json()
    assert told["embargo_until"] and [one["right"] for one in told["sets"]] == [287, 287]
    assert client.get(page).status_code == 404
    stranger = enrol(username="stranger")
    with pytest.raises(SiteError):
        actions.lift_embargo(run=run.pk, by=stranger)
    assert signed_in.post(f"{page}embargo/lift/").status_code == 302
    run.refresh_from_db()
    assert run.state == "ranked" and rows(demo)[SECRET].run == str(run.pk)


@pytest.mark.parametrize("by", ["api", "command"])
def test_an_owner_lifts_an_embargo_before_the_close(demo: SetPair, client: Client, by: str) -> None:
    run = embargoed(demo)
    boss = enrol(username="boss")
    Membership.objects.filter(user=boss).delete()
    owned = Organisation.objects.get(name="Holdfast demo")
    Membership.objects.create(user=boss, organisation=owned, role=Role.OWNER)
    if by == "api":
        headers = {"Authorization": f"Bearer {issue_token(user=boss, name='t')}"}
        answer = client.delete(f"/api/v1/runs/{run.pk}/embargo", headers=headers)
        assert answer.status_code == 200
        again = client.delete(f"/api/v1/runs/{run.pk}/embargo", headers=headers)
        assert again.status_code == 404
    else:
        out = StringIO()
        call_command("lift_embargo", str(run.pk), by="boss", stdout=out)
        assert "lifted" in out.getvalue()
    run.refresh_from_db()
    assert run.state == "graded" and rows(demo)[SECRET].run == str(run.pk)


# --- asking for one


def ask(**facts: Any) -> Ask:
    basics: dict[str, Any] = {"pair": "pair", "model": "asked", "kind": "checkpoint"}
    return Ask(**(basics | {"checkpoint": "honest"} | facts))


def day(ahead: float) -> str:
    return (timezone.now() + timedelta(days=ahead)).date().isoformat()


@pytest.mark.usefixtures("bell")
def test_a_submission_asks_for_an_embargo(run: Any, user: User) -> None:
    made = actions.submit(user=user, key="with-embargo", ask=ask(embargo_until=day(90)))
    assert made.embargo.until.date().isoformat() == day(90)
    plain = actions.submit(user=user, key="plain", ask=ask(model="plain"))
    assert not hasattr(plain, "embargo")


@pytest.mark.usefixtures("bell")
@pytest.mark.parametrize(
    ("ahead", "code"),
    [(0, "invalid_field"), (91, "invalid_field"), (-3, "invalid_field")],
    ids=["today", "too-late", "past"],
)
def test_a_day_that_is_past_or_too_far_is_refused(
    run: Any, user: User, ahead: int, code: str
) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k", ask=ask(embargo_until=day(ahead)))
    assert (refused.value.code, refused.value.detail) == (code, "embargo_until")
    assert not Embargo.objects.exists()


@pytest.mark.usefixtures("bell")
def test_references_have_no_embargo(run: Any, user: User) -> None:
    pair = run.submission.pair
    model = run.submission.model
    references.name_reference(pair=pair, model=model.name, why="trained before")
    asked = ask(model=model.name, embargo_until=day(9))
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k", ask=asked)
    assert refused.value.code == "embargo_refused"
    references.drop_reference(pair=pair, model=model.name)
    actions.submit(user=user, key="k", ask=asked)
    with pytest.raises(SiteError) as refused:
        references.name_reference(pair=pair, model=model.name, why="trained before")
    assert refused.value.code == "embargo_running"


@pytest.mark.parametrize("text", ["soon", "2026-1-2", "2026-02-30"])
def test_what_is_no_day_is_refused(run: Any, user: User, text: str) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k", ask=ask(embargo_until=text))
    assert refused.value.detail == "embargo_until"
