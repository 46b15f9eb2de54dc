"""Factories of the site's rows, and an evaluator that signs real reports."""

import itertools
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from django.core.cache import cache
from msgspec import UNSET, UnsetType

from evaluator.contract import (
    Body,
    Closing,
    CountsOpening,
    Exposed,
    Exposure,
    Failed,
    Finished,
    Graded,
    LogLine,
    Outcome,
    Progress,
    Report,
    SetCounts,
    Started,
    pack_bits,
    unpack_bits,
)
from evaluator.errors import Code
from evaluator.ledger import signatures
from evaluator.ledger.closings import counts_commitment
from evaluator.ledger.entries import GENESIS, entry_hash, origin, sign_entry
from evaluator.ledger.envelopes import seal_report
from evaluator.ledger.manifests import Block, Manifest
from evaluator.ledger.notes import TreeHead, sign_head
from evaluator.ledger.tree import Tree, leaf_hash, root

PUBLIC_N, PRIVATE_N = 7, 9
LEAVES = [leaf_hash(bytes([number])) for number in range(PRIVATE_N)]
MANIFEST = Manifest(
    name="private",
    n=PRIVATE_N,
    root=root(LEAVES).hex(),
    leaves=tuple(leaf.hex() for leaf in LEAVES),
    created="2026-01-02T03:04:05Z",
    seed_hash="5e" * 32,
    key_check="c4" * 32,
    blocks=(
        Block(id=0, stratum="exposed", start=0, n=3),
        Block(id=1, stratum="exposed", start=3, n=3),
        Block(id=2, stratum="local", start=6, n=3),
    ),
    seasons=(0,),
    cap=3,
    cell=1,
)
"""The sealed set of the tests, without a spare block: what weights are asked is the whole set."""


COUNTED = tuple(outcome for outcome in Outcome if outcome is not Outcome.NOT_COUNTED)


def truth(name: str, index: int) -> Outcome:
    """The deterministic fake: what becomes of an item depends on nothing but the item."""
    return list(Outcome)[(index * 3 + len(name)) % 4]


@dataclass
class FakeEvaluator:
    """Signs as one evaluator does. Keeps a journal; does not run anything."""

    name: str = "evaluator-1"
    key: Ed25519PrivateKey = field(default_factory=signatures.generate)
    host: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    head_index: int = -1
    head_hash: str = GENESIS
    tree: Tree = field(default_factory=Tree)
    tallies: dict[str, CountsOpening] = field(default_factory=dict)

    def identity(self) -> dict[str, str]:
        host_pub = self.host.public_key().public_bytes_raw().hex()
        return {
            "name": self.name,
            "host_pub": host_pub,
            "report_pub": signatures.public_hex(self.key),
        }

    def register(self, pool: str = "default") -> Any:
        from leaderboard.ledger.actions import register_evaluator

        return register_evaluator(identity=self.identity(), pool=pool)

    def begin(self, run: Any) -> "FakeAttempt":
        """An attempt at the run's newest job, as the evaluator would decode it."""
        from leaderboard.submissions.models import Outbox

        return FakeAttempt(self, Outbox.objects.filter(run=run).latest("token").payload)

    def expose(self, **changes: Any) -> Exposure:
        """The next line of the journal."""
        fields: dict[str, Any] = {
            "evaluator": self.name,
            "index": self.head_index + 1,
            "previous": self.head_hash,
            "moment": "2026-01-02T03:04:05Z",
            "run": str(uuid.uuid4()),
            "token": 1,
            "set": "private",
            "root": MANIFEST.root,
            "recipient": "jail",
            "tier": "T0",
            "items": pack_bits([0, 2], PRIVATE_N),
            "count": 2,
        }
        return self._sign(Exposure, fields | changes)

    def close(self, outcomes: Sequence[Outcome], **changes: Any) -> Closing:
        """The next line: a run is closed with these outcomes. What opens it is kept in ``tallies``."""
        counts = {outcome.name.lower(): outcomes.count(outcome) for outcome in COUNTED}
        told = CountsOpening(line=GENESIS, salt="5a" * 32, **counts)
        fields: dict[str, Any] = {
            "evaluator": self.name,
            "index": self.head_index + 1,
            "previous": self.head_hash,
            "moment": "2026-01-02T03:04:06Z",
            "run": str(uuid.uuid4()),
            "token": 1,
            "set": "private",
            "root": MANIFEST.root,
            "outcomes": "0c" * 32,
            "count": len(outcomes),
            "not_counted": outcomes.count(Outcome.NOT_COUNTED),
            "tally": counts_commitment(told),
        }
        line: Closing = self._sign(Closing, fields | changes)
        self.tallies[self.head_hash] = msgspec.structs.replace(told, line=self.head_hash)
        return line

    def _sign(self, kind: Any, fields: dict[str, Any]) -> Any:
        entry = sign_entry(self.key, kind, **fields)
        self.head_index, self.head_hash = entry.index, entry_hash(entry)
        self.tree.append(bytes.fromhex(self.head_hash))
        return entry

    def head(self) -> str:
        """The signed head over all lines."""
        over = TreeHead(origin(self.name), len(self.tree), self.tree.root())
        return sign_head(over, name=self.name, private_key=self.key)


