"""One author with five accounts, each with an organisation: copies, names, runs, and practice.

Nothing of it changes another model's evidence, rank range or place in the queue beyond the fair bound, and no item is
learnt. Each attack succeeds where its guard is taken away.
"""

import uuid
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from evaluator.contract import Outcome
from leaderboard.accounts import throttle
from leaderboard.accounts.actions import sign_up
from leaderboard.accounts.throttle import Limit
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.actions import close_cohort
from leaderboard.board.models import Snapshot
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.actions import artefacts, bounds, quotas
from leaderboard.submissions.actions.fair_order import Due, FairOrder
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import QuotaEntry, Run, RunOutcomes, Submission
from leaderboard.submissions.models.messages import OutboxQuerySet
from leaderboard.submissions.states import RunState
from tests.leaderboard import ruled
from tests.leaderboard.adversary import Site, site
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.planner import count_rows
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.submissions.test_same_weights import begin

pytestmark = pytest.mark.usefixtures("bell")
INNOCENT = {"Lighthouse": 330, "Harbour": 300, "Anchor": 270}
"""Other authors' models, with their right answers of the sealed set."""
COPIED = 285
ACCOUNTS, QUOTA, CAP = 5, 3, 10
Hand = Callable[..., Run]


@pytest.fixture
def held(db: None, evaluator: FakeEvaluator, user: Any, settings: Any, monkeypatch: Any) -> Site:
    settings.QUOTA_RUNS, settings.UNFINISHED_RUNS = QUOTA, CAP
    monkeypatch.setattr(throttle, "SUBMISSIONS", Limit("submissions", 60, 60))
    return site(evaluator, user)


@pytest.fixture
def accounts(held: Site) -> list[Any]:
    """Accounts of one person, who made an organisation for each."""
    return [
        sign_up(username=f"sock-{number}", password=None, organisation=f"Shell {number}")
        for number in range(ACCOUNTS)
    ]


def submit(by: Any, model: str, *, pair: str = "pair", **endpoint: Any) -> Run:
    how = endpoint or {"checkpoint": "honest"}
    ask = Ask(pair=pair, model=model, kind="endpoint" if endpoint else "checkpoint", **how)
    return actions.submit(user=by, key=model, ask=ask).runs.get()


def grade(run: Run, evaluator: FakeEvaluator, right: int) -> None:
    for row in run.outcomes.select_related("item_set"):
        items = sorted(row.open())
        row.merge(
            (at, Outcome.RIGHT if place < right else Outcome.WRONG)
            for place, at in enumerate(items)
        )
        row.save()
    Run.objects.filter(pk=run.pk).update(
        state=RunState.GRADED,
        ended_at=timezone.now(),
        lease_expires=None,
        evaluator=Evaluator.objects.get(name=evaluator.name),
        protocol_digest=ruled.PROTOCOL_DIGEST,
    )


def board(held: Site, accounts: Sequence[Any], copies: int) -> dict[str, tuple[Any, str]]:
    """Return rank range and evidence of each model, where one checkpoint is sent so many times."""
    with transaction.atomic():
        for name, right in INNOCENT.items():
            grade(submit(held.user, name), held.evaluator, right)
        for number in range(copies):
            run = submit(accounts[number % ACCOUNTS], f"gpt-{number}")
            begin(run, held.evaluator)
            if run.state == RunState.LEASED:
                grade(run, held.evaluator, COPIED)
        close_cohort(pair=SetPair.objects.get(pk=held.pair.pk))
        snapshot = Snapshot.objects.current(held.pair)
        assert snapshot is not None
        found = {row.model: (row.rank_range, row.evidence.value) for row in snapshot.ranking()}
        transaction.set_rollback(True)
    return found


def test_six_copies_have_one_row_and_change_nobodys(held: Site, accounts: Sequence[Any]) -> None:
    once, six = board(held, accounts, 1), board(held, accounts, 6)
    assert six == once and set(once) == {*INNOCENT, "gpt-0"}


