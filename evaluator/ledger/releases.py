"""The release statement: what maintainers sign, offline, and what has to hold before a set is opened for good."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from evaluator.contract import Hex32, Moment, Name, Signature, Wire, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger import signatures
from evaluator.ledger.manifests import Identity, Manifest
from evaluator.ledger.rules import Evidence, evidence_digest, rule_digest
from evaluator.ledger.tree import leaf_hash

_DOMAIN = b"holdfast/release/v1\n"


class Statement(Wire, frozen=True, kw_only=True):
    """ "Release this set, for this evidence, opened by this evaluator." Digests are of the canonical JSON."""

    version: Literal[1] = 1
    set: Name
    root: Hex32
    manifest: Hex32
    rule: Hex32
    evidence: Hex32
    evaluator: Identity
    moment: Moment


class Vote(Wire, frozen=True, kw_only=True):
    """One maintainer's signature over a statement."""

    maintainer: Name
    signature: Signature


class SignedStatement(Wire, frozen=True, kw_only=True):
    """A statement on its way from maintainer to maintainer."""

    statement: Statement
    votes: Annotated[tuple[Vote, ...], Meta(max_length=20)] = ()


def make_statement(
    manifest: Manifest, evidence: Evidence, evaluator: Identity, *, moment: str
) -> Statement:
    """The statement over these files. Raises ``rule_invalid`` for a set without a rule, ``evidence_differs``."""
    if manifest.rule is None or not manifest.maintainers:
        raise error(Code.RULE_INVALID, f"{manifest.name} has no rule or no maintainers")
    if (evidence.set, evidence.root) != (manifest.name, manifest.root):
        raise error(Code.EVIDENCE_DIFFERS, manifest.name)
    return Statement(
        set=manifest.name,
        root=manifest.root,
        manifest=manifest.digest(),
        rule=rule_digest(manifest.rule),
        evidence=evidence_digest(evidence),
        evaluator=evaluator,
        moment=moment,
    )


def statement_digest(statement: Statement) -> Hex32:
    """The RFC 6962 leaf hash of what is signed."""
    return leaf_hash(signed_bytes(statement)).hex()


def signed_bytes(statement: Statement) -> bytes:
    """What a vote's signature covers: a domain line, then the statement's canonical JSON."""
    return _DOMAIN + canonical_json(statement.to_dict())


def vote(
    signed: SignedStatement, *, maintainer: str, private_key: Ed25519PrivateKey
) -> SignedStatement:
    """The statement with this maintainer's vote, which replaces an earlier one. Votes stand in order of names."""
    mine = Vote(
        maintainer=maintainer,
        signature=signatures.sign(private_key, signed_bytes(signed.statement)),
    )
    others = [one for one in signed.votes if one.maintainer != maintainer]
    return msgspec.structs.replace(
        signed, votes=tuple(sorted([*others, mine], key=lambda one: one.maintainer))
    )


def check_statement(signed: SignedStatement, manifest: Manifest, evidence: Evidence) -> None:
    """Check that the statement is about these very files. Raises ``evidence_differs`` and as ``make_statement``."""
    known = signed.statement
    if known != make_statement(manifest, evidence, known.evaluator, moment=known.moment):
        raise error(Code.EVIDENCE_DIFFERS, manifest.name)


def check_votes(signed: SignedStatement, manifest: Manifest) -> Sequence[str]:
    """The maintainers that voted, once there are enough of them and every vote is good.

    Raises ``not_a_maintainer``, ``signature_invalid`` also for a maintainer who voted twice, ``quorum_missing``.
    """
    keys = {party.name: party.public for party in manifest.maintainers}
    names = [one.maintainer for one in signed.votes]
    if any(name not in keys for name in names):
        raise error(Code.NOT_A_MAINTAINER)
    message = signed_bytes(signed.statement)
    good = [
        one
        for one in signed.votes
        if signatures.verify(keys[one.maintainer], message, one.signature)
    ]
    if len(good) != len(names) or len(set(names)) != len(names):
        raise error(Code.SIGNATURE_INVALID)
    if len(good) < max(1, manifest.quorum):
        raise error(Code.QUORUM_MISSING, f"{len(good)} of {manifest.quorum}")
    return names
