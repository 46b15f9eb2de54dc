"""Submitting a model, and looking at one's own submissions."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from evaluator.contract.hub import HubFacts, split_revision
from leaderboard.accounts import throttle
from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Run, Submission

router = Router(tags=["submissions"])


class SubmissionIn(Strict):
    """Model to be evaluated: weights on the hub, an upload, a checkpoint by the name that the
    evaluators know, or an endpoint.
    """

    pair: str = Field(max_length=80)
    model: str = Field(max_length=80)
    kind: Literal["checkpoint", "hub", "upload", "endpoint"]
    open_weights: bool = False
    parameters: int | None = None
    repo: str = Field("", max_length=300, description="On the hub, as organisation/name.")
    revision: str = Field(
        "",
        max_length=100,
        description="Branch, tag or commit, empty for main; resolved to a commit once.",
    )
    hub_token: str = Field(
        "",
        max_length=400,
        description="Access token to a gated repository, of the model, its base or its verifier;"
        " sealed to an evaluator on receipt, and erased at the end.",
    )
    upload: str = Field("", max_length=36, description="Id of a complete upload.")
    base: str = Field(
        "",
        max_length=300,
        description="Base model of an adapter: organisation/name@revision, or an upload's id; empty"
        " for the one that it names.",
    )
    checkpoint: str = Field("", max_length=80)
    url: str = Field("", max_length=2000)
    served_model: str = Field("", max_length=200)
    api: Literal["completions", "chat", ""] = Field(
        "", description="Kind of an endpoint's API; chat where it is empty."
    )
    api_key: str = Field(
        "", max_length=4000, description="Sealed to an evaluator on receipt; erased at the end."
    )
    provider: str = Field(
        "", max_length=40, description="Whose API it speaks; empty for one like OpenAI's own."
    )
    protocol: str = Field(
        "",
        max_length=80,
        description="One that the pair allows; empty for its own, which is ranked.",
    )
    max_tokens: int | None = Field(
        None, description="The most tokens, of prompts and answers, in all."
    )
    max_cost: float | None = Field(None, description="The most money; needs both prices.")
    price_in: float | None = Field(None, description="Of a million tokens of prompts.")
    price_out: float | None = Field(None, description="Of a million tokens of answers.")

    verifier: str = Field(
        "",
        max_length=300,
        description="Checkpoint on the evaluators, organisation/name on the hub, with or without"
        " @revision, or the id of an upload, that chooses among the model's candidates, where the"
        " protocol has a verifier.",
    )
    licence: str = Field("", max_length=80, description="As the author states it.")
    base_model: str = Field("", max_length=193)
    knowledge_cutoff: str = Field("", max_length=10, description="As YYYY-MM-DD.")
    trained_on_public: Literal["", "no", "yes"] = Field(
        "", description="Training on the benchmark's public set; with yes its row is marked."
    )

    embargo_until: str = Field(
        "",
        max_length=10,
        description="Day from which the board shows the result, as YYYY-MM-DD, at most 90 days"
        " ahead. For weights only.",
    )

    organisation: str = Field(
        "",
        max_length=80,
        description="Your organisation that submits, by name; empty for the one joined first.",
    )
    public_only: bool = Field(
        False,
        description="Ask public items only: submit to the practice pair that asks the benchmark's"
        " public set.",
    )

    def ask(self) -> Ask:
        """Return it as a request. Raises ``no_public_run``."""
        fields = self.model_dump(exclude={"public_only"})
        fields["repo"], fields["revision"] = split_revision(self.repo, self.revision)
        ask = Ask(**fields)
        return actions.public_only(ask) if self.public_only else ask


class PreflightIn(Strict):
    """Model on the hub, or upload, that might be submitted to a pair."""

    pair: str = Field(max_length=80)
    model: str = Field(
        "checked", max_length=80, description="Its name on the board, for a check of its row."
    )
    repo: str = Field("", max_length=300)
    revision: str = Field("", max_length=100)
    hub_token: str = Field("", max_length=400, description="As of a submission; it is not stored.")
    upload: str = Field("", max_length=36, description="Id of a complete upload, instead of repo.")
    base: str = Field("", max_length=300, description="As of a submission.")
    verifier: str = Field("", max_length=300, description="As of a submission.")
    protocol: str = Field("", max_length=80)
    organisation: str = Field("", max_length=80, description="As of a submission.")


class AdapterOut(Schema):
    """Adapter, and the base model at a commit that it is merged into."""

    rank: int
    modules: int = Field(description="Matrices of the base model that it changes.")
    base: str = Field(description="Repository of the base, empty for an upload.")
    base_commit: str
    base_page: str


class VerifierOut(Schema):
    """Second model of a system, on the hub at a commit or an upload."""

    repo: str = ""
    commit: str = ""
    upload: str = ""
    architecture: str
    parameters: int
    gpu_memory: int = Field(description="Bytes of GPU memory that it takes, about.")


class CheckOut(Schema):
    """Check of the model. ``level`` is ok, warning or refusal; nothing refused is queued."""

    subject: str
    level: Literal["ok", "warning", "refusal"]
    sentence: str
    code: str = Field(description="Reason of a refusal or a warning, else empty.")
    advice: str = Field(description="The next step.")


class PromptOut(Schema):
    """First public item as the model is sent it, with the special tokens around a text."""

    prompt: str
    tokens: int | None
    before: list[str]
    after: list[str]


class PreflightOut(Schema):
    """Facts of the model at a commit, its checks, and what its evaluation takes."""

    repo: str = ""
    commit: str = ""
    upload: str = ""
    page: str = ""
    architecture: str
    parameters: int
    types: list[str] = Field(description="Types of the tensors, the largest share first.")
    quantisation: str
    context: int
    chat: bool = Field(description="There is a chat template.")
    licence: str
    files: int
    bytes: int = Field(description="Bytes that are fetched.")
    gpu_memory: int = Field(
        description="Bytes of GPU memory that it takes, about: of a system those of the larger"
        " part, since a worker without room for both loads them in turn."
    )
    engines: list[str]
    adapter: AdapterOut | None
    verifier: VerifierOut | None = Field(description="Null for a checkpoint, and for none.")
    refused: bool = Field(description="A check refuses it: no run would be queued.")
    checks: list[CheckOut]
    waiting: int = Field(description="Runs that wait for an evaluator.")
    expected_start: datetime | None = Field(description="Of a run that is submitted now.")
    expected_end: datetime | None
    prompt: PromptOut | None = Field(description="Null where it cannot be rendered.")


class SubmissionOut(Schema):
    """Submission and its run."""

    id: int
    run: UUID
    state: str
    pair: str
    model: str
    repo: str
    commit: str = Field(description="Commit that is evaluated, of a model on the hub.")
    created: datetime


@router.post(
    "/submissions",
    auth=Bearer(Scope.SUBMIT),
    response={
        201: SubmissionOut,
        (400, 401, 403, 409, 413, 422, 429, 503): Problem,
    },
    summary="Submit a model",
)
def submit(request: HttpRequest, order: SubmissionIn) -> Any:
    """Submit with the header Idempotency-Key: the same key returns the same submission."""
    key = request.headers.get("Idempotency-Key", "")
    ask = order.ask()
    submission = actions.submit(user=token_user(request), key=key, ask=ask)
    return Status(201, _submission(submission))


@router.post(
    "/preflight",
    auth=Bearer(Scope.SUBMIT),
    response={
        200: PreflightOut,
        (400, 401, 403, 413, 422, 429, 503): Problem,
    },
    summary="Check a model on the hub",
)
def preflight(request: HttpRequest, order: PreflightIn) -> dict[str, Any]:
    """Look at headers and configuration, as a submission would. Nothing is stored."""
    repo, revision = split_revision(order.repo, order.revision)
    ask = Ask(
        pair=order.pair,
        model=order.model,
        kind="upload" if order.upload else "hub",
        repo=repo,
        revision=revision,
        hub_token=order.hub_token,
        upload=order.upload,
        base=order.base,
        verifier=order.verifier,
        protocol=order.protocol,
        organisation=order.organisation,
    )
    throttle.charge_submission(token_user(request))
    checked = actions.preflight_of(ask, user=token_user(request))
    facts = checked.facts
    adapter = None
    if facts.adapter is not None:
        base = facts.adapter.base
        adapter = {
            "rank": facts.adapter.rank,
            "modules": facts.adapter.modules,
            "base": base.repo if base else "",
            "base_commit": base.commit if base else "",
            "base_page": base.page if base else "",
        }
    verifier = None
    if checked.verifier is not None:
        verifier = checked.verifier.to_dict() | {"gpu_memory": checked.verifier_need}
    return {
        **facts.to_dict(),
        "page": facts.page if isinstance(facts, HubFacts) else "",
        "adapter": adapter,
        "verifier": verifier,
        "files": len(facts.files),
        "bytes": facts.model.size,
        "gpu_memory": checked.need,
        "engines": checked.engines,
        "refused": checked.refused,
        "checks": [check.to_dict() for check in checked.checks],
        "waiting": checked.prospect.position - 1,
        "expected_start": checked.prospect.start,
        "expected_end": checked.prospect.end,
        "prompt": checked.prompt.to_dict() if checked.prompt else None,
    }


class OwnRunsQuery(Schema):
    """Part of the list."""

    limit: int = Field(50, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=1_000_000)


class NextOut(Schema):
    """Next step: ``act`` is ``wait``, ``continue``, ``submit`` (again), ``maintainers`` (they
    have to act), ``read`` (the result) or ``none``."""

    act: str
    sentence: str


class OwnRunOut(Schema):
    """Run of one's own: ``code`` is that of a failure, ``fault`` whose it was."""

    run: UUID
    model: str
    pair: str
    state: str
    percent: int
    code: str
    fault: str
    queued_at: datetime
    ended_at: datetime | None
    next: NextOut


