"""Release statements, signed offline by maintainers, and their checks before a set is opened."""

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
    """Statement "release this set, for this evidence, opened by this evaluator".

    Digests are of the canonical JSON.
    """

    version: Literal[1] = 1
    set: Name
    root: Hex32
    manifest: Hex32
    rule: Hex32
    evidence: Hex32
    evaluator: Identity
    moment: Moment


class Vote(Wire, frozen=True, kw_only=True):
    """Signature of a maintainer over a statement."""

    maintainer: Name
    signature: Signature


class SignedStatement(Wire, frozen=True, kw_only=True):
    """Statement with the votes that it has so far."""

    statement: Statement
    votes: Annotated[tuple[Vote, ...], Meta(max_length=20)] = ()


def make_statement(
    manifest: Manifest,
    evidence: Evidence,
    evaluator: Identity,
    *,
    moment: str,
) -> Statement:
    """Return the statement over these files.

    Raises ``rule_invalid`` for a set without a rule or maintainers, ``evidence_differs`` for
    evidence about another set.
    """
    if manifest.rule is None or not manifest.maintainers:
        raise error(Code.RULE_INVALID, f"{manifest.name} has no rule or no maintainers")
    about_set = evidence.set == manifest.name and evidence.root == manifest.root
    if not about_set:
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
    """Return the RFC 6962 leaf hash of the bytes that are signed."""
    return leaf_hash(signed_bytes(statement)).hex()


def signed_bytes(statement: Statement) -> bytes:
    """Return the bytes that a vote signs: a domain line, then the statement's canonical JSON."""
    return _DOMAIN + canonical_json(statement.to_dict())


def vote(
    signed: SignedStatement,
    *,
    maintainer: str,
    private_key: Ed25519PrivateKey,
) -> SignedStatement:
    """Return the statement with this maintainer's vote, which replaces an earlier one.

    Votes are ordered by name.
    """
    signature = signatures.sign(private_key, signed_bytes(signed.statement))
    votes = [vote for vote in signed.votes if vote.maintainer != maintainer]
    new_vote = Vote(maintainer=maintainer, signature=signature)
    votes.append(new_vote)
    votes.sort(key=lambda vote: vote.maintainer)
    return msgspec.structs.replace(signed, votes=tuple(votes))


def check_statement(signed: SignedStatement, manifest: Manifest, evidence: Evidence) -> None:
    """Check that the statement is about these very files.

    Raises ``evidence_differs``, and as :func:`make_statement`.
    """
    statement = signed.statement
    expected = make_statement(
        manifest,
        evidence,
        statement.evaluator,
        moment=statement.moment,
    )
    if statement != expected:
        raise error(Code.EVIDENCE_DIFFERS, manifest.name)


def check_votes(signed: SignedStatement, manifest: Manifest) -> Sequence[str]:
    """Return the maintainers that voted, once every vote is valid and the quorum is reached.

    Raises ``not_a_maintainer``, ``quorum_missing``, and ``signature_invalid`` also for a maintainer
    who voted twice.
    """
    keys = {party.name: party.public for party in manifest.maintainers}
    names = [vote.maintainer for vote in signed.votes]
    if any(name not in keys for name in names):
        raise error(Code.NOT_A_MAINTAINER)
    if len(set(names)) != len(names):
        raise error(Code.SIGNATURE_INVALID)
    message = signed_bytes(signed.statement)
    for vote in signed.votes:
        if not signatures.verify(keys[vote.maintainer], message, vote.signature):
            raise error(Code.SIGNATURE_INVALID)
    if len(names) < max(1, manifest.quorum):
        raise error(Code.QUORUM_MISSING, f"{len(names)} of {manifest.quorum}")
    return names
