"""People, organisations, invitations, API tokens, and the log of what maintainers do."""

import hashlib
import re
import secrets
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.db import models
from django.db.models import Func
from django.db.models.expressions import Combinable
from django.db.models.functions import Lower, Replace
from django.utils import timezone

from leaderboard.accounts import known_names
from leaderboard.errors import Refusal, refuse

ORGANISATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._&-]{0,79}")
TOKEN_PREFIX = "hft_"  # noqa: S105 - not a password: it makes tokens findable by secret scanners


class User(AbstractUser):
    """User of the site. Names are ASCII and unique without regard to case: no look-alikes."""

    username = models.CharField(max_length=40, unique=True, validators=[ASCIIUsernameValidator()])

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("username"), name="user_name_unique_without_case"),
        )

    staff_withheld = False
    """Set on a maintainer whose session has no second factor, or whose token may not manage."""

    def withhold_staff(self) -> None:
        """Let this object act as no maintainer. The account stays one, also when it is saved."""
        self.staff_withheld = self.is_staff
        self.is_staff = False

    def save(self, *args: Any, **options: Any) -> None:
        """Store the user."""
        self.is_staff = self.is_staff or self.staff_withheld
        super().save(*args, **options)
        if self.staff_withheld:
            self.is_staff = False

    def organisations(self) -> "OrganisationQuerySet":
        """Return the organisations that this user belongs to, the one joined first before others.

        Each is one that they may submit for.
        """
        return Organisation.objects.filter(membership__user=self).order_by("membership__pk")

    def organisation(self, name: str = "") -> "Organisation | None":
        """Return the user's organisation of this name; without a name the one joined first.

        None for a user without any who names none. Raises ``organisation_not_yours`` for a name
        that is none of theirs, also where there is no such organisation.
        """
        membership = _named(self.membership_set.select_related("organisation"), name)
        if membership is None and name:
            raise refuse(Refusal.ORGANISATION_NOT_YOURS)
        return membership.organisation if membership else None

    def locked_membership(self, name: str = "") -> "Membership | None":
        """Return the membership in :meth:`organisation`, with that and the user locked.

        None where there is none, whatever the name. No other transaction submits for this user, or
        for the organisation, until this one ends.
        """
        memberships = self.membership_set.select_related("user", "organisation")
        locked = memberships.select_for_update(of=("user", "organisation"), no_key=True)
        return _named(locked, name)


def _named(memberships: "models.QuerySet[Membership]", name: str) -> "Membership | None":
    """Return the one in the organisation of this name; without a name the oldest."""
    in_order = memberships.order_by("pk")
    if not name:
        return in_order.first()
    if not ORGANISATION_NAME.fullmatch(name):
        return None
    return in_order.filter(organisation__name__iexact=name).first()


class OrganisationQuerySet(models.QuerySet["Organisation"]):
    """All organisations."""

    def create_with_owner(self, *, name: str, by: User) -> "Organisation":
        """Create an organisation and its first owner."""
        organisation = self.create(name=name)
        Membership.objects.create(user=by, organisation=organisation, role=Role.OWNER)
        return organisation

    def verified(self) -> "OrganisationQuerySet":
        """Organisations that were shown to be who their names say."""
        return self.filter(verified__isnull=False)

    def verified_state(self) -> str:
        """Return a text that changes whenever an organisation is verified, or no longer is."""
        facts = self.verified().aggregate(
            number=models.Count("pk"),
            last=models.Max("verified"),
        )
        return f"{facts['number']} {facts['last']}"


class Role(models.TextChoices):
    """Roles in an organisation: a member submits, an owner also decides who belongs to it."""

    MEMBER = "member", "member"
    OWNER = "owner", "owner"


