"""Probes of endpoints, and prompts of public items, both by an order to the evaluators.

The site stores no items and cannot open an API key: an evaluator asks, and answers with a signed
report. An order names the public set of a pair, never the private one.
"""

import logging
import secrets
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from evaluator import protocols
from evaluator.contract import Endpoint, Outcome, Probed, ProbedItem, ProbeOrder, PublicSet
from evaluator.contract.probes import MOST_PROBED
from evaluator.errors import Code, error
from leaderboard.accounts import throttle
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.errors import Refusal, SiteError, quiet_database, refuse
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import try_to_send
from leaderboard.submissions.actions.keys import sealed_keys_of
from leaderboard.submissions.admission import Ask, malformed
from leaderboard.submissions.estimate import Estimate, estimate
from leaderboard.submissions.models import Probe, PublicPrompt
from leaderboard.submissions.states import Disposition

logger = logging.getLogger(__name__)

PROBE_SECONDS = 90.0
"""Time in which an endpoint has to answer."""
GRACE_SECONDS = 60.0
"""Time for an order and its answer on their way, and for the start of the gateway."""
PROMPTS_SECONDS = 60
"""Time between two orders of the same prompt."""


def start_probe(*, user: User, ask: Ask, items: int) -> Probe:
    """Have an evaluator ask an endpoint the first public items of a pair.

    ``items`` is the number of items of the whole run, for its estimate. Raises the refusals of a
    submission that is malformed, ``no_organisation``, ``organisation_not_yours``,
    ``protocol_unfit``, ``no_prober`` where no evaluator can ask now, and ``too_many_requests``.
    """
    check_ask(ask)
    organisation = user.organisation(ask.organisation)
    if organisation is None:
        raise refuse(Refusal.NO_ORGANISATION)
    pair = pair_of(ask)
    protocol = ask.protocol or pair.protocol
    if ask.api == "" or not protocols.get(protocol).fits(ask.api):
        raise refuse(Code.PROTOCOL_UNFIT, protocol)
    probers = _probers(pair.public)
    if not probers:
        raise refuse(Refusal.NO_PROBER)
    throttle.charge_probe(organisation, user)
    keys = sealed_keys_of(ask.secret, bound_to=ask.url)
    probe = Probe.objects.create(
        organisation=organisation,
        by=user,
        pair=pair,
        protocol=protocol,
        url=ask.url,
        served_model=ask.served_model,
        api=ask.api,
        provider=ask.provider,
        sealed_keys=keys,
        price_in=ask.price_in,
        price_out=ask.price_out,
        items=items,
        deadline=timezone.now() + timedelta(seconds=PROBE_SECONDS + GRACE_SECONDS),
    )
    endpoint = {
        "kind": "endpoint",
        "url": probe.url,
        "model": probe.served_model,
        "api": probe.api,
        "provider": probe.provider,
        "sealed_keys": probe.sealed_keys,
    }
    evaluator = secrets.choice(probers)
    order = _order(
        probe.pk,
        probe.pair.public,
        probe.protocol,
        MOST_PROBED,
        Endpoint.from_dict(endpoint),
    )
    if not try_to_send(partial(dispatch.send_probe, evaluator.name, order)):
        with suppress(SiteError), quiet_database():
            probe_failed(probe, Code.PROBE_UNANSWERED)
    return probe


def check_ask(ask: Ask) -> None:
    """Refuse a request that is malformed."""
    if rejection := malformed(ask, private_endpoints=settings.PRIVATE_ENDPOINTS):
        raise refuse(rejection.code, rejection.detail)


def pair_of(ask: Ask) -> SetPair:
    """Return the pair of a request. Raises ``unknown_pair`` and ``invalid_field``."""
    pair = SetPair.with_practice.filter(slug=ask.pair).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    if ask.protocol not in ("", pair.protocol, *pair.also):
        raise refuse(Refusal.INVALID_FIELD, "protocol")
    return pair


def _probers(item_set: ItemSet) -> list[Evaluator]:
    """Return the live evaluators that answer orders and hold a set."""
    live = Evaluator.objects.of_pool(settings.POOL).live()
    answering = live.filter(probes=True)
    return [evaluator for evaluator in answering if evaluator.holds_set(item_set)]


def _order(
    probe: uuid.UUID,
    public: ItemSet,
    protocol: str,
    items: int,
    endpoint: Endpoint | None,
) -> ProbeOrder:
    if public.sealed:
        raise refuse(Refusal.INTERNAL)
    until = timezone.now() + timedelta(seconds=GRACE_SECONDS)
    public_set = PublicSet(name=public.name, n=public.n, digest=public.digest)
    return ProbeOrder(
        probe=str(probe),
        set=public_set,
        protocol=protocol,
        items=min(items, public.n),
        seconds=PROBE_SECONDS,
        until=until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        endpoint=endpoint,
    )


