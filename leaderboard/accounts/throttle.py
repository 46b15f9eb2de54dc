"""Limits on what is expensive or worth guessing: signing in and making accounts.

- A visitor is an address: the connection's, or the one that a trusted proxy forwards.
- Each attempt is paid for *before* the password is hashed, from a bucket of the address and from
  one of the address and
the account together. An account alone has no bucket: attempts from elsewhere lock its owner out of
nothing.
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
from django.http import HttpRequest
from django.utils import timezone

from leaderboard.accounts.models import Bucket
from leaderboard.errors import Refusal, refuse

HASHES_AT_ONCE = 1
WAITING_AT_MOST = 3
SWEPT_AT_ONCE = 100


@dataclass(frozen=True)
class Limit:
    """``burst`` attempts at once, then one every ``seconds``."""

    name: str
    burst: int
    seconds: float


SIGN_IN_ADDRESS = Limit("sign-in by address", settings.SIGN_INS, 600 / settings.SIGN_INS)
SIGN_IN_ACCOUNT = Limit(
    "sign-in by address and account", settings.SIGN_INS_ACCOUNT, 300 / settings.SIGN_INS_ACCOUNT
)
SIGN_UP_ADDRESS = Limit("sign-up by address", settings.SIGN_UPS, 3600 / settings.SIGN_UPS)


def visitor(request: HttpRequest) -> str:
    """Return the address of whoever asks; ``X-Forwarded-For`` counts only as far as trusted proxies
    wrote it."""
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    address = request.META.get("REMOTE_ADDR", "")
    while hops and _is_proxy(address):
        nearer = hops.pop().strip()
        if not nearer or not _is_address(nearer):
            break
        address = nearer
    return _network(address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_proxy(address: str) -> bool:
    if not _is_address(address):
        return "unix" in settings.PROXIES  # over a Unix socket there is no address
    return any(ip_address(address) in ip_network(one) for one in settings.PROXIES if one != "unix")


def _network(address: str) -> str:
    """One visitor has a whole /64 of IPv6 addresses."""
    if not _is_address(address) or ip_address(address).version == 4:
        return address
    return str(ip_network((address, 64), strict=False))


def charge_sign_in(request: HttpRequest, username: str) -> None:
    """Pay for one attempt to sign in. Raises ``too_many_attempts``, the same for a name that is
    unknown."""
    address = visitor(request)
    _charge(SIGN_IN_ADDRESS, address)
    _charge(SIGN_IN_ACCOUNT, address, username.casefold())


def charge_sign_up(request: HttpRequest) -> None:
    """Pay for one attempt to make an account. Raises ``too_many_attempts``."""
    _charge(SIGN_UP_ADDRESS, visitor(request))


def forget_attempts(request: HttpRequest, username: str) -> None:
    """Give the owner of an account, who has just signed in from here, a full bucket again."""
    Bucket.objects.filter(key=_key(SIGN_IN_ACCOUNT, visitor(request), username.casefold())).delete()


def _charge(limit: Limit, *parts: str) -> None:
    now = timezone.now()
    with transaction.atomic():
        key = _key(limit, *parts)
        bucket, created = Bucket.objects.select_for_update().get_or_create(
            key=key, defaults={"full_at": now}
        )
        full_at = max(bucket.full_at, now) + timedelta(seconds=limit.seconds)
        excess = (full_at - now).total_seconds() - limit.burst * limit.seconds
        if excess <= 0:
            bucket.full_at = full_at
            bucket.save(update_fields=["full_at"])
    if created:
        _sweep(now)
    if excess > 0:
        refusal = refuse(Refusal.TOO_MANY)
        refusal.retry_after = ceil(excess)
        raise refusal


def _key(limit: Limit, *parts: str) -> str:
    return hashlib.sha256("\n".join((limit.name, *parts)).encode("utf-8", "replace")).hexdigest()


def _sweep(now: datetime) -> None:
    """Delete some of the buckets that are full again: one that is not there is full. A new one pays
    for old ones."""
    with transaction.atomic():
        full = Bucket.objects.filter(full_at__lt=now).select_for_update(skip_locked=True)
        Bucket.objects.filter(
            pk__in=list(full.values_list("pk", flat=True)[:SWEPT_AT_ONCE])
        ).delete()


_hashing = BoundedSemaphore(HASHES_AT_ONCE)
_entered = BoundedSemaphore(HASHES_AT_ONCE + WAITING_AT_MOST)


@contextmanager
def hashing() -> Iterator[None]:
    """Hold one of the few turns at hashing a password. Raises ``busy`` where too many wait already."""
    if not _entered.acquire(blocking=False):
        raise refuse(Refusal.BUSY)
    try:
        with _hashing:
            yield
    finally:
        _entered.release()
