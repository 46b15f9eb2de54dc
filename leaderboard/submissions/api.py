"""Submitting and following runs as JSON, mounted at ``/api/v1``."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from evaluator.contract import SetLikelihood
from leaderboard.accounts.api import Bearer, Problem, Strict, viewer
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import ItemSet
from leaderboard.errors import Refusal, explain_code, refuse
from leaderboard.ledger.models import Entry
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import (
    COUNTS,
    PublicCounts,
    Rescoring,
    Run,
    Submission,
    compare_graders,
    run_counts,
)
from leaderboard.submissions.states import RunState

MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

router = Router(tags=["submissions"])


class SubmissionIn(Strict):
    """A model to be evaluated: a checkpoint that the evaluators know by name, or an endpoint."""

    pair: str = Field(max_length=80)
    model: str = Field(max_length=80)
    kind: Literal["checkpoint", "endpoint"]
    open_weights: bool = False
    parameters: int | None = None
    checkpoint: str = Field("", max_length=80)
    url: str = Field("", max_length=2000)
    served_model: str = Field("", max_length=200)
    api: Literal["completions", "chat", ""] = ""
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


class SubmissionOut(Schema):
    """A submission and the run it asked for."""

    id: int
    run: UUID
    state: str
    pair: str
    model: str
    created: datetime


class RunsQuery(Schema):
    """Choice of runs. ``after`` is the ``id`` of the last one already seen; empty values filter
    nothing."""

    pair: str = Field("", max_length=80)
    after: UUID | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class LikelihoodOut(Schema):
    """The mean log-likelihood per character over the texts of ``n`` items, in nats, and its
    standard error.

    ``definition`` says what text of an item is read.
    """

    definition: str
    n: int
    per_character: float
    standard_error: float | None


class CountsOut(Schema):
    """The outcomes of a run on one set; ``n`` is every assigned item. Of endpoints there is no
    ``likelihood``."""

    set: str
    sealed: bool
    n: int
    right: int
    wrong: int
    no_answer: int
    truncated: int
    reasons: dict[str, int] | None = Field(
        description="Why an endpoint gave no answer, where it gave none."
    )
    votes: dict[str, Any] | None = Field(
        description="Aggregates over several samples of each item, if there were."
    )
    likelihood: LikelihoodOut | None


class GraderOut(Schema):
    """Counts of one grader on one set. ``known`` of the ``n`` answers are kept;
    the counts are null unless all are, and of a self-declared endpoint's answers to a sealed set.
    """

    grader: str
    set: str
    n: int
    known: int
    right: int | None
    wrong: int | None
    no_answer: int | None
    truncated: int | None


class ContinueIn(Strict):
    """A new API key, if the one before was refused or has been erased."""

    api_key: str = Field(
        "", max_length=4000, description="Sealed to an evaluator on receipt; erased at the end."
    )


class GradeAgain(Strict):
    """The id of a published grader."""

    grader: str = Field(max_length=80)


class Withdrawal(Strict):
    """Reason for a withdrawal: one of the reasons that its page lists."""

    reason: str = Field(max_length=20)


class WithdrawnOut(Schema):
    """A pair that was withdrawn."""

    pair: str
    state: str
    reason: str
    moment: datetime


class RetractionIn(Strict):
    """The reason for which a run is retracted: one of those that ``manage.py retract_run`` lists."""

    reason: str = Field(max_length=20)


class RetractionOut(Schema):
    """The retraction of a run: its reason, by code and in words, and its moment."""

    reason: str
    message: str
    moment: datetime


class RescoringOut(Schema):
    """An order to grade a run again: ``asked``, ``done`` or ``failed``. ``changed`` counts each
    kind of difference, once the run's cohort is closed."""

    id: int
    run: UUID
    grader: str
    state: str
    asked_at: datetime
    ended_at: datetime | None
    failure: Problem | None
    changed: dict[str, dict[str, int]]


class WaitingOut(Schema):
    """Reason why a queued run has not begun, and its place in the queue of its pool."""

    position: int
    reason: str


