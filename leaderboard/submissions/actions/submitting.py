"""Taking a submission: once, however often and however parallel it is sent."""

import re

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from evaluator.sealing.seal import seal_secret
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.errors import Refusal, SiteError, conflicts_refused, refuse
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions import queueing
from leaderboard.submissions.actions.quotas import check_declared
from leaderboard.submissions.admission import Ask, Facts, No, decide, malformed
from leaderboard.submissions.models import (
    UNASSIGNED,
    Model,
    Run,
    RunOutcomes,
    Submission,
    seconds_from_now,
)
from leaderboard.submissions.states import RunState

_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


def submit(*, user: User, key: str, ask: Ask) -> Submission:
    """Take a submission and queue its run; with a known ``key``, give back the submission it belongs to.

    Raises a ``SiteError`` where it is not admitted, and ``idempotency_key_reused`` where the key came
    with something else before.
    """
    if not _KEY.fullmatch(key):
        raise refuse(Refusal.KEY_MISSING)
    if no := malformed(ask, private_endpoints=settings.PRIVATE_ENDPOINTS):
        raise refuse(no.code, no.detail)
    with transaction.atomic():
        # One person's submissions go one after the other, so that a key is never seen as new twice.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if known := Submission.objects.filter(submitted_by=user, idempotency_key=key).first():
            if known.fingerprint != ask.fingerprint():
                raise refuse(Refusal.KEY_REUSED)
            return known
        submission = _admit(user, key, ask)
        queueing.ring_now(_queue(submission))
    return submission


def _admit(user: User, key: str, ask: Ask) -> Submission:
    pair = SetPair.objects.filter(slug=ask.pair).first()
    organisation = user.organisation()
    model = Model.objects.filter(name__iexact=ask.model).first()
    sealed_keys = _sealed(ask.api_key, bound_to=ask.url)
    facts = Facts(
        has_organisation=organisation is not None,
        pair_is_known=pair is not None,
        protocol_is_known=pair is None or ask.protocol in ("", pair.protocol, *pair.also),
        model_is_ours=model is None or model.organisation == organisation,
        model_agrees=model is None or _agrees(model, ask),
        can_seal=bool(sealed_keys),
    )
    no = decide(ask, facts)
    if no or pair is None or organisation is None:
        no = no or No(Refusal.INTERNAL)
        raise refuse(no.code, no.detail)
    budget = ask.budget()
    made = Submission.objects.create(
        model=model or _new_model(organisation, ask),
        submitted_by=user,
        pair=pair,
        kind=ask.kind,
        checkpoint=ask.checkpoint,
        url=ask.url,
        served_model=ask.served_model,
        api=ask.api,
        provider=ask.provider,
        protocol="" if ask.protocol == pair.protocol else ask.protocol,
        budget=budget.to_dict() if budget else None,
        sealed_keys=sealed_keys,
        keyed=bool(ask.api_key),
        idempotency_key=key,
        fingerprint=ask.fingerprint(),
    )
    # The foreign key locks the pair's row, as a withdrawal does: one that is under way is over then,
    # and is seen. Foreign keys are checked at the commit unless it is asked for.
    connection.check_constraints()
    if not SetPair.objects.filter(pk=pair.pk, withdrawn_at=None).exists():
        raise refuse(Refusal.PAIR_WITHDRAWN, pair.slug)
    return made


def seal_key(submission: Submission, api_key: str) -> None:
    """Seal another API key for a submission and store it. Raises ``no_evaluator``."""
    sealed_keys = _sealed(api_key, bound_to=submission.url)
    if not sealed_keys:
        raise refuse(Refusal.NO_EVALUATOR)
    submission.sealed_keys = sealed_keys
    submission.save(update_fields=["sealed_keys"])


def _sealed(api_key: str, *, bound_to: str) -> dict[str, str]:
    """Return an API key sealed to each evaluator that may be given the run, by name; empty where there is none."""
    if not api_key:
        return {}
    evaluators = Evaluator.objects.of_pool(settings.POOL)
    return {one.name: seal_secret(one.host_pub, api_key, bound_to=bound_to) for one in evaluators}


def _agrees(model: Model, ask: Ask) -> bool:
    return (model.name, model.open_weights, model.parameters) == (
        ask.model,
        ask.open_weights,
        ask.parameters,
    )


def _new_model(organisation: Organisation, ask: Ask) -> Model:
    """Enter the model. Where another request entered the name meanwhile, in whatever case, its facts are compared."""
    facts = {
        "open_weights": ask.open_weights,
        "parameters": ask.parameters,
        "organisation": organisation,
    }
    try:
        with conflicts_refused():
            return Model.objects.create(name=ask.model, **facts)
    except SiteError:
        model = Model.objects.filter(name__iexact=ask.model).first()
        if model is None or model.organisation != organisation:
            raise
        if not _agrees(model, ask):
            raise refuse(Refusal.MODEL_DIFFERS) from None
        return model


def _queue(submission: Submission) -> Run:
    form = dispatch.form(submission)
    if form.tier == "T2":
        check_declared(submission, submission.pair.private, form.blocks)
    rows = [_outcomes(item_set, form) for item_set in submission.pair.sets()]
    run = Run.objects.create(
        submission=submission,
        pool=settings.POOL,
        state=RunState.QUEUED,
        queued_at=Now(),
        deadline=seconds_from_now(settings.QUEUE_SECONDS),
        total=sum(row.n for row in rows),
        tier=form.tier,
    )
    for row in rows:
        row.run = run
    RunOutcomes.objects.bulk_create(rows)
    queueing.put_out(run)
    return run


def _outcomes(item_set: ItemSet, form: dispatch.Form) -> RunOutcomes:
    """The row of a run's outcomes on a set, nothing asked yet; items outside the form are marked."""
    if not item_set.sealed:
        return RunOutcomes(
            item_set=item_set, size=item_set.n, n=item_set.n, packed=bytes(item_set.n)
        )
    packed = bytes(0 if index in form.items else UNASSIGNED for index in range(item_set.n))
    blocks = list(form.blocks)
    return RunOutcomes(
        item_set=item_set, size=item_set.n, n=len(form.items), packed=packed, blocks=blocks
    )
