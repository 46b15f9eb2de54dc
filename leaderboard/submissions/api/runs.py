"""Runs: the public list of all, and one run with its counts."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from evaluator.contract.hub import HubFacts
from evaluator.contract.uploads import UploadFacts
from leaderboard.accounts.api import Problem, viewer
from leaderboard.benchmarks.models import ItemSet
from leaderboard.errors import Refusal, explain_code, refuse
from leaderboard.ledger.models import Entry
from leaderboard.submissions import actions
from leaderboard.submissions.api.replies import ReplyOut
from leaderboard.submissions.ladder import EXACT_TIERS
from leaderboard.submissions.models import (
    COUNTS,
    PublicCounts,
    Run,
    compare_graders,
    plan_facts,
    run_counts,
    shown_from,
)
from leaderboard.submissions.states import LIVE, RunState

MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
_OF_COUNTS = (
    "set",
    "sealed",
    "n",
    "right",
    "wrong",
    "no_answer",
    "truncated",
    "step",
    "within",
    "reasons",
    "votes",
    "candidates",
)
_OF_LIKELIHOOD = ("definition", "n", "per_character", "standard_error")

router = Router(tags=["submissions"])


class RunsQuery(Schema):
    """Choice of runs; empty values filter nothing.

    ``after`` is the ``id`` of the last run of the previous page.
    """

    pair: str = Field("", max_length=80)
    after: UUID | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class LikelihoodOut(Schema):
    """Mean log-likelihood per character over the texts of ``n`` items, in nats, with its standard
    error. ``definition`` names the text of an item that is read."""

    definition: str
    n: int
    per_character: float
    standard_error: float | None


class PassAtOut(Schema):
    """pass@k: the share of items of which one of ``k`` answers is right, unbiased.

    The answers to an item are a cluster in its standard error.
    """

    k: int
    value: float
    standard_error: float


class CountsOut(Schema):
    """Outcomes of a run on one set, over its ``n`` assigned items. ``likelihood`` is of weights.

    Where the score is the mean over ``samples`` answers to each item, ``samples_right`` of all are
    right, and the counts are of the majority answers. The score of a self-declared endpoint on a
    sealed set is published in steps, without ``votes``.
    """

    set: str
    sealed: bool
    n: int
    right: int
    wrong: int
    no_answer: int
    truncated: int
    step: int = Field(description="Items between the steps of this score; 0 if it is exact.")
    within: int = Field(description="Items that the exact score may differ by; 0 if it is exact.")
    reasons: dict[str, int] | None = Field(
        description="Why an endpoint gave no answer, where it gave none."
    )
    votes: dict[str, Any] | None = Field(
        description="Aggregates over several samples of each item, if there were."
    )
    candidates: dict[str, Any] | None = Field(
        description="Of a system: accuracy by the number of candidates, and calibration."
    )
    likelihood: LikelihoodOut | None
    samples: int = 1
    samples_right: int | None = None
    pass_at: list[PassAtOut] = Field(
        default_factory=list, description="pass@k, where the score is a mean over samples."
    )


class GraderOut(Schema):
    """Counts of one grader on one set. ``known`` of the ``n`` answers are stored.

    The counts are null unless all are, and for a self-declared endpoint's answers to a sealed set.
    """

    grader: str
    set: str
    n: int
    known: int
    right: int | None
    wrong: int | None
    no_answer: int | None
    truncated: int | None


class RetractionOut(Schema):
    """Retraction of a run: its reason, by code and in words, and its moment."""

    reason: str
    message: str
    moment: datetime


class SourceOut(Schema):
    """Repository on the hub that a model was fetched from. ``revision`` led to ``commit`` once."""

    repo: str
    revision: str
    commit: str
    page: str


class BaseOut(Schema):
    """Base model that an adapter was merged into: a repository at a commit, or an upload."""

    repo: str
    commit: str
    page: str
    upload: str = Field(description="Id of the upload that it is, empty for a repository.")


class RunVerifierOut(Schema):
    """Verifier of a system: a repository at a commit, an upload, or a checkpoint of the evaluators.

    ``artefact`` is the digest of its files, empty until the run is graded. ``parameters`` of a
    checkpoint are null until then.
    """

    name: str = Field(description="As it was submitted: a checkpoint, repo@commit, or an upload.")
    repo: str
    commit: str
    page: str
    upload: str = Field(description="Id of the upload that it is, else empty.")
    parameters: int | None
    artefact: str


class StatementsOut(Schema):
    """Statements of a model's author, which the site does not check; empty where there is none."""

    licence: str
    base_model: str
    knowledge_cutoff: date | None
    trained_on_public: str = Field(description="yes, no, or empty where it is not stated.")


