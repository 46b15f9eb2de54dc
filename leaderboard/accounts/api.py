"""Authentication that every API route shares, the one shape of errors, and the organisations."""

from datetime import datetime
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Schema, Status
from ninja.security import HttpBearer
from pydantic import ConfigDict, Field

from leaderboard.accounts import actions, throttle
from leaderboard.accounts.forms import plain
from leaderboard.accounts.models import ApiToken, Organisation, Role, Scope, User, token_digest
from leaderboard.errors import Refusal, refuse

router = Router(tags=["organisations"])


class Strict(Schema):
    """Base of the API's request bodies: unknown fields are refused, and "1" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(Schema):
    """Body of every refusal. ``code`` is stable; the other two are for people."""

    code: str
    message: str
    advice: str


class Bearer(HttpBearer):
    """Authentication by ``Authorization: Bearer TOKEN``, of a token with at least ``scope``."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """Return the token's holder, or None. Raises ``scope_missing``, ``too_many_requests``.

        What a maintainer's token may change is written to the log of acts first.
        """
        holder = ApiToken.objects.holder(token, self.scope)
        if holder is not None:
            throttle.charge_api(holder)
        is_act = actions.is_logged(request.method, request.path)
        if holder is not None and holder.is_staff and is_act:
            actions.record_act(actor=holder.username, act=f"{request.method} {request.path}")
        return holder


def token_user(request: HttpRequest) -> User:
    """Return the user of a route that requires a token."""
    return cast("User", request.auth)  # type: ignore[attr-defined]


def viewer(request: HttpRequest) -> User | None:
    """Return the user of a token or of a session; None for an anonymous visitor.

    Raises ``too_many_requests`` for a token that asks too often.
    """
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret:
        holder = ApiToken.objects.holder(secret)
        if holder is not None:
            throttle.charge_api(holder)
        return holder
    user: Any = request.user
    return user if user.is_authenticated else None


# --- the token's own account


class AccountOut(Schema):
    """Holder of a token, and what the token may do."""

    username: str
    token: str = Field(description="The token's name.")
    scope: str
    expires: datetime | None
    organisations: list[str]


@router.get(
    "/account",
    auth=Bearer(Scope.READ),
    response={200: AccountOut, 401: Problem},
    summary="Whose token this is",
)
def account(request: HttpRequest) -> dict[str, Any]:
    """Return the token's holder, scope and expiry."""
    user = token_user(request)
    secret = request.headers["Authorization"].partition(" ")[2]
    token = user.tokens.get(digest=token_digest(secret))
    return {
        "username": user.username,
        "token": token.name,
        "scope": token.scope,
        "expires": token.expires,
        "organisations": [
            organisation.name
            for organisation in Organisation.objects.filter(membership__user=user).order_by(
                "membership__pk"
            )
        ],
    }


# --- organisations


class OrganisationIn(Strict):
    """Name of a new organisation."""

    name: str = Field(max_length=80)


class InvitationIn(Strict):
    """Address and role of a person who is invited."""

    email: str = Field(max_length=254)
    role: str = Role.MEMBER.value


class MemberIn(Strict):
    """New role of a member; ``none`` removes the member."""

    role: str


class MemberOut(Schema):
    """Member of an organisation."""

    username: str
    role: str


class OrganisationOut(Schema):
    """Organisation. ``members`` is empty for those who are none."""

    name: str
    verified: bool
    members: list[MemberOut]


@router.get(
    "/organisations",
    auth=Bearer(Scope.READ),
    response={200: list[OrganisationOut], 401: Problem},
    summary="Your organisations",
)
def own_organisations(request: HttpRequest) -> list[dict[str, Any]]:
    """List the organisations that the token's holder belongs to, the one joined first first."""
    user = token_user(request)
    own = Organisation.objects.filter(membership__user=user).order_by("membership__pk")
    return [_organisation(one, user) for one in own]


@router.post(
    "/organisations",
    auth=Bearer(Scope.MANAGE),
    response={201: OrganisationOut, (400, 401, 403, 409, 422): Problem},
    summary="Create an organisation",
)
def create_organisation(request: HttpRequest, order: OrganisationIn) -> Any:
    """Create an organisation that the token's holder owns."""
    user = token_user(request)
    try:
        plain(order.name)
    except ValidationError:
        raise refuse(Refusal.INVALID_FIELD, "name") from None
    created = actions.create_organisation(name=order.name, by=user)
    return Status(201, _organisation(created, user))


@router.get(
    "/organisations/{name}",
    auth=None,
    response={200: OrganisationOut, 404: Problem},
    summary="One organisation",
)
def one_organisation(request: HttpRequest, name: str) -> dict[str, Any]:
    """Return an organisation. It is unverified until it was shown to be who its name says."""
    return _organisation(actions.organisation(name=name), viewer(request))


@router.post(
    "/organisations/{name}/invitations",
    auth=Bearer(Scope.MANAGE),
    response={202: OrganisationOut, (400, 401, 403, 404, 422, 429, 503): Problem},
    summary="Invite a person by mail",
)
def invite(request: HttpRequest, name: str, order: InvitationIn) -> Any:
    """Send a link that the holder of the address uses once; for owners."""
    user = token_user(request)
    try:
        validate_email(order.email)
    except ValidationError:
        raise refuse(Refusal.INVALID_FIELD, "email") from None
    if order.role not in Role.values:
        raise refuse(Refusal.INVALID_FIELD, "role")
    actions.invite(
        name=name,
        email=order.email,
        role=Role(order.role),
        by=user,
        link=lambda secret: request.build_absolute_uri(reverse("invitation", args=[secret])),
    )
    return Status(202, _organisation(actions.organisation(name=name), user))


@router.post(
    "/organisations/{name}/members/{username}",
    auth=Bearer(Scope.MANAGE),
    response={200: OrganisationOut, (400, 401, 403, 404, 409, 422): Problem},
    summary="Change or remove a member",
)
def change_member(
    request: HttpRequest, name: str, username: str, order: MemberIn
) -> dict[str, Any]:
    """Set a member's role to ``member`` or ``owner``; ``none`` removes; for owners. Everybody may
    remove themselves."""
    user = token_user(request)
    if order.role == "none":
        actions.remove_member(name=name, username=username, by=user)
    elif order.role in Role.values:
        actions.set_role(
            name=name,
            username=username,
            role=Role(order.role),
            by=user,
        )
    else:
        raise refuse(Refusal.INVALID_FIELD, "role")
    return _organisation(actions.organisation(name=name), user)


def _organisation(found: Organisation, user: User | None) -> dict[str, Any]:
    """Return an organisation, with its members for those who belong to it."""
    members = list(found.membership_set.select_related("user").order_by("pk"))
    if not any(member.user == user for member in members):
        members = []
    return {
        "name": found.name,
        "verified": found.verified is not None,
        "members": [{"username": member.user.username, "role": member.role} for member in members],
    }
