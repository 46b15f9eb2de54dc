"""Submitting a model: a repeated or parallel request makes one submission only."""

import re
from datetime import date
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.contract.adapters import base_upload
from evaluator.contract.hub import HubFacts, token_binding
from evaluator.contract.uploads import UploadFacts
from evaluator.protocols import has_verifier, samples_of_mean
from leaderboard.accounts import throttle
from leaderboard.accounts.models import Membership, Organisation, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, conflicts_refused, refuse
from leaderboard.submissions.actions.attempts import enqueue_attempt
from leaderboard.submissions.actions.bounds import check_bounds
from leaderboard.submissions.actions.embargoes import ask_embargo
from leaderboard.submissions.actions.keys import sealed_keys_of
from leaderboard.submissions.actions.looks import facts_of_verifier, facts_of_weights
from leaderboard.submissions.actions.plans import most_items, plan_run
from leaderboard.submissions.actions.preflights import check_model
from leaderboard.submissions.actions.queue import dispatch_on_commit
from leaderboard.submissions.actions.quotas import charge
from leaderboard.submissions.actions.relatives import tokenizer_name
from leaderboard.submissions.admission import STATEMENTS, Ask, Facts, decide, malformed
from leaderboard.submissions.item_selection import select_items
from leaderboard.submissions.models import (
    Model,
    QuotaEntry,
    Run,
    RunOutcomes,
    Statements,
    Submission,
    Upload,
    owners_so_far,
    seconds_from_now,
)
from leaderboard.submissions.states import RunState

_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


def submit(*, user: User, key: str, ask: Ask) -> Submission:
    """Admit a submission and queue its run; for a known ``key`` return the earlier submission.

    Raises a ``SiteError`` where it is not admitted, ``too_many_requests`` where the account sends
    too many, and ``idempotency_key_reused`` where the key
    came with another submission before.
    """
    if not _KEY.fullmatch(key):
        raise refuse(Refusal.KEY_MISSING)
    if rejection := malformed(ask, private_endpoints=settings.PRIVATE_ENDPOINTS):
        raise refuse(rejection.code, rejection.detail)
    throttle.charge_submission(user)
    facts = verifier = None
    is_read = ask.kind in ("hub", "upload")
    if is_read or ask.verifier:  # seconds: no lock is held meanwhile
        if known := _known(user, key, ask):
            return known
        user.organisation(ask.organisation)  # a foreign one is refused before the hub is asked
        if is_read:
            facts = facts_of_weights(user, ask)
        verifier = facts_of_verifier(user, ask)
        check_model(facts, verifier, ask, user=user)
    with transaction.atomic():
        # One person's submissions go one after the other, so that a key is never seen as new twice,
        # and those of one organisation, so that none is beyond a bound.
        membership = user.locked_membership(ask.organisation)
        if known := _known(user, key, ask):
            return known
        submission = _admit(
            user,
            membership,
            key,
            ask,
            read=facts,
            verifier=verifier,
        )
        _queue(submission)
        dispatch_on_commit()
    return submission


def _known(user: User, key: str, ask: Ask) -> Submission | None:
    """Return the submission of a key; None for a new one. Raises ``idempotency_key_reused``."""
    own = Submission.objects.filter(submitted_by=user)
    known = own.filter(idempotency_key=key).first()
    if known is not None and known.fingerprint != ask.fingerprint():
        raise refuse(Refusal.KEY_REUSED)
    return known