class PoolOut(Schema):
    """One pool of evaluators, and the runs that wait for it."""

    name: str
    sentence: str
    registered: int
    in_service: int
    waiting: int
    running: int
    oldest: datetime | None


class FindingOut(Schema):
    """One thing that a maintainer should know; a ``problem`` keeps runs from ending."""

    code: str
    sentence: str
    advice: str
    problem: bool


class StatusOut(Schema):
    """Status of the site. ``beat`` is when its housekeeping last ran; ``findings`` are shown to
    maintainers only."""

    ok: bool
    beat: datetime | None
    pools: list[PoolOut]
    findings: list[FindingOut] | None = None


class RunOut(Schema):
    """A run. ``done`` moves in steps of a tenth of ``total``; ``sets`` is empty until the run is
    graded, and lacks the sealed set until its cohort is closed.

    ``record`` holds everything that moves a score beside the weights, whose digest is ``artefact``.
    ``held_up`` says what keeps a queued run from beginning, and is null where it only waits for its
    turn. ``likelihood_failed`` says why weights that were asked could not be read for their
    likelihoods. A run with a ``retraction`` has no rank and counts for no release.
    """

    id: UUID
    state: str
    final: bool
    phase: str
    done: int
    total: int
    percent: int
    attempts: int
    continued: int
    pair: str
    model: str
    protocol: str
    artefact: str
    record: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    held_up: Problem | None
    failure: Problem | None
    fault: str
    waiting: WaitingOut | None
    likelihood_failed: Problem | None
    retraction: RetractionOut | None
    sets: list[CountsOut]
    graders: list[GraderOut]


@router.post(
    "/submissions",
    auth=Bearer(),
    response={201: SubmissionOut, (400, 401, 403, 409, 413, 422, 429, 503): Problem},
    summary="Submit a model",
)
def submit(request: HttpRequest, order: SubmissionIn) -> Any:
    """Needs the header Idempotency-Key: the same key again answers with the same submission."""
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    key = request.headers.get("Idempotency-Key", "")
    return Status(
        201, _submission(actions.submit(user=user, key=key, ask=Ask(**order.model_dump())))
    )


@router.get(
    "/submissions/{submission_id}",
    auth=Bearer(),
    response={200: SubmissionOut, (401, 404): Problem},
    summary="One of your submissions",
)
def submission(request: HttpRequest, submission_id: int) -> dict[str, Any]:
    """Only the submitter sees it; to all others it does not exist."""
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    found = (
        Submission.objects.filter(submitted_by=user, pk=submission_id)
        .select_related("pair", "model")
        .first()
    )
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    return _submission(found)


@router.get("/runs", auth=None, summary="Every run, and what became of it")
def runs(request: HttpRequest, query: Query[RunsQuery]) -> dict[str, Any]:
    """In order of their ids. A run that is not ranked tells its id, pair, state and tier, and
    nothing else.

    ``tallies`` open the commitments of its closings: ``line`` is the closing's hash, and its
    ``tally`` the SHA-256 of ``holdfast/tally/v1``, a line end, and the canonical JSON of all other
    fields.
    """
    found = Run.objects.select_related(
        "submission__model", "submission__pair", "evaluator"
    ).order_by("pk")
    if query.pair:
        found = found.filter(submission__pair__slug=query.pair)
    if query.after is not None:
        found = found.filter(pk__gt=query.after)
    shown = list(found[: query.limit])
    least = {one.name: one.cell for one in ItemSet.objects.filter(sealed=True)}
    ranked = [one.pk for one in shown if one.state == RunState.RANKED]
    opened = Entry.objects.opened(ranked, least=least)
    return {"runs": [_listed(one) | {"tallies": opened.get(one.pk, [])} for one in shown]}