def _looks() -> Combinable:
    """Return ``known_names.skeleton`` of the name, in SQL."""
    looks: Combinable = Func(
        Lower("name"),
        models.Value(known_names.ALIKE_FROM + known_names.SEPARATORS),
        models.Value(known_names.ALIKE_TO),
        function="translate",
        output_field=models.TextField(),
    )
    for pair, one in known_names.ALIKE_PAIRS:
        looks = Replace(looks, models.Value(pair), models.Value(one))
    return looks


class Organisation(models.Model):
    """Owner of models. It is unverified until a maintainer, or a confirmed address at its mail
    domain, shows that it is who its name says."""

    name = models.CharField(max_length=80, unique=True)
    verified = models.DateTimeField(null=True)
    verified_by = models.CharField(max_length=80, blank=True)
    members = models.ManyToManyField(User, through="Membership")

    objects = OrganisationQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("name"), name="organisation_name_unique_without_case"),
            models.UniqueConstraint(_looks(), name="organisation_name_looks_like_no_other"),
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
    role = models.CharField(max_length=6, choices=Role.choices, default=Role.MEMBER)
    joined = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "organisation"], name="membership_once"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.organisation}"


class Invitation(models.Model):
    """Invitation to an organisation: for the holder of one address, once, for a while.

    Only the SHA-256 of the secret in its link is stored.
    """

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="invitations"
    )
    email = models.EmailField()
    role = models.CharField(max_length=6, choices=Role.choices, default=Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"invitation to {self.organisation}"


class Scope(models.TextChoices):
    """Scopes of a token, each with all before it."""

    READ = "read", "read: see what you see"
    SUBMIT = "submit", "submit: also submit models and steer your runs"
    MANAGE = "manage", "manage: also organisations, and what maintainers do"

    def includes(self, other: "Scope") -> bool:
        """Return True if a token of this scope may do what ``other`` allows."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens of all people."""

    def issue(
        self,
        *,
        user: User,
        name: str,
        scope: Scope = Scope.MANAGE,
        expires: datetime | None = None,
    ) -> tuple["ApiToken", str]:
        """Return a new token and its secret, which is shown once and not stored."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        token = self.create(
            user=user,
            name=name,
            scope=scope,
            expires=expires,
            digest=token_digest(secret),
        )
        return token, secret

    def holder(self, secret: str, scope: Scope = Scope.READ) -> User | None:
        """Return the user that a secret belongs to.

        None where it is unknown, revoked or expired, or where its holder is suspended. The user is
        a maintainer only by a token that may manage. Raises ``scope_missing`` where the token may
        not do what ``scope`` names.
        """
        now = timezone.now()
        unexpired = models.Q(expires__isnull=True) | models.Q(expires__gt=now)
        valid = self.filter(unexpired, revoked__isnull=True, user__is_active=True)
        of_secret = valid.filter(digest=token_digest(secret))
        token = of_secret.select_related("user").first()
        if token is None:
            return None
        self.filter(pk=token.pk).update(used=now)
        granted = Scope(token.scope)
        if not granted.includes(scope):
            raise refuse(Refusal.SCOPE_MISSING, scope.value)
        if granted is not Scope.MANAGE:
            token.user.withhold_staff()
        return token.user

    def revoke(self) -> int:
        """Revoke these tokens. Return how many were valid until now."""
        return self.filter(revoked__isnull=True).update(revoked=timezone.now())


class ApiToken(models.Model):
    """API token of a user. Only the SHA-256 of the secret is stored: the secret is random, so
    that a plain hash is enough."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=6, choices=Scope.choices)
    digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(null=True)
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


LONGEST_REASON = 300


class AuditEntry(models.Model):
    """Act of a maintainer, written before it is carried out, with the reason that they gave.

    The database refuses to change or delete an entry. The names are text, so that they outlive the
    account.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=40, db_index=True)
    act = models.CharField(max_length=100)
    subject = models.CharField(max_length=300, blank=True)
    why = models.CharField(max_length=LONGEST_REASON, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor}: {self.act}"


def token_digest(secret: str) -> str:
    """Return the digest that is stored of a token's secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
