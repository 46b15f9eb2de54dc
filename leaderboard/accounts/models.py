"""People, organisations and API tokens."""

import hashlib
import secrets

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

TOKEN_PREFIX = "hft_"  # noqa: S105 - not a password: it makes tokens findable by secret scanners


class User(AbstractUser):
    """User of the site. Names are ASCII and unique without regard to case: no look-alikes."""

    username = models.CharField(max_length=40, unique=True, validators=[ASCIIUsernameValidator()])

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("username"), name="user_name_unique_without_case"),
        )

    def organisation(self) -> "Organisation | None":
        """Return the organisation that this user submits for: the one they joined first."""
        return Organisation.objects.filter(membership__user=self).order_by("membership__pk").first()


class OrganisationQuerySet(models.QuerySet["Organisation"]):
    """All organisations."""

    def found(self, *, name: str, by: User) -> "Organisation":
        """Create an organisation and its first member."""
        organisation = self.create(name=name)
        Membership.objects.create(user=by, organisation=organisation)
        return organisation


class Organisation(models.Model):
    """Owner of models."""

    name = models.CharField(max_length=80, unique=True)
    members = models.ManyToManyField(User, through="Membership")

    objects = OrganisationQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("name"), name="organisation_name_unique_without_case"),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[A-Za-z0-9][A-Za-z0-9 ._&-]*$"),
                name="organisation_name_is_plain",
            ),
        )

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person in one organisation."""

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "organisation"], name="membership_once"),
        )


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens of all people."""

    def issue(self, *, user: User, name: str) -> tuple["ApiToken", str]:
        """Return a new token and its secret, which is shown once and not stored."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return self.create(user=user, name=name, digest=token_digest(secret)), secret

    def holder(self, secret: str) -> User | None:
        """Return the user that a secret belongs to.

        None where it is unknown or revoked, or where its holder is suspended.
        """
        valid = self.filter(revoked__isnull=True, user__is_active=True)
        token = valid.filter(digest=token_digest(secret)).select_related("user").first()
        if token is None:
            return None
        self.filter(pk=token.pk).update(used=timezone.now())
        return token.user

    def revoke(self) -> int:
        """Revoke these tokens. Return how many were valid until now."""
        return self.filter(revoked__isnull=True).update(revoked=timezone.now())


class ApiToken(models.Model):
    """API token of a user. Only the SHA-256 of the secret is stored: the secret is random, so
    that a plain hash is enough."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)
    used = models.DateTimeField(null=True)
    revoked = models.DateTimeField(null=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"), name="token_digest_is_sha256"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Bucket(models.Model):
    """Attempts that one visitor has left, as the moment at which the bucket will be full again.

    ``key`` is a SHA-256: a name that was typed is not stored, since it may be a password.
    """

    key = models.CharField(max_length=64, primary_key=True)
    full_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


def token_digest(secret: str) -> str:
    """Return the digest that is stored of a token's secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