@router.get("/status", auth=None, response={200: StatusOut}, summary="Status of the evaluators")
def status(request: HttpRequest) -> dict[str, Any]:
    """Return the state of the pools. Maintainers, by token or session, are shown every finding."""
    found = actions.status()
    user = viewer(request)
    staff = user is not None and user.is_staff
    return actions.public_facts(found) | {"findings": found.findings if staff else None}


@router.get(
    "/runs/{uuid:run_id}",
    auth=None,
    response={200: RunOut, 404: Problem},
    summary="How a run stands",
)
def run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Ranked runs are public; any other is its submitter's, by token or session."""
    found = Run.objects.visible_to(viewer(request)).with_facts().filter(pk=run_id).first()
    if found is None:
        raise refuse(Refusal.NOT_FOUND)
    return _run(found)


@router.post(
    "/runs/{uuid:run_id}/continue",
    auth=Bearer(),
    response={200: RunOut, (400, 401, 404, 409, 422, 429, 503): Problem},
    summary="Continue a failed run",
)
def continue_run(request: HttpRequest, run_id: UUID, order: ContinueIn) -> dict[str, Any]:
    """For its author. The items left are asked; no answered item is asked again."""
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    return _run(actions.continue_run(run=run_id, by=user, api_key=order.api_key))


