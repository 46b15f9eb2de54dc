"""Statements and votes: 32 subsets of five maintainers, and every vote that must not count (T008)."""

import json
from itertools import combinations
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.manifests import Identity, Manifest, Party
from evaluator.ledger.releases import (
    SignedStatement,
    Statement,
    Vote,
    check_statement,
    check_votes,
    make_statement,
    signed_bytes,
    statement_digest,
    vote,
)
from evaluator.ledger.rules import Evidence, default_rule
from evaluator.ledger.tree import leaf_hash
from tests.evaluator.ledger.test_manifests import MANIFEST

NAMES = ("ada", "ben", "cleo", "dora", "eve")
KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([place]) * 32)
    for place, name in enumerate(NAMES, start=1)
}
SET: Manifest = msgspec.structs.replace(
    MANIFEST,
    rule=default_rule("2027-01-01T00:00:00Z"),
    maintainers=tuple(
        Party(name=name, public=signatures.public_hex(key)) for name, key in KEYS.items()
    ),
    quorum=3,
)
EVIDENCE = Evidence(set=SET.name, root=SET.root, moment="2026-02-01T00:00:00Z")
HOST = Identity(name="host-a", host_pub="aa" * 32, report_pub="bb" * 32)
STATEMENT = make_statement(SET, EVIDENCE, HOST, moment="2026-02-02T00:00:00Z")


def signed_by(*names: str, statement: Statement = STATEMENT) -> SignedStatement:
    signed = SignedStatement(statement=statement)
    for name in names:
        signed = vote(signed, maintainer=name, private_key=KEYS[name])
    return signed


def code_of(
    signed: SignedStatement, manifest: Manifest = SET, evidence: Evidence = EVIDENCE
) -> Code | None:
    try:
        check_statement(signed, manifest, evidence)
        check_votes(signed, manifest)
    except EvaluatorError as refused:
        return refused.code
    return None


@pytest.mark.parametrize("size", range(6))
def test_o02_all_subsets_of_five_with_a_quorum_of_three(size: int) -> None:
    subsets = list(combinations(NAMES, size))
    assert len(subsets) == [1, 5, 10, 10, 5, 1][size]
    for names in subsets:
        assert code_of(signed_by(*names)) == (None if size >= 3 else Code.QUORUM_MISSING)
        if size >= 3:
            assert check_votes(signed_by(*reversed(names)), SET) == list(names)


def test_a_second_vote_replaces_the_first() -> None:
    assert signed_by("ada", "ben", "ada") == signed_by("ben", "ada")
    assert code_of(signed_by("ada", "ben", "ada", "ada")) is Code.QUORUM_MISSING


def _with(signed: SignedStatement, *votes: Vote) -> SignedStatement:
    return msgspec.structs.replace(signed, votes=(*signed.votes, *votes))


def test_fault_t008_the_same_maintainer_twice() -> None:
    two = signed_by("ada", "ben")
    assert code_of(_with(two, two.votes[0])) is Code.SIGNATURE_INVALID
    renamed = Vote(maintainer="cleo", signature=two.votes[0].signature)
    assert code_of(_with(two, renamed)) is Code.SIGNATURE_INVALID


def test_fault_t008_a_foreign_signer() -> None:
    """By a key that is none of theirs, under a name of its own or of one of them; enough good votes do not heal it."""
    made = signatures.sign(signatures.generate(), signed_bytes(STATEMENT))
    two, three = signed_by("ada", "ben"), signed_by("ada", "ben", "cleo")
    assert code_of(_with(two, Vote(maintainer="mallory", signature=made))) is Code.NOT_A_MAINTAINER
    assert code_of(_with(two, Vote(maintainer="cleo", signature=made))) is Code.SIGNATURE_INVALID
    assert (
        code_of(_with(three, Vote(maintainer="mallory", signature=made))) is Code.NOT_A_MAINTAINER
    )
    assert code_of(_with(three, Vote(maintainer="dora", signature=made))) is Code.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "field", ["set", "root", "manifest", "rule", "evidence", "moment", "evaluator"]
)
def test_fault_t008_a_vote_over_another_statement(field: str) -> None:
    """Three good votes over another statement are none over this one, and a replay of them finds no file to fit."""
    other: dict[str, Any] = {"set": "other", "moment": "2026-02-02T00:00:01Z"}
    other["evaluator"] = msgspec.structs.replace(HOST, name="host-b")
    changed = msgspec.structs.replace(STATEMENT, **{field: other.get(field, "00" * 32)})
    voted = signed_by("ada", "ben", "cleo", statement=changed)
    moved = msgspec.structs.replace(voted, statement=STATEMENT)
    assert code_of(moved) is Code.SIGNATURE_INVALID
    about_files = field not in ("moment", "evaluator")
    assert code_of(voted) is (Code.EVIDENCE_DIFFERS if about_files else None)
    assert statement_digest(changed) != statement_digest(STATEMENT)


def test_fault_t008_other_spacing_of_the_json() -> None:
    """What is signed is the one canonical form."""
    spaced = b"holdfast/release/v1\n" + json.dumps(STATEMENT.to_dict(), sort_keys=True).encode()
    bare = signed_bytes(STATEMENT).partition(b"\n")[2]
    for message in (spaced, bare, signed_bytes(STATEMENT) + b"\n"):
        made = Vote(maintainer="cleo", signature=signatures.sign(KEYS["cleo"], message))
        assert code_of(_with(signed_by("ada", "ben"), made)) is Code.SIGNATURE_INVALID
    right = Vote(
        maintainer="cleo", signature=signatures.sign(KEYS["cleo"], signed_bytes(STATEMENT))
    )
    assert code_of(_with(signed_by("ada", "ben"), right)) is None


def test_fault_t008_a_replay_over_another_set_or_evidence() -> None:
    voted = signed_by("ada", "ben", "cleo")
    later = msgspec.structs.replace(EVIDENCE, moment="2026-02-03T00:00:00Z")
    assert code_of(voted, evidence=later) is Code.EVIDENCE_DIFFERS
    for changed in ({"name": "twin-2"}, {"root": "00" * 32}, {"licence": "CC0-1.0"}, {"quorum": 1}):
        manifest = msgspec.structs.replace(SET, **changed)
        about = Evidence(set=manifest.name, root=manifest.root, moment=EVIDENCE.moment)
        assert code_of(voted, manifest, about) is Code.EVIDENCE_DIFFERS
    assert code_of(voted, msgspec.structs.replace(SET, name="twin-2")) is Code.EVIDENCE_DIFFERS


def test_a_set_without_maintainers_cannot_be_released() -> None:
    for changed in ({"rule": None}, {"maintainers": (), "quorum": 0}):
        with pytest.raises(EvaluatorError) as caught:
            make_statement(
                msgspec.structs.replace(SET, **changed), EVIDENCE, HOST, moment=STATEMENT.moment
            )
        assert caught.value.code is Code.RULE_INVALID


def test_no_votes_are_never_enough() -> None:
    """Even where a manifest asks for none."""
    assert code_of(signed_by(), msgspec.structs.replace(SET, quorum=0)) is Code.EVIDENCE_DIFFERS
    with pytest.raises(EvaluatorError) as caught:
        check_votes(signed_by(), msgspec.structs.replace(SET, quorum=0))
    assert caught.value.code is Code.QUORUM_MISSING


def test_the_digest_is_a_leaf_of_what_is_signed() -> None:
    assert statement_digest(STATEMENT) == leaf_hash(signed_bytes(STATEMENT)).hex()
    assert SignedStatement.from_dict(signed_by("ada").to_dict()) == signed_by("ada")
