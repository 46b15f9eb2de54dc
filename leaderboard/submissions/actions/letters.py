"""Mails to single users: written with what they are about, sent by the worker of notifications."""

from collections.abc import Iterable
from smtplib import SMTPException

from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.db import transaction

from leaderboard.accounts.models import User
from leaderboard.submissions.actions.deliveries import CLAIM_SECONDS, settle
from leaderboard.submissions.models import Letter, seconds_from_now

MOST_AT_ONCE = 50


def write_letters(
    *,
    users: Iterable[User],
    key: str,
    subject: str,
    text: str,
) -> None:
    """Write a mail to each user, in the caller's transaction; to none who has one with this key."""
    one_line = " ".join(subject.split())[:200]
    letters = []
    for user in users:
        letter = Letter(
            user=user,
            key=key,
            subject=one_line,
            text=text,
        )
        letters.append(letter)
    Letter.objects.bulk_create(letters, ignore_conflicts=True)


def send_letters() -> int:
    """Send the mails that are due. Returns how many were tried."""
    with transaction.atomic():
        locking = Letter.objects.select_for_update(of=("self",), skip_locked=True)
        due = locking.due().select_related("user")
        claimed = list(due.order_by("due")[:MOST_AT_ONCE])
        rows = Letter.objects.filter(pk__in=[letter.pk for letter in claimed])
        rows.update(due=seconds_from_now(CLAIM_SECONDS))
    for letter in claimed:
        addresses = EmailAddress.objects.filter(
            user=letter.user,
            verified=True,
            primary=True,
        )
        confirmed = addresses.first()
        if confirmed is None:
            settle([letter], False, "no_address")
            continue
        mail = EmailMessage(letter.subject, letter.text, to=[confirmed.email])
        mail.extra_headers = {
            "Message-ID": f"<letter-{letter.pk}@holdfast>",
            "Auto-Submitted": "auto-generated",
        }
        try:
            mail.send()
        except (SMTPException, OSError):
            settle([letter], False, "mail_away")
        else:
            settle([letter], True, "sent")
    return len(claimed)
