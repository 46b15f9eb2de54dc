"""Submitting a model: a repeated or parallel request makes one submission only."""

import re

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.artefacts.readiness import checks
from evaluator.contract.hub import DEFAULT_REVISION, HubFacts, ModelFacts, token_binding
from evaluator.contract.uploads import UploadFacts
from evaluator.protocols import demands, samples_of_mean
from evaluator.sealing.seal import seal_secret
from leaderboard.accounts import throttle
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, conflicts_refused, refuse
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import hub, preflight
from leaderboard.submissions.actions.attempts import enqueue_attempt
from leaderboard.submissions.actions.bounds import check_bounds
from leaderboard.submissions.actions.naming import check_not_former
from leaderboard.submissions.actions.plans import most_items, plan_run
from leaderboard.submissions.actions.queue import dispatch_on_commit
from leaderboard.submissions.actions.quotas import charge
from leaderboard.submissions.actions.uploads import uploads_of
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
from leaderboard.submissions.preflight import Preflight
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
    facts = None
    if ask.kind == "hub" and not _is_known(user, key):
        facts = look_at_hub(ask)  # takes seconds: no lock is held meanwhile
    if ask.kind == "upload" and not _is_known(user, key):
        _check_protocol(facts_of_upload(user, ask), ask)
    with transaction.atomic():
        # One person's submissions go one after the other, so that a key is never seen as new twice.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        known = Submission.objects.filter(submitted_by=user, idempotency_key=key).first()
        if known is not None:
            if known.fingerprint != ask.fingerprint():
                raise refuse(Refusal.KEY_REUSED)
            return known
        submission = _admit(user, key, ask, facts)
        run = _queue(submission)
        dispatch_on_commit(run)
    return submission


def look_at_hub(ask: Ask) -> HubFacts:
    """Return the facts of a model on the hub, at the commit of the asked revision.

    Raises the HUB_* and CHECKPOINT_* codes, and those of ``preflight.check``.
    """
    facts = hub.look(ask.repo, ask.revision or DEFAULT_REVISION, ask.hub_token)
    _check_protocol(facts, ask)
    return facts


def _check_protocol(facts: ModelFacts, ask: Ask) -> None:
    pair = SetPair.objects.filter(slug=ask.pair).first()
    if pair is not None and ask.protocol in ("", pair.protocol, *pair.also):
        preflight.check(facts, ask.protocol or pair.protocol)


def facts_of_upload(user: User, ask: Ask) -> UploadFacts:
    """Return the facts of an upload of the user's organisation.

    Raises ``upload_unknown``, ``upload_expired``, ``upload_incomplete``.
    """
    upload = uploads_of(user).filter(pk=ask.upload).first()
    if upload is None:
        raise refuse(Refusal.UPLOAD_UNKNOWN)
    if upload.state == Upload.State.EXPIRED:
        raise refuse(Refusal.UPLOAD_EXPIRED)
    facts = upload.inspected()
    if facts is None:
        raise refuse(Refusal.UPLOAD_INCOMPLETE)
    return facts


def preflight_of(ask: Ask, *, user: User) -> Preflight:
    """Look at a model on the hub or an upload and judge it, storing nothing.

    Its ``checks`` state each reason for which :func:`submit` would refuse it. Raises the HUB_* and
    CHECKPOINT_* codes of a model that cannot be read.
    """
    if rejection := malformed(ask, private_endpoints=settings.PRIVATE_ENDPOINTS):
        raise refuse(rejection.code, rejection.detail)
    if ask.kind not in ("hub", "upload"):
        raise refuse(Refusal.INVALID_FIELD, "kind")
    pair = SetPair.objects.filter(slug=ask.pair).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    if ask.protocol not in ("", pair.protocol, *pair.also):
        raise refuse(Refusal.INVALID_FIELD, "protocol")
    facts: HubFacts | UploadFacts
    if ask.kind == "hub":
        facts = hub.look(ask.repo, ask.revision or DEFAULT_REVISION, ask.hub_token)
    else:
        facts = facts_of_upload(user, ask)
    found = checks(facts, demands(ask.protocol or pair.protocol))
    waiting = Run.objects.filter(pool=settings.POOL, state=RunState.QUEUED).count()
    return Preflight(facts, found, waiting)


def _is_known(user: User, key: str) -> bool:
    return Submission.objects.filter(submitted_by=user, idempotency_key=key).exists()


