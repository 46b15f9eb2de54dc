"""Checks of a model or an endpoint before it is submitted: nothing is queued or charged."""

from msgspec.structs import replace

from evaluator import protocols
from evaluator.contract.hub import HubFacts
from evaluator.contract.intake import Preview
from evaluator.contract.previews import PromptFacts
from evaluator.contract.probes import MOST_PROMPT
from evaluator.contract.uploads import UploadFacts
from evaluator.errors import EvaluatorError, error
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, refuse
from leaderboard.submissions import dispatch, hub, preflight
from leaderboard.submissions.actions.expected import prospect
from leaderboard.submissions.actions.later_tries import later_try_checks
from leaderboard.submissions.actions.looks import facts_of_verifier, facts_of_weights
from leaderboard.submissions.actions.pools import known_workers
from leaderboard.submissions.actions.probes import check_ask, first_prompt, pair_of, start_probe
from leaderboard.submissions.actions.uploads import reachable, store_of, uploads_for
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.item_selection import select_items
from leaderboard.submissions.models import Submission
from leaderboard.submissions.preflight import EndpointPreflight, Preflight, Prospect


def preflight_of(ask: Ask, *, user: User) -> Preflight:
    """Look at a model on the hub or an upload and judge it, storing nothing.

    Its ``checks`` state each reason for which a submission would refuse it. Raises the HUB_* and
    CHECKPOINT_* codes of a model that cannot be read.
    """
    check_ask(ask)
    if ask.kind not in ("hub", "upload"):
        raise refuse(Refusal.INVALID_FIELD, "kind")
    user.organisation(ask.organisation)  # a foreign one is refused before the hub is asked
    pair = pair_of(ask)
    facts = facts_of_weights(user, ask)
    verifier = facts_of_verifier(user, ask)
    rendered = _rendered(facts, ask, pair, user)
    protocol = ask.protocol or pair.protocol
    found = preflight.judge(facts, protocol, known_workers(), rendered, verifier)
    found += preflight.check_parts(protocol, named=bool(ask.verifier))
    submission = Submission(pair=pair, kind=ask.kind)
    total = pair.public.n + _second_items(submission)
    expected = _prospect(user, ask, pair, items=total, facts=facts)
    prompt = rendered if isinstance(rendered, PromptFacts) else None
    found += later_try_checks(user, ask, pair)
    return Preflight(
        facts,
        found,
        expected,
        base=ask.base,
        prompt=prompt,
        verifier=verifier,
        verifier_name=ask.verifier,
    )


def check_model(
    facts: HubFacts | UploadFacts | None,
    verifier: HubFacts | UploadFacts | None,
    ask: Ask,
    *,
    user: User,
) -> None:
    """Raise the first refusal of a model, or of its verifier, by the pair and the protocol of its
    submission.

    Of a checkpoint on the evaluators nothing is known here, so nothing is refused.
    """
    if facts is None and verifier is None:
        return
    pair = SetPair.with_practice.filter(slug=ask.pair).first()
    if pair is None or ask.protocol not in ("", pair.protocol, *pair.also):
        return
    protocol = ask.protocol or pair.protocol
    rendered = _rendered(facts, ask, pair, user) if facts else None
    preflight.check(facts, protocol, known_workers(), rendered, verifier)


def preflight_of_endpoint(ask: Ask, *, user: User) -> EndpointPreflight:
    """Judge an endpoint, and have an evaluator ask it public items. Raises as ``start_probe``."""
    if ask.kind != "endpoint":
        raise refuse(Refusal.INVALID_FIELD, "kind")
    check_ask(ask)
    pair = pair_of(ask)
    submission = Submission(
        pair=pair,
        kind=ask.kind,
        url=ask.url,
        served_model=ask.served_model,
        api=ask.api,
        provider=ask.provider,
        sealed_keys={"own": "key"} if ask.secret else {},
    )
    selection = select_items(submission)
    total = pair.public.n + _second_items(submission)
    probe = start_probe(user=user, ask=ask, items=total)
    found = preflight.judge_endpoint(selection, total=total)
    found += later_try_checks(user, ask, pair)
    public_only = None if selection.may_be_shown else pair.public_only()
    expected = _prospect(user, ask, pair, items=total, facts=None)
    return EndpointPreflight(found, expected, probe, public_only)


def _prospect(
    user: User,
    ask: Ask,
    pair: SetPair,
    *,
    items: int,
    facts: HubFacts | UploadFacts | None,
) -> Prospect:
    organisation = user.organisation(ask.organisation)
    protocol = ask.protocol or pair.protocol
    return prospect(
        pair=pair,
        organisation=organisation.pk if organisation else 0,
        kind=ask.kind,
        items=items,
        needs=dispatch.needs_of_new(pair, protocol, facts),
    )


def _second_items(submission: Submission) -> int:
    """Return the number of items of the second set that a submission would be asked."""
    pair = submission.pair
    if pair.practice:
        return pair.private.n
    return len(select_items(submission).items)


def _rendered(
    facts: HubFacts | UploadFacts,
    ask: Ask,
    pair: SetPair,
    user: User,
) -> PromptFacts | EvaluatorError | None:
    """Return the first public item as the model is sent it, or the error for which it is not.

    None while no evaluator has stated that item, and for an adapter, whose tokenizer may be its
    base's. Raises ``busy``.
    """
    protocol = protocols.get(ask.protocol or pair.protocol)
    text = first_prompt(pair, protocol.id)
    if text is None or facts.adapter is not None:
        return None
    chat = protocol.ask == "message"
    special = not chat and protocol.bos == "tokenizer"
    order = Preview(text=text[:MOST_PROMPT], chat=chat, special=special)
    try:
        if isinstance(facts, HubFacts):
            on_hub = replace(
                order,
                repo=facts.repo,
                commit=facts.commit,
                files=facts.files,
                token=ask.hub_token,
            )
            return hub.preview(on_hub)
        own = uploads_for(user, ask.organisation)
        upload = own.select_related("organisation").get(pk=ask.upload)
        small = []
        for file in upload.declared():
            if not file.name.endswith(".safetensors"):
                small.append(file)
        store = store_of(upload.organisation)
        with reachable(), store.reading(ask.upload, small) as folder:
            path = str(folder.absolute())
            return hub.preview(replace(order, folder=path))
    except SiteError as failure:
        if isinstance(failure.code, Refusal):
            raise
        return error(failure.code, failure.detail)
