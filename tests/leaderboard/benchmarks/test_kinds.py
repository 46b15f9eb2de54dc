"""A sealed set of another kind than numbers: registered, shown on its page, paired with its graders only."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import canonical_json
from leaderboard.benchmarks import actions
from leaderboard.errors import Refusal, SiteError
from tests.leaderboard.benchmarks.test_benchmarks import MANIFEST, PAIR, PUBLIC
from tests.verify.releases import done

TESTED: dict[str, Any] = MANIFEST | {
    "version": 4,
    "kind": "tests",
    "ciphertexts": "ab" * 32,
    "sealed_seed": "cd" * 32,
}
ASKED = {"protocol": "humaneval-0shot", "grader": "tests-1"}


def test_a_set_of_unit_tests_and_its_page(client: Client, db: None) -> None:
    actions.register_set(data=PUBLIC | {"kind": "tests"}, sealed=False)
    actions.register_set(data=TESTED, sealed=True)
    pair = actions.register_pair(**PAIR, **ASKED)
    page = client.get(f"/sets/{pair.slug}/").content.decode()
    assert "a Python program that passes hidden unit tests" in page
    assert client.get("/api/v1/sets/pair").json()["kind"] == "tests"
    told = client.get("/api/v1/sets/pair/manifest").content
    assert told == canonical_json(pair.private.facts().to_dict()) + b"\n"  # type: ignore[union-attr]
    assert b'"kind":"tests"' in told


def test_the_facts_that_inspect_prints_are_registered(db: None, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(
        json.dumps({"kind": "choice", "question": "?", "choices": ["a", "b"], "answer": "A"})
    )
    facts = done("inspect", items)
    assert facts["kind"] == "choice"
    assert actions.register_set(data=facts, sealed=False).kind == "choice"


def test_numbers_say_so_too(client: Client, db: None) -> None:
    actions.register_set(data=PUBLIC, sealed=False)
    actions.register_set(data=MANIFEST, sealed=True)
    pair = actions.register_pair(**PAIR, protocol="demo-0shot", grader="numeric-1")
    assert client.get("/api/v1/sets/pair").json()["kind"] == "number"
    assert "<dd>a number</dd>" in client.get(f"/sets/{pair.slug}/").content.decode()


def test_a_grader_of_another_kind_is_refused(db: None) -> None:
    actions.register_set(data=PUBLIC, sealed=False)
    actions.register_set(data=MANIFEST, sealed=True)
    with pytest.raises(SiteError) as caught:
        actions.register_pair(**PAIR, **ASKED)
    assert caught.value.code is Refusal.BAD_REGISTRATION
    assert caught.value.detail == "tests-1 does not grade items of the kind number"


def test_sets_of_two_kinds_are_no_pair(db: None) -> None:
    actions.register_set(data=PUBLIC, sealed=False)
    actions.register_set(data=TESTED | {"kind": "program"}, sealed=True)
    with pytest.raises(SiteError) as caught:
        actions.register_pair(**PAIR, protocol="tinygsm-program-1", grader="program-1")
    assert caught.value.detail == "the two sets have items of different kinds"
