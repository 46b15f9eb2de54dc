"""Probes: public items only, asked for real through the gateway, whatever an order says."""

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Outcome, Probed, ProbeOrder
from evaluator.errors import Code
from evaluator.pipeline import probe as probes
from evaluator.pipeline.probe import handle_probe
from tests.evaluator.installed import CANARY, Installed, install
from tests.evaluator.pipeline.attempts import ENDPOINT, Bench

PROBE = "00000000-0000-0000-0000-00000000000a"


class Site:
    """What the site would send and receive."""

    def __init__(self, place: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.bench = Bench(place, monkeypatch)

    def order(self, name: str = "open", **changes: Any) -> dict[str, Any]:
        facts = self.place.sets[name]
        until = datetime.now(UTC) + timedelta(seconds=30)
        order: dict[str, Any] = {
            "version": 1,
            "probe": PROBE,
            "set": {"name": name, "n": facts["n"], "digest": facts["digest"]},
            "protocol": "demo-0shot",
            "items": 3,
            "seconds": 20.0,
            "until": until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        return order | changes

    def send(self, order: object) -> list[Probed]:
        sent: list[Any] = []
        handle_probe(order, replace(self.bench.context, publish=sent.append))
        return [report.body for report in self.place.reports(sent)]  # type: ignore[misc]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(install(tmp_path), monkeypatch)


def test_the_prompts_of_the_first_items_are_stated(site: Site) -> None:
    (answer,) = site.send(site.order())
    first = site.place.sets["open"]["rows"][0]["question"]
    assert answer.items[0].prompt == f"Question: {first}\nAnswer:"
    assert [item.index for item in answer.items] == [0, 1, 2]
    assert all(item.answer is None for item in answer.items)
    assert answer.code is None


def test_a_sealed_set_is_no_set_of_a_probe(site: Site) -> None:
    """Not by its name and root, nor where somebody put its items next to its manifest."""
    (answer,) = site.send(site.order("closed"))
    assert (answer.code, answer.items) == (Code.UNKNOWN_SET, ())
    folder = site.place.folder / "sets" / "closed"
    rows = site.place.sets["closed"]["rows"]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    digest = _digest(folder / "items.jsonl")
    asked = {"name": "closed", "n": len(rows), "digest": digest}
    (answer,) = site.send(site.order("closed", set=asked))
    assert (answer.code, answer.items) == (Code.UNKNOWN_SET, ())
    assert CANARY not in str(answer.to_dict())
    shutil.copy(folder / "items.jsonl", site.place.folder / "sets" / "open" / "items.jsonl")
    (answer,) = site.send(site.order())
    assert answer.code is Code.SET_MISMATCH


def _digest(path: Path) -> str:
    from evaluator.items import load_items, set_digest

    return set_digest(load_items(path))


@pytest.mark.parametrize(
    "change",
    [
        {"set": {"name": "open", "n": 30, "digest": "0" * 64, "sealed": False}},
        {"items": 4},
        {"seconds": 1e9},
        {"blocks": [0]},
        {"version": 2},
    ],
    ids=["sealed", "items", "seconds", "blocks", "version"],
)
def test_an_order_of_another_form_is_dropped(site: Site, change: dict[str, Any]) -> None:
    assert site.send(site.order(**change)) == []
    assert site.send(None) == []


def test_an_order_whose_time_is_over_is_dropped(site: Site) -> None:
    assert site.send(site.order(until="2020-01-01T00:00:00Z")) == []


Asked = Callable[..., Probed]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_odd: Callable[..., Any]) -> Asked:
    def ask(odd: str, when: str = "always", **changes: Any) -> Probed:
        stub = start_odd(odd, when)
        site = Site(install(tmp_path).allowing(stub.url), monkeypatch)
        endpoint = ENDPOINT | {"url": stub.url}
        (answer,) = site.send(site.order(endpoint=endpoint, **changes))
        return answer

    return ask


def test_an_endpoint_is_asked_for_real(asked: Asked) -> None:
    answer = asked("forbidden403", "item:1")
    one, two, three = answer.items
    assert one.answer is not None and three.answer is not None
    assert one.answer.outcome is Outcome.RIGHT
    assert one.answer.extracted and one.answer.text and one.answer.seconds >= 0
    assert two.answer is None and two.code is not None, "the reason for this one alone"
    assert answer.prices is None, "no provider, no list of prices"


def test_an_endpoint_that_never_answers_ends_with_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        site = Site(install(tmp_path).allowing(url), monkeypatch)
        (answer,) = site.send(site.order(endpoint=ENDPOINT | {"url": url}, seconds=2.0))
    assert [item.code for item in answer.items] == [Code.ENDPOINT_TIMEOUT] * 3
    assert all(item.prompt for item in answer.items)


def test_a_key_that_is_sealed_to_others_is_not_asked_for(site: Site) -> None:
    endpoint = ENDPOINT | {"url": "https://api.lab.example/v1", "sealed_keys": {"other": "QUJD"}}
    (answer,) = site.send(site.order(endpoint=endpoint))
    assert answer.code is Code.KEY_NOT_SEALED


def test_the_maintainers_key_is_not_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ENDPOINT_KEY_A", "sk-maintainers")
    url = "https://api.lab.example/v1"
    place = install(tmp_path).allowing(url, key_env="HOLDFAST_ENDPOINT_KEY_A")
    site = Site(place, monkeypatch)
    (answer,) = site.send(site.order(endpoint=ENDPOINT | {"url": url}))
    assert answer.code is Code.PROBE_NEEDS_KEY


def test_no_lease_no_journal_and_no_outcome(asked: Asked, tmp_path: Path) -> None:
    asked("forbidden403", "item:1")
    home = tmp_path / "home"
    journal = home / "journal.jsonl"
    assert not journal.exists() or not journal.read_text()
    assert not any((home / "completions").iterdir())


def test_the_type_of_an_order_has_no_field_of_a_sealed_set() -> None:
    assert "set" in ProbeOrder.__struct_fields__
    named = ProbeOrder.from_dict
    assert named and not {"sealed", "blocks", "grant", "token"} & set(ProbeOrder.__struct_fields__)
    assert probes.MANIFEST == "manifest.json"