def _admit(
    user: User,
    membership: Membership | None,
    key: str,
    ask: Ask,
    *,
    read: HubFacts | UploadFacts | None,
    verifier: HubFacts | UploadFacts | None,
) -> Submission:
    """Store the submission, with the facts that were ``read`` of its weights and of its verifier.

    Raises the first reason for which it is not admitted.
    """
    organisation = membership.organisation if membership else None
    pairs = SetPair.with_practice.select_related("public", "private")
    pair = pairs.filter(slug=ask.pair).first()
    models = Model.objects.select_related("organisation")
    model = models.filter(name__iexact=ask.model).first()
    base = read.adapter.base if read and read.adapter else None
    first_repo = _first_repo(read, base, verifier)
    bound_to = ask.url or token_binding(first_repo)
    sealed_keys = sealed_keys_of(ask.secret, bound_to=bound_to)
    facts = _facts(user, ask, pair, organisation, model, can_seal=bool(sealed_keys))
    if rejection := decide(ask, facts):
        raise refuse(rejection.code, rejection.detail)
    if pair is None or organisation is None:
        raise refuse(Refusal.INTERNAL)
    budget = ask.budget()
    if model:
        owners = owners_so_far(model)
    else:
        model, owners = _new_model(organisation, ask)
    submission = Submission.objects.create(
        model=model,
        submitted_by=user,
        organisations=owners,
        pair=pair,
        kind=ask.kind,
        checkpoint=ask.checkpoint,
        upload=_locked_upload(organisation, ask.upload),
        base=base.to_dict() if base else None,
        base_upload=_locked_upload(organisation, base_upload(ask.base)),
        repo=ask.repo,
        **_fields_of_models(read, verifier, ask),
        tokenizer=tokenizer_name(read),
        url=ask.url,
        served_model=ask.served_model,
        api=ask.api,
        provider=ask.provider,
        verifier_upload=_locked_upload(organisation, base_upload(ask.verifier)),
        protocol="" if ask.protocol == pair.protocol else ask.protocol,
        budget=budget.to_dict() if budget else None,
        sealed_keys=sealed_keys,
        keyed=bool(ask.secret),
        idempotency_key=key,
        fingerprint=ask.fingerprint(),
    )
    _store_statements(submission, ask)
    return submission


def _fields_of_models(
    read: HubFacts | UploadFacts | None,
    verifier: HubFacts | UploadFacts | None,
    ask: Ask,
) -> dict[str, Any]:
    """Return the fields of a submission about its model on the hub, and about its verifier."""
    fields: dict[str, Any] = {
        "revision": "",
        "commit": "",
        "hub": None,
        "verifier": ask.verifier,
        "verifier_hub": None,
    }
    if isinstance(read, HubFacts):
        facts = read
        if facts.adapter is not None:
            # The facts of its base stand by themselves.
            adapter = msgspec.structs.replace(facts.adapter, base=None)
            facts = msgspec.structs.replace(facts, adapter=adapter)
        fields["revision"] = read.revision
        fields["commit"] = read.commit
        fields["hub"] = facts.to_dict()
    if isinstance(verifier, HubFacts):
        fields["verifier"] = f"{verifier.repo}@{verifier.commit}"
        fields["verifier_hub"] = verifier.to_dict()
    return fields


def _store_statements(submission: Submission, ask: Ask) -> None:
    """Store the author's statements and the embargo, where there are any."""
    stated = {name: getattr(ask, name) or None for name in STATEMENTS}
    if any(stated.values()):
        given = {name: value for name, value in stated.items() if value}
        Statements.objects.create(submission=submission, **given)
    if ask.embargo_until:
        ask_embargo(submission, date.fromisoformat(ask.embargo_until))


def _locked_upload(organisation: Organisation, upload: str) -> Upload | None:
    """Return an upload of the organisation that submits.

    It is locked, so that it cannot be deleted before its run is stored.
    """
    if not upload:
        return None
    own = Upload.objects.of(organisation)
    complete = own.filter(state=Upload.State.COMPLETE, pk=upload)
    locked = complete.select_for_update(of=("self",)).first()
    if locked is None:
        raise refuse(Refusal.UPLOAD_EXPIRED)
    return locked


