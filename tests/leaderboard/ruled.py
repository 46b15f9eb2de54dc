"""A pair whose sealed set has a release rule and maintainers with real keys, and runs that count for it."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from evaluator import grading, protocols
from evaluator.contract import Outcome, Weights, canonical_json
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Manifest, Party, Terms
from evaluator.ledger.notices import Notice, notice_hash, sign_notice
from evaluator.ledger.rules import Date, Lineages, Rule
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair, SetStep
from leaderboard.benchmarks.states import SetState
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.models import (
    UNASSIGNED,
    Lineage,
    LineageRecord,
    Model,
    Run,
    RunOutcomes,
    Submission,
    TensorList,
    seconds_from_now,
)
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import MANIFEST, PRIVATE_N, PUBLIC_N, FakeEvaluator

PAST, FUTURE = "2026-02-01T00:00:00Z", "2126-02-01T00:00:00Z"
THREE = Rule(any_of=(Lineages(models=3, numerator=8, denominator=9), Date(moment=FUTURE)))
"""Three open models of distinct lineages with eight of nine right, or a day that is far away."""
BY_DATE = Rule(any_of=(Lineages(models=3, numerator=8, denominator=9), Date(moment=PAST)))
SIGNERS: Mapping[str, Ed25519PrivateKey] = {
    name: signatures.generate() for name in ("ada", "grace", "mary")
}
"""The maintainers' keys, by name. Two of the three make a quorum."""
PROTOCOL_DIGEST = protocols.get("demo-0shot").digest
TERMS = Terms(
    protocol="demo-0shot",
    protocol_digest=PROTOCOL_DIGEST,
    grader="numeric-1",
    grader_digest=grading.digest("numeric-1"),
)


def manifest(rule: Rule | None = THREE, *, name: str = "private") -> Manifest:
    """The fixture's nine items under a rule; each name has leaves of its own."""
    leaves = [leaf_hash(f"{name} {number}".encode()) for number in range(PRIVATE_N)]
    parties = tuple(
        Party(name=who, public=signatures.public_hex(key)) for who, key in SIGNERS.items()
    )
    facts = {
        "name": name,
        "root": root(leaves).hex(),
        "leaves": [leaf.hex() for leaf in leaves],
        "quorum": 2,
    }
    facts |= {"terms": TERMS.to_dict(), "rule": rule.to_dict() if rule else None}
    made = Manifest.from_dict(
        MANIFEST.to_dict() | facts | {"maintainers": [party.to_dict() for party in parties]}
    )
    made.verify()
    return made


def make_set(sealed: Manifest) -> ItemSet:
    data = json.loads(canonical_json(sealed.to_dict()))
    return ItemSet.objects.create(
        name=sealed.name, sealed=True, n=sealed.n, digest=sealed.root, manifest=data
    )


def make_pair(
    rule: Rule | None = THREE, *, slug: str = "pair", sealed: Manifest | None = None
) -> SetPair:
    """A registered pair. Its sealed set is of nine items, or the one given."""
    suffix = "" if slug == "pair" else f"-{slug}"
    public = ItemSet.objects.create(
        name=f"public{suffix}", sealed=False, n=PUBLIC_N, digest="a" * 64
    )
    return SetPair.objects.create(
        slug=slug,
        title="A pair",
        public=public,
        private=make_set(sealed or manifest(rule, name=f"private{suffix}")),
        protocol="demo-0shot",
        grader="numeric-1",
    )


def make_heir(pair: SetPair) -> ItemSet:
    """A sealed set, named as successor of the pair's."""
    heir = make_set(manifest(THREE, name=f"{pair.private.name}-next"))
    ItemSet.objects.filter(pk=pair.private_id).update(successor=heir)
    pair.refresh_from_db()
    return heir


def make_maintainer(name: str) -> User:
    return User.objects.get_or_create(username=name, is_staff=True)[0]


def retract(run: uuid.UUID, reason: Run.Retraction = Run.Retraction.WRONG_SETUP) -> Run:
    """Retract a run as a maintainer does."""
    return actions.retract_run(run=run, reason=reason, by=make_maintainer("curator"))


def make_model(name: str, lineage: str | None = None, *, open_weights: bool = True) -> Model:
    owner, _ = Organisation.objects.get_or_create(name="Analytical")
    known = Lineage.objects.get_or_create(name=lineage)[0] if lineage else None
    facts = {"organisation": owner, "open_weights": open_weights, "lineage": known}
    model, created = Model.objects.get_or_create(name=name, defaults=facts)
    if created and known:
        LineageRecord.objects.create(model=model, artefact=artefact_of(name), lineage=known)
    return model


def artefact_of(model: str) -> str:
    """The digest of the files of a model's weights, which are its own."""
    return hashlib.sha256(model.encode()).hexdigest()


def tensors_of(*names: str) -> Weights:
    """Weights of tensors of these names, a thousand bytes each."""
    return Weights(
        bytes=1000 * len(names),
        count=len(names),
        tensors=tuple(sorted((artefact_of(one)[:32], 1000) for one in names)),
    )


def list_tensors(weights: Weights) -> str:
    """Keep the list, as the recorder does, and return its digest."""
    TensorList.objects.get_or_create(digest=weights.digest(), defaults={"data": weights.to_dict()})
    return weights.digest()


