"""What the site stores of an evaluator's announcements."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client

from evaluator.contract import (
    JOB_VERSION,
    NO_RUN,
    Announcement,
    HeldSet,
    HostFacts,
    HostState,
    OutOfService,
)
from evaluator.contract.announcements import EngineVersion
from evaluator.errors import EvaluatorError
from leaderboard.benchmarks.models import ItemSet
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.actions import Disposition, record_report, recording
from tests.leaderboard.conftest import FakeAttempt, FakeEvaluator
from tests.leaderboard.ruled import make_maintainer

HELD = HeldSet(name="public", sealed=False, digest="a" * 64)


def announce(
    evaluator: FakeEvaluator, *, later: float = 0, key: Any = None, **changes: Any
) -> Disposition:
    moment = datetime.now(UTC) + timedelta(seconds=later)
    fields: dict[str, Any] = {
        "moment": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "seconds": 20.0,
        "pool": "default",
        "sets": (HELD,),
        "reads": (JOB_VERSION,),
        "software": "0.1.0",
    }
    attempt = FakeAttempt(key or evaluator, {"run": NO_RUN, "token": 1})
    return record_report(envelope=attempt.report(Announcement(**fields | changes)))


def test_an_announcement_is_stored(db: None, evaluator: FakeEvaluator) -> None:
    row = evaluator.register()
    assert not Evaluator.objects.live().exists()
    assert announce(evaluator, run="00000000-0000-0000-0000-00000000000a") is Disposition.APPLIED
    row.refresh_from_db()
    assert (row.announced_pool, row.reads, row.software, row.out_of_service) == (
        "default",
        [JOB_VERSION],
        "0.1.0",
        "",
    )
    assert row.holds_set(ItemSet(name="public", sealed=False, digest="a" * 64))
    assert not row.holds_set(ItemSet(name="public", sealed=False, digest="b" * 64))
    assert (row.expected_by - row.last_seen).total_seconds() == 60
    assert list(Evaluator.objects.in_service()) == [row]


def test_an_older_announcement_changes_nothing(db: None, evaluator: FakeEvaluator) -> None:
    """Also one that is sent again, as by somebody who listens at the broker."""
    row = evaluator.register()
    announce(evaluator, sets=())
    assert announce(evaluator, later=-60) is Disposition.STALE
    row.refresh_from_db()
    assert row.sets == []


def test_who_is_out_of_service_silent_or_of_another_pool_takes_no_runs(
    db: None, evaluator: FakeEvaluator
) -> None:
    row = evaluator.register()
    announce(evaluator, out_of_service=OutOfService.DISK_FULL)
    assert list(Evaluator.objects.live()) == [row]
    assert not Evaluator.objects.in_service().exists()
    announce(evaluator, later=1, pool="gpus")
    assert not Evaluator.objects.live().exists()
    announce(evaluator, later=2)
    Evaluator.objects.update(expected_by=datetime.now(UTC) - timedelta(seconds=1))
    assert not Evaluator.objects.live().exists()


def test_only_its_own_signature_counts(db: None, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    with pytest.raises(EvaluatorError):
        announce(evaluator, key=FakeEvaluator())


STATE = HostState(
    memory_free=5 << 30,
    disk_free=7 << 30,
    store_free=9 << 30,
    gpus_free=(3 << 30,),
    models=("ab" * 16,),
    engines=(EngineVersion(name="vllm", version="0.32.0"),),
)


def test_maintainers_read_the_state_of_a_host_and_visitors_do_not(
    client: Client, db: None, evaluator: FakeEvaluator
) -> None:
    row = evaluator.register()
    announce(evaluator, state=STATE, host=HostFacts(memory=8 << 30))
    row.refresh_from_db()
    assert row.host_state() == STATE
    facts = ("vllm 0.32.0", "ab" * 16, "5.0\xa0GB; 7.0\xa0GB; 9.0\xa0GB", "free: 3.0\xa0GB")
    assert not any(fact in client.get("/status/").content.decode() for fact in facts)
    client.force_login(make_maintainer("keeper"))
    page = client.get(f"/manage/ledger/evaluator/{row.pk}/change/").content.decode()
    for fact in facts:
        assert fact in page, fact


def test_a_state_that_changes_dispatches_nothing_again(
    db: None, evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes with each announcement, and no run is matched by it."""
    evaluator.register()
    announce(evaluator, state=STATE)
    followed: list[object] = []
    monkeypatch.setattr(recording, "follow_announcement", lambda **one: followed.append(one))
    announce(evaluator, later=1, state=msgspec.structs.replace(STATE, memory_free=1))
    assert followed == []
    announce(evaluator, later=2, out_of_service=OutOfService.DISK_FULL)
    assert len(followed) == 1


def test_an_announcement_of_the_release_before_is_read(
    client: Client, db: None, evaluator: FakeEvaluator
) -> None:
    """It states no state of its host, and its signature is over a report without one."""
    row = evaluator.register()
    announce(evaluator, state=STATE)
    assert announce(evaluator, later=1) is Disposition.APPLIED
    row.refresh_from_db()
    assert row.host_state() is None
    client.force_login(make_maintainer("keeper"))
    page = client.get(f"/manage/ledger/evaluator/{row.pk}/change/").content.decode()
    assert "unknown" in page