def _asked(ask: dict[str, Any]) -> frozenset[int]:
    """The item selection that a job names for a set."""
    every = MANIFEST.indices(ask["blocks"]) if ask["blocks"] else frozenset(range(ask["n"]))
    return every - unpack_bits(ask["without"], ask["n"])


@dataclass
class FakeAttempt:
    """One attempt: ``report(body)`` is a signed envelope as JSON data, numbered in order."""

    evaluator: FakeEvaluator
    spec: dict[str, Any]
    worker: str = field(default_factory=lambda: uuid.uuid4().hex)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def report(self, body: Body, **changes: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "evaluator": self.evaluator.name,
            "run": self.spec["run"],
            "token": self.spec["token"],
            "worker": self.worker,
            "sequence": next(self.numbers),
        }
        report = Report(**fields | changes, body=body)
        sent: dict[str, Any] = json.loads(
            json.dumps(seal_report(report, self.evaluator.key).to_dict())
        )
        return sent

    def started(self, **changes: Any) -> dict[str, Any]:
        fields = {"grant": self.spec["grant"], "protocol_digest": "c" * 64, "grader": "numeric-1"}
        return self.report(Started(**fields | changes))

    def progress(
        self, done: int = 0, phase: Any = "asking", written: int | UnsetType = UNSET
    ) -> dict[str, Any]:
        total = PUBLIC_N + PRIVATE_N
        return self.report(Progress(phase=phase, done=done, total=total, written=written))

    def open_items(self) -> list[tuple[str, int]]:
        return [
            (ask["name"], index)
            for ask in self.spec["sets"]
            for index in sorted(_asked(ask) - unpack_bits(ask["done"], ask["n"]))
        ]

    def graded(
        self, items: list[tuple[str, int]] | None = None, size: int = 4
    ) -> list[dict[str, Any]]:
        """Reports of the true outcomes of ``items`` (all that are open), ``size`` to a report."""
        reports = []
        for name, group in itertools.groupby(
            self.open_items() if items is None else items, key=lambda one: one[0]
        ):
            indices = [index for _, index in group]
            for begin in range(0, len(indices), size):
                outcomes = tuple(
                    (index, truth(name, index)) for index in indices[begin : begin + size]
                )
                reports.append(self.report(Graded(set=name, outcomes=outcomes)))
        return reports

    def counts(self) -> tuple[SetCounts, ...]:
        """What a whole attempt claims in the end: the outcomes of the items that were open for it."""
        claims = []
        for ask in self.spec["sets"]:
            found = [truth(name, index) for name, index in self.open_items() if name == ask["name"]]
            counts = {outcome.name.lower(): found.count(outcome) for outcome in Outcome}
            claims.append(SetCounts(name=ask["name"], n=len(_asked(ask)), **counts))
        return tuple(claims)

    def finished(self, sets: tuple[SetCounts, ...] | None = None, **told: Any) -> dict[str, Any]:
        return self.report(
            Finished(sets=self.counts() if sets is None else sets, seconds=1.0, **told)
        )

    def failed(self, code: Code) -> dict[str, Any]:
        return self.report(Failed(code=code))

    def exposed(self, *entries: LogLine, head: str = "") -> dict[str, Any]:
        lines = entries or (() if head else (self.evaluator.expose(run=self.spec["run"]),))
        told = tuple(
            one for one in self.evaluator.tallies.values() if one.line in map(entry_hash, lines)
        )
        return self.report(Exposed(entries=lines, tallies=told, head=head))

    def story(self) -> list[dict[str, Any]]:
        """Every report of an undisturbed attempt, in order."""
        return [
            self.started(),
            self.progress(phase="loading"),
            self.exposed(),
            *self.graded(),
            self.finished(),
        ]


