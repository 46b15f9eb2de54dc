"""Uploads of one's organisations: what is stored, what is missing, and deleting it."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from leaderboard.accounts.views import carry_out, signed_in_user
from leaderboard.submissions import actions

MOST_SHOWN = 100


@login_required
@require_safe
def uploads(request: HttpRequest) -> HttpResponse:
    """List the uploads of the user's organisations, newest first."""
    user = signed_in_user(request)
    own = actions.uploads_of(user).stored().select_related("created_by", "organisation")
    context = {
        "uploads": own[:MOST_SHOWN],
        "several": user.organisations().count() > 1,
        "hours": settings.UPLOAD_HOURS,
        "days": settings.UPLOAD_DAYS,
        "section": "mine",
    }
    return render(request, "submissions/uploads.html", context)


@login_required
@require_POST
def delete(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """Delete the files of an upload."""
    user = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.delete_upload(user=user, upload=upload_id),
        done="The files of the upload are deleted.",
    )
    return redirect("uploads")
