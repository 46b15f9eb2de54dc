"""Runs that were never ranked: no page or answer for anonymous visitors names model, organisation or host."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client

from evaluator.contract import canonical_json, pack_bits
from evaluator.ledger.tree import leaf_hash
from leaderboard.accounts.actions import sign_up
from leaderboard.board.actions import rebuild
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import GrantQuerySet
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.routes import routes

HOST = "quiet-host.example"
MODEL = "Quiet-Model"
ORGANISATION = "Quiet-Organisation"
LEASE: dict[str, Any] = {"lease_expires": Now(), "worker": "a" * 32}
STATES: dict[RunState, dict[str, Any]] = {
    RunState.QUEUED: {},
    RunState.LEASED: LEASE,
    RunState.RUNNING: LEASE,
    RunState.GRADED: {"ended_at": Now()},
    RunState.FAILED: {"ended_at": Now(), "fault": "ours", "code": "internal"},
    RunState.CANCELLED: {"ended_at": Now()},
}
"""Each state that a run has before it is ranked, with the columns that go with it."""


@pytest.fixture
def quiet(pair: Any, ask: Callable[..., Any], bell: Any, evaluator: FakeEvaluator) -> Run:
    """A queued run of an endpoint of its own organisation."""
    evaluator.register()
    author = sign_up(username="quiet", password=None, organisation=ORGANISATION)
    endpoint = {"kind": "endpoint", "checkpoint": "", "url": f"https://{HOST}/v1", "api": "chat"}
    order = ask(model=MODEL, served_model="m", **endpoint)
    run: Run = actions.submit(user=author, key=uuid.uuid4().hex, ask=order).runs.get()
    return run


def answers(client: Client, run: Run) -> Iterator[tuple[str, str]]:
    """Every address that can be read, with what an anonymous visitor gets there."""
    values = {"uuid": str(run.pk), "int": "0"}
    for route in routes():
        path = route.path({name: values.get(kind, "pair") for kind, name in route.parts})
        answer = client.get(path)
        body = answer.getvalue() if answer.streaming else answer.content
        yield path, body.decode(errors="replace")


def named(client: Client, run: Run) -> list[str]:
    """The addresses that name the model, its organisation or its host."""
    found = answers(client, run)
    return [
        path for path, body in found if any(name in body for name in (MODEL, ORGANISATION, HOST))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_no_surface_names_a_run_that_was_never_ranked(
    client: Client, quiet: Run, state: RunState
) -> None:
    Run.objects.filter(pk=quiet.pk).update(state=state, **STATES[state])
    rebuild(pair=quiet.submission.pair)
    assert named(client, quiet) == []


def test_a_build_that_opens_every_grant_would_have_been_seen(
    client: Client, quiet: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        GrantQuerySet, "with_opened", lambda grants: grants.annotate(opened=Value(True))
    )
    assert named(client, quiet) == ["/api/v1/grants"]


def test_a_grant_is_opened_by_the_first_reveal_and_its_hash_stays(
    client: Client, quiet: Run, evaluator: FakeEvaluator
) -> None:
    closed = grants(client)[0]
    assert (closed["recipient"], closed["salt"]) == (None, None)
    line = evaluator.expose(
        run=str(quiet.pk), recipient=HOST, tier="T2", items=pack_bits([0], 4), count=1
    )
    store_log(evaluator=quiet_evaluator(), lines=[line])
    opened = grants(client)[0]
    assert (opened["recipient"], opened["hash"]) == (HOST, closed["hash"])
    fields = {
        name: opened[name] for name in ("version", "run", "token", "recipient", "salt", "sets")
    }
    assert leaf_hash(canonical_json(fields | {"kind": "grant"})).hex() == closed["hash"]


def test_the_hash_of_a_closed_grant_does_not_tell_a_guessed_recipient(
    client: Client, quiet: Run
) -> None:
    """Without a salt, one try for each known provider would open it."""
    closed = grants(client)[0]
    facts = {
        "kind": "grant",
        "version": 1,
        "run": closed["run"],
        "token": closed["token"],
        "sets": closed["sets"],
    }
    assert leaf_hash(canonical_json(facts | {"recipient": HOST})).hex() != closed["hash"]


def grants(client: Client) -> list[Any]:
    found: list[Any] = client.get("/api/v1/grants").json()["grants"]
    return found


def quiet_evaluator() -> Any:
    from leaderboard.ledger.models import Evaluator

    return Evaluator.objects.get()
