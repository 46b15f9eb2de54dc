"""Renaming a model, and transferring it to another organisation."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Role, Scope
from leaderboard.submissions import actions
from leaderboard.submissions.models import Model, Transfer, names_of

router = Router(tags=["models"])


class NameIn(Strict):
    """Another name for a model."""

    name: str = Field(max_length=80)


class TransferIn(Strict):
    """Organisation that a model is offered to."""

    to: str = Field(max_length=80)


class ModelOut(Schema):
    """Model with its present name and owner."""

    name: str
    organisation: str
    former_names: list[str]


class TransferOut(Schema):
    """Offer of a model to an organisation."""

    id: int
    model: str
    organisation: str
    to: str
    expires: datetime


@router.post(
    "/models/{name}/name",
    auth=Bearer(Scope.MANAGE),
    response={
        200: ModelOut,
        (400, 401, 403, 404, 409, 422): Problem,
    },
    summary="Rename a model",
)
def rename_model(request: HttpRequest, name: str, order: NameIn) -> dict[str, Any]:
    """Rename a model; for owners of its organisation. The former name leads to it."""
    user = token_user(request)
    name = name.replace("\0", "")
    renamed = actions.rename_model(name=name, new=order.name, by=user)
    return _facts(renamed)


@router.post(
    "/models/{name}/transfer",
    auth=Bearer(Scope.MANAGE),
    response={
        201: TransferOut,
        (400, 401, 403, 404, 409, 422): Problem,
    },
    summary="Offer a model to another organisation",
)
def offer_transfer(request: HttpRequest, name: str, order: TransferIn) -> Any:
    """Offer a model; for owners of its organisation. An owner of the other one has to accept it."""
    user = token_user(request)
    name = name.replace("\0", "")
    offer = actions.offer_transfer(name=name, to=order.to, by=user)
    return Status(201, _offer(offer))


@router.get(
    "/transfers",
    auth=Bearer(Scope.READ),
    response={200: list[TransferOut], 401: Problem},
    summary="Models offered to your organisations",
)
def transfers(request: HttpRequest) -> list[dict[str, Any]]:
    """List the offers to organisations that the token's holder owns."""
    memberships = token_user(request).membership_set.filter(role=Role.OWNER)
    owned = memberships.values("organisation")
    offers = Transfer.objects.filter(to__in=owned).order_by("pk")
    offers = offers.select_related("model__organisation", "to")
    return [_offer(offer) for offer in offers]


@router.post(
    "/transfers/{int:transfer}/accept",
    auth=Bearer(Scope.MANAGE),
    response={200: ModelOut, (401, 403, 404, 409): Problem},
    summary="Take over a model",
)
def accept_transfer(request: HttpRequest, transfer: int) -> dict[str, Any]:
    """Take over a model; for owners of the organisation that it was offered to."""
    accepted = actions.accept_transfer(transfer=transfer, by=token_user(request))
    return _facts(accepted)


@router.delete(
    "/transfers/{int:transfer}",
    auth=Bearer(Scope.MANAGE),
    response={204: None, (401, 403, 404): Problem},
    summary="Withdraw or decline an offer",
)
def end_transfer(request: HttpRequest, transfer: int) -> Any:
    """End an offer; for owners of either organisation."""
    actions.end_transfer(transfer=transfer, by=token_user(request))
    return Status(204, None)


def _facts(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "organisation": model.organisation.name,
        "former_names": names_of(model.name)[1:],
    }


def _offer(offer: Transfer) -> dict[str, Any]:
    return {
        "id": offer.pk,
        "model": offer.model.name,
        "organisation": offer.model.organisation.name,
        "to": offer.to.name,
        "expires": offer.expires,
    }