def _facts(
    user: User,
    ask: Ask,
    pair: SetPair | None,
    organisation: Organisation | None,
    model: Model | None,
    *,
    can_seal: bool,
) -> Facts:
    is_ours = model is None or model.organisation == organisation
    is_of_other = False
    if model is not None and not is_ours:
        # Another organisation of the user may have it than the one that submits.
        is_of_other = user.organisations().filter(pk=model.organisation_id).exists()
    protocol_is_known = True
    needs_verifier = False
    if pair is not None:
        protocol_is_known = ask.protocol in ("", pair.protocol, *pair.also)
        needs_verifier = has_verifier(ask.protocol or pair.protocol)
    return Facts(
        has_organisation=organisation is not None,
        pair_is_known=pair is not None,
        protocol_is_known=protocol_is_known,
        model_is_ours=is_ours,
        model_is_of_other=is_of_other,
        model_agrees=model is None or _agrees(model, ask),
        can_seal=can_seal,
        needs_verifier=needs_verifier,
    )


def seal_key(submission: Submission, api_key: str) -> None:
    """Seal another key or access token for a submission and store it. Raises ``no_evaluator``."""
    models = (submission.hub_facts, submission.base_facts, submission.verifier_facts)
    bound_to = submission.url or token_binding(_first_repo(*models))
    sealed_keys = sealed_keys_of(api_key, bound_to=bound_to)
    if not sealed_keys:
        raise refuse(Refusal.NO_EVALUATOR)
    submission.sealed_keys = sealed_keys
    submission.save(update_fields=["sealed_keys"])


def _first_repo(*models: HubFacts | UploadFacts | None) -> str:
    """Return the first of a system's models that is on the hub; a token is sealed to its name.

    The models are in the order of a job, which has the sealed token with the same one.
    """
    for facts in models:
        if isinstance(facts, HubFacts):
            return facts.repo
    return ""


def _agrees(model: Model, ask: Ask) -> bool:
    known = (model.name, model.open_weights, model.parameters)
    return known == (ask.model, ask.open_weights, ask.parameters)


def _new_model(organisation: Organisation, ask: Ask) -> tuple[Model, list[int]]:
    """Store the model. If another request stored the name meanwhile, compare its facts.

    Returns it and its owners so far. ``admission.decide_bounds`` refuses another's former name.
    """
    try:
        with conflicts_refused():
            created = Model.objects.create(
                name=ask.model,
                open_weights=ask.open_weights,
                parameters=ask.parameters,
                organisation=organisation,
            )
    except SiteError:
        model = Model.objects.filter(name__iexact=ask.model).first()
        if model is None or model.organisation != organisation:
            raise
        if not _agrees(model, ask):
            raise refuse(Refusal.MODEL_DIFFERS) from None
        return model, owners_so_far(model)
    return created, [organisation.pk]


def _queue(submission: Submission) -> None:
    selection = select_items(submission)
    check_bounds(submission, selection)
    run = Run(
        submission=submission,
        organisation=submission.model.organisation,
        pool=settings.POOL,
        state=RunState.QUEUED,
        queued_at=Now(),
        deadline=seconds_from_now(settings.QUEUE_SECONDS),
        tier=selection.tier,
    )
    plan, selection = plan_run(run) or (None, selection)
    # An adaptive run is asked the public items first; each look adds some of the sealed set.
    items = frozenset[int]() if plan else selection.items
    samples = samples_of_mean(submission.asked_by)
    rows = []
    for item_set in submission.pair.sets():
        row = RunOutcomes.unanswered(
            item_set,
            items=items,
            blocks=selection.blocks,
            samples=samples,
        )
        rows.append(row)
    if plan:
        run.total = most_items(plan, submission.pair)
    else:
        run.total = sum(row.n for row in rows)
    run.save(force_insert=True)
    for row in rows:
        row.run = run
    RunOutcomes.objects.bulk_create(rows)
    if plan:
        plan.save(force_insert=True)
    enqueue_attempt(run, outcomes=rows, plan=plan)
    charge(run, QuotaEntry.Reason.SUBMITTED)
