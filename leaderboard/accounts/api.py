"""Authentication that every API route shares, and the one shape of errors."""

from typing import Any, cast

from django.http import HttpRequest
from ninja import Schema
from ninja.security import HttpBearer
from pydantic import ConfigDict

from leaderboard.accounts.models import ApiToken, User


class Strict(Schema):
    """Base of the API's request bodies: unknown fields are refused, and "1" is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(Schema):
    """Body of every refusal. ``code`` is stable; the other two are for people."""

    code: str
    message: str
    advice: str


class Bearer(HttpBearer):
    """Authentication by ``Authorization: Bearer TOKEN``."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """Return the token's holder, or None."""
        return ApiToken.objects.holder(token)


def token_user(request: HttpRequest) -> User:
    """Return the user of a route that requires a token."""
    return cast("User", request.auth)  # type: ignore[attr-defined]


def viewer(request: HttpRequest) -> User | None:
    """Return the user of a token or of a session; None for an anonymous visitor."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret:
        return ApiToken.objects.holder(secret)
    user: Any = request.user
    return user if user.is_authenticated else None
