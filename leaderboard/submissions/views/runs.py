"""Page of a run, and the actions of its author and of maintainers."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from evaluator.contract import Candidates, Votes
from leaderboard.accounts.models import User
from leaderboard.accounts.views import maintainers_only, reader, signed_in_user
from leaderboard.errors import SiteError, explain_code
from leaderboard.submissions import actions, charts
from leaderboard.submissions.continuation import is_continuable
from leaderboard.submissions.forms import (
    ContinueForm,
    GraderForm,
    HideReplyForm,
    ReplyForm,
    RetractionForm,
)
from leaderboard.submissions.models import (
    GraderComparison,
    PublicCounts,
    Reply,
    Run,
    compare_graders,
    is_decided,
    plan_facts,
    run_counts,
    shown_from,
)
from leaderboard.submissions.states import RunState
from leaderboard.submissions.views.practice import practice_context

STATES = {
    RunState.QUEUED: ("Queued.", "It begins as soon as an evaluator is free."),
    RunState.LEASED: ("Starting.", "An evaluator has taken it and loads the model."),
    RunState.RUNNING: ("Running.", "The model is answering the questions."),
    RunState.GRADED: (
        "Graded.",
        "Every item has an outcome. The score on the sealed set is published when the cohort is "
        "closed, together with those of all other runs of the cohort.",
    ),
    RunState.RANKED: (
        "Ranked.",
        "Every item has an outcome, and the scores are published. The first official run of a "
        "model has its row on the board.",
    ),
    RunState.FAILED: ("Failed.", "It has no score and is not ranked."),
    RunState.CANCELLED: ("Cancelled.", "It was withdrawn before it ended."),
}
"""Each state of a run and the sentence that explains it."""
OTHER_PROTOCOL = (
    "Graded.",
    "Every item has an outcome. It was asked by another protocol than the board's, "
    "so it has no rank.",
)
POST_RELEASE = (
    "Graded after the release.",
    "Every item has an outcome. Its weights were not committed to before the set was released, "
    "so it has no rank.",
)
SAME_WEIGHTS = (
    "The same weights.",
    "Another run of these weights counts on this benchmark, so this one has no rank.",
)
EMBARGOED = (
    "Decided, under embargo.",
    "Its cohort is closed. Until the embargo ends, only you and the maintainers see its scores.",
)
PRACTISED = (
    "Practised.",
    "Every item has an outcome. Both sets are public, so this is the result; it is not ranked.",
)
RETRACTED = ("Retracted.", "Every item has an outcome. It has no rank and counts for no release.")


@require_safe
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Show a run; answer 404 to users who may not see it."""
    user = reader(request)
    run = _visible_run(user, run_id)
    return render(request, "submissions/run.html", _context(run, user))


