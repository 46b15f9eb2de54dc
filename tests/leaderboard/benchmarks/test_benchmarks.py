"""Registering sets and pairs: a commitment is checked when it comes, and never changed."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from evaluator.ledger.manifests import Manifest
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.benchmarks import actions
from leaderboard.benchmarks.forms import PairForm
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.errors import Refusal, SiteError

LEAVES = [leaf_hash(bytes([number])) for number in range(5)]
MANIFEST: dict[str, Any] = {
    "name": "private",
    "n": 5,
    "root": root(LEAVES).hex(),
    "leaves": [leaf.hex() for leaf in LEAVES],
    "created": "2026-01-02T03:04:05Z",
    "shots": {"n": 8, "digest": "e" * 64},
    "seed_hash": "5e" * 32,
    "key_check": "c4" * 32,
    "blocks": [{"id": 0, "stratum": "exposed", "start": 0, "n": 5}],
    "cell": 1,
}
PUBLIC: dict[str, Any] = {"name": "public", "n": 7, "digest": "a" * 64, "sealed": False}
PAIR = {"slug": "pair", "title": "A pair", "public": "public", "private": "private"}
ASKED = {"protocol": "demo-0shot", "grader": "numeric-1"}
COMMAND = (
    "--title",
    "A pair",
    "--public",
    "public",
    "--private",
    "private",
    "--protocol",
    "demo-0shot",
)


def both() -> SetPair:
    actions.register_set(data=PUBLIC, sealed=False)
    actions.register_set(data=MANIFEST, sealed=True)
    return actions.register_pair(**PAIR, **ASKED)


def test_a_pair_is_registered_once(db: None) -> None:
    first = both()
    assert both() == first
    assert (ItemSet.objects.count(), SetPair.objects.count()) == (2, 1)
    private = first.private
    assert (private.sealed, private.n, private.digest, private.shots) == (
        True,
        5,
        root(LEAVES).hex(),
        8,
    )
    assert private.facts() == Manifest.from_dict(MANIFEST)


def test_twins_are_twins_of_the_set_that_was_sealed_with_them(db: None) -> None:
    actions.register_set(data=PUBLIC, sealed=False)
    actions.register_set(data=PUBLIC | {"name": "other", "digest": "b" * 64}, sealed=False)
    actions.register_set(
        data=MANIFEST | {"twins": {"public": "a" * 64, "by": "split"}}, sealed=True
    )
    with pytest.raises(SiteError) as refused:
        actions.register_pair(**PAIR | {"slug": "wrong", "public": "other"}, **ASKED)
    assert refused.value.code is Refusal.BAD_REGISTRATION
    assert actions.register_pair(**PAIR, **ASKED).twins_by == "split"


@pytest.mark.parametrize(
    "changes",
    [
        {"root": "f" * 64},
        {"n": 6},
        {"leaves": MANIFEST["leaves"][:-1]},
        {"leaves": list(reversed(MANIFEST["leaves"]))},
        {"leaves": []},
        {"name": "Private"},
        {"name": "a/b"},
        {"items": ["text of an item"]},
        {"shots": {"n": 0, "digest": "e" * 64}},
        {"created": "yesterday"},
        {"blocks": [{"id": 0, "stratum": "exposed", "start": 0, "n": 4}]},
        {"seasons": [0]},
        {"quorum": 1},
    ],
    ids=repr,
)
def test_a_manifest_that_does_not_hold(db: None, changes: dict[str, Any]) -> None:
    with pytest.raises(SiteError) as refused:
        actions.register_set(data=MANIFEST | changes, sealed=True)
    assert refused.value.code is Refusal.BAD_REGISTRATION
    assert not ItemSet.objects.exists()


@pytest.mark.parametrize(
    "data",
    [None, [], {}, PUBLIC | {"sealed": True}, PUBLIC | {"n": 0}, PUBLIC | {"digest": "x"}],
    ids=repr,
)
def test_facts_that_do_not_hold(db: None, data: Any) -> None:
    with pytest.raises(SiteError):
        actions.register_set(data=data, sealed=False)


def test_a_commitment_is_never_changed(db: None) -> None:
    both()
    other = [leaf_hash(bytes([number + 1])) for number in range(5)]
    changed = MANIFEST | {"root": root(other).hex(), "leaves": [leaf.hex() for leaf in other]}
    for data, sealed in ((changed, True), (PUBLIC | {"digest": "b" * 64}, False)):
        with pytest.raises(SiteError) as refused:
            actions.register_set(data=data, sealed=sealed)
        assert refused.value.code is Refusal.ALREADY_REGISTERED
    with pytest.raises(SiteError):
        actions.register_pair(**PAIR, **ASKED | {"protocol": "another-1"})


def test_a_pair_allows_more_protocols_and_never_fewer(db: None) -> None:
    assert both().also == []
    call_command("register_pair", "pair", *COMMAND, "--also", "gsm1k-5shot", "--also", "demo-0shot")
    assert both().also == ["gsm1k-5shot"]
    actions.register_pair(**PAIR, **ASKED, also=["gsm1k-5shot-api"])
    assert SetPair.objects.get().also == ["gsm1k-5shot", "gsm1k-5shot-api"]
    with pytest.raises(SiteError) as refused:
        actions.register_pair(**PAIR, **ASKED, also=["No Such"])
    assert refused.value.code is Refusal.PROTOCOL_UNPUBLISHED


def test_the_form_takes_further_protocols_one_by_one(db: None) -> None:
    both()
    form = PairForm(PAIR | ASKED | {"slug": "new", "also": "second-1  first-1"})
    assert form.is_valid(), form.errors
    assert form.facts()["also"] == ["second-1", "first-1"]
    assert not PairForm(PAIR | ASKED | {"slug": "new", "also": "<b>"}).is_valid()


@pytest.mark.parametrize(
    "names",
    [("private", "public"), ("public", "public"), ("public", "nowhere"), ("nowhere", "private")],
)
def test_a_pair_is_a_public_and_a_sealed_set(db: None, names: tuple[str, str]) -> None:
    both()
    with pytest.raises(SiteError) as refused:
        actions.register_pair(
            **PAIR | {"slug": "new", "public": names[0], "private": names[1]}, **ASKED
        )
    assert refused.value.code is Refusal.BAD_REGISTRATION


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 0},
        {"digest": "x"},
        {"name": "A B"},
        {"shots": 3},
        {"shots_digest": "e" * 64},
        {"n": 2_000_000},
    ],
)
def test_the_database_refuses_bad_sets(db: None, fields: dict[str, Any]) -> None:
    good = {"name": "x", "sealed": False, "n": 1, "digest": "a" * 64}
    with pytest.raises(IntegrityError), transaction.atomic():
        ItemSet.objects.create(**good | fields)


def test_the_commands(db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, public = tmp_path / "manifest.json", tmp_path / "public.json"
    manifest.write_text(json.dumps(MANIFEST))
    public.write_text(json.dumps(PUBLIC))
    call_command("register_set", str(public))
    call_command("register_set", str(manifest), "--sealed")
    facts = [
        "--title",
        "A pair",
        "--public",
        "public",
        "--private",
        "private",
        "--protocol",
        "demo-0shot",
    ]
    call_command("register_pair", "pair", *facts)
    assert SetPair.objects.get().grader == "numeric-1"
    assert root(LEAVES).hex() in capsys.readouterr().out
    for command in (
        ["register_set", str(manifest)],
        ["register_set", str(tmp_path / "none.json")],
        ["register_set", str(tmp_path)],
        ["register_pair", "a b", *facts],
        ["register_pair", "other", *facts[:-3], "nowhere", *facts[-2:]],
    ):
        with pytest.raises(CommandError):
            call_command(*command)


def test_the_pages_show_the_commitment(client: Client, db: None) -> None:
    assert b"No sets are registered yet" in client.get("/sets/").content
    pair = both()
    assert pair.title in client.get("/sets/").content.decode()
    page = client.get("/sets/pair/").content.decode()
    assert pair.private.digest in page and pair.public.digest in page and "sealed" in page
    assert MANIFEST["leaves"][0] not in page
    assert client.get("/sets/none/").status_code == 404
    told = client.get("/api/v1/sets").json()["pairs"]
    assert [(one["slug"], one["private"]["digest"], one["public"]["n"]) for one in told] == [
        ("pair", pair.private.digest, 7)
    ]