@pytest.fixture(autouse=True)
def _empty_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a broker of its own: what another test sent would fill its queues."""
    monkeypatch.setattr("kombu.transport.memory.Channel.queues", {})


@pytest.fixture
def evaluator() -> FakeEvaluator:
    """An evaluator with keys of its own; ``register()`` makes it known."""
    return FakeEvaluator()


@pytest.fixture
def pair(db: None) -> Any:
    """A registered pair: a public set and a sealed one."""
    from leaderboard.benchmarks.models import ItemSet, SetPair

    public = ItemSet.objects.create(name="public", sealed=False, n=PUBLIC_N, digest="a" * 64)
    private = ItemSet.objects.create(
        name="private", sealed=True, n=PRIVATE_N, digest=MANIFEST.root, manifest=MANIFEST.to_dict()
    )
    return SetPair.objects.create(
        slug="pair",
        title="A pair",
        public=public,
        private=private,
        protocol="demo-0shot",
        grader="numeric-1",
    )


@pytest.fixture
def user(db: None) -> Any:
    """Somebody with an organisation."""
    from leaderboard.accounts.actions import sign_up

    return sign_up(username="ada", password=None, organisation="Analytical")


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Any], dict[str, Any]]]:
    """Everything that was sent to the broker, in place of a broker.

    Runs that are due are dispatched at once, as by a housekeeping that has nothing else to do.
    """
    from leaderboard.celery import DISPATCH_TASK, app
    from leaderboard.submissions import tasks

    sent: list[tuple[str, list[Any], dict[str, Any]]] = []

    def send(name: str, args: Any = (), **options: Any) -> None:
        if name == DISPATCH_TASK:
            tasks.dispatch()
        else:
            sent.append((name, list(args), options))

    monkeypatch.setattr(app, "send_task", send)
    return sent


@pytest.fixture
def ask() -> Callable[..., Any]:
    """A good request for a checkpoint; keyword arguments change it."""
    from leaderboard.submissions.admission import Ask

    def make(**changes: Any) -> Any:
        fields: dict[str, Any] = {
            "pair": "pair",
            "model": "Model-1",
            "kind": "checkpoint",
            "checkpoint": "honest",
        }
        return Ask(**fields | changes)

    return make


@pytest.fixture
def make_run(pair: Any, user: Any, ask: Callable[..., Any], bell: Any) -> Callable[..., Any]:
    """Submits and gives the queued run; keyword arguments go to the request."""
    from leaderboard.submissions import actions

    def make(**changes: Any) -> Any:
        return actions.submit(user=user, key=uuid.uuid4().hex, ask=ask(**changes)).runs.get()

    return make


@pytest.fixture
def run(make_run: Callable[..., Any], evaluator: FakeEvaluator) -> Any:
    """A queued run, and an evaluator that is known."""
    evaluator.register()
    return make_run()


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Pages and boards that an earlier test stored are not this test's."""
    cache.clear()
