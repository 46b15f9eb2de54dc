"""Submitting a model, one's own submissions, and the page of a run."""

from collections.abc import Callable
from functools import partial
from typing import cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from evaluator.contract import Votes
from leaderboard.accounts.models import User
from leaderboard.accounts.views import carry_out, maintainers_only
from leaderboard.errors import SiteError, explain_code
from leaderboard.ledger.models import Evaluator, ListedEndpoint
from leaderboard.submissions import actions, charts
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.continuation import is_continuable
from leaderboard.submissions.forms import (
    CommitmentForm,
    ContinueForm,
    GraderForm,
    RetractionForm,
    SubmissionForm,
)
from leaderboard.submissions.models import Beside, Run, side_by_side, told_of
from leaderboard.submissions.states import RunState

PAGE_LENGTH = 50
WORDS = {
    RunState.QUEUED: ("Queued.", "It begins as soon as an evaluator is free."),
    RunState.LEASED: ("Starting.", "An evaluator has taken it and loads the model."),
    RunState.RUNNING: ("Running.", "The model is being asked."),
    RunState.GRADED: (
        "Graded.",
        "Every item has an outcome. What it came to on the sealed set is published, with all "
        "others of its cohort, when that is closed.",
    ),
    RunState.RANKED: ("Ranked.", "Every item has an outcome, and the board shows it."),
    RunState.FAILED: ("Failed.", "It has no score and is not ranked."),
    RunState.CANCELLED: ("Cancelled.", "It was withdrawn before it ended."),
}

OTHER_PROTOCOL = (
    "Graded.",
    "Every item has an outcome. It was asked by another protocol than the board's, so it has no rank.",
)
POST_RELEASE = (
    "Graded after the release.",
    "Every item has an outcome. Its weights were not committed to before the set was released, "
    "so it has no rank.",
)
RETRACTED = ("Retracted.", "Every item has an outcome. It has no rank and counts for no release.")


def _signed_in(request: HttpRequest) -> User:
    return cast("User", request.user)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: HttpRequest) -> HttpResponse:
    """The form, and what becomes of it."""
    if request.method != "POST":
        return _form(request, SubmissionForm.blank())
    form = SubmissionForm(request.POST)
    status = 422
    if form.is_valid():
        try:
            key = form.cleaned_data["key"]
            submission = actions.submit(user=_signed_in(request), key=key, ask=Ask(**form.facts()))
            return redirect(submission.run)
        except SiteError as failure:
            told = failure.to_dict()
            field = failure.detail if failure.detail in form.fields else None
            form.add_error(field, f"{told['message']} {told['advice']}")
            status = failure.status
    return _form(request, form, status=status)


def _form(request: HttpRequest, form: SubmissionForm, *, status: int = 200) -> HttpResponse:
    shares = {
        "per_cohort": settings.DECLARED_PER_COHORT,
        "per_season": settings.DECLARED_PER_SEASON,
    }
    context = {"form": form, "listed": ListedEndpoint.objects.all(), **shares}
    return render(request, "submissions/submit.html", context, status=status)


@login_required
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    """One's own submissions, newest first."""
    runs = (
        Run.objects.with_facts()
        .filter(submission__submitted_by=_signed_in(request))
        .order_by("-queued_at")
    )
    page = Paginator(runs, PAGE_LENGTH).get_page(request.GET.get("page"))
    return render(request, "submissions/mine.html", {"page": page, "section": "mine"})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def commitments(request: HttpRequest) -> HttpResponse:
    """One's own commitments to weights, newest first, and a form for a new one."""
    user = _signed_in(request)
    form = CommitmentForm(request.POST or None)
    if form.is_valid():
        digest = form.cleaned_data["digest"]
        carry_out(
            request,
            lambda: actions.commit_weights(user=user, digest=digest),
            done="You are committed to it.",
        )
        return redirect("commitments")
    page = Paginator(user.commitments.order_by("-pk"), PAGE_LENGTH).get_page(
        request.GET.get("page")
    )
    context = {"form": form, "page": page, "section": "mine"}
    return render(
        request, "submissions/commitments.html", context, status=422 if form.errors else 200
    )


