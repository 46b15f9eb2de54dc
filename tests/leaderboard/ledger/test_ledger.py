"""The published copy of the journals: every signed line kept, the chain checked, contradictions shown."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.entries import verify_chain
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.actions import register_evaluator, store_entries
from leaderboard.ledger.models import Entry, Evaluator
from tests.leaderboard.conftest import FakeEvaluator

ORDERS = [order for seed in range(12) for order in [random.Random(seed).sample(range(6), 6)]]


@pytest.fixture
def known(db: None, evaluator: FakeEvaluator) -> Evaluator:
    row: Evaluator = evaluator.register()
    return row


def chained(known: Evaluator) -> list[int]:
    return list(
        known.entries.filter(status="chained").order_by("index").values_list("index", flat=True)
    )


@pytest.mark.parametrize("order", [list(range(6)), *ORDERS], ids=str)
def test_lines_in_any_order_make_one_chain(
    known: Evaluator, evaluator: FakeEvaluator, order: list[int]
) -> None:
    lines = [evaluator.expose() for _ in range(6)]
    arrived: set[int] = set()
    for place in [*order, *order[:3]]:
        store_entries(evaluator=known, entries=[lines[place]])
        arrived.add(place)
        whole = list(itertools.takewhile(lambda index: index in arrived, range(6)))
        assert chained(known) == whole
    known.refresh_from_db()
    assert (known.head_index, known.head_hash, known.flagged) == (5, evaluator.head_hash, False)
    copies = [entry.log_line() for entry in known.entries.order_by("index")]
    assert copies == lines
    assert verify_chain(copies, known.public_key).hash == known.head_hash


def test_many_lines_at_once(known: Evaluator, evaluator: FakeEvaluator) -> None:
    lines = [evaluator.expose() for _ in range(40)]
    store_entries(evaluator=known, entries=lines[20:])
    assert chained(known) == []
    store_entries(evaluator=known, entries=lines[:20])
    assert chained(known) == list(range(40))


def test_a_line_with_the_place_of_another_is_kept_and_flagged(
    known: Evaluator, evaluator: FakeEvaluator
) -> None:
    first = evaluator.expose()
    store_entries(evaluator=known, entries=[first])
    twin = evaluator.expose(index=0, previous="0" * 64, recipient="models.example.org", tier="T1")
    store_entries(evaluator=known, entries=[twin])
    known.refresh_from_db()
    assert known.flagged
    assert sorted(known.entries.values_list("index", "status")) == [
        (0, "chained"),
        (0, "conflicting"),
    ]
    assert (known.head_index, known.entries.get(status="chained").log_line()) == (0, first)


def test_a_line_that_follows_another_past_is_kept_and_flagged(
    known: Evaluator, evaluator: FakeEvaluator
) -> None:
    store_entries(evaluator=known, entries=[evaluator.expose()])
    store_entries(evaluator=known, entries=[evaluator.expose(previous="f" * 64)])
    known.refresh_from_db()
    assert (known.flagged, known.head_index) == (True, 0)
    assert known.entries.filter(status="conflicting").count() == 1


def test_one_bad_line_keeps_all_of_a_report_out(known: Evaluator, evaluator: FakeEvaluator) -> None:
    good, other = evaluator.expose(), FakeEvaluator(name="evaluator-2")
    impostor = FakeEvaluator(name=evaluator.name)
    for bad in (
        other.expose(),
        impostor.expose(),
        evaluator.expose(count=1),
        evaluator.expose(items="AB==", count=1),
    ):
        with pytest.raises(EvaluatorError) as refused:
            store_entries(evaluator=known, entries=[good, bad])
        assert refused.value.code is Code.BAD_MESSAGE
    assert not Entry.objects.exists()


def test_registering_an_evaluator(db: None, evaluator: FakeEvaluator) -> None:
    assert register_evaluator(identity=evaluator.identity(), pool="default") == evaluator.register()
    assert register_evaluator(identity=evaluator.identity(), pool="gpu").pool == "gpu"
    with pytest.raises(SiteError) as refused:
        register_evaluator(identity=FakeEvaluator().identity(), pool="default")
    assert refused.value.code is Refusal.ALREADY_REGISTERED
    for bad in (
        None,
        {},
        evaluator.identity() | {"name": "A B"},
        evaluator.identity() | {"report_key": "0" * 64},
    ):
        with pytest.raises(SiteError) as refused:
            register_evaluator(identity=bad, pool="default")
        assert refused.value.code is Refusal.BAD_REGISTRATION
    assert Evaluator.objects.count() == 1


def test_the_command(db: None, tmp_path: Path, evaluator: FakeEvaluator) -> None:
    path = tmp_path / "identity.json"
    path.write_text(json.dumps(evaluator.identity()))
    call_command("register_evaluator", str(path))
    call_command("register_evaluator", str(path), "--pool", "gpu")
    assert Evaluator.objects.get().pool == "gpu"
    path.write_text("{")
    with pytest.raises(CommandError):
        call_command("register_evaluator", str(path))


def test_the_page_and_the_api(client: Client, known: Evaluator, evaluator: FakeEvaluator) -> None:
    assert b"No sealed item has been shown" in client.get("/ledger/").content
    lines = [evaluator.expose() for _ in range(60)]
    store_entries(evaluator=known, entries=lines[:59])
    page = client.get("/ledger/").content.decode()
    assert "Page 1 of 2" in page and "59 lines" in page
    for number in ("2", "999", "0", "x", "-1", "%ff"):
        assert client.get(f"/ledger/?page={number}").status_code == 200
    first = client.get("/api/v1/ledger?limit=50").json()["entries"]
    rest = client.get(f"/api/v1/ledger?limit=50&before={first[-1]['id']}").json()["entries"]
    assert [entry["index"] for entry in first + rest] == list(reversed(range(59)))
    assert first[0]["entry_hash"] == Evaluator.objects.get().head_hash


def test_a_flagged_evaluator_is_said_to_be(client: Client, known: Any) -> None:
    Evaluator.objects.update(flagged=True)
    assert b"contradict each other" in client.get("/ledger/").content


@pytest.mark.parametrize("name", ["verify_log.py", "verify_release.py"])
def test_a_stranger_reads_the_verifiers(client: Client, name: str) -> None:
    answer = client.get(f"/{name}")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"".join(answer.streaming_content) == (settings.BASE_DIR / "verify" / name).read_bytes()
