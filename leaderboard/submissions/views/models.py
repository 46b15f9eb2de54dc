"""Renaming a model and transferring it, by the owners of its organisation."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from leaderboard.accounts.models import Role, User
from leaderboard.accounts.views import carry_out, signed_in_user
from leaderboard.submissions import actions
from leaderboard.submissions.forms import RenameForm, TransferForm
from leaderboard.submissions.models import TRANSFER_DAYS, Model


@login_required
@require_safe
def model_settings(request: HttpRequest, name: str) -> HttpResponse:
    """Show the forms that rename a model and offer it to another organisation."""
    model = _owned(name, signed_in_user(request))
    context = {
        "model": model,
        "transfer": getattr(model, "transfer", None),
        "former": model.former.select_related("organisation").order_by("-pk"),
        "rename": RenameForm(initial={"name": model.name}),
        "offer": TransferForm(),
        "days": TRANSFER_DAYS,
    }
    return render(request, "submissions/model_settings.html", context)


def _owned(name: str, user: User) -> Model:
    """Return a model that a user may change."""
    model = Model.objects.named(name)
    if model is None:
        raise Http404
    members = model.organisation.membership_set
    owns = members.filter(user=user, role=Role.OWNER).exists()
    if not owns and not user.is_staff:
        raise Http404
    return model


@login_required
@require_POST
def rename_model(request: HttpRequest, name: str) -> HttpResponse:
    """Give a model another name."""
    user = signed_in_user(request)
    model = _owned(name, user)
    new = request.POST.get("name", "").strip()
    renamed = carry_out(
        request,
        lambda: actions.rename_model(name=model.name, new=new, by=user),
        done="The model has its new name. Its former one leads to it, and boards follow soon.",
    )
    return redirect("model-settings", new if renamed else model.name)


@login_required
@require_POST
def offer_transfer(request: HttpRequest, name: str) -> HttpResponse:
    """Offer a model to another organisation."""
    user = signed_in_user(request)
    model = _owned(name, user)
    to = request.POST.get("to", "")
    to = to.replace("\0", "").strip()
    carry_out(
        request,
        lambda: actions.offer_transfer(name=model.name, to=to, by=user),
        done=f"Offered. An owner of {to} can accept it for {TRANSFER_DAYS} days, on its page.",
    )
    return redirect("model-settings", model.name)


@login_required
@require_POST
def accept_transfer(request: HttpRequest, transfer: int) -> HttpResponse:
    """Take over a model that was offered to an organisation of the user."""
    user = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.accept_transfer(transfer=transfer, by=user),
        done="The model is yours now. Its page states the former owner.",
    )
    return redirect("organisations")


@login_required
@require_POST
def end_transfer(request: HttpRequest, transfer: int) -> HttpResponse:
    """Withdraw or decline an offer."""
    user = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.end_transfer(transfer=transfer, by=user),
        done="The offer of the model has ended.",
    )
    return redirect("organisations")