@require_safe
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """How a run stands. To those who may not see it, it does not exist."""
    user = request.user if isinstance(request.user, User) else None
    found = Run.objects.visible_to(user).with_facts().filter(pk=run_id).first()
    if found is None:
        raise Http404
    graded = found.state in (RunState.GRADED, RunState.RANKED)
    sets = told_of(found)
    place = actions.queue_place(found)
    context = {
        "run": found,
        "words": _state_words(found),
        "on_board": _is_on_board(found),
        "place": place,
        "held_up": explain_code(place.held_up_by) if place and place.held_up_by else None,
        "problem": explain_code(found.ended_because) if found.ended_because else None,
        "sets": sets,
        "votes": [
            (row, charts.calibration(Votes.from_dict(row.votes))) for row in sets if row.votes
        ],
        "graders": graders(found) if found.state == RunState.RANKED else [],
        "grader_form": GraderForm() if graded and user is not None and user.is_staff else None,
        "record": found.record if graded else None,
        "read": [row.read for row in sets if row.read],
        "likelihood_problem": explain_code(found.likelihood_failed)
        if found.likelihood_failed
        else None,
        "may_cancel": found.is_cancellable
        and user is not None,  # whoever sees an unranked run may withdraw it
        "continue_form": ContinueForm() if _may_continue(found, user) else None,
        "may_requeue": found.state == RunState.FAILED and user is not None and user.is_staff,
        "retraction_form": RetractionForm() if _may_retract(found, user) else None,
    }
    return render(request, "submissions/run.html", context)


def _is_on_board(run: Run) -> bool:
    left_out = run.retracted or run.post_release or run.submission.protocol
    return run.state == RunState.RANKED and not left_out


def _state_words(run: Run) -> tuple[str, str]:
    """Return the state of a run and the sentence that explains it."""
    if run.state != RunState.RANKED or _is_on_board(run):
        return WORDS[RunState(run.state)]
    if run.retracted:
        return RETRACTED
    return POST_RELEASE if run.post_release else OTHER_PROTOCOL


def _may_retract(run: Run, user: User | None) -> bool:
    return user is not None and user.is_staff and not run.retracted


def _may_continue(run: Run, user: User | None) -> bool:
    """Whether a run that a user sees may go on: an unranked one is its author's and the staff's."""
    goes_on = run.state == RunState.FAILED and is_continuable(run.code)
    return goes_on and user is not None and run.continued < settings.MAX_CONTINUES


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show how the pools stand, and to maintainers every finding."""
    user = request.user if isinstance(request.user, User) else None
    evaluators = Evaluator.objects.order_by("pk") if user is not None and user.is_staff else ()
    return render(
        request, "submissions/status.html", {"status": actions.status(), "evaluators": evaluators}
    )


def graders(run: Run) -> list[tuple[str, list[Beside]]]:
    """What each grader makes of a graded run: by grader, set by set; nothing where only one is known."""
    found: dict[str, list[Beside]] = {}
    for one in side_by_side([run], headline=run.submission.pair.grader)[run.pk]:
        found.setdefault(one.grader, []).append(one)
    return list(found.items()) if len(found) > 1 else []


@login_required
@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Withdraw one's own run."""
    return _act(request, run_id, actions.cancel, done="The run is cancelled.")


@login_required
@require_POST
def continue_run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Go on with one's own failed run."""
    form = ContinueForm(request.POST)
    api_key = form.cleaned_data["api_key"] if form.is_valid() else ""
    action = partial(actions.continue_run, by=_signed_in(request), api_key=api_key)
    return _act(request, run_id, action, done="The run goes on with the items that are left.")


@login_required
@require_POST
def requeue(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Queue a failed run again; for the staff."""
    if not _signed_in(request).is_staff:
        raise Http404
    return _act(request, run_id, actions.requeue, done="The run is queued again.")


@maintainers_only
@require_POST
def retract(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Retract a run for good, for a reason that its page states."""
    form = RetractionForm(request.POST)
    reason = form.cleaned_data.get("reason", "") if form.is_valid() else ""
    action = partial(actions.retract_run, reason=reason, by=_signed_in(request))
    return _act(request, run_id, action, done="The run is retracted.")


def _act(
    request: HttpRequest, run_id: UUID, action: Callable[..., Run], *, done: str
) -> HttpResponse:
    user = _signed_in(request)
    own = Run.objects.all() if user.is_staff else Run.objects.filter(submission__submitted_by=user)
    if not own.filter(pk=run_id).exists():
        raise Http404
    try:
        action(run=run_id)
        messages.success(request, done)
    except SiteError as failure:
        messages.error(request, str(failure))
    return redirect("run", run_id)