def test_without_comparing_weights_they_change_rank_ranges(
    held: Site, accounts: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = board(held, accounts, 1)
    monkeypatch.setattr(artefacts, "_first_of_weights", lambda run: None)
    six = board(held, accounts, 6)
    assert len(six) == len(INNOCENT) + 6
    assert any(six[name][0] != once[name][0] for name in INNOCENT)


def flood(accounts: Sequence[Any], runs: int, **endpoint: Any) -> dict[object, int]:
    """Send as many submissions, in turn from each account; return how each was answered."""
    answers: dict[object, int] = {}
    for number in range(runs):
        try:
            submit(accounts[number % len(accounts)], f"clean-{number}", **endpoint)
            answer: object = "queued"
        except SiteError as refused:
            answer = refused.code
            assert refused.status == 429 and refused.retry_after > 0
        answers[answer] = answers.get(answer, 0) + 1
    return answers


def place_of_another(held: Site) -> int:
    place = actions.queue_place(submit(held.user, "Lighthouse"))
    assert place is not None
    return place.position


@pytest.mark.slow
def test_a_thousand_runs_delay_nobody_beyond_the_fair_bound(
    held: Site, accounts: Sequence[Any]
) -> None:
    answers = flood(accounts, 1000)
    assert answers == {
        "queued": ACCOUNTS * QUOTA,
        Refusal.QUOTA_USED: ACCOUNTS * (60 - QUOTA),
        Refusal.TOO_OFTEN: ACCOUNTS * 140,
    }
    assert place_of_another(held) <= ACCOUNTS + 1


def test_one_organisation_has_ten_runs_at_a_time_at_most(
    held: Site, accounts: Sequence[Any], settings: Any
) -> None:
    settings.QUOTA_RUNS = 1000
    assert flood(accounts[:1], 60) == {"queued": CAP, Refusal.QUEUE_SHARE: 60 - CAP}
    assert place_of_another(held) == 2


def without_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all runs as those of one organisation."""
    oldest, read = FairOrder._oldest, FairOrder._read

    def of_one(order: FairOrder, attempts: Any, each: int) -> dict[int, list[int]]:
        return {0: sorted(chain.from_iterable(oldest(order, attempts, PRACTISED).values()))}

    def owned_by_one(order: FairOrder, attempts: Any, **options: Any) -> list[Due]:
        return [replace(due, organisation=0) for due in read(order, attempts, **options)]

    monkeypatch.setattr(FairOrder, "_oldest", of_one)
    monkeypatch.setattr(FairOrder, "_read", owned_by_one)


@pytest.mark.slow
def test_without_bounds_others_wait_for_all_of_them(
    held: Site, accounts: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "decide_bounds", lambda _: None)
    monkeypatch.setattr(throttle, "SUBMISSIONS", Limit("submissions", 1000, 1))
    without_turns(monkeypatch)
    assert flood(accounts, 100) == {"queued": 100}
    assert place_of_another(held) == 101


ENDPOINT = {"url": "https://h.example/v1", "served_model": "m", "api": "chat"}


def test_44_names_of_five_accounts_have_one_score_a_cohort(
    held: Site, accounts: Sequence[Any]
) -> None:
    """What follows from it: ``test_shares`` and ``test_score_oracle`` solve the scores for items."""
    assert flood(accounts, 44, **ENDPOINT) == {"queued": 1, Refusal.COHORT_SHARE: 43}


def test_without_shares_44_names_have_44_scores(
    held: Site, accounts: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "decide_bounds", lambda _: None)
    assert flood(accounts, 44, **ENDPOINT) == {"queued": 44}


PRACTISED = 1000


def practise(held: Site, accounts: Sequence[Any], runs: int) -> list[Run]:
    """Store so many practice runs, half of them graded, all items right.

    Each account submits one, which is returned; the others are copies of its rows.
    """
    practice_pair(held.pair)
    first = [submit(by, f"practised-{at}", pair="warm-up") for at, by in enumerate(accounts)]
    for row in RunOutcomes.objects.filter(run__in=first).select_related("item_set"):
        row.merge((at, Outcome.RIGHT) for at in sorted(row.open()))
        row.save()
    outcomes = [list(run.outcomes.all()) for run in first]
    submissions, made, rows = [], [], []
    for number in range(runs - len(first)):
        like = first[number % len(first)]
        submission, run = copy(like.submission), copy(like)
        submission.pk, submission.idempotency_key = None, f"copy-{number}"
        run.pk, run.submission = uuid.uuid4(), submission
        submissions.append(submission)
        made.append(run)
        for row in map(copy, outcomes[number % len(first)]):
            row.pk, row.run = None, run
            rows.append(row)
    Submission.objects.bulk_create(submissions)
    Run.objects.bulk_create(made)
    RunOutcomes.objects.bulk_create(rows)
    Run.objects.filter(pk__in=[run.pk for run in made[::2]]).update(
        state=RunState.GRADED,
        ended_at=timezone.now(),
        evaluator=Evaluator.objects.get(name=held.evaluator.name),
        protocol_digest=ruled.PROTOCOL_DIGEST,
    )
    count_rows()
    return first


def standing_of(held: Site, accounts: Sequence[Any]) -> dict[str, Any]:
    """What one person's runs might change for others and for her own official runs."""
    quotas = [actions.quotas_of(by.organisation()) for by in accounts]
    return {
        "board": board(held, accounts, 1),
        "official runs left": [[one.use.left for one in quota] for quota in quotas],
        "place": place_of_another(held),
    }


def test_a_thousand_practice_runs_change_nothing_and_show_no_sealed_outcome(
    held: Site, accounts: Sequence[Any]
) -> None:
    with transaction.atomic():
        before = standing_of(held, accounts)
        transaction.set_rollback(True)
    practised = practise(held, accounts, PRACTISED)
    assert standing_of(held, accounts) == before
    assert before["place"] == 1 and set(before["official runs left"][0]) == {QUOTA}
    rows = RunOutcomes.objects.filter(run__submission__pair__practice=True)
    assert rows.count() == 2 * PRACTISED and not rows.filter(item_set__sealed=True).exists()
    for run in practised:
        asked = held.evaluator.begin(run).spec["sets"]
        assert held.pair.private.name not in [one["name"] for one in asked]


def test_where_practice_counts_it_takes_official_runs_and_places(
    held: Site, accounts: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bounds, quotas):
        monkeypatch.setattr(module, "is_official", lambda _: True)
    practise(held, accounts, 20)
    assert QuotaEntry.objects.filter(pair__practice=True).count() == ACCOUNTS
    monkeypatch.setattr(OutboxQuerySet, "official", lambda rows: rows.all())
    without_turns(monkeypatch)
    assert place_of_another(held) == ACCOUNTS + 1
