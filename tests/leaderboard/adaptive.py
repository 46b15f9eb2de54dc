"""Pair with an adaptive test, a panel of references, and an evaluator that asks by the plan."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.worlds import Sample, World, draw
from evaluator.contract import (
    AdaptiveStep,
    Finished,
    Graded,
    Outcome,
    SetCounts,
    unpack_bits,
)
from evaluator.ledger.manifests import Block, Manifest
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.evidence.actions import name_reference
from leaderboard.ledger.models import ListedEndpoint
from leaderboard.submissions.models import Model, Run, RunOutcomes, Submission
from leaderboard.submissions.states import RunState

PUBLIC_N, EXPOSED_N, LOCAL_N = 300, 300, 20
PRIVATE_N = EXPOSED_N + LOCAL_N
STAGE_N = EXPOSED_N // 2
REFERENCES = 12
URL = "https://models.example/v1"
ENDPOINT = {"kind": "endpoint", "checkpoint": "", "url": URL, "served_model": "m", "api": "chat"}
LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(PRIVATE_N)]
MANIFEST = Manifest(
    name="private",
    n=PRIVATE_N,
    root=root(LEAVES).hex(),
    leaves=tuple(leaf.hex() for leaf in LEAVES),
    created="2026-01-02T03:04:05Z",
    seed_hash="5e" * 32,
    key_check="c4" * 32,
    blocks=(
        Block(id=0, stratum="exposed", start=0, n=STAGE_N),
        Block(id=1, stratum="exposed", start=STAGE_N, n=STAGE_N),
        Block(id=2, stratum="local", start=EXPOSED_N, n=LOCAL_N),
    ),
    stages=((0,), (1,)),
    cell=20,
)
CLEAN = World("clean", harder=0.3, references=REFERENCES, public_n=PUBLIC_N, private_n=PRIVATE_N)


def sample(seed: int = 3, **changes: Any) -> Sample:
    """Outcomes of the references and, last, of the model."""
    fields = {name: getattr(CLEAN, name) for name in CLEAN.__dataclass_fields__}
    return draw(World(**fields | changes), np.random.default_rng(seed))


def make_pair(adaptive: str = "adaptive-1") -> SetPair:
    public = ItemSet.objects.create(name="public", sealed=False, n=PUBLIC_N, digest="a" * 64)
    private = ItemSet.objects.create(
        name="private", sealed=True, n=PRIVATE_N, digest=MANIFEST.root, manifest=MANIFEST.to_dict()
    )
    ListedEndpoint.objects.create(url=URL, model="m", api="chat")
    return SetPair.objects.create(
        slug="pair",
        title="A pair",
        public=public,
        private=private,
        protocol="demo-0shot",
        grader="numeric-1",
        adaptive=adaptive,
    )


def make_panel(pair: SetPair, drawn: Sample) -> list[Run]:
    """References with outcomes for every item, named."""
    runs = []
    for number in range(len(drawn.public) - 1):
        runs.append(
            _reference(pair, f"ref-{number:02}", drawn.public[number], drawn.private[number])
        )
        name_reference(pair=pair, model=f"ref-{number:02}", why="older than the public set")
    return runs


def _reference(pair: SetPair, name: str, public: Any, private: Any) -> Run:
    owner, _ = Organisation.objects.get_or_create(name="Panel")
    user, _ = User.objects.get_or_create(username="panel")
    model = Model.objects.create(name=name, organisation=owner)
    submission = Submission.objects.create(
        model=model,
        submitted_by=user,
        pair=pair,
        kind="checkpoint",
        checkpoint=name,
        idempotency_key=name,
        fingerprint="0" * 64,
    )
    queued = datetime(2026, 1, 1, tzinfo=UTC)
    run = Run.objects.create(
        submission=submission,
        organisation=submission.model.organisation,
        pool="default",
        state=RunState.GRADED,
        queued_at=queued,
        deadline=queued + timedelta(days=1),
        ended_at=queued + timedelta(minutes=5),
        total=PUBLIC_N + PRIVATE_N,
    )
    for item_set, row in ((pair.public, public), (pair.private, private)):
        n = item_set.n
        stored = RunOutcomes(run=run, item_set=item_set, size=n, n=n, packed=bytes(n))
        stored.merge((index, outcome(right)) for index, right in enumerate(row))
        stored.save()
    return run


def outcome(right: float) -> Outcome:
    return Outcome.RIGHT if right else Outcome.WRONG


@dataclass
class Asker:
    """Answers each job of a run with the outcomes of a sample's last model."""

    evaluator: Any
    drawn: Sample
    record: Callable[..., Any]

    def attempt(self, run: Run) -> "list[tuple[str, int]]":
        """Carry out the newest job of a run. Return what was asked."""
        attempt = self.evaluator.begin(run)
        asked = self.open_items(attempt.spec)
        self.record(envelope=attempt.started())
        for name in sorted({name for name, _ in asked}):
            self.record(envelope=self.graded(attempt, [one for one in asked if one[0] == name]))
        self.record(envelope=attempt.report(Finished(sets=self.counts(attempt.spec), seconds=1.0)))
        run.refresh_from_db()
        return asked

    def graded(self, attempt: Any, items: "list[tuple[str, int]]") -> dict[str, Any]:
        """Report the outcomes of items of one set."""
        pairs = tuple((index, self.outcome(name, index)) for name, index in items)
        report: dict[str, Any] = attempt.report(Graded(set=items[0][0], outcomes=pairs))
        return report

    def run_to_end(self, run: Run) -> list[list[tuple[str, int]]]:
        """Carry out jobs until there are none. Return what each asked."""
        asked = []
        while run.state == RunState.QUEUED:
            asked.append(self.attempt(run))
        return asked

    def outcome(self, name: str, index: int) -> Outcome:
        side = self.drawn.public if name == "public" else self.drawn.private
        return outcome(side[-1][index])

    def open_items(self, spec: dict[str, Any]) -> list[tuple[str, int]]:
        found = []
        for ask in spec["sets"]:
            done = unpack_bits(ask["done"], ask["n"])
            found += [(ask["name"], index) for index in sorted(selection(ask) - done)]
        return found

    def counts(self, spec: dict[str, Any]) -> tuple[SetCounts, ...]:
        claims = []
        for ask in spec["sets"]:
            found = [self.outcome(of, i) for of, i in self.open_items(spec) if of == ask["name"]]
            counts = {one.name.lower(): found.count(one) for one in Outcome}
            claims.append(SetCounts(name=ask["name"], n=len(selection(ask)), **counts))
        return tuple(claims)


def selection(ask: dict[str, Any]) -> frozenset[int]:
    """Items that a job assigns to its run."""
    if not ask["sealed"]:
        return frozenset(range(ask["n"]))
    return MANIFEST.indices(ask["blocks"]) - unpack_bits(ask["without"], ask["n"])


def step_of(run: Run) -> AdaptiveStep:
    from leaderboard.submissions.models import Outbox

    return AdaptiveStep.from_dict(
        Outbox.objects.filter(run=run).latest("token").payload["adaptive"]
    )


def new_key() -> str:
    return uuid.uuid4().hex
