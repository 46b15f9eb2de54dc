"""A party that reads every published score of its self-declared endpoints, and works out which items it had right.

Each name of the endpoint answers another half of the block in earnest and the rest wrongly, so that its score is one
equation about the outcomes in earnest. The equations are solved by least squares around a guess of one half.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from evaluator.contract import Outcome
from evaluator.errors import Code
from evaluator.ledger.manifests import Block, Manifest
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.accounts.models import Membership, Organisation, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.actions import close_cohort, rebuild
from leaderboard.errors import Refusal, SiteError
from leaderboard.evidence import model_runs
from leaderboard.evidence.statistics import intervals
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.ladder import ExactScore, PublishedScore, published_scores
from leaderboard.submissions.models import Run, outcomes
from leaderboard.submissions.states import RunState
from tests.leaderboard import ruled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bell")]
SHARES = (Refusal.COHORT_SHARE, Refusal.SEASON_SHARE)
NAMES = 44
CHANCE = 24
"""Items of 36 that a guess finds, in all but 2% of cases; it finds 18 on average."""
keys = itertools.count()


def sealed(size: int) -> Manifest:
    """Blocks of ``size`` items: two exposed ones, of which the second is the season's, and a local one."""
    n = 3 * size
    leaves = [leaf_hash(f"sealed {number}".encode()) for number in range(n)]
    strata = ("exposed", "exposed", "local")
    blocks = [Block(id=at, stratum=one, start=at * size, n=size) for at, one in enumerate(strata)]  # type: ignore[arg-type]
    about = {
        "n": n,
        "root": root(leaves).hex(),
        "leaves": [leaf.hex() for leaf in leaves],
        "seasons": [1],
    }
    about |= {"blocks": [one.to_dict() for one in blocks], "cap": size, "cell": size}
    made = Manifest.from_dict(ruled.manifest().to_dict() | about)
    made.verify()
    return made


