"""Probes of endpoints: a few public items asked for real, before a submission."""

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts import throttle
from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.errors import Refusal, explain_code, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.api.submissions import CheckOut
from leaderboard.submissions.models import Probe

router = Router(tags=["submissions"])


class ProbeIn(Strict):
    """Endpoint that might be submitted to a pair."""

    pair: str = Field(max_length=80)
    model: str = Field(
        "checked", max_length=80, description="Its name on the board, for a check of its row."
    )
    url: str = Field(max_length=2000)
    served_model: str = Field(max_length=200)
    api: Literal["completions", "chat"] = "chat"
    provider: str = Field("", max_length=40)
    protocol: str = Field("", max_length=80)
    api_key: str = Field(
        "", max_length=4000, description="Sealed to an evaluator on receipt; erased at the end."
    )
    price_in: float | None = Field(None, description="Of a million tokens of prompts.")
    price_out: float | None = Field(None, description="Of a million tokens of answers.")
    organisation: str = Field("", max_length=80, description="As of a submission.")


class ProbedOut(Schema):
    """Public item and its answer; ``code`` is the reason for none."""

    index: int
    prompt: str
    answer: str | None
    cut: bool | None
    extracted: str | None
    outcome: str | None
    seconds: float | None
    tokens_in: int | None
    tokens_out: int | None
    code: str


class EstimateOut(Schema):
    """Tokens and price of the whole run, from the probed items; null where they are not known."""

    items: int
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    prices: str = Field(description="author, list (LiteLLM's, in US dollars), or empty")


class ProbeOut(Schema):
    """Probe, and the next step where it has failed."""

    id: UUID
    state: Literal["waiting", "answered", "failed"]
    code: str
    message: str
    advice: str
    pair: str
    protocol: str
    items: list[ProbedOut]
    estimate: EstimateOut | None


class StartedOut(ProbeOut):
    """Probe that was begun, with the checks of the endpoint and the prospect of its run."""

    checks: list[CheckOut]
    refused: bool
    public_only: str = Field(
        description="Pair of the public-only run, where the endpoint is shown no sealed item."
    )
    waiting: int


@router.post(
    "/probes",
    auth=Bearer(Scope.SUBMIT),
    response={
        201: StartedOut,
        (400, 401, 403, 413, 422, 429, 503): Problem,
    },
    summary="Have an endpoint asked public items",
)
def start(request: HttpRequest, order: ProbeIn) -> Any:
    """Begin to ask. Nothing is submitted; the answers are read at the probe's own address."""
    user = token_user(request)
    throttle.charge_submission(user)
    ask = Ask(kind="endpoint", **order.model_dump())
    checked = actions.preflight_of_endpoint(ask, user=user)
    return Status(
        201,
        {
            **_probe(checked.probe),
            "checks": [check.to_dict() for check in checked.checks],
            "refused": checked.refused,
            "public_only": checked.public_only.slug if checked.public_only else "",
            "waiting": checked.prospect.position - 1,
        },
    )


@router.get(
    "/probes/{probe_id}",
    auth=Bearer(Scope.READ),
    response={200: ProbeOut, (401, 404): Problem},
    summary="Answers to public items",
)
def probe(request: HttpRequest, probe_id: UUID) -> dict[str, Any]:
    """Return a probe of one's organisation."""
    visible = Probe.objects.visible_to(token_user(request))
    found = visible.filter(pk=probe_id).first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    return _probe(found)


def _probe(probe: Probe) -> dict[str, Any]:
    result = actions.probe_result(probe)
    problem = explain_code(result.code) or {}
    estimate = result.estimate
    items = []
    for item in result.items:
        names = ("cut", "extracted", "seconds", "tokens_in", "tokens_out")
        facts = dict.fromkeys(("answer", "outcome", *names))
        answer = item.answer
        if answer:
            facts = {name: getattr(answer, name) for name in names}
            facts["answer"] = answer.text
            facts["outcome"] = answer.outcome.name.lower()
        facts["index"] = item.index
        facts["prompt"] = item.prompt
        facts["code"] = item.code or ""
        items.append(facts)
    return {
        "id": probe.pk,
        "state": result.state,
        "code": result.code,
        "message": problem.get("message", ""),
        "advice": problem.get("advice", ""),
        "pair": probe.pair.slug,
        "protocol": probe.protocol,
        "items": items,
        "estimate": vars(estimate) if estimate else None,
    }
