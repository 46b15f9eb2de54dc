"""Organisations: creating, inviting, roles, leaving, verifying, renaming."""

import secrets
from collections.abc import Callable
from datetime import timedelta

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils import timezone

from leaderboard.accounts.known_names import domains_of
from leaderboard.accounts.models import (
    Invitation,
    Membership,
    Organisation,
    Role,
    User,
    token_digest,
)
from leaderboard.errors import Refusal, conflicts_refused, refuse

INVITATION_DAYS = 7


def organisation(*, name: str) -> Organisation:
    """Return the organisation of this name. Raises ``unknown_organisation``."""
    found = Organisation.objects.filter(name__iexact=name).first()
    if found is None:
        raise refuse(Refusal.UNKNOWN_ORGANISATION)
    return found


def create_organisation(*, name: str, by: User) -> Organisation:
    """Create an organisation, owned by ``by``.

    Raises ``name_taken``, ``name_looks_like_another``, and ``name_well_known`` unless ``by`` has a
    confirmed address at a mail domain of that name, which verifies it at once.
    """
    proven: set[str] = set()
    if domains := domains_of(name):
        addresses = EmailAddress.objects.filter(user=by, verified=True)
        for address in addresses.values_list("email", flat=True):
            _, _, domain = address.rpartition("@")
            proven.add(domain.lower())
        proven &= set(domains)
        if not proven:
            raise refuse(Refusal.NAME_KNOWN)
    with conflicts_refused():
        created = Organisation.objects.create_with_owner(name=name, by=by)
        if proven:
            set_verified(name=name, verified=True, by=f"mail at {min(proven)}")
            created.refresh_from_db()
    return created


def set_verified(*, name: str, verified: bool, by: str) -> Organisation:
    """Mark an organisation as the one that its name says, or end it. Raises
    ``unknown_organisation``."""
    found = organisation(name=name)
    found.verified = timezone.now() if verified else None
    found.verified_by = by[:80] if verified else ""
    found.save(update_fields=["verified", "verified_by"])
    return found


def rename_organisation(*, name: str, new: str) -> Organisation:
    """Give an organisation another name, which is unverified again.

    Raises ``unknown_organisation``, ``name_taken`` and ``name_looks_like_another``.
    """
    found = organisation(name=name)
    found.name = new
    found.verified = None
    found.verified_by = ""
    with conflicts_refused():
        found.save(update_fields=["name", "verified", "verified_by"])
    return found


def _locked(name: str) -> Organisation:
    """Return an organisation whose members only this transaction changes. Raises
    ``unknown_organisation``."""
    locked = Organisation.objects.select_for_update(no_key=True)
    found = locked.filter(name__iexact=name).first()
    if found is None:
        raise refuse(Refusal.UNKNOWN_ORGANISATION)
    return found


def _owned(name: str, by: User) -> Organisation:
    """Return :func:`_locked` an organisation that ``by`` owns. Raises ``owners_only`` too."""
    found = _locked(name)
    owned = found.membership_set.filter(user=by, role=Role.OWNER)
    if not owned.exists():
        raise refuse(Refusal.OWNERS_ONLY)
    return found


def invite(
    *,
    name: str,
    email: str,
    role: Role,
    by: User,
    link: Callable[[str], str],
) -> Invitation:
    """Invite the holder of an address by a mail, whose link ``link`` makes of a secret.

    An earlier invitation of the same address is withdrawn. Raises ``owners_only``,
    ``too_many_attempts`` and ``mail_away``, and stores nothing then.
    """
    secret = secrets.token_urlsafe(24)
    with transaction.atomic():
        inviting = _owned(name, by)
        inviting.invitations.filter(email__iexact=email, used__isnull=True).delete()
        created = Invitation.objects.create(
            organisation=inviting,
            email=email,
            role=role,
            digest=token_digest(secret),
            invited_by=by,
            expires=timezone.now() + timedelta(days=INVITATION_DAYS),
        )
        facts = {"invitation": created, "link": link(secret), "days": INVITATION_DAYS}
        get_adapter().send_mail("accounts/email/invitation", email, facts)
    return created


def withdraw_invitation(*, name: str, invitation: int, by: User) -> None:
    """Withdraw an unused invitation. Raises ``owners_only``."""
    with transaction.atomic():
        inviting = _owned(name, by)
        inviting.invitations.filter(pk=invitation, used__isnull=True).delete()


def invitation(*, secret: str, by: User) -> Invitation:
    """Return an invitation that ``by`` may accept.

    Raises ``invitation_unknown``, ``invitation_for_another``, ``invitation_used`` and
    ``invitation_expired``. Only the holder of the address learns if it was used.
    """
    digest = token_digest(secret)
    invitations = Invitation.objects.select_related("organisation")
    found = invitations.filter(digest=digest).first()
    if found is None:
        raise refuse(Refusal.INVITATION_UNKNOWN)
    verified = EmailAddress.objects.filter(user=by, verified=True)
    if not verified.filter(email__iexact=found.email).exists():
        raise refuse(Refusal.INVITATION_FOR_ANOTHER)
    if found.used is not None:
        raise refuse(Refusal.INVITATION_USED)
    if found.expires <= timezone.now():
        raise refuse(Refusal.INVITATION_EXPIRED)
    return found


def accept_invitation(*, secret: str, by: User) -> Organisation:
    """Join the organisation that invited ``by``. Raises what :func:`invitation` raises."""
    found = invitation(secret=secret, by=by)
    with transaction.atomic():
        unused = Invitation.objects.filter(pk=found.pk, used__isnull=True)
        if unused.update(used=timezone.now()) != 1:
            raise refuse(Refusal.INVITATION_USED)
        Membership.objects.get_or_create(
            user=by, organisation=found.organisation, defaults={"role": found.role}
        )
    return found.organisation


def set_role(
    *,
    name: str,
    username: str,
    role: Role,
    by: User,
) -> None:
    """Make a member an owner, or an owner a member.

    Raises ``owners_only``, ``not_a_member`` and ``last_owner``.
    """
    with transaction.atomic():
        member = _member(_owned(name, by), username)
        if role is not Role.OWNER:
            _keep_an_owner(member)
        member.role = role
        member.save(update_fields=["role"])


def remove_member(*, name: str, username: str, by: User) -> None:
    """Remove a member; everybody may remove themselves.

    Raises ``owners_only``, ``not_a_member`` and ``last_owner``.
    """
    with transaction.atomic():
        leaves = by.username.lower() == username.lower()
        left = _locked(name) if leaves else _owned(name, by)
        member = _member(left, username)
        _keep_an_owner(member)
        member.delete()


def _member(of: Organisation, username: str) -> Membership:
    found = of.membership_set.filter(user__username__iexact=username).first()
    if found is None:
        raise refuse(Refusal.NOT_A_MEMBER)
    return found


def _keep_an_owner(member: Membership) -> None:
    """Raise ``last_owner`` if the organisation has no other owner."""
    if member.role != Role.OWNER:
        return
    owners = Membership.objects.filter(organisation=member.organisation_id, role=Role.OWNER)
    others = owners.exclude(pk=member.pk)
    if not others.exists():
        raise refuse(Refusal.LAST_OWNER)
