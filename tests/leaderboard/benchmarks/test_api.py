"""One pair as JSON: the manifest byte for byte, the head, notices with their hashes, and the steps of its release."""

import json
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import canonical_json
from evaluator.ledger.manifests import Manifest, Party
from evaluator.ledger.notes import sign_head
from evaluator.ledger.notices import notice_hash, sign_notice
from evaluator.ledger.signatures import generate, public_hex
from leaderboard.accounts.models import User
from leaderboard.benchmarks import actions
from leaderboard.benchmarks.models import Release, SetPair, SetStep
from tests.leaderboard.benchmarks.test_benchmarks import MANIFEST, PAIR, PUBLIC

KEY = generate()
SIGNED = MANIFEST | {
    "maintainers": [Party(name="grace", public=public_hex(KEY)).to_dict()],
    "quorum": 1,
}


@pytest.fixture
def pair(db: None) -> SetPair:
    facts = Manifest.from_dict(SIGNED)
    head = sign_head(facts.head(), name="grace", private_key=KEY)
    actions.register_set(data=PUBLIC, sealed=False)
    actions.register_set(data=SIGNED, sealed=True, head=head)
    return actions.register_pair(**PAIR, protocol="demo-0shot", grader="numeric-1")


def test_the_manifest_is_told_byte_for_byte(client: Client, pair: SetPair) -> None:
    told = client.get("/api/v1/sets/pair/manifest").content
    assert told == canonical_json(Manifest.from_dict(SIGNED).to_dict()) + b"\n"
    assert Manifest.from_dict(json.loads(told)).digest() == Manifest.from_dict(SIGNED).digest()


def test_a_pair_with_its_head_and_notices(client: Client, pair: SetPair) -> None:
    about: dict[str, Any] = {
        "set": "private",
        "root": pair.private.digest,
        "maintainer": "grace",
        "previous": "0" * 64,
    }
    first = sign_notice(
        KEY,
        kind="erratum",
        item=3,
        reason="wrong_gold",
        index=0,
        moment="2026-02-03T00:00:00Z",
        **about,
    )
    actions.post_notices(data=[first.to_dict()])
    told = client.get("/api/v1/sets/pair").json()
    (notice,) = told["notices"]
    assert notice["hash"] == notice_hash(first)
    assert notice["notice"] == first.to_dict()
    assert (told["version"], told["season"], told["state"], told["release"]) == (
        1,
        0,
        "sealed",
        None,
    )
    Manifest.from_dict(SIGNED).verify_note(told["head"])
    allowed = "slug title protocol also adaptive kind grader state release_rule public private season version head notices steps successor"
    assert set(told) == {*allowed.split(), "evidence", "release", "set_state", "withdrawn"}
    assert "leaves" not in json.dumps(told)


def test_steps_and_release_are_told_without_names(client: Client, pair: SetPair) -> None:
    maintainer = User.objects.create(username="somebody-private", is_staff=True)
    SetStep.objects.create(item_set=pair.private, old="sealed", new="releasable", by=maintainer)
    Release.objects.create(
        item_set=pair.private,
        folder="folder-on-disk",
        statement={"votes": []},
        contents={"a": "b"},
        published_by=maintainer,
    )
    body = client.get("/api/v1/sets/pair").content.decode()
    told = json.loads(body)
    assert [(step["old"], step["new"]) for step in told["steps"]] == [("sealed", "releasable")]
    assert (told["release"]["statement"], told["release"]["contents"]) == (
        {"votes": []},
        {"a": "b"},
    )
    assert "somebody-private" not in body and "folder-on-disk" not in body


def test_what_is_not_there(client: Client, pair: SetPair) -> None:
    for path in ("none", "none/manifest", "pair/items", "PAIR"):
        assert client.get(f"/api/v1/sets/{path}").status_code == 404
    pair.private.manifest = {}
    pair.private.save()
    assert client.get("/api/v1/sets/pair/manifest").json()["code"] == "not_found"
