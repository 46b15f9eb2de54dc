"""One party has few runs on a season's block, so that their scores are fewer equations than it has items."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from evaluator.contract import Outcome
from evaluator.policy import site_of
from leaderboard.accounts.models import Membership, Organisation, User
from leaderboard.board.actions import close_cohort
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.actions import submissions as taking
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.adversary import Site, site
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.planner import count_rows
from tests.leaderboard.test_score_oracle import exact_scores

pytestmark = pytest.mark.usefixtures("bell")
SHARES = (Refusal.COHORT_SHARE, Refusal.SEASON_SHARE)
keys = itertools.count()


@pytest.fixture
def held(db: None, evaluator: FakeEvaluator, user: Any) -> Site:
    return site(evaluator, user)


def member(name: str) -> User:
    """A member of another organisation."""
    found, new = User.objects.get_or_create(username=name)
    if new:
        Membership.objects.create(user=found, organisation=Organisation.objects.create(name=name))
    return found


def submit(held: Site, model: str, *, host: str = "h.example", user: Any = None) -> Run:
    endpoint = {"url": f"https://{host}/v1", "served_model": "m", "api": "chat"}
    ask = Ask(pair="pair", model=model, kind="endpoint", **endpoint)  # type: ignore[arg-type]
    return actions.submit(user=user or held.user, key=f"k{next(keys)}", ask=ask).runs.get()


def refusal(held: Site, model: str, **about: Any) -> object:
    with pytest.raises(SiteError) as refused:
        submit(held, model, **about)
    return refused.value.code


def grade(run: Run, right: set[int]) -> None:
    for row in run.outcomes.select_related("item_set"):
        wrong = Outcome.WRONG if row.item_set.sealed else Outcome.RIGHT
        row.merge((at, Outcome.RIGHT if at in right else wrong) for at in row.open())
        row.save()
    Run.objects.filter(pk=run.pk).update(
        state=RunState.GRADED, ended_at=timezone.now(), queued_at=timezone.now()
    )


def attack(held: Site, client: Any, names: int, cohorts: int) -> int:
    """Return how many items of the season's block follow from all scores, by names that answer random halves."""
    rng, rows, sums, form = np.random.default_rng(1), [], [], []
    gold = set(np.flatnonzero(rng.random(560) < 0.5).tolist())
    for cohort in range(cohorts):
        runs = []
        for name in range(names):
            try:
                run = submit(held, f"name-{cohort}-{name}")
            except SiteError as refused:
                assert refused.code in SHARES
                continue
            form = form or next(row for row in run.outcomes.all() if row.blocks).assigned()
            half = {at for at in form if rng.random() < 0.5}
            grade(run, half & gold)
            runs.append((run, half))
        count_rows()
        close_cohort(pair=held.pair)
        for run, half in runs:
            told = client.get(f"/api/v1/runs/{run.pk}").json()["sets"]
            sums.append(next(one["right"] for one in told if one["sealed"]))
            rows.append([float(at in half) for at in form])
    matrix = np.array(rows)
    inverse = np.linalg.pinv(matrix)
    sure = np.isclose(np.diag(inverse @ matrix), 1.0)
    values = np.rint(inverse @ np.array(sums, dtype=float)).astype(int)
    found = {at: bool(value) for at, value, fixed in zip(form, values, sure, strict=True) if fixed}
    assert all(right is (at in gold) for at, right in found.items())
    return len(found)


@pytest.mark.slow
@pytest.mark.parametrize("cohorts", [1, 12])
def test_names_in_one_cohort_or_in_many_work_out_no_item(
    held: Site, client: Any, cohorts: int
) -> None:
    assert attack(held, client, names=44 if cohorts == 1 else 2, cohorts=cohorts) == 0
    assert Run.objects.count() == min(cohorts, 8)


@pytest.mark.slow
def test_without_shares_and_steps_they_work_out_every_item(
    held: Site, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "check_bounds", lambda *about: None)
    with exact_scores():
        assert attack(held, client, names=130, cohorts=1) == 110


def other_model(held: Site) -> Any:
    return refusal(held, "second")


def other_organisation(held: Site) -> Any:
    return refusal(held, "second", user=member("other"))


def other_port(held: Site) -> Any:
    return refusal(held, "second", user=member("other"), host="h.example:8443")


def other_name_of_the_host(held: Site) -> Any:
    return refusal(held, "second", user=member("other"), host="b.h.example")


def other_host(held: Site) -> Any:
    return refusal(held, "second", host="elsewhere.org")


@pytest.mark.parametrize(
    "again",
    [other_model, other_organisation, other_port, other_name_of_the_host, other_host],
    ids=lambda one: one.__name__,
)
def test_a_party_is_known_by_organisation_and_by_host(
    held: Site, again: Callable[[Site], Any]
) -> None:
    submit(held, "first")
    assert again(held) is Refusal.COHORT_SHARE
    submit(held, "another-party", user=member("other"), host="elsewhere.org")


@pytest.mark.parametrize("exposed", [True, False])
def test_a_cancelled_run_counts_where_it_was_shown_an_item(
    held: Site, settings: Any, exposed: bool
) -> None:
    settings.DECLARED_PER_SEASON = 1
    run = submit(held, "first")
    if exposed:
        about = {
            "run": str(run.pk),
            "set": held.pair.private.name,
            "root": held.pair.private.digest,
        }
        line = held.evaluator.expose(**about, tier="T2", recipient="h.example")
        store_log(evaluator=Evaluator.objects.get(name=held.evaluator.name), lines=[line])
    actions.cancel(run=run.pk)
    if exposed:
        assert refusal(held, "second") is Refusal.SEASON_SHARE
    else:
        submit(held, "second")


def test_the_api_says_what_to_wait_for(held: Site, client: Any) -> None:
    submit(held, "first")
    client.force_login(held.user)
    with pytest.raises(SiteError) as refused:
        submit(held, "second")
    told = refused.value.to_dict()
    assert refused.value.status == 429 and "closed" in str(told)


@pytest.mark.django_db(transaction=True)
def test_submissions_in_parallel_do_not_pass(evaluator: FakeEvaluator, user: Any) -> None:
    held = site(evaluator, user)
    users = [member(f"member-{number}") for number in range(4)]

    def one(number: int) -> object:
        try:
            return submit(held, f"m-{number}", user=users[number]).pk
        except SiteError as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, range(4)))
    assert found.count(Refusal.COHORT_SHARE) == 3


@pytest.mark.parametrize(
    ("recipient", "site"),
    [
        ("a.b.example.org", "example.org"),
        ("example.org:8443", "example.org"),
        ("api.shop.co.uk", "shop.co.uk"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[2a00::1]:443", "[2a00::1]"),
        ("localhost", "localhost"),
    ],
)
def test_the_hosts_of_one_owner(recipient: str, site: str) -> None:
    assert site_of(recipient) == site