class WaitingOut(Schema):
    """Reason why a queued run has not begun, and its place in the queue of its pool: the order in
    which runs begin. ``until`` is when a run that is held up fails, if that lasts."""

    position: int
    reason: str
    until: datetime | None = None


class ExpectedOut(Schema):
    """Expected moments of a run under way, judged by how long the last ``runs`` runs of its pool
    took. ``start`` is null once it has begun."""

    start: datetime | None
    end: datetime
    runs: int


class SameWeightsOut(Schema):
    """Earlier run of the same weights on the same benchmark."""

    run: UUID
    model: str
    organisation: str


class AdaptiveOut(Schema):
    """Plan of an adaptive run, and the sealed items that it has granted so far, by look.

    ``digest`` is the SHA-256 of ``holdfast/plan/v1``, a line end, and the canonical JSON of the
    ``plan``.
    """

    digest: str
    plan: dict[str, Any]
    look: int
    asked: int


class PartOut(Schema):
    """Model of a system. ``tokens`` are those that it read and wrote, over all attempts, and
    ``seconds`` those for which the last attempt served it."""

    role: str
    name: str = Field(description="As it was submitted: a checkpoint or a repository.")
    artefact: str
    weights: str
    parameters: int
    engine: str
    tokens_in: int
    tokens_out: int
    seconds: float


class PracticeOut(Schema):
    """Result of a practice run: its scores, their gap and its 95% interval, as fractions."""

    first: float = Field(description="Score on the pair's first set.")
    second: float = Field(description="Score on the pair's second set.")
    gap: float
    low: float
    high: float


class RunOut(Schema):
    """Run with its progress and counts.

    - ``done`` moves in steps of a tenth of ``total``.
    - ``sets`` is empty until the run is graded, and lacks the sealed set until its cohort is
      closed.
    - ``source`` is where weights on the hub came from, null for others.
    - ``base`` is the base model of an adapter, which ``source`` is then.
    - ``verifier`` is the second model of a system, null for a single model.
    - ``parts`` are the models of a system, empty for a single model.
    - ``tokens_per_item`` is the mean over the public items of the tokens that all parts read and
      wrote for all samples; null where they are not known.
    - ``artefact`` is the digest of the weights, of a system that of its parts' digests; ``record``
      holds all else that moves a score.
    - ``held_up`` is the reason that keeps a queued run from beginning; null where it only waits for
      its turn.
    - ``expected`` is null while it is held up, and until runs of its pool were measured.
    - ``likelihood_failed`` is the reason why the likelihoods of weights could not be read.
    - A run of weights that had a run already ends with the code ``same_weights`` in ``failure`` and
      without a fault; ``same_as`` is the earlier run once it is public.
    - ``adaptive`` is there for a run that is asked a part of the sealed items by a plan.
    - ``written_percent`` is the share of its candidates that the generator of a system has written.
    - A run with a ``retraction`` has no rank and counts for no release.
    - ``ends_by`` is when the attempt under way ends at the latest, an endpoint that it waits for
      included.
    - ``embargo_until`` is when the board shows the result of a run under embargo.
    - ``reply`` is that of its model's organisation.
    - ``practice`` is true for a run that is never ranked; ``practised`` is its result.
    """

    id: UUID
    state: str
    final: bool
    phase: str
    done: int
    total: int
    percent: int
    written_percent: int | None
    attempts: int
    continued: int
    pair: str
    model: str
    protocol: str
    source: SourceOut | None
    base: BaseOut | None
    verifier: RunVerifierOut | None
    statements: StatementsOut | None
    artefact: str
    parts: list[PartOut]
    tokens_per_item: float | None
    record: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    ends_by: datetime | None
    held_up: Problem | None
    failure: Problem | None
    fault: str
    waiting: WaitingOut | None
    expected: ExpectedOut | None
    likelihood_failed: Problem | None
    retraction: RetractionOut | None
    same_as: SameWeightsOut | None
    sets: list[CountsOut]
    graders: list[GraderOut]
    adaptive: AdaptiveOut | None
    reply: ReplyOut | None
    embargo_until: datetime | None
    practice: bool
    practised: PracticeOut | None


