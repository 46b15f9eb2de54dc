"""Rate limits on signing in, on signing up, on mails, on submissions and on the API by token.

- A visitor is an address: the connection's, or the one that a trusted proxy forwards.
- Each attempt is charged *before* the password is hashed: to a bucket of the address, and to one of
  the address and the account together. An account alone has no bucket, so that attempts from other
  addresses cannot lock its owner out.
- At most ``HASHES_AT_ONCE`` passwords are hashed at once in a process, and few requests wait for
  their turn.

A bucket is one row: the moment at which it will be full again (the generic cell rate algorithm).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from math import ceil
from threading import BoundedSemaphore

from django.conf import settings
from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Greatest
from django.http import HttpRequest
from django.utils import timezone

from leaderboard.accounts.models import Bucket, Organisation, User
from leaderboard.errors import Refusal, refuse

HASHES_AT_ONCE = 1
WAITING_AT_MOST = 3
SWEPT_AT_ONCE = 100


@dataclass(frozen=True)
class Limit:
    """Limit of ``burst`` attempts at once, then one every ``seconds``."""

    name: str
    burst: int
    seconds: float


SIGN_IN_ADDRESS = Limit("sign-in by address", settings.SIGN_INS, 600 / settings.SIGN_INS)
SIGN_IN_ACCOUNT = Limit(
    "sign-in by address and account", settings.SIGN_INS_ACCOUNT, 300 / settings.SIGN_INS_ACCOUNT
)
SIGN_UP_ADDRESS = Limit("sign-up by address", settings.SIGN_UPS, 3600 / settings.SIGN_UPS)
SECOND_FACTOR = Limit("second factor by address", settings.SIGN_INS, 600 / settings.SIGN_INS)
MAILS = Limit("mails to one address", settings.MAILS, 3600 / settings.MAILS)
SUBMISSIONS = Limit("submissions by account", settings.SUBMISSIONS, 3600 / settings.SUBMISSIONS)
PROBES = Limit("probes by organisation", 12, 3600 / 12)
"""Checks that have an endpoint asked: each costs its author money, and an evaluator time."""
API_REQUESTS = Limit("API by account", settings.API_REQUESTS, 60 / settings.API_REQUESTS)


def visitor(request: HttpRequest) -> str:
    """Return the visitor's address, or the /64 network of an IPv6 one, which is one visitor's.

    ``X-Forwarded-For`` is read from its end, as far as trusted proxies wrote it.
    """
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    address: str = request.META.get("REMOTE_ADDR", "")
    while hops and is_trusted_proxy(address):
        forwarded = hops.pop().strip()
        if not _is_address(forwarded):
            break
        address = forwarded
    if _is_address(address) and ip_address(address).version == 6:
        return str(ip_network((address, 64), strict=False))
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_trusted_proxy(address: str) -> bool:
    """Return True for an address of ``HOLDFAST_PROXIES``."""
    if not _is_address(address):
        return "unix" in settings.PROXIES  # over a Unix socket there is no address
    networks = [ip_network(listed) for listed in settings.PROXIES if listed != "unix"]
    return any(ip_address(address) in network for network in networks)


def charge_sign_in(request: HttpRequest, username: str) -> None:
    """Charge one attempt to sign in. Raises ``too_many_attempts``, for unknown names as well."""
    address = visitor(request)
    _charge(SIGN_IN_ADDRESS, address)
    _charge(SIGN_IN_ACCOUNT, address, username.casefold())


def charge_sign_up(request: HttpRequest) -> None:
    """Charge one attempt to sign up. Raises ``too_many_attempts``."""
    _charge(SIGN_UP_ADDRESS, visitor(request))


def charge_second_factor(request: HttpRequest) -> None:
    """Charge one code of a second factor. Raises ``too_many_attempts``."""
    _charge(SECOND_FACTOR, visitor(request))


def charge_mail(email: str) -> None:
    """Charge one mail to an address. Raises ``too_many_attempts``."""
    _charge(MAILS, email.casefold())


def charge_submission(user: User) -> None:
    """Charge one submission or preflight, accepted or not. Raises ``too_many_requests``."""
    _charge(SUBMISSIONS, str(user.pk), code=Refusal.TOO_OFTEN)


def charge_probe(organisation: Organisation, user: User) -> None:
    """Charge one check of an endpoint to its organisation, and to the account that asks.

    An account with several organisations has no more checks. Raises ``too_many_requests``.
    """
    _charge(PROBES, str(organisation.pk), code=Refusal.TOO_OFTEN)
    _charge(PROBES, "account", str(user.pk), code=Refusal.TOO_OFTEN)


def charge_api(user: User) -> None:
    """Charge one request with a token. Raises ``too_many_requests``."""
    _charge(API_REQUESTS, str(user.pk), code=Refusal.TOO_OFTEN)


def forget_attempts(request: HttpRequest, username: str) -> None:
    """Refill the bucket of an address and an account whose owner has just signed in."""
    key = _key(SIGN_IN_ACCOUNT, visitor(request), username.casefold())
    Bucket.objects.filter(key=key).delete()


def _charge(limit: Limit, *parts: str, code: Refusal = Refusal.TOO_MANY) -> None:
    now = timezone.now()
    key = _key(limit, *parts)
    one = timedelta(seconds=limit.seconds)
    latest = now + (limit.burst - 1) * one

    def take_one() -> bool:
        """Take one attempt of a bucket that is there and has one; two at once take two."""
        bucket = Bucket.objects.filter(key=key, full_at__lte=latest)
        full_at = Greatest("full_at", Value(now)) + one
        return bool(bucket.update(full_at=full_at))

    if take_one():
        return
    with transaction.atomic():
        bucket, created = Bucket.objects.select_for_update().get_or_create(
            key=key, defaults={"full_at": now}
        )
        taken = take_one()
    if created:
        delete_full_buckets(now)
    if not taken:
        refusal = refuse(code)
        refusal.retry_after = ceil((bucket.full_at - latest).total_seconds())
        raise refusal


def _key(limit: Limit, *parts: str) -> str:
    text = "\n".join((limit.name, *parts))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def delete_full_buckets(now: datetime) -> None:
    """Delete some of the buckets that are full again: a missing bucket is a full one."""
    with transaction.atomic():
        full = Bucket.objects.filter(full_at__lt=now).select_for_update(skip_locked=True)
        Bucket.objects.filter(
            pk__in=list(full.values_list("pk", flat=True)[:SWEPT_AT_ONCE])
        ).delete()


_hashing = BoundedSemaphore(HASHES_AT_ONCE)
_entered = BoundedSemaphore(HASHES_AT_ONCE + WAITING_AT_MOST)


@contextmanager
def hashing() -> Iterator[None]:
    """Hold one of the few turns at hashing a password. Raises ``busy`` where too many wait."""
    if not _entered.acquire(blocking=False):
        raise refuse(Refusal.BUSY)
    try:
        with _hashing:
            yield
    finally:
        _entered.release()
