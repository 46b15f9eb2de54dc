"""A small board in the database, made of the same rows that the recorder writes."""

from datetime import UTC, datetime, timedelta
from itertools import count

from evaluator.contract import Outcome
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.submissions.models import Model, Run, RunOutcomes, Submission
from leaderboard.submissions.states import LIVE, RunState

N = 400
START = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = count()


def make_pair(slug: str = "demo", *, n: int = N, twins_by: str = "generator") -> SetPair:
    public = ItemSet.objects.create(name=f"{slug}-public", sealed=False, n=n, digest="a" * 64)
    private = ItemSet.objects.create(
        name=f"{slug}-private", sealed=True, n=n, digest="9f2c" + "0" * 56 + "41ab"
    )
    return SetPair.objects.create(
        slug=slug, title="Demo arithmetic", public=public, private=private, protocol="demo-0shot", grader="numeric-1",
        twins_by=twins_by,
    )  # fmt: skip


def make_run(
    pair: SetPair,
    model: str,
    *,
    public: int = 0,
    private: int = 0,
    truncated: int = 0,
    kind: str = "checkpoint",
    state: RunState = RunState.GRADED,
    organisation: str = "Holdfast demo",
    fault: str = "",
    left_open: int = 0,
) -> Run:
    """A run of ``model`` with so many right on each set; ``truncated`` of the private answers are cut off."""
    number = next(_numbers)
    owner, _ = Organisation.objects.get_or_create(name=organisation)
    user, _ = User.objects.get_or_create(username="submitter")
    known, _ = Model.objects.get_or_create(name=model, defaults={"organisation": owner})
    endpoint = {"url": "https://models.example/v1", "served_model": model, "api": "chat"}
    submission = Submission.objects.create(
        model=known, submitted_by=user, pair=pair, organisations=[known.organisation_id], kind=kind, idempotency_key=f"key-{number}", fingerprint="0" * 64,
        **({"checkpoint": model.lower()} if kind == "checkpoint" else endpoint),
    )  # fmt: skip
    queued = START + timedelta(minutes=number)
    run = Run.objects.create(
        submission=submission, organisation=known.organisation, pool="default", state=state, queued_at=queued, deadline=queued + timedelta(days=1),
        total=pair.public.n + pair.private.n, code="lost" if fault else "", fault=fault,
        lease_expires=queued if state in LIVE else None,
        ended_at=None if state in (RunState.QUEUED, *LIVE) else queued + timedelta(minutes=5),
    )  # fmt: skip
    _outcomes(run, pair.public, right=public, truncated=0, left_open=left_open)
    _outcomes(run, pair.private, right=private, truncated=truncated, left_open=0)
    return run


def _outcomes(run: Run, item_set: ItemSet, *, right: int, truncated: int, left_open: int) -> None:
    wrong = item_set.n - right - truncated - left_open
    stored = RunOutcomes(
        run=run, item_set=item_set, size=item_set.n, n=item_set.n, packed=bytes(item_set.n)
    )
    values = [Outcome.RIGHT] * right + [Outcome.TRUNCATED] * truncated + [Outcome.WRONG] * wrong
    stored.merge(enumerate(values))
    stored.save()


def make_board(pair: SetPair) -> None:
    """Five ranked models, one of each evidence word at least, and three without a score."""
    make_run(pair, "demo-honest", public=331, private=328)
    make_run(pair, "demo-contaminated", public=397, private=262)
    make_run(pair, "demo-small", public=98, private=91)
    make_run(pair, "replay-strong", public=398, private=397, kind="endpoint", organisation="Replay")
    make_run(
        pair,
        "replay-cut",
        public=300,
        private=290,
        truncated=12,
        kind="endpoint",
        organisation="Replay",
    )
    make_run(pair, "late-one", state=RunState.RUNNING, left_open=pair.public.n)
    make_run(pair, "half-asked", state=RunState.FAILED, fault="ours", left_open=3)
    make_run(pair, "theirs-broken", state=RunState.FAILED, fault="theirs", left_open=3)