def _origin(facts: HubFacts | UploadFacts | None) -> dict[str, str]:
    """Return where a model came from; empty texts for a checkpoint of the evaluators."""
    origin = {"repo": "", "commit": "", "page": "", "upload": ""}
    if isinstance(facts, UploadFacts):
        origin["upload"] = facts.upload
    elif facts is not None:
        origin["repo"] = facts.repo
        origin["commit"] = facts.commit
        origin["page"] = facts.page
    return origin


def _verifier(run: Run) -> dict[str, Any] | None:
    """Return where the verifier came from, and what the run reported of it."""
    submission = run.submission
    if not submission.verifier:
        return None
    facts = submission.verifier_facts
    parameters = facts.parameters if facts else None
    artefact = ""
    for part in run.parts if run.is_graded else ():
        if part["role"] == "verifier":
            parameters = part["parameters"]
            artefact = part["artefact"]
    return {
        "name": submission.verifier,
        **_origin(facts),
        "parameters": parameters,
        "artefact": artefact,
    }


@router.get("/runs", auth=None, summary="Every run and its state")
def runs(request: HttpRequest, query: Query[RunsQuery]) -> dict[str, Any]:
    """Return the runs in order of their ids, without practice. Of an unranked run only id, pair,
    state and tier are public.

    ``tallies`` open the commitments of its closings: ``line`` is the closing's hash, and its
    ``tally`` the SHA-256 of ``holdfast/tally/v1``, a line end, and the canonical JSON of all other
    fields. Closings of self-declared endpoints stay closed: their scores are published in steps.

    ``plan`` is there for an adaptive run, from its submission on: the plan and its digest, which
    grants and exposures name.
    """
    chosen = Run.objects.official().select_related(
        "submission__model",
        "submission__pair",
        "submission__embargo__because_of",
        "evaluator",
        "plan",
    )
    if query.pair:
        chosen = chosen.filter(submission__pair__slug=query.pair)
    if query.after is not None:
        chosen = chosen.filter(pk__gt=query.after)
    page = list(chosen.order_by("pk")[: query.limit])
    sealed_sets = ItemSet.objects.filter(sealed=True)
    least = {item_set.name: item_set.cell for item_set in sealed_sets}
    ranked = [run for run in page if run.state == RunState.RANKED]
    exact = [run.pk for run in ranked if run.tier in EXACT_TIERS]
    counts = Entry.objects.opened(exact, least=least)
    rows = []
    for run in page:
        facts = public_facts(run)
        facts["tallies"] = counts.get(run.pk, [])
        rows.append(facts)
    return {"runs": rows}


def public_facts(run: Run) -> dict[str, Any]:
    """Return the facts of a run that are published: all of a ranked one, few of any other.

    Of one under embargo also when it was queued, and when its result is shown.
    """
    facts: dict[str, Any] = {
        "id": str(run.pk),
        "pair": run.submission.pair.slug,
        "state": run.state,
        "tier": run.tier,
        "model": None,
        "evaluator": None,
        "retracted": False,
        "post_release": False,
        "queued_at": None,
        "ended_at": None,
    }
    plan = getattr(run, "plan", None)
    if plan:
        facts["plan"] = {"digest": plan.digest, "plan": plan.body}
    if end := shown_from(run):
        queued = run.queued_at.strftime(MOMENT)
        facts |= {"queued_at": queued, "embargo_until": end.strftime(MOMENT)}
    if run.state == RunState.RANKED:
        facts |= {
            "model": run.submission.model.name,
            "evaluator": run.evaluator.name if run.evaluator else None,
            "retracted": run.retracted,
            "post_release": run.post_release,
            "queued_at": run.queued_at.strftime(MOMENT),
            "ended_at": run.ended_at.strftime(MOMENT) if run.ended_at else None,
        }
    return facts


