"""Renaming a model, and transferring it to another organisation.

A closed cohort and a finished snapshot stay as they are; the next ranking has the new name. A
former name leads to the model. Runs stay counted by the organisations that had the model when they
were submitted.
"""

import re

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from leaderboard.accounts import actions as accounts
from leaderboard.accounts.known_names import domains_of, skeleton
from leaderboard.accounts.models import Organisation, Role, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, conflicts_refused, refuse
from leaderboard.submissions.actions.letters import write_letters
from leaderboard.submissions.models import MODEL_NAME, FormerIdentity, Model, Transfer


def rename_model(*, name: str, new: str, by: User) -> Model:
    """Give a model another name; for owners of its organisation, and maintainers.

    Raises ``not_found``, ``owners_only``, ``invalid_field``, ``model_taken``, ``model_renamed``,
    ``name_looks_like_another`` and ``name_well_known``.
    """
    if not re.fullmatch(MODEL_NAME, new):
        raise refuse(Refusal.INVALID_FIELD, "name")
    with transaction.atomic():
        model = _locked(name, by)
        if new == model.name:
            return model
        if domains_of(new) and model.organisation.verified is None:
            raise refuse(Refusal.NAME_KNOWN)
        # Readers would take a name that looks like another's for that one.
        others = Model.objects.exclude(organisation=model.organisation)
        looks = skeleton(new)
        names = others.values_list("name", flat=True)
        if any(skeleton(other) == looks for other in names):
            taken = others.filter(name__iexact=new).exists()
            raise refuse(Refusal.MODEL_TAKEN if taken else Refusal.MODEL_ALIKE)
        _remember(model, by)
        model.name = new
        with conflicts_refused():
            model.save(update_fields=["name"])
        # Another model may have left this name meanwhile; its lock is gone now.
        check_not_former(model)
    return model


def _locked(name: str, by: User) -> Model:
    """Return a model that only this transaction changes, for a user who may change it.

    Boards that show it are marked to be built again. They are locked first, as a ranking does.
    """
    SetPair.objects.filter(submissions__model__name__iexact=name).update(stale=True)
    model = Model.objects.select_for_update().filter(name__iexact=name).first()
    if model is None:
        raise refuse(Refusal.NOT_FOUND, "model")
    if by.is_staff:
        return model
    if not by.membership_set.filter(organisation=model.organisation_id):
        raise refuse(Refusal.NOT_FOUND, "model")
    _check_owner(model.organisation, by)
    return model


def _check_owner(organisation: Organisation, by: User) -> None:
    owners = organisation.membership_set.filter(role=Role.OWNER)
    if not owners.filter(user=by).exists():
        raise refuse(Refusal.OWNERS_ONLY)


def check_not_former(model: Model) -> None:
    """Refuse a name that another model had. Raises ``model_renamed``."""
    former = FormerIdentity.objects.filter(name__iexact=model.name)
    if former.exclude(model=model).exists():
        raise refuse(Refusal.MODEL_RENAMED)


def _remember(model: Model, by: User) -> None:
    FormerIdentity.objects.create(
        model=model,
        name=model.name,
        organisation=model.organisation,
        by=by,
    )


def offer_transfer(*, name: str, to: str, by: User) -> Transfer:
    """Offer a model to another organisation; for its owners. An earlier offer ends.

    The owners of the other one get a mail.

    Raises ``not_found``, ``owners_only``, ``unknown_organisation``, and ``invalid_field`` where the
    organisation has the model already.
    """
    receiving = accounts.organisation(name=to)
    with transaction.atomic():
        model = _locked(name, by)
        if receiving == model.organisation:
            raise refuse(Refusal.INVALID_FIELD, "to")
        offer, _ = Transfer.objects.update_or_create(
            model=model,
            defaults={"to": receiving, "offered_by": by, "offered": timezone.now()},
        )
        owners = User.objects.filter(
            is_active=True,
            membership__organisation=offer.to,
            membership__role=Role.OWNER,
        )
        address = settings.SITE_URL + reverse("organisation", args=[offer.to.name])
        write_letters(
            users=owners.distinct(),
            # One a day, however often the model is offered and the offer withdrawn.
            key=f"transfer {offer.model_id} to {offer.to_id} {offer.offered:%Y-%m-%d}",
            subject=f"{offer.model.organisation} offers you the model {offer.model}",
            text=f"{offer.model.organisation} offers the model {offer.model} to {offer.to}.\n"
            f"An owner of {offer.to} can accept or decline it until {offer.expires:%d %B %Y}:\n\n"
            f"{address}\n\nNothing changes if no one does.\n",
        )
    return offer


def accept_transfer(*, transfer: int, by: User) -> Model:
    """Take over a model; for owners of the organisation that it was offered to.

    Raises ``transfer_unknown``, ``owners_only`` and ``transfer_expired``.
    """
    with transaction.atomic():
        offer = _offer(transfer)
        _check_owner(offer.to, by)
        if offer.expires <= timezone.now():
            raise refuse(Refusal.TRANSFER_EXPIRED)
        SetPair.objects.filter(submissions__model=offer.model).update(stale=True)
        model = Model.objects.select_for_update().get(pk=offer.model_id)
        _remember(model, by)
        model.organisation = offer.to
        model.save(update_fields=["organisation"])
        offer.delete()
    return model


def end_transfer(*, transfer: int, by: User) -> None:
    """Withdraw or decline an offer; for owners of either organisation.

    Raises ``transfer_unknown`` and ``owners_only``.
    """
    with transaction.atomic():
        offer = _offer(transfer)
        organisations = [offer.model.organisation_id, offer.to_id]
        owned = by.membership_set.filter(role=Role.OWNER)
        if not owned.filter(organisation__in=organisations).exists():
            raise refuse(Refusal.OWNERS_ONLY)
        offer.delete()


def _offer(transfer: int) -> Transfer:
    locking = Transfer.objects.select_for_update(of=("self",))
    offers = locking.select_related("model", "to")
    offer = offers.filter(pk=transfer).first()
    if offer is None:
        raise refuse(Refusal.TRANSFER_UNKNOWN)
    return offer