def _admit(user: User, key: str, ask: Ask, hub_facts: HubFacts | None) -> Submission:
    """Store the submission. Raises the first reason for which it is not admitted."""
    pair = SetPair.objects.filter(slug=ask.pair).first()
    organisation = user.organisation()
    model = Model.objects.filter(name__iexact=ask.model).first()
    sealed_keys = _sealed_keys(ask.secret, bound_to=ask.bound_to)
    facts = _facts(ask, pair, organisation, model, can_seal=bool(sealed_keys))
    if rejection := decide(ask, facts):
        raise refuse(rejection.code, rejection.detail)
    if pair is None or organisation is None:
        raise refuse(Refusal.INTERNAL)
    budget = ask.budget()
    model = model or _new_model(organisation, ask)
    submission = Submission.objects.create(
        model=model,
        submitted_by=user,
        organisations=owners_so_far(model),
        pair=pair,
        kind=ask.kind,
        checkpoint=ask.checkpoint,
        upload=_locked_upload(user, ask),
        repo=ask.repo,
        revision=hub_facts.revision if hub_facts else "",
        commit=hub_facts.commit if hub_facts else "",
        hub=hub_facts.to_dict() if hub_facts else None,
        url=ask.url,
        served_model=ask.served_model,
        api=ask.api,
        provider=ask.provider,
        protocol="" if ask.protocol == pair.protocol else ask.protocol,
        budget=budget.to_dict() if budget else None,
        sealed_keys=sealed_keys,
        keyed=bool(ask.secret),
        idempotency_key=key,
        fingerprint=ask.fingerprint(),
    )
    _store_statements(submission, ask)
    return submission


def _store_statements(submission: Submission, ask: Ask) -> None:
    """Store the author's statements, where there are any."""
    stated = {name: getattr(ask, name) or None for name in STATEMENTS}
    if any(stated.values()):
        given = {name: value for name, value in stated.items() if value}
        Statements.objects.create(submission=submission, **given)


def _locked_upload(user: User, ask: Ask) -> Upload | None:
    """Return the upload, locked so that it cannot be deleted before its run is stored."""
    if ask.kind != "upload":
        return None
    own = uploads_of(user).filter(state=Upload.State.COMPLETE, pk=ask.upload)
    upload = own.select_for_update(of=("self",)).first()
    if upload is None:
        raise refuse(Refusal.UPLOAD_EXPIRED)
    return upload


def _facts(
    ask: Ask,
    pair: SetPair | None,
    organisation: Organisation | None,
    model: Model | None,
    *,
    can_seal: bool,
) -> Facts:
    return Facts(
        has_organisation=organisation is not None,
        pair_is_known=pair is not None,
        protocol_is_known=pair is None or ask.protocol in ("", pair.protocol, *pair.also),
        model_is_ours=model is None or model.organisation == organisation,
        model_agrees=model is None or _agrees(model, ask),
        can_seal=can_seal,
    )


def seal_key(submission: Submission, api_key: str) -> None:
    """Seal another key or access token for a submission and store it. Raises ``no_evaluator``."""
    bound_to = submission.url or token_binding(submission.repo)
    sealed_keys = _sealed_keys(api_key, bound_to=bound_to)
    if not sealed_keys:
        raise refuse(Refusal.NO_EVALUATOR)
    submission.sealed_keys = sealed_keys
    submission.save(update_fields=["sealed_keys"])


def _sealed_keys(api_key: str, *, bound_to: str) -> dict[str, str]:
    """Return a secret sealed to each evaluator of the pool, by its name; empty without one."""
    if not api_key:
        return {}
    return {
        evaluator.name: seal_secret(evaluator.host_pub, api_key, bound_to=bound_to)
        for evaluator in Evaluator.objects.of_pool(settings.POOL)
    }


def _agrees(model: Model, ask: Ask) -> bool:
    known = (model.name, model.open_weights, model.parameters)
    return known == (ask.model, ask.open_weights, ask.parameters)


def _new_model(organisation: Organisation, ask: Ask) -> Model:
    """Store the model. If another request stored the name meanwhile, compare its facts."""
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
        return model
    check_not_former(created)
    return created


def _queue(submission: Submission) -> Run:
    selection = select_items(submission)
    check_bounds(submission, selection)
    run = Run(
        submission=submission,
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
    rows = [
        RunOutcomes.unanswered(item_set, items=items, blocks=selection.blocks, samples=samples)
        for item_set in submission.pair.sets()
    ]
    run.total = most_items(plan, submission.pair) if plan else sum(row.n for row in rows)
    run.save(force_insert=True)
    for row in rows:
        row.run = run
    RunOutcomes.objects.bulk_create(rows)
    if plan:
        plan.save(force_insert=True)
    enqueue_attempt(run)
    charge(run, QuotaEntry.Reason.SUBMITTED)
    return run