@require_safe
def progress(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Return the part of a run's page that changes while it runs, for a page that has an older one.

    ``state`` and ``seen`` are of the part that the page has. 204 where it is the newest; where the
    state has changed, the whole content of the page is returned, and replaces the old one.
    """
    user = reader(request)
    run = _visible_run(user, run_id)
    if run.state != request.GET.get("state"):
        content = render(request, "submissions/run_content.html", _context(run, user))
        content.headers["HX-Retarget"] = "#run"
        content.headers["HX-Reswap"] = "outerHTML"
        return content
    part = _progress_context(run)
    if part["seen"] == request.GET.get("seen"):
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return render(request, "submissions/progress_poll.html", part)


def _visible_run(user: User | None, run_id: UUID) -> Run:
    visible = Run.objects.visible_to(user).with_facts()
    run = visible.filter(pk=run_id).first()
    if run is None:
        raise Http404
    return run


def _context(run: Run, user: User | None) -> dict[str, Any]:
    """Return all that a run's page shows."""
    context = {
        "htmx": settings.HTMX,
        "same_as": first_of_weights(run, user),
        "problem": explain_code(run.ended_because),
        "likelihood_problem": explain_code(run.likelihood_failed),
        "hub": run.submission.hub_facts,
        "upload": run.submission.upload_facts,
        "base": run.submission.base_facts,
        "verifier": run.submission.verifier_facts,
        "verifier_name": run.submission.verifier,
        "record": run.record if run.is_graded else None,
        "graders": comparisons_by_grader(run),
        "parts": run.named_parts() if run.is_graded else [],
        "part_totals": run.part_totals(),
        "adaptive": plan_facts(run),
        "reply": getattr(run, "reply", None),
    }
    context |= counts_context(run_counts(run)) | run_forms(run, user)
    if run.submission.pair.practice:
        context |= practice_context(run, user)
    return context | _progress_context(run)


def _progress_context(run: Run) -> dict[str, Any]:
    """Return the part of a run's page that changes while it runs, and the digest of its text."""
    forecast = actions.foresee(run.pool) if run.state == RunState.QUEUED else None
    place = actions.queue_place(run, forecast)
    held_up = explain_code(place.held_up_by) if place else None
    facts = {
        "run": run,
        "words": state_words(run),
        "on_board": _is_on_board(run),
        "place": place,
        "held_up": held_up,
        "results_on": results_on(run),
        "embargo_ends": shown_from(run),
        "expected": actions.expected(run, held_up=held_up is not None, forecast=forecast),
    }
    text = render_to_string("submissions/progress.html", facts)
    seen = sha256(text.encode()).hexdigest()[:16]
    return {"run": run, "progress": text, "seen": seen}


def results_on(run: Run) -> str:
    """Return when the result of a run is published, as a sentence; empty where that is not ahead.

    A run that is not graded yet takes part in the next close only if it is graded by then.
    """
    if run.is_final or is_decided(run):
        return ""
    close = actions.next_closes().get(run.submission.pair_id)
    if run.state == RunState.GRADED:
        return actions.results_on(close)
    if not close:
        return ""
    return f"{actions.results_on(close)} That of this run, if it is graded by then."


def _is_on_board(run: Run) -> bool:
    left_out = run.retracted or run.post_release or run.submission.protocol or run.same_as_id
    return run.state == RunState.RANKED and not left_out


def state_words(run: Run) -> tuple[str, str]:
    """Return the state of a run and the sentence that explains it."""
    if run.has_practised:
        return PRACTISED
    if run.same_as_id:
        return SAME_WEIGHTS
    if run.state == RunState.GRADED and is_decided(run):
        return EMBARGOED
    if run.state != RunState.RANKED or _is_on_board(run):
        return STATES[RunState(run.state)]
    if run.retracted:
        return RETRACTED
    return POST_RELEASE if run.post_release else OTHER_PROTOCOL


def first_of_weights(run: Run, user: User | None) -> Run | None:
    """Return the earlier run of the same weights, where the user may see it."""
    if run.same_as_id is None:
        return None
    visible = Run.objects.visible_to(user).select_related("submission__model__organisation")
    return visible.filter(pk=run.same_as_id).first()


def counts_context(sets: Sequence[PublicCounts]) -> dict[str, Any]:
    """Return the public counts, set by set, with the aggregates that some have."""
    votes: list[tuple[PublicCounts, SafeString]] = []
    candidates = []
    for counts in sets:
        if counts.votes:
            figure = charts.calibration(Votes.from_dict(counts.votes))
            votes.append((counts, figure))
        if counts.candidates:
            of_set = Candidates.from_dict(counts.candidates)
            candidates.append(charts.CandidatesFigure.of(of_set, sealed=counts.sealed))
    likelihoods = [counts.likelihood for counts in sets if counts.likelihood]
    return {
        "sets": sets,
        "means": [counts for counts in sets if counts.mean],
        "votes": votes,
        "candidates": candidates,
        "likelihoods": likelihoods,
    }


def comparisons_by_grader(run: Run) -> list[tuple[str, list[GraderComparison]]]:
    """Return each grader's counts of a ranked run, set by set; empty for a single grader."""
    if run.state != RunState.RANKED:
        return []
    comparisons = compare_graders([run], headline=run.submission.pair.grader)
    rows: dict[str, list[GraderComparison]] = {}
    for row in comparisons[run.pk]:
        rows.setdefault(row.grader, []).append(row)
    return list(rows.items()) if len(rows) > 1 else []


def run_forms(run: Run, user: User | None) -> dict[str, Any]:
    """Return the forms of a run's page, for a user who may see the run.

    Its author and maintainers may change it; other members of the organisation see a practice run.
    """
    if user is None:
        return {}
    goes_on = run.state == RunState.FAILED and is_continuable(run.code)
    is_own = Run.objects.owned_by(user).filter(pk=run.pk)
    if run.submission.pair.practice and not is_own.exists():
        return {}
    forms: dict[str, Any] = {"may_cancel": run.is_cancellable}
    forms |= _reply_forms(run, user)
    forms["may_lift"] = shown_from(run) is not None and actions.may_lift(run, user)
    if goes_on and run.continued < settings.MAX_CONTINUES:
        forms["continue_form"] = ContinueForm()
    if not user.is_staff:
        return forms
    forms["may_requeue"] = run.state == RunState.FAILED
    if run.submission.pair.practice:
        return forms
    if run.is_graded:
        forms["grader_form"] = GraderForm()
    if not run.retracted:
        forms["retraction_form"] = RetractionForm()
    return forms


def _reply_forms(run: Run, user: User) -> dict[str, Any]:
    """Return the forms by which a reply is written and hidden."""
    reply: Reply | None = getattr(run, "reply", None)
    forms: dict[str, Any] = {}
    is_hidden = reply is not None and reply.is_hidden
    if actions.may_reply(run, user) and not is_hidden:
        text = reply.text if reply else ""
        forms["reply_form"] = ReplyForm(initial={"text": text})
    if reply and user.is_staff:
        forms["hide_reply_form"] = HideReplyForm(initial={"why": reply.hidden_why})
    return forms


@login_required
@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Cancel a run of the user's own."""
    return _change(request, run_id, actions.cancel, done="The run is cancelled.")


@login_required
@require_POST
def continue_run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Continue a failed run of the user's own with the items that are left."""
    form = ContinueForm(request.POST)
    api_key = form.cleaned_data["api_key"] if form.is_valid() else ""
    action = partial(actions.continue_run, by=signed_in_user(request), api_key=api_key)
    return _change(request, run_id, action, done="The run goes on with the items that are left.")


@login_required
@require_POST
def lift_embargo(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """End the embargo of a run of the user's own."""
    action = partial(actions.lift_embargo, by=signed_in_user(request))
    return _change(request, run_id, action, done="The embargo is lifted.")


@maintainers_only
@require_POST
def requeue(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Queue a failed run again."""
    return _change(request, run_id, actions.requeue, done="The run is queued again.")


@maintainers_only
@require_POST
def retract(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Retract a run for good, for a reason that its page states."""
    form = RetractionForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    action = partial(actions.retract_run, reason=reason, by=signed_in_user(request))
    return _change(request, run_id, action, done="The run is retracted.")


def _change(
    request: HttpRequest,
    run_id: UUID,
    action: Callable[..., Run],
    *,
    done: str,
) -> HttpResponse:
    """Call an action on a run that the user may change, and show the run with the result."""
    owned = Run.objects.owned_by(signed_in_user(request))
    if not owned.filter(pk=run_id).exists():
        raise Http404
    try:
        action(run=run_id)
        messages.success(request, done)
    except SiteError as failure:
        messages.error(request, str(failure))
    return redirect("run", run_id)
