"""Checks of the site's own host: its clock, disk, cache, mail and backup.

They open connections and look at the disk, so ``manage.py doctor`` makes them and no page does.
"""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from smtplib import SMTPException

from django.conf import settings
from django.core.cache import cache
from django.core.mail import get_connection
from django.db import connection
from django.utils import timezone

from leaderboard.submissions.actions.checks import CheckResult

SKEW_SECONDS = 5
FREE_BYTES = 1 << 30
BACKUP_SECONDS = 2 * 86_400
"""Age of a backup beyond which it is pointed out."""


def check_clock() -> Iterator[CheckResult]:
    """Report a clock that differs from the database's, by which leases are measured."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone()
    skew = (timezone.now() - moment).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        yield CheckResult(
            "clock",
            f"This host's clock differs from the database's by {skew:+.0f} s.",
            "Let both follow the same time servers.",
        )


def check_disk() -> Iterator[CheckResult]:
    """Report folders of uploads and releases that cannot be written, or whose disk is full."""
    for name in ("UPLOADS", "RELEASES"):
        folder: Path = getattr(settings, name)
        existing = folder
        while not existing.exists():
            existing = existing.parent
        if not os.access(existing, os.W_OK | os.X_OK):
            yield CheckResult(
                "disk",
                f"HOLDFAST_{name} cannot be written.",
                "Give the folder to the user that the site and the recorder run as.",
            )
            continue
        disk = os.statvfs(existing)
        if disk.f_bavail * disk.f_frsize < FREE_BYTES:
            sentence = f"The disk of HOLDFAST_{name} has less than 1 GiB left."
            yield CheckResult("disk", sentence, "Free some space.")


def check_cache() -> Iterator[CheckResult]:
    """Report a cache that does not return what it was given."""
    token = secrets.token_hex(8)
    try:
        cache.set("doctor", token, 60)
        works = cache.get("doctor") == token
    except Exception:  # noqa: BLE001 - each cache has errors of its own
        works = False
    if not works:
        yield CheckResult(
            "cache_away",
            "The cache does not answer, so every page is made anew and limits do not count.",
            "Start it, or correct HOLDFAST_CACHE_URL.",
        )


def check_mail() -> Iterator[CheckResult]:
    """Report a mail server that takes no connection or refuses the sign-in."""
    try:
        with get_connection():
            pass
    except (OSError, SMTPException) as failure:
        yield CheckResult(
            "mail_away",
            f"The mail server cannot be used ({type(failure).__name__}).",
            "Correct HOLDFAST_MAIL: until then no visitor can sign up or reset a password.",
        )


def check_backup() -> Iterator[CheckResult]:
    """Report an old backup, by the file that the backup's own script touches."""
    stamp = settings.BACKUP_STAMP
    if not stamp:
        return
    advice = "See whether the backup of the database still runs."
    try:
        age = time.time() - Path(stamp).stat().st_mtime
    except OSError:
        yield CheckResult("backup_old", "No backup has ever ended.", advice, problem=False)
        return
    if age > BACKUP_SECONDS:
        sentence = f"The last backup ended {age / 86_400:.0f} days ago."
        yield CheckResult("backup_old", sentence, advice, problem=False)