@dataclass
class Oracle:
    """The party: ``gold`` is what its endpoint has right where it tries, ``halves`` what each run tried."""

    client: Client
    pair: SetPair
    size: int
    seed: int
    user: User
    halves: dict[str, Any] = field(default_factory=dict)
    sums: list[tuple[Any, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.gold = self.rng.random(self.size) < 0.5

    def submit(self, *, user: User | None = None, host: str = "h.example") -> Run | None:
        """One more name; None where the party has no share left."""
        number = next(keys)
        endpoint: dict[str, Any] = {
            "url": f"https://{host}/v1",
            "served_model": f"m{number}",
            "api": "chat",
        }
        ask = Ask(pair=self.pair.slug, model=f"name-{number}", kind="endpoint", **endpoint)

        def submitted() -> Run:
            return actions.submit(user=user or self.user, key=f"k{number}", ask=ask).runs.get()

        return self._allowed(submitted)

    def go_on(self, run: Run) -> Run | None:
        """Continue a failed run; None where the party has no share left."""
        return self._allowed(
            lambda: actions.continue_run(run=run.pk, by=run.submission.submitted_by)
        )

    def _allowed(self, action: Any) -> Run | None:
        try:
            run: Run = action()
        except SiteError as refused:
            assert refused.code in SHARES
            return None
        return run

    def answer(self, run: Run | None, half: Any = None) -> None:
        """Grade a run that tries half of the block."""
        if run is None:
            return
        half = self.rng.random(self.size) < 0.5 if half is None else half
        for row in run.outcomes.select_related("item_set"):
            form = row.open()
            good = half & self.gold if row.item_set.sealed else np.ones(len(form), bool)
            row.merge(
                (at, Outcome.RIGHT if right else Outcome.WRONG)
                for at, right in zip(form, good, strict=True)
            )
            row.save()
        now = timezone.now()
        Run.objects.filter(pk=run.pk).update(state=RunState.GRADED, ended_at=now, queued_at=now)
        self.halves[str(run.pk)] = half

    def close(self) -> None:
        """Close the cohort, which publishes its scores."""
        close_cohort(pair=SetPair.objects.get(pk=self.pair.pk))

    def read(self) -> None:
        """Read all scores: the runs, the board and its export."""
        self.sums.clear()
        cache.clear()  # pages are cached for a second
        for run, half in self.halves.items():
            sets = self.client.get(f"/api/v1/runs/{run}").json()["sets"]
            self.sums += [(half, one["right"]) for one in sets if one["sealed"]]
        rows = self.client.get(f"/api/v1/board?pair={self.pair.slug}").json()["rows"]
        of_model = {row["model"]: self.halves[row["run"]] for row in rows}
        self.sums += [(self.halves[row["run"]], row["private"]["right"]) for row in rows]
        sheet = csv.DictReader(
            io.StringIO(self.client.get(f"/boards/{self.pair.slug}.csv").content.decode())
        )
        self.sums += [(of_model[row["model"]], int(row["private_right"])) for row in sheet]

    def found(self) -> int:
        """Return how many items of the block the party has right in the end."""
        self.read()
        halves, sums = zip(*self.sums, strict=True)
        return found(np.array(halves, float), np.array(sums), self.gold)


def found(halves: Any, sums: Any, gold: Any) -> int:
    """Return how many items come out right, by least squares around a guess of one half."""
    solved = 0.5 + np.linalg.pinv(halves) @ (sums - halves.sum(axis=1) / 2)
    return int(((solved > 0.5) == gold).sum())


@pytest.fixture
def oracle(client: Client, user: Any, evaluator: Any) -> Any:
    evaluator.register()

    def make(size: int, seed: int = 1) -> Oracle:
        return Oracle(client, ruled.make_pair(sealed=sealed(size)), size, seed, user)

    return make


def one_cohort(party: Oracle) -> None:
    """All names at once."""
    for _ in range(NAMES):
        party.answer(party.submit())
    party.close()


def season(party: Oracle) -> None:
    """A cohort for each two names, until the season's runs are used up."""
    for _ in range(NAMES // 2):
        made = [party.submit(), party.submit()]
        for run in made:
            party.answer(run)
        if any(made):
            party.close()


def two_organisations(party: Oracle) -> None:
    """The names of two organisations that share a host."""
    other = User.objects.create_user(username="other")
    Membership.objects.create(user=other, organisation=Organisation.objects.create(name="Other"))
    for number in range(NAMES):
        party.answer(
            party.submit(user=other if number % 2 else None, host=f"h.example:{8000 + number}")
        )
    party.close()


def failures_first(party: Oracle) -> None:
    """Each run fails before it is shown a sealed item, so that the next is taken; then all are continued."""
    made = [run for _ in range(NAMES) if (run := fail(party.submit()))]
    for run in made:
        party.answer(party.go_on(run))
    party.close()


def fail(run: Run | None) -> Run | None:
    """End a run at its first public question."""
    if run is not None:
        why = {"code": Code.ENDPOINT_UNREACHABLE.value, "fault": "theirs"}
        Run.objects.filter(pk=run.pk).update(state=RunState.FAILED, ended_at=timezone.now(), **why)
        run.refresh_from_db()
    return run


def two_parties(party: Oracle) -> None:
    """Two organisations with a host each, cohort for cohort."""
    other = User.objects.create_user(username="other")
    Membership.objects.create(user=other, organisation=Organisation.objects.create(name="Other"))
    for _ in range(NAMES // 2):
        runs = [party.submit(), party.submit(user=other, host="other.example")]
        for run in runs:
            party.answer(run)
        if any(runs):
            party.close()


ATTACKS = {season: 8, one_cohort: 1, two_organisations: 1, two_parties: 16, failures_first: 1}
"""How many scores each attack is left with."""


@contextmanager
def exact_scores() -> Iterator[None]:
    """A build that publishes the scores of self-declared endpoints as they are."""

    def exact(scores: Iterable[ExactScore], n: int) -> dict[UUID, PublishedScore]:
        return {score.run: PublishedScore(score.right, 0) for score in scores}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes, "published_scores", exact)
        yield


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
def test_a_party_is_left_with_few_scores(oracle: Any, attack: Any) -> None:
    party = oracle(36)
    attack(party)
    assert len(party.halves) == ATTACKS[attack]
    assert party.found() <= CHANCE


@pytest.mark.parametrize(
    "attack",
    [
        one_cohort,
        pytest.param(season, marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param(two_parties, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
    ids=lambda one: one.__name__,
)
def test_scores_in_steps_alone_hide_the_items(oracle: Any, settings: Any, attack: Any) -> None:
    """No shares, 44 scores: what every exact score would find stays hidden."""
    settings.DECLARED_PER_COHORT = settings.DECLARED_PER_SEASON = NAMES
    party = oracle(36)
    attack(party)
    assert len(party.halves) == NAMES and party.found() <= CHANCE
    with exact_scores():
        rebuild(pair=party.pair)
        assert party.found() == 36


def test_nothing_public_has_the_exact_score(oracle: Any) -> None:
    """14 of 36 are right; published are 15, in steps of 3, and all numbers are made of those."""
    party = oracle(36)
    party.gold[:] = False
    party.gold[:14] = True
    run = party.submit()
    party.answer(run, half=party.gold)
    party.close()
    told = party.client.get(f"/api/v1/runs/{run.pk}").json()
    (private,) = (one for one in told["sets"] if one["sealed"])
    counts = ("n", "right", "wrong", "no_answer", "truncated", "step", "within", "votes")
    assert [private[name] for name in counts] == [36, 15, 21, 0, 0, 3, 1, None]
    assert [one["right"] for one in told["graders"] if one["set"] == "private"] == [None]
    (row,) = party.client.get(f"/api/v1/board?pair={party.pair.slug}").json()["rows"]
    assert (row["private"]["right"], row["step"], row["within"], row["graders"]) == (15, 3, 1, [])
    low, high = row["private"]["interval"]
    ends = intervals.clopper_pearson(14, 36).low, intervals.clopper_pearson(16, 36).high
    assert (low, high) == pytest.approx(ends)
    assert row["gap"] == 1 - 15 / 36 and row["interval"][0] < 1 - 16 / 36
    listed = party.client.get("/api/v1/runs").json()["runs"]
    assert [one["tallies"] for one in listed] == [[]]
    for page in (f"/runs/{run.pk}/", f"/models/{row['model']}/", f"/boards/{party.pair.slug}/"):
        text = party.client.get(page).content.decode()
        assert "published in steps of 3 items, within 1 of the exact score" in text, page
        assert "/methodology/#steps" in text
    (entry,) = model_runs.published(party.pair)
    assert not entry.outcomes and entry.private_range[1].right == 16


def given_away(scores: int, size: int, parties: int, seed: int) -> tuple[int, int]:
    """Return how many items are found by exact scores, and by published ones."""
    rng = np.random.default_rng(seed)
    gold = rng.random(size) < 0.5
    halves = (rng.random((scores, size)) < 0.5).astype(float)
    sums = (halves @ gold).astype(int)
    runs = [
        ExactScore(UUID(int=at), frozenset({("host", at % parties)}), int(right), size)
        for at, right in enumerate(sums)
    ]
    published = published_scores(runs, size)
    in_steps = np.array([published[run.run].right for run in runs])
    return found(halves, sums, gold), found(halves, in_steps, gold)


SHARES_FOUND = {
    (36, 1, 1): (0.55, 0.55),
    (36, 8, 1): (0.71, 0.55),
    (36, 16, 2): (0.83, 0.55),
    (36, 44, 1): (1, 0.55),
    (110, 8, 1): (0.61, 0.53),
}
"""Share of items found by exact scores and by those in steps: items, scores, parties."""


@pytest.mark.parametrize("game", SHARES_FOUND)
def test_many_scores_give_away_what_one_does(game: tuple[int, int, int]) -> None:
    """The mean share over many blocks, as docs/threats.md states it; a guess has one half."""
    size, scores, parties = game
    counts = [given_away(scores, size, parties, seed) for seed in range(100)]
    shares = np.array(counts).mean(axis=0) / size
    assert np.allclose(shares, SHARES_FOUND[game], atol=0.03)


@pytest.mark.parametrize("again", ["continue", "requeue"])
def test_a_failed_run_waits_for_the_next_cohort(oracle: Any, again: str) -> None:
    party = oracle(36)
    first = fail(party.submit())
    second = party.submit()
    assert first and second
    queue = {"continue": lambda: party.go_on(first), "requeue": lambda: requeue(first)}[again]
    with pytest.raises(SiteError) as refused:
        actions.requeue(run=first.pk)
    assert (refused.value.code, refused.value.status) == (Refusal.COHORT_SHARE, 429)
    assert party.go_on(first) is None
    first.refresh_from_db()
    assert (first.state, first.continued) == (RunState.FAILED, 0)
    party.answer(second)
    party.close()
    assert queue().state == RunState.QUEUED


def requeue(run: Run) -> Run:
    """Queue a failed run again as a maintainer."""
    return actions.requeue(run=run.pk)


def test_the_page_states_the_shares(oracle: Any, settings: Any) -> None:
    party = oracle(36)
    settings.DECLARED_PER_COHORT, settings.DECLARED_PER_SEASON = 3, 17
    party.client.force_login(party.user)
    page = party.client.get("/submit/").content.decode()
    assert "3 such runs until the next close, and 17 in a season" in page