def probe_failed(probe: Probe, code: Code) -> None:
    """Store the reason for which a probe has no answer, and erase its key."""
    waiting = Probe.objects.filter(pk=probe.pk, state=Probe.State.WAITING)
    waiting.update(
        state=Probe.State.FAILED,
        code=code.value,
        sealed_keys={},
    )


def end_probes() -> int:
    """Fail the probes whose time is over, and erase their keys. Returns how many."""
    return Probe.objects.lapsed().update(
        state=Probe.State.FAILED,
        code=Code.PROBE_UNANSWERED.value,
        sealed_keys={},
    )


def record_probe(body: Probed) -> Disposition:
    """Store the answer to an order, once. Raises ``bad_message`` for one about a sealed set."""
    public_sets = ItemSet.objects.filter(
        name=body.set.name,
        digest=body.set.digest,
        sealed=False,
    )
    known = public_sets.first()
    # The first items of the set, in order.
    expected = list(range(len(body.items)))
    if known is None or [item.index for item in body.items] != expected:
        raise error(Code.BAD_MESSAGE, "a probe does not fit a public set")
    if body.items and body.protocol in protocols.ids():
        first = body.items[0]
        PublicPrompt.objects.update_or_create(
            item_set=known,
            protocol=body.protocol,
            defaults={"text": first.prompt},
        )
    waiting = Probe.objects.filter(
        pk=body.probe,
        state=Probe.State.WAITING,
        pair__public=known,
        protocol=body.protocol,
    )
    stored = waiting.update(
        state=Probe.State.FAILED if body.code else Probe.State.ANSWERED,
        code=body.code or "",
        result=body.to_dict(),
        sealed_keys={},
    )
    if stored or body.items:
        return Disposition.APPLIED
    return Disposition.STALE


@dataclass(frozen=True)
class ProbeResult:
    """Result of a probe, as pages and API show it. ``estimate`` is None without an answer."""

    state: Literal["waiting", "answered", "failed"]
    asked: int
    code: str = ""
    items: tuple[ProbedItem, ...] = ()
    estimate: Estimate | None = None

    @property
    def waiting(self) -> bool:
        """True while the answers may still come."""
        return self.state == "waiting"

    @property
    def right(self) -> int:
        """Number of right answers."""
        answers = [item.answer for item in self.items if item.answer]
        return sum(answer.outcome is Outcome.RIGHT for answer in answers)


def probe_result(probe: Probe) -> ProbeResult:
    """Return the result of a probe; one whose time is over has failed."""
    asked = min(MOST_PROBED, probe.pair.public.n)
    if probe.state == Probe.State.WAITING and probe.deadline > timezone.now():
        return ProbeResult("waiting", asked)
    answer = probe.answer
    if probe.state != Probe.State.ANSWERED or answer is None:
        return ProbeResult("failed", asked, probe.code or Code.PROBE_UNANSWERED.value)
    cost = estimate(
        [item.answer for item in answer.items if item.answer],
        items=probe.items,
        samples=protocols.get(probe.protocol).samples,
        own=(probe.price_in, probe.price_out),
        listed=answer.prices,
    )
    return ProbeResult("answered", asked, items=answer.items, estimate=cost)


# --- prompts of public items, without an endpoint


def first_prompt(pair: SetPair, protocol: str) -> str | None:
    """Return the prompt of a pair's first public item; None while no evaluator has stated it."""
    known = PublicPrompt.objects.filter(item_set=pair.public, protocol=protocol)
    return known.values_list("text", flat=True).first()


def request_prompts() -> int:
    """Order the prompts of public items that the site lacks. Returns the number of orders."""
    sent = 0
    known = set(PublicPrompt.objects.values_list("item_set", "protocol"))
    pairs = SetPair.with_practice.filter(withdrawn_at=None)
    for pair in pairs.select_related("public"):
        for protocol in (pair.protocol, *pair.also):
            key = f"prompt:{pair.public_id}:{protocol}"
            if (pair.public_id, protocol) in known:
                continue
            probers = _probers(pair.public)
            if probers and cache.add(key, True, PROMPTS_SECONDS):
                order = _order(uuid.uuid4(), pair.public, protocol, 1, None)
                name = secrets.choice(probers).name
                sent += try_to_send(partial(dispatch.send_probe, name, order))
    return sent