@router.post(
    "/runs/{uuid:run_id}/cancel",
    auth=Bearer(),
    response={200: RunOut, (401, 404, 409): Problem},
    summary="Cancel a run",
)
def cancel(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """For its submitter and maintainers. The evaluator stops before its next batch. 409 once the
    run has ended."""
    return _act(request, run_id, actions.cancel)


@router.post(
    "/runs/{uuid:run_id}/requeue",
    auth=Bearer(),
    response={200: RunOut, (401, 403, 404, 409, 429): Problem},
    summary="Queue a failed run again",
)
def requeue(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """For maintainers. Outcomes are kept, only the items that are left are asked. 409 unless the
    run has failed."""
    return _act(request, run_id, actions.requeue, maintainers_only=True)


@router.post(
    "/runs/{uuid:run_id}/rescorings",
    auth=Bearer(),
    response={201: RescoringOut, (401, 403, 404, 409, 422): Problem},
    summary="Have a run graded again",
)
def grade_again(request: HttpRequest, run_id: UUID, order: GradeAgain) -> Any:
    """For maintainers. The evaluator that keeps the answers is asked, no model. The same order
    twice is one."""
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    return Status(201, _rescoring(actions.ask_again(run=run_id, grader=order.grader, by=user)))


@router.post(
    "/runs/{uuid:run_id}/retraction",
    auth=Bearer(),
    response={201: RunOut, (401, 403, 404, 422): Problem},
    summary="Retract a run",
)
def retract_run(request: HttpRequest, run_id: UUID, order: RetractionIn) -> Any:
    """For maintainers, in public and for good. A run that was retracted before keeps its reason."""
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    run = actions.retract_run(run=run_id, reason=order.reason, by=user)
    return Status(201, _run(Run.objects.with_facts().get(pk=run.pk)))


@router.get(
    "/runs/{uuid:run_id}/rescorings",
    auth=None,
    response={200: list[RescoringOut], 404: Problem},
    summary="How a run was graded again",
)
def rescorings(request: HttpRequest, run_id: UUID) -> list[dict[str, Any]]:
    """For maintainers, by token or session; to others it does not exist. Newest first."""
    user = viewer(request)
    if user is None or not user.is_staff:
        raise refuse(Refusal.NOT_FOUND)
    return [
        _rescoring(one)
        for one in Rescoring.objects.filter(run=run_id).select_related("run").order_by("-pk")
    ]


def _act(
    request: HttpRequest,
    run_id: UUID,
    action: Callable[..., Run],
    *,
    maintainers_only: bool = False,
) -> dict[str, Any]:
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    if not Run.objects.owned_by(user).filter(pk=run_id).exists():
        raise refuse(Refusal.NOT_FOUND)
    if maintainers_only and not user.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    action(run=run_id)
    return _run(Run.objects.with_facts().get(pk=run_id))


@router.post(
    "/sets/{slug}/withdrawal",
    auth=Bearer(),
    response={201: WithdrawnOut, (401, 403, 409, 422): Problem},
    summary="Withdraw a pair",
)
def withdraw_pair(request: HttpRequest, slug: str, order: Withdrawal) -> Any:
    """For maintainers, and for ever. Refused once a run on it has a result; its waiting runs are
    cancelled."""
    user = cast("User", request.auth)  # type: ignore[attr-defined]
    pair = actions.withdraw_pair(slug=slug.replace("\0", ""), reason=order.reason, by=user)
    names = {"pair": pair.slug, "state": pair.published_state, "reason": pair.withdrawn_why}
    return Status(201, names | {"moment": pair.withdrawn_at})


def _listed(one: Run) -> dict[str, Any]:
    public = one.state == RunState.RANKED
    return {
        "id": str(one.pk),
        "pair": one.submission.pair.slug,
        "state": one.state,
        "tier": one.tier,
        "model": one.submission.model.name if public else None,
        "evaluator": one.evaluator.name if public and one.evaluator else None,
        "retracted": public and one.retracted,
        "post_release": public and one.post_release,
        "queued_at": one.queued_at.strftime(MOMENT) if public else None,
        "ended_at": one.ended_at.strftime(MOMENT) if public and one.ended_at else None,
    }


def _submission(one: Submission) -> dict[str, Any]:
    run = one.run
    return {
        "id": one.pk,
        "run": run.pk,
        "state": run.state,
        "pair": one.pair.slug,
        "model": one.model.name,
        "created": one.created,
    }


def _run(one: Run) -> dict[str, Any]:
    place = actions.queue_place(one)
    plain = (
        "id",
        "state",
        "phase",
        "total",
        "percent",
        "attempts",
        "continued",
        "queued_at",
        "started_at",
        "ended_at",
        "fault",
        "artefact",
    )
    return {name: getattr(one, name) for name in plain} | {
        "final": one.is_final,
        "done": one.total * one.percent // 100,
        "pair": one.submission.pair.slug,
        "model": one.submission.model.name,
        "protocol": one.submission.asked_by,
        "record": one.record if one.is_graded else None,
        "held_up": explain_code(place.held_up_by) if place else None,
        "waiting": place,
        "failure": explain_code(one.ended_because),
        "likelihood_failed": explain_code(one.likelihood_failed),
        "retraction": _retraction(one),
        "sets": [_counts(told) for told in run_counts(one)],
        "graders": _graders(one) if one.state == RunState.RANKED else [],
    }


def _retraction(run: Run) -> dict[str, Any] | None:
    if not run.retracted:
        return None
    message = run.get_retracted_why_display()
    return {"reason": run.retracted_why, "message": message, "moment": run.retracted_at}


def _graders(one: Run) -> list[dict[str, Any]]:
    found = compare_graders([one], headline=one.submission.pair.grader)[one.pk]
    names = ("grader", "set", "n", "known")
    return [
        {name: getattr(line, name) for name in names} | (line.counts or dict.fromkeys(COUNTS))
        for line in found
    ]


def _rescoring(one: Rescoring) -> dict[str, Any]:
    names = ("id", "grader", "state", "asked_at", "ended_at")
    published = one.run.state == RunState.RANKED
    problem = explain_code(one.code)
    return {name: getattr(one, name) for name in names} | {
        "run": one.run_id,
        "failure": problem,
        "changed": {changed.set: changed.counts for changed in one.changes() if published},
    }


def _counts(told: PublicCounts) -> dict[str, Any]:
    names = ("set", "sealed", "n", "right", "wrong", "no_answer", "truncated", "reasons", "votes")
    return {name: getattr(told, name) for name in names} | {
        "likelihood": _likelihood(told.likelihood)
    }


def _likelihood(read: SetLikelihood | None) -> dict[str, Any] | None:
    names = ("definition", "n", "per_character", "standard_error")
    return None if read is None else {name: getattr(read, name) for name in names}