@router.get(
    "/runs/{uuid:run_id}",
    auth=None,
    response={200: RunOut, 404: Problem},
    summary="State of a run",
)
def run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Return a run. Ranked ones are public; any other is its submitter's, by token or session."""
    visible = Run.objects.visible_to(viewer(request)).with_facts()
    run = visible.filter(pk=run_id).first()
    if run is None:
        raise refuse(Refusal.NOT_FOUND)
    return run_facts(run)


def run_facts(run: Run) -> dict[str, Any]:
    """Return the body of :class:`RunOut`."""
    forecast = actions.foresee(run.pool) if run.state == RunState.QUEUED else None
    place = actions.queue_place(run, forecast)
    held_up = bool(place and place.held_up_by)
    base = run.submission.base_facts
    retraction = None
    if run.retracted:
        retraction = {
            "reason": run.retracted_why,
            "message": run.get_retracted_why_display(),
            "moment": run.retracted_at,
        }
    return {
        "id": run.pk,
        "state": run.state,
        "final": run.is_final,
        "phase": run.phase,
        "done": run.total * run.percent // 100,
        "total": run.total,
        "percent": run.percent,
        "written_percent": run.written_percent,
        "attempts": run.attempts,
        "continued": run.continued,
        "pair": run.submission.pair.slug,
        "model": run.submission.model.name,
        "protocol": run.submission.asked_by,
        "source": run.submission.hub_facts,
        "base": _origin(base) if base else None,
        "verifier": _verifier(run),
        "statements": getattr(run.submission, "statements", None),
        "artefact": run.artefact,
        "parts": run.named_parts() if run.is_graded else [],
        "tokens_per_item": run.tokens_per_item if run.is_graded else None,
        "record": run.record if run.is_graded else None,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "ends_by": run.deadline if run.state in LIVE else None,
        "held_up": explain_code(place.held_up_by) if place else None,
        "failure": explain_code(run.ended_because),
        "fault": run.fault,
        "waiting": place,
        "expected": actions.expected(run, held_up=held_up, forecast=forecast),
        "likelihood_failed": explain_code(run.likelihood_failed),
        "retraction": retraction,
        "same_as": _same_as(run),
        "sets": [_counts(counts) for counts in run_counts(run)],
        "graders": _graders(run),
        "adaptive": plan_facts(run),
        "embargo_until": shown_from(run),
        "reply": run.reply.published() if hasattr(run, "reply") else None,
        "practice": run.submission.pair.practice,
        "practised": getattr(run, "practice_result", None),
    }


def _same_as(run: Run) -> dict[str, Any] | None:
    """Return the earlier run of the same weights where it is public; an unranked one is not."""
    first = run.same_as
    if first is None or first.state != RunState.RANKED:
        return None
    model = first.submission.model
    return {
        "run": first.pk,
        "model": model.name,
        "organisation": model.organisation.name,
    }


def _counts(counts: PublicCounts) -> dict[str, Any]:
    body = {name: getattr(counts, name) for name in _OF_COUNTS}
    if counts.mean:
        body["samples"] = counts.mean.samples
        body["samples_right"] = counts.mean.right
        body["pass_at"] = []
        for tries in counts.mean.pass_at:
            pass_at = {"k": tries.k, "value": tries.value, "standard_error": tries.error}
            body["pass_at"].append(pass_at)
    body["likelihood"] = None
    if counts.likelihood:
        body["likelihood"] = {name: getattr(counts.likelihood, name) for name in _OF_LIKELIHOOD}
    return body


def _graders(run: Run) -> list[dict[str, Any]]:
    """Return the counts of all graders of a ranked run; none of any other."""
    if run.state != RunState.RANKED:
        return []
    comparisons = compare_graders([run], headline=run.submission.pair.grader)
    rows = []
    for comparison in comparisons[run.pk]:
        row = {
            "grader": comparison.grader,
            "set": comparison.set,
            "n": comparison.n,
            "known": comparison.known,
        }
        for name in COUNTS:
            # A comparison whose answers are not all stored has no counts.
            row[name] = getattr(comparison.counts, name, None)
        rows.append(row)
    return rows
