"""Submitting a model; the user's own submissions and commitments."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.artefacts import selection
from evaluator.contract import RunId, fits
from leaderboard.accounts import throttle
from leaderboard.accounts.views import carry_out, signed_in_user
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.models import ListedEndpoint
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.forms import CommitmentForm, SubmissionForm
from leaderboard.submissions.models import Probe, Run
from leaderboard.submissions.preflight import EndpointPreflight, Preflight
from leaderboard.submissions.states import RunState
from leaderboard.submissions.views.probes import probe_context

PAGE_LENGTH = 50
SHOWN = {
    "under-way": (RunState.QUEUED, RunState.LEASED, RunState.RUNNING),
    "graded": (RunState.GRADED,),
    "published": (RunState.RANKED,),
    "failed": (RunState.FAILED,),
    "cancelled": (RunState.CANCELLED,),
}
"""Filters of a user's own runs, and the states that each shows."""


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: HttpRequest) -> HttpResponse:
    """Show the form, or take a submission and go to its run.

    With ``check`` nothing is submitted: the form comes again, with the facts of the model.
    """
    if request.method != "POST":
        return _form_page(request, _blank(request))
    form = SubmissionForm(request.POST.dict())
    if not form.is_valid():
        return _form_page(request, form, status=422)
    ask = Ask(**form.facts())
    user = signed_in_user(request)
    try:
        if "check" in request.POST:
            throttle.charge_submission(user)
            if ask.kind == "endpoint":
                of_endpoint = actions.preflight_of_endpoint(ask, user=user)
                shown = probe_context(of_endpoint.probe)
                shown["public_only"] = of_endpoint.public_only
                return _form_page(request, form, preflight=of_endpoint, **shown)
            checked = actions.preflight_of(ask, user=user)
            return _form_page(request, form, preflight=checked)
        if "public_only" in request.POST:
            ask = actions.public_only(ask)
        key = form.cleaned_data["key"]
        submission = actions.submit(user=user, key=key, ask=ask)
    except SiteError as failure:
        field = failure.detail if failure.detail in form.fields else None
        form.add_error(field, failure.advised())
        wait = failure.retry_after if failure.again else None
        pair: SetPair = form.cleaned_data["pair"]
        offered = pair.public_only() if failure.code is Refusal.PUBLIC_ONLY else None
        return _form_page(
            request,
            form,
            status=failure.status,
            retry_after=wait,
            public_only=offered,
        )
    return redirect(submission.runs.get())


def _blank(request: HttpRequest) -> SubmissionForm:
    """Return the form for what the address names: an upload, a pair, a probe, or a practice run.

    That of a practice run is filled in for the official run of the same model.
    """
    user = signed_in_user(request)
    ids = {}
    for name, value in request.GET.items():
        if fits(value, RunId):
            ids[name] = str(value)
    if "run" in ids:
        runs = Run.objects.visible_to(user).with_facts()
        run = runs.filter(pk=ids["run"], submission__pair__practice=True).first()
        if run is not None:
            return SubmissionForm.official(run.submission)
    if "probe" in ids:
        probes = Probe.objects.visible_to(user)
        probe = probes.filter(pk=ids["probe"]).first()
        if probe is not None:
            return SubmissionForm.probed(probe)
    upload = None
    if "upload" in ids:
        own = actions.uploads_of(user).select_related("organisation")
        upload = own.filter(pk=ids["upload"]).first()
    return SubmissionForm.blank(
        upload=request.GET.get("upload", ""),
        pair=request.GET.get("pair", ""),
        organisation=upload.organisation.name if upload else "",
    )


def _form_page(
    request: HttpRequest,
    form: SubmissionForm,
    *,
    status: int = 200,
    preflight: Preflight | EndpointPreflight | None = None,
    retry_after: int | None = None,
    **shown: Any,
) -> HttpResponse:
    if preflight is not None:  # what was looked at is what will be submitted
        form.data = {**form.data, **preflight.looked_at()}
    user = signed_in_user(request)
    own = list(user.organisations())
    form.offer([one.name for one in own])
    named = str(form["organisation"].value() or "").casefold()
    chosen = own[0] if own else None
    for organisation in own:
        if organisation.name.casefold() == named:
            chosen = organisation
            break
    uploaded_names = {*selection.OTHERS, *selection.OF_ADAPTERS}
    context = {
        **shown,
        "organisation": chosen,
        "several": len(own) > 1,
        "preflight": preflight,
        "form": form,
        "listed": ListedEndpoint.objects.all(),
        "uploaded_names": " ".join(uploaded_names),
        "site": request.build_absolute_uri("/").rstrip("/"),
        "per_cohort": settings.DECLARED_PER_COHORT,
        "per_season": settings.DECLARED_PER_SEASON,
        "quotas": actions.quotas_of(chosen, user),
    }
    response = render(request, "submissions/submit.html", context, status=status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


@login_required
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    """List the user's own runs, newest first, with what there is to do about each."""
    user = signed_in_user(request)
    own = Run.objects.of_authors().filter(submission__submitted_by=user)
    states = request.GET.get("show", "")
    chosen = own.filter(state__in=SHOWN[states]) if states in SHOWN else own
    newest_first = chosen.with_facts().order_by("-queued_at")
    paginator = Paginator(newest_first, PAGE_LENGTH)
    page = paginator.get_page(request.GET.get("page"))
    by_state = own.order_by().values_list("state")
    counts = dict(by_state.annotate(runs=Count("pk")))
    total = sum(counts.values())
    # Of each filter with runs: its name, label, number of runs, and True for the chosen one.
    filters = [("", "All", total, states not in SHOWN)]
    for name, shown in SHOWN.items():
        runs = sum(counts.get(state, 0) for state in shown)
        if runs:
            label = name.replace("-", " ").capitalize()
            filters.append((name, label, runs, name == states))
    closes = actions.next_closes()
    forecasts = actions.foresee_of(page)
    rows = []
    for run in page:
        next_step = actions.next_step(run, closes, forecasts)
        rows.append((run, next_step))
    context = {
        "page": page,
        "rows": rows,
        "filters": filters,
        "query": f"show={states}&" if states in SHOWN else "",
        "section": "mine",
    }
    return render(request, "submissions/mine.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def commitments(request: HttpRequest) -> HttpResponse:
    """List the user's own commitments to weights, newest first, and take a new one."""
    user = signed_in_user(request)
    form = CommitmentForm(request.POST or None)
    if form.is_valid():
        digest = form.cleaned_data["digest"]
        carry_out(
            request,
            lambda: actions.commit_weights(user=user, digest=digest),
            done="You are committed to these weights.",
        )
        return redirect("commitments")
    paginator = Paginator(user.commitments.order_by("-pk"), PAGE_LENGTH)
    page = paginator.get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "section": "mine"}
    status = 422 if form.errors else 200
    return render(request, "submissions/commitments.html", context, status=status)