def grade(
    pair: SetPair,
    model: Model,
    right: Sequence[int] | int,
    *,
    by: FakeEvaluator | None = None,
    kind: str = "checkpoint",
    blocks: Sequence[int] | None = None,
    **changes: Any,
) -> Run:
    """A ranked run with these private items right (or the first so many), the others wrong.

    ``by`` also closes it on its log, as far as the site has that; ``blocks`` are those asked, all by default.
    """
    user, _ = User.objects.get_or_create(username="submitter")
    endpoint = {"url": "https://models.example/v1", "served_model": model.name, "api": "chat"}
    asked = {"checkpoint": model.name.lower()} if kind == "checkpoint" else endpoint
    submission = Submission.objects.create(
        model=model, submitted_by=user, pair=pair, organisations=[model.organisation_id], kind=kind, idempotency_key=uuid.uuid4().hex, fingerprint="0" * 64,
        **asked,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "protocol_digest": PROTOCOL_DIGEST,
        "state": RunState.RANKED,
        "ended_at": _now(),
    }
    fields |= {
        "evaluator": Evaluator.objects.filter(name=by.name).first() if by else None,
        "queued_at": _now(),
    }
    total = pair.public.n + pair.private.n
    if kind == "checkpoint":
        fields |= {
            "artefact": artefact_of(model.name),
            "weights": list_tensors(tensors_of(model.name)),
        }
    retracted = changes.pop("retracted", False)
    run = Run.objects.create(
        submission=submission,
        organisation=submission.model.organisation,
        pool="default",
        deadline=seconds_from_now(3600),
        total=total,
        **fields | changes,
    )
    if retracted:
        retract(run.pk)
    chosen = range(right) if isinstance(right, int) else right
    _outcomes(run, pair.public, dict.fromkeys(range(pair.public.n), Outcome.RIGHT), [])
    sealed = pair.private.facts()
    assert sealed is not None
    form = list(blocks) if blocks is not None else list(sealed.block_ids(("exposed", "local")))
    outcomes = {
        at: Outcome.RIGHT if at in chosen else Outcome.WRONG for at in sorted(sealed.indices(form))
    }
    _outcomes(run, pair.private, outcomes, form)
    if by is not None:
        close(by, run, list(outcomes.values()))
    run.refresh_from_db()
    return run


def regrade(run: Run, right: int) -> None:
    """Grade the run's private items again: so many are right now."""
    run.outcomes.filter(item_set__sealed=True).delete()
    sealed = run.submission.pair.private
    manifest = sealed.facts()
    assert manifest is not None
    form = list(manifest.block_ids(("exposed", "local")))
    indices = sorted(manifest.indices(form))
    _outcomes(
        run, sealed, {at: Outcome.RIGHT if at < right else Outcome.WRONG for at in indices}, form
    )


def close(by: FakeEvaluator, run: Run, outcomes: Sequence[Outcome]) -> None:
    """The evaluator closes the run, and the site gets the line."""
    private = run.submission.pair.private
    weights = {"artefact": run.artefact, "weights": run.weights}
    line = by.close(outcomes, run=str(run.pk), set=private.name, root=private.digest, **weights)
    store_log(evaluator=Evaluator.objects.get(name=by.name), lines=[line])


def _now() -> datetime:
    """Not the database's clock, which stands still in a test's transaction: a later run has to be a newer one."""
    return timezone.now()


def _outcomes(
    run: Run, item_set: ItemSet, outcomes: Mapping[int, Outcome], blocks: list[int]
) -> None:
    packed = bytes(0 if at in outcomes else UNASSIGNED for at in range(item_set.n))
    row = RunOutcomes(
        run=run, item_set=item_set, size=item_set.n, n=len(outcomes), packed=packed, blocks=blocks
    )
    row.merge(outcomes.items())
    row.save()


def meet(pair: SetPair, by: FakeEvaluator) -> list[Run]:
    """Three runs that meet the rule of three, each by one item more than is needed."""
    return [
        grade(pair, make_model(name, name.lower()), 9, by=by) for name in ("Alpha", "Beta", "Gamma")
    ]


def notice(
    item_set: ItemSet, known: Sequence[Notice] = (), *, signer: str = "ada", **about: Any
) -> Notice:
    """The next signed notice of a set: ``kind``, ``reason``, and the block or item that it is about."""
    previous = notice_hash(known[-1]) if known else GENESIS
    fields: dict[str, Any] = {
        "set": item_set.name,
        "root": item_set.digest,
        "index": len(known),
        "previous": previous,
    }
    return sign_notice(
        SIGNERS[signer], moment="2026-03-01T00:00:00Z", maintainer=signer, **fields | about
    )


def state_of(pair: SetPair) -> SetState:
    """The state in the database, once it is seen that the recorded steps lead to it, each of them from the one before.

    Evidence is frozen exactly in the states that need it.
    """
    now = SetPair.objects.get(pk=pair.pk)
    states = [SetState.SEALED.value]
    for step in SetStep.objects.filter(item_set=pair.private).order_by("pk"):
        assert step.old == states[-1]
        states.append(step.new)
    assert states[-1] == now.state
    frozen = now.state in (SetState.PROPOSED, SetState.RELEASED)
    assert (now.evidence is not None, now.proposed_by is not None) == (frozen, frozen)
    return SetState(now.state)
