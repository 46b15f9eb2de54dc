"""The pairs of sets, the files of a released one, and what maintainers register."""

from pathlib import PurePosixPath
from typing import Any

from django.db.models import QuerySet
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
"""All of a registration: both files and what a form puts around them."""


@require_safe
def sets(request: HttpRequest) -> HttpResponse:
    """Every pair, newest first."""
    return render(
        request, "benchmarks/sets.html", {"pairs": _pairs().order_by("-pk"), "section": "sets"}
    )


@csrf_exempt  # the check reads the whole body: it is made once the length is known
@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    """Commit to a sealed set by its manifest and its signed head."""
    if _length(request) > MAX_UPLOAD:
        return _register_page(
            request, SealedSetForm(), refuse(Refusal.TOO_LARGE, "a manifest has at most 20 MB")
        )
    return _register(request)


@csrf_protect
def _register(request: HttpRequest) -> HttpResponse:
    form = (
        SealedSetForm(request.POST, request.FILES) if request.method == "POST" else SealedSetForm()
    )
    try:
        if not form.is_valid():
            return _register_page(request, form)
        cleaned = form.cleaned_data
        item_set = actions.register_set(data=cleaned["manifest"], sealed=True, head=cleaned["head"])
    except SiteError as failure:
        return _register_page(request, SealedSetForm(), failure)
    return redirect(f"{reverse('register-pair')}?{urlencode({'private': item_set.name})}")


def _register_page(
    request: HttpRequest, form: SealedSetForm, failure: SiteError | None = None
) -> HttpResponse:
    status = failure.status if failure else 422 if form.errors else 200
    return render(
        request, "benchmarks/register.html", {"form": form, "failure": failure}, status=status
    )


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


@maintainers_only
@require_POST
def name_successor(request: HttpRequest, slug: str) -> HttpResponse:
    """Name the sealed set that takes over."""
    wanted = request.POST.get("successor", "").replace("\0", "")
    done = "The successor is named."
    carry_out(
        request, lambda: actions.name_successor(slug=_known(slug), successor=wanted), done=done
    )
    return redirect("set-release", slug)


@maintainers_only
@require_POST
def open_season(request: HttpRequest, slug: str) -> HttpResponse:
    """Give self-declared endpoints the next block; asks for a tick, because it cannot be taken
    back."""
    known = _known(slug)
    if request.POST.get("sure"):
        carry_out(request, lambda: actions.open_season(slug=known), done="The next season is open.")
    return redirect("set-release", slug)


@require_safe
def release_file(request: HttpRequest, slug: str, name: str) -> HttpResponseBase:
    """One file of a released bundle, to be saved."""
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
    """The whole bundle as one tar. Its length is told, so that a broken transfer is seen."""
    release = _release(slug)
    made = exports.archive(release)
    if made is None:
        raise Http404("a file of the bundle is lost")
    length, content = made
    headers: dict[str, Any] = {
        "Content-Disposition": f'attachment; filename="{release.folder}.tar"',
        "Content-Length": str(length),
    }
    return StreamingHttpResponse(content, content_type="application/x-tar", headers=headers)


def _pairs() -> QuerySet[SetPair]:
    return SetPair.objects.select_related("public", "private")


def _known(slug: str) -> str:
    return get_object_or_404(SetPair, slug=slug).slug


def _release(slug: str) -> Release:
    return get_object_or_404(Release, item_set__as_private__slug=slug)