@router.get(
    "/mine",
    auth=Bearer(Scope.READ),
    response={200: list[OwnRunOut], 401: Problem},
    summary="Your runs, newest first, and what comes next",
)
def own_runs(request: HttpRequest, query: Query[OwnRunsQuery]) -> list[dict[str, Any]]:
    """List the runs that the token's holder submitted, as the page of one's submissions does."""
    by = token_user(request)
    own = Run.objects.of_authors().filter(submission__submitted_by=by).with_facts()
    newest_first = own.order_by("-queued_at", "pk")
    page = list(newest_first[query.offset : query.offset + query.limit])
    closes = actions.next_closes()
    forecasts = actions.foresee_of(page)
    return [
        {
            "run": run.pk,
            "model": run.submission.model.name,
            "pair": run.submission.pair.slug,
            "state": run.state,
            "percent": run.percent,
            "code": run.code,
            "fault": run.fault,
            "queued_at": run.queued_at,
            "ended_at": run.ended_at,
            "next": actions.next_step(run, closes, forecasts),
        }
        for run in page
    ]


@router.get(
    "/submissions/{submission_id}",
    auth=Bearer(Scope.READ),
    response={200: SubmissionOut, (401, 404): Problem},
    summary="One of your submissions",
)
def submission(request: HttpRequest, submission_id: int) -> dict[str, Any]:
    """Return a submission to its submitter; 404 to everybody else."""
    own = Submission.objects.filter(submitted_by=token_user(request), pk=submission_id)
    submission = own.select_related("pair", "model").first()
    if submission is None:
        raise refuse(Refusal.NOT_FOUND)
    return _submission(submission)


def _submission(submission: Submission) -> dict[str, Any]:
    run = submission.runs.get()
    return {
        "id": submission.pk,
        "run": run.pk,
        "state": run.state,
        "pair": submission.pair.slug,
        "model": submission.model.name,
        "repo": submission.repo,
        "commit": submission.commit,
        "created": submission.created,
    }
