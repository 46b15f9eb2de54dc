"""Pages of the pairs of sets, files of a released one, and forms for maintainers."""

from pathlib import PurePosixPath
from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from leaderboard.accounts.views import carry_out, maintainers_only
from leaderboard.benchmarks import actions, exports
from leaderboard.benchmarks.forms import HEAD_BYTES, MANIFEST_BYTES, SealedSetForm
from leaderboard.benchmarks.models import Release, SetPair
from leaderboard.errors import Refusal, SiteError, refuse

MAX_UPLOAD = MANIFEST_BYTES + HEAD_BYTES + 10_000
"""Most bytes of a registration: both files and the form's own encoding."""


@require_safe
def sets(request: HttpRequest) -> HttpResponse:
    """List every pair, newest first."""
    pairs = SetPair.objects.select_related("public", "private").order_by("-pk")
    return render(request, "benchmarks/sets.html", {"pairs": pairs, "section": "sets"})


@csrf_exempt  # the check reads the whole body: it is made once the length is known
@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Register a sealed set by its manifest and its signed head."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > MAX_UPLOAD:
        too_large = refuse(Refusal.TOO_LARGE, "a manifest has at most 20 MB")
        return _register_page(request, SealedSetForm(), too_large)
    return register_below_limit(request)


@csrf_protect
def register_below_limit(request: HttpRequest) -> HttpResponse:
    """Serve the form, or register what was sent: its length is within the limit."""
    form = SealedSetForm()
    if request.method == "POST":
        form = SealedSetForm(request.POST, request.FILES)
    try:
        if not form.is_valid():
            return _register_page(request, form)
        cleaned = form.cleaned_data
        item_set = actions.register_set(
            data=cleaned["manifest"],
            sealed=True,
            head=cleaned["head"],
        )
    except SiteError as failure:
        return _register_page(request, SealedSetForm(), failure)
    return redirect(f"{reverse('register-pair')}?{urlencode({'private': item_set.name})}")


def _register_page(
    request: HttpRequest, form: SealedSetForm, failure: SiteError | None = None
) -> HttpResponse:
    status = 422 if form.errors else 200
    if failure:
        status = failure.status
    context = {"form": form, "failure": failure}
    return render(request, "benchmarks/register.html", context, status=status)


@maintainers_only
@require_POST
def name_successor(request: HttpRequest, slug: str) -> HttpResponse:
    """Name the sealed set that takes over."""
    known = get_object_or_404(SetPair, slug=slug).slug
    wanted = request.POST.get("successor", "").replace("\0", "")
    carry_out(
        request,
        lambda: actions.name_successor(slug=known, successor=wanted),
        done="The successor is named.",
    )
    return redirect("set-release", slug)


@maintainers_only
@require_POST
def open_season(request: HttpRequest, slug: str) -> HttpResponse:
    """Give self-declared endpoints the next block; asks for a tick, because it cannot be undone."""
    known = get_object_or_404(SetPair, slug=slug).slug
    if request.POST.get("sure"):
        carry_out(request, lambda: actions.open_season(slug=known), done="The next season is open.")
    return redirect("set-release", slug)


@require_safe
def release_file(request: HttpRequest, slug: str, name: str) -> HttpResponseBase:
    """Send one file of a released bundle as a download."""
    path = exports.path_of(_release(slug), name)
    if path is None:
        raise Http404("no such file")
    return FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=PurePosixPath(name).name,
        content_type=exports.content_type(name),
    )


@require_safe
def release_archive(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Send the bundle as one tar, with its length, so that clients detect a broken transfer."""
    release = _release(slug)
    archive = exports.archive(release)
    if archive is None:
        raise Http404("a file of the bundle is lost")
    length, content = archive
    headers: dict[str, Any] = {
        "Content-Disposition": f'attachment; filename="{release.folder}.tar"',
        "Content-Length": str(length),
    }
    return StreamingHttpResponse(content, content_type="application/x-tar", headers=headers)


def _release(slug: str) -> Release:
    return get_object_or_404(Release, item_set__as_private__slug=slug)
