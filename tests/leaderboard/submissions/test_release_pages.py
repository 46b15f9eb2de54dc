"""The page of a pair and the page of its release: what they say in every state, to whom, and what they let be done."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from evaluator.contract import canonical_json
from evaluator.ledger.releases import SignedStatement, statement_digest
from evaluator.ledger.rules import Date, Lineages, Rule, evidence_digest, read_evidence, rule_digest
from leaderboard.accounts.models import User
from leaderboard.benchmarks import actions as benchmarks
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.views import pairs
from leaderboard.submissions.views import release as release_views
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import retract
from tests.leaderboard.sealed import RULE, Sealed, count_run, heir, meet, register, released, seal
from tests.leaderboard.submissions.test_pages import text_of

PAGE, RELEASE = "/sets/twins/", "/sets/twins/release/"
PAIR = {"slug": "new", "title": "New", "public": "twins-public", "private": "fresh"}
ASKED = {"protocol": "demo-0shot", "grader": "numeric-1"}


@pytest.fixture
def sealed() -> Sealed:
    return seal()


@pytest.fixture
def twins(
    db: None, sealed: Sealed, evaluator: FakeEvaluator, settings: Any, tmp_path: Path
) -> SetPair:
    settings.RELEASES = tmp_path / "releases"
    evaluator.register()
    return register(sealed)


@pytest.fixture
def boss(user: User) -> User:
    """A maintainer."""
    user.is_staff = True
    user.save()
    return user


def test_a_pair_says_what_it_is_committed_to(
    client: Client, twins: SetPair, sealed: Sealed
) -> None:
    page = text_of(client.get(PAGE))
    manifest = sealed.manifest
    for fact in (
        manifest.root,
        manifest.digest(),
        manifest.seed_hash,
        "a" * 64,
        "CC-BY-4.0",
        "/api/v1/sets/twins/man",
    ):
        assert fact in page
    assert "witness-1 on 3 Jan 2026 00:00 UTC" in page
    assert "2 of 3 maintainers: maintainer-1, maintainer-2, maintainer-3" in page
    assert f"python3 verify_release.py BUNDLE --root {manifest.root}" in page
    assert "python3 verify_log.py --site http://testserver --state watched" in page
    assert "Limit of this protection." in page and "at most 20 items over all seasons" in page
    assert "No items are retired: this is version 0." in page
    assert (
        'aria-label="Blocks: 6 exposed, 2 season, 1 local, 1 spare; 0 retired, 0 items with an erratum"'
        in page
    )


def test_a_head_that_does_not_verify_is_nobodys(
    client: Client, twins: SetPair, sealed: Sealed
) -> None:
    twins.private.head = seal("another").head
    twins.private.save()
    page = text_of(client.get(PAGE))
    assert "no witness" in page and "witness-1 on" not in page


def test_how_far_each_clause_is(client: Client, twins: SetPair, evaluator: FakeEvaluator) -> None:
    assert "No model with a recorded lineage has finished a run yet." in text_of(client.get(PAGE))
    count_run(twins, evaluator, "north-1", right=118, lineage="north")
    for number in range(12):
        count_run(twins, evaluator, f"west-{number:02}", right=101 - number, lineage="west")
    page = text_of(client.get(PAGE))
    assert "<b>1 of 2</b> models." in page
    assert "<b>north-1</b></span> <span><b>118</b> of 120 right, 4 more than needed" in page
    assert "With 119 of 120 right, the whole 95% interval" in page
    progress = client.get("/api/v1/sets/twins/release").json()
    clause = progress["clauses"][0]
    assert clause["models"] == [
        {"model": "north-1", "right": 118, "n": 120, "spare": 4, "bound": 119}
    ]
    assert clause["short"][0] == {"model": "west-00", "items": 13, "n": 120}
    assert progress["clauses"][1]["date"] == "2030-01-01T00:00:00Z"
    assert (progress["met"], progress["state"]) == (False, "sealed")
    assert "<span>west-00</span> <span><b>13</b> more, of 120</span>" in page
    assert "<span>west-09</span>" in page and "west-10" not in page
    assert "And 2 more models." in page
    assert "2 open models of distinct lineages with 95% right" in page
    assert "It is not met yet." in page


@pytest.mark.parametrize(
    ("clause", "moment", "days"),
    [
        ("2030-01-02T00:00:00Z", "2030-01-01T00:00:00Z", 2),
        ("2030-01-01T00:00:01Z", "2030-01-01T00:00:00Z", 1),
    ],
)
def test_the_days_until_a_date_are_never_none(clause: str, moment: str, days: int) -> None:
    from evaluator.ledger.rules import Evidence, decide, moment_of

    rule = Rule(any_of=(Date(moment=clause),))
    evidence = Evidence(set="twin", root="0" * 64, moment=moment)
    (one,) = release_views.clause_progress(
        rule, evidence, decide(rule, evidence, now=moment_of(moment))
    )
    assert (one.days, one.state.met, one.missing) == (days, False, 0)
    past = Evidence(set="twin", root="0" * 64, moment=clause)
    (one,) = release_views.clause_progress(rule, past, decide(rule, past, now=moment_of(clause)))
    assert (one.days, one.state.met) == (0, True)


def test_notices_are_told_with_their_reason(client: Client, twins: SetPair, sealed: Sealed) -> None:
    first = sealed.notice(None, kind="retire_block", block=2, reason="spent")
    second = sealed.notice(first, kind="erratum", item=45, reason="wrong_gold")
    benchmarks.post_notices(data=[first.to_dict(), second.to_dict()])
    page = text_of(client.get(PAGE))
    assert "block 2 retired" in page and "shown often enough" in page
    assert "item 45 withdrawn, still counted" in page and "its gold answer was wrong" in page
    assert "1 withdrawn item still counts" in page and "by at most 1/n" in page
    assert "1 retired, 1 items with an erratum" in page and "version 2" in page
    third = sealed.notice(second, kind="compromise", reason="leaked")
    benchmarks.post_notices(data=[one.to_dict() for one in (first, second, third)])
    page = text_of(client.get(PAGE))
    assert "<b>the whole set</b> retired" in page and "10 retired" in page


def test_every_reason_has_words() -> None:
    from typing import get_args

    from evaluator.ledger.notices import Reason

    assert set(pairs.REASONS) == set(get_args(Reason))


def test_sets_without_a_manifest_or_a_rule_have_pages_too(
    client: Client, pair: Any, boss: User
) -> None:
    for address in ("/sets/pair/", "/sets/pair/release/"):
        assert "This set has no release rule" in text_of(client.get(address))
    progress = client.get("/api/v1/sets/pair/release").json()
    assert (progress["met"], progress["clauses"], progress["rule"]) == (None, [], "")
    assert client.get("/api/v1/sets/nowhere/release").status_code == 404
    type(pair.private).objects.filter(pk=pair.private.pk).update(manifest={})
    client.force_login(boss)
    for address in (
        "/sets/pair/",
        "/sets/pair/release/",
        "/sets/pair/registered/",
        "/sets/pair/exposure/",
    ):
        text_of(client.get(address))
    assert (
        client.get("/sets/nowhere/").status_code
        == client.get("/sets/nowhere/release/").status_code
        == 404
    )


def test_the_way_to_a_release(
    client: Client, twins: SetPair, sealed: Sealed, boss: User, evaluator: FakeEvaluator
) -> None:
    def current(state: str) -> str:
        page = text_of(client.get(RELEASE))
        assert page.count('aria-current="step"') == 1
        assert f"<b>{state}</b>" in page.split('aria-current="step"')[1].split("</li>")[0]
        return page

    assert "not frozen yet" in current("Sealed")
    assert "History" not in current("Sealed")
    meet(twins, evaluator)
    assert "It is met now." in current("Releasable")
    heir(twins)
    twins = actions.propose(slug="twins", by=boss)
    page = current("Proposed")
    assert sealed.manifest.rule is not None
    for digest in (
        evidence_digest(read_evidence(twins.evidence)),
        rule_digest(sealed.manifest.rule),
    ):
        assert f"<code>{digest}</code>" in page
    assert "publish_release twins BUNDLE --by USER" in page
    row = released(twins, sealed, boss)
    page = current("Released")
    statement = SignedStatement.from_dict(row.statement).statement
    assert statement_digest(statement) in page
    assert (
        "2 of 3 maintainers signed this, offline: <b>maintainer-1</b>, <b>maintainer-3</b>." in page
    )
    for name, digest in row.contents.items():
        assert f'href="/sets/twins/release/files/{name}"' in page and digest in page
    assert "6,000</td>" in page and f"bundle --root {sealed.manifest.root}" in page
    assert "post-release" in page and "twin-2" in page
    assert "the release and its files" in text_of(client.get(PAGE))


def test_a_release_rests_on_what_was_signed(
    client: Client, twins: SetPair, sealed: Sealed, boss: User, evaluator: FakeEvaluator
) -> None:
    meet(twins, evaluator)
    heir(twins)
    released(actions.propose(slug="twins", by=boss), sealed, boss)
    for run in Run.objects.all():
        retract(run.pk)
    for address in (PAGE, RELEASE):
        page = text_of(client.get(address))
        assert "<b>2 of 2</b> models." in page
        assert "<b>north-1</b></span>" in page and "<b>south-1</b></span>" in page
        assert "The set was released before this date." in page


def test_the_evidence_is_the_bytes_that_are_signed(
    client: Client, twins: SetPair, boss: User, evaluator: FakeEvaluator
) -> None:
    meet(twins, evaluator)
    live = client.get(RELEASE + "evidence.json")
    assert [run["model"] for run in json.loads(live.content)["runs"]] == [
        "north-1",
        "south-1",
        "west-1",
    ]
    heir(twins)
    twins = actions.propose(slug="twins", by=boss)
    count_run(twins, evaluator, "late-1", right=1, lineage="late")
    frozen = client.get(RELEASE + "evidence.json")
    assert frozen.content == canonical_json(twins.evidence) + b"\n"
    assert frozen.headers["Content-Disposition"] == 'attachment; filename="evidence.json"'


def test_strangers_and_members_get_no_buttons(
    client: Client, twins: SetPair, user: User, evaluator: FakeEvaluator
) -> None:
    meet(twins, evaluator)
    heir(twins)
    for login in (False, True):
        if login:
            client.force_login(user)
        page = text_of(client.get(RELEASE))
        assert "For maintainers" not in page and "<form method" not in page.split("<main")[1]
        assert "/exposure/" not in page + text_of(client.get(PAGE))
        for name in ("propose", "withdraw"):
            assert client.post(f"{RELEASE}{name}/").status_code == 404
        for address in ("/sets/register/pair/", "/sets/twins/registered/"):
            assert client.get(address).status_code == 404
    assert SetPair.objects.get(slug="twins").state == "releasable"


def test_proposing_and_withdrawing(
    client: Client, twins: SetPair, boss: User, evaluator: FakeEvaluator
) -> None:
    def post(name: str, slug: str = "twins") -> str:
        return client.post(f"/sets/{slug}/release/{name}/", follow=True).content.decode()

    client.force_login(boss)
    assert "does not allow this: sealed. Look at the set&#x27;s release page." in post("propose")
    meet(twins, evaluator)
    assert "A release needs a sealed successor. Register the next sealed set" in post("propose")
    heir(twins)
    page = post("propose")
    assert (
        "The release is proposed." in page
        and "Proposed by ada." in page
        and "Withdraw the proposal" in page
    )
    assert "does not allow this: proposed." in post("propose")
    assert "The proposal is withdrawn." in post("withdraw")
    assert "does not allow this: releasable." in post("withdraw")
    assert client.post("/sets/nowhere/release/propose/").status_code == 404
    assert client.get(RELEASE + "propose/").status_code == 405
    assert client.get(RELEASE).headers["Cache-Control"] == "no-store, private"


def test_proposing_needs_a_csrf_token(twins: SetPair, boss: User, evaluator: FakeEvaluator) -> None:
    meet(twins, evaluator)
    heir(twins)
    client = Client(enforce_csrf_checks=True)
    client.force_login(boss)
    assert client.post(RELEASE + "propose/").status_code == 403
    assert SetPair.objects.get(slug="twins").state == "releasable"


def register_fresh(rule: Rule = RULE) -> Sealed:
    fresh = seal("fresh", rule=rule)
    benchmarks.register_set(data=fresh.manifest.to_dict(), sealed=True, head=fresh.head)
    return fresh


def test_a_pair_is_registered_by_its_form(client: Client, twins: SetPair, boss: User) -> None:
    client.force_login(boss)
    fresh = register_fresh()
    page = text_of(client.get("/sets/register/pair/?private=fresh"))
    assert fresh.manifest.root in page and 'value="fresh" selected' in page
    text_of(client.get("/sets/register/pair/?private=no%ffsuch"))
    assert "Check the pair before you register it" in text_of(
        client.post("/sets/register/pair/", PAIR | ASKED)
    )
    done = client.post("/sets/register/pair/", PAIR | ASKED | {"confirmed": "1"}, follow=True)
    assert done.redirect_chain == [("/sets/new/registered/", 302)]
    page = text_of(done)
    assert fresh.manifest.root in page and "no known models would meet" in page
    assert SetPair.objects.get(slug="new").private.name == "fresh"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"slug": "register"}, (400, "an address of the site itself")),
        ({"slug": "a b"}, (422, "valid “slug”")),
        ({"title": ""}, (422, "This field is required")),
        ({"title": "a\0b"}, (422, "Null characters")),
        ({"public": "twin"}, (422, "Select a valid choice")),
        ({"private": "twins-public"}, (422, "Select a valid choice")),
        ({"protocol": "No such"}, (422, "Select a valid choice")),
        ({"grader": "numeric-1\n" * 2}, (422, "Select a valid choice")),
        ({"slug": "twins"}, (409, "Something else is registered under this name: twins.")),
    ],
    ids=repr,
)
def test_a_pair_that_is_not_registered(
    client: Client, twins: SetPair, boss: User, changes: Any, told: tuple[int, str]
) -> None:
    client.force_login(boss)
    register_fresh()
    status, says = told
    assert says in text_of(client.post("/sets/register/pair/", PAIR | ASKED | changes), status)
    assert SetPair.objects.count() == 1


def test_a_rule_that_known_models_meet_is_pointed_out(
    client: Client, twins: SetPair, boss: User, evaluator: FakeEvaluator
) -> None:
    meet(twins, evaluator)
    register_fresh(Rule(any_of=(Lineages(models=2, numerator=90, denominator=100),)))
    client.force_login(boss)
    page = text_of(
        client.post("/sets/register/pair/", PAIR | ASKED | {"confirmed": "1"}, follow=True)
    )
    assert "Known models would meet the release rule at once." in page
    assert "north-1, south-1" in page


def test_a_page_asks_no_more_queries_for_more_models(
    client: Client, twins: SetPair, evaluator: FakeEvaluator
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            client.get(PAGE)
        return len(asked)

    count_run(twins, evaluator, "north-1", right=118, lineage="north")
    one = queries()
    for number in range(4):
        count_run(twins, evaluator, f"west-{number}", right=101, lineage="west")
    assert queries() == one
