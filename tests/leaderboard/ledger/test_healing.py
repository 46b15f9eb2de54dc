"""Whatever the broker loses, doubles or turns around, the site's copy of a log becomes the evaluator's own again.

The evaluator is the real one: its journal, its spool, its answer to being asked. The messages between are a list.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluator.config import Config
from evaluator.contract import Ship
from evaluator.ledger.entries import verify_chain
from evaluator.ledger.notes import open_note
from evaluator.pipeline import context
from evaluator.pipeline.context import Context
from evaluator.pipeline.leases import GrantedLeases
from evaluator.pipeline.spool import ship
from evaluator.worker import open_context, ship_log
from leaderboard.ledger import actions
from leaderboard.ledger.models import Entry, Evaluator
from leaderboard.submissions.actions import record_report
from tests.evaluator.installed import NAME, Installed, install

RUNS = [f"12345678-1234-1234-1234-12345678900{k}" for k in range(3)]
Envelopes = list[dict[str, Any]]


class Wire:
    """An evaluator and its site, and all that lies between them."""

    def __init__(self, place: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.sent: Envelopes = []
        self.asked: list[tuple[str, int]] = []
        monkeypatch.setattr("os.fsync", lambda descriptor: None)
        monkeypatch.setattr(context, "AT_A_TIME", 4)
        monkeypatch.setattr(
            actions, "request_log", lambda name, *, after: self.asked.append((name, after))
        )
        actions.register_evaluator(identity=place.identity.to_dict(), pool="default")
        self.host = self.start()

    def start(self) -> Context:
        """A process of the evaluator on its folders."""
        host, self._spool = open_context(
            Config.from_env(self.place.environ("memory://")),
            self.sent.extend,
            leases=GrantedLeases(),
            stopping=lambda: False,
        )
        self._spool.start()
        return host

    def work(self, draw: random.Random, lines: int) -> Envelopes:
        """The evaluator shows items, telling the site each time; returns the messages."""
        for _ in range(lines):
            run, token = draw.choice(RUNS), draw.randrange(1, 3)
            shown = self.host.vault.reveal(
                "closed", draw.sample(range(30), 3), to="jail", run=run, token=token, tier="T0"
            )
            self.host.report_line(
                shown.entry, self.host.reporter(run, token), head=draw.random() < 0.2
            )
        return self.taken()

    def taken(self) -> Envelopes:
        """What the evaluator has sent since, its spool emptied."""
        assert self._spool.close(seconds=10)
        found, self.sent[:] = list(self.sent), []
        self.host = self.start()
        return found

    def heal(self, lossy: random.Random | None = None) -> bool:
        """The site asks once, the evaluator answers; True where the site's copy is the whole log then."""
        assert actions.ask_logs() == 1
        while self.asked:
            name, after = self.asked.pop()
            assert name == NAME
            if lossy is None or lossy.random() > 0.3:
                ship_log(Ship(after=after).to_dict(), self.host)
        deliver(self.taken() if lossy is None else unreliably(self.taken(), lossy))
        return self.copied() == self.log()

    def log(self) -> list[Any]:
        return list(self.host.entries())

    def copied(self) -> list[Any]:
        """The site's copy, as far as it has no gap."""
        return [
            entry.log_line() for entry in Entry.objects.filter(status="chained").order_by("index")
        ]


def deliver(envelopes: Sequence[dict[str, Any]]) -> None:
    for envelope in envelopes:
        record_report(envelope=envelope)


def unreliably(envelopes: Envelopes, draw: random.Random) -> Envelopes:
    """Some lost, some twice or three times, in any order."""
    arrived = [
        envelope for envelope in envelopes for _ in range(draw.choice([0, 0, 1, 1, 1, 2, 3]))
    ]
    draw.shuffle(arrived)
    return arrived


def check_copy(wire: Wire) -> None:
    """Line for line, hash for hash, and the evaluator's newest head agrees with the site's own tree."""
    known = Evaluator.objects.get()
    assert wire.copied() == wire.log() and not known.flagged
    assert verify_chain(wire.copied(), known.public_key).hash == known.head_hash
    heads = list(known.heads.order_by("size"))
    assert heads and all(head.agrees for head in heads)
    newest = open_note(wire.host.tree_head()).head
    assert (heads[-1].size, heads[-1].root) == (newest.size, newest.root.hex())
    assert known.tree().root() == newest.root


@pytest.fixture
def wire(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    found = Wire(install(tmp_path), monkeypatch)
    yield found
    found.taken()


@pytest.mark.parametrize("seed", range(5))
def test_after_any_loss_the_copy_is_the_log_again(wire: Wire, seed: int) -> None:
    draw = random.Random(seed)
    gaps = 0
    for _ in range(3):
        deliver(unreliably(wire.work(draw, 9), draw))
        gaps += wire.copied() != wire.log()
    assert gaps, "something was lost"
    assert wire.heal()
    check_copy(wire)
    assert len(wire.log()) == 27


@pytest.mark.parametrize("seed", range(2))
def test_the_healing_may_be_lost_as_well(wire: Wire, seed: int) -> None:
    """The site asks every minute: each round brings the copy nearer, and none makes it worse."""
    draw = random.Random(100 + seed)
    deliver(unreliably(wire.work(draw, 20), draw))
    before = len(wire.copied())
    for _ in range(40):
        whole = wire.heal(draw)
        assert len(wire.copied()) >= before
        before = len(wire.copied())
        if whole:
            break
    assert wire.heal()
    check_copy(wire)


def test_everything_lost_also_the_spool(wire: Wire) -> None:
    """A site restored from an empty backup: nothing of the log has ever reached it."""
    wire.work(random.Random(7), 10)
    assert wire.copied() == []
    assert wire.heal()
    check_copy(wire)


def test_a_healthy_copy_is_told_the_head_and_no_line(wire: Wire) -> None:
    deliver(wire.work(random.Random(8), 5))
    assert wire.heal()
    check_copy(wire)
    actions.ask_logs()
    ship_log(Ship(after=wire.asked.pop()[1]).to_dict(), wire.host)
    (message,) = wire.place.reports(wire.taken())
    assert message.body.entries == () and message.body.head


def test_an_order_that_is_none_is_dropped(wire: Wire) -> None:
    wire.work(random.Random(9), 2)
    for order in (None, 7, "x", {}, {"version": 1}, {"version": 1, "after": -2}, {"after": "1"}):
        ship_log(order, wire.host)
    assert wire.taken() == []


# --- and the same trial tells an evaluator that does not heal


def only_new(self: Context, after: int) -> None:
    """Sends what was never sent; what was lost on the way stays lost."""
    ship(
        self.entries(), self.shipped, lambda run, token, body: self.reporter(run, token).send(body)
    )


def one_too_late(self: Context, after: int) -> None:
    """Takes the site's last line for the first one it lacks."""
    honest(self, after + 1)


def first_only(self: Context, after: int) -> None:
    """Sends the first report of many."""
    sent = self.entries()[: after + 1 + context.AT_A_TIME]
    self.reporter(RUNS[0], 1).send(
        context.Exposed(entries=tuple(line for line in sent if line.index > after))
    )


honest = Context.ship_again


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken", [only_new, one_too_late, first_only], ids=lambda broken: broken.__name__
)
def test_an_evaluator_that_does_not_heal_is_seen(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    draw = random.Random(0)
    deliver(unreliably(wire.work(draw, 27), draw))
    monkeypatch.setattr(Context, "ship_again", broken)
    assert not wire.heal()
    monkeypatch.setattr(Context, "ship_again", honest)
    assert wire.heal()
