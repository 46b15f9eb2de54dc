"""Authors' replies: written by the organisation that has the model, hidden by maintainers."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from leaderboard.accounts.actions import record_act
from leaderboard.accounts.models import Role, User
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import Reply, Run
from leaderboard.submissions.models.replies import LONGEST_REPLY, LONGEST_WHY
from leaderboard.submissions.states import RunState


def write_reply(*, run: UUID, text: str, by: User) -> Reply:
    """Store the reply to a published run, in place of an earlier one.

    It is for owners of the organisation that has the model, and for the member who submitted the
    run. Raises ``not_found``, ``forbidden``, ``reply_refused`` and ``reply_hidden``.
    """
    with transaction.atomic():
        locked = _published_run(run, by)
        organisation = locked.submission.model.organisation
        plain = _plain(text, LONGEST_REPLY)
        if plain is None:
            raise refuse(Refusal.REPLY_REFUSED)
        _check_not_hidden(locked)
        reply, _ = Reply.objects.update_or_create(
            run=locked,
            defaults={
                "text": plain,
                "organisation": organisation,
                "written_by": by,
                "written_at": timezone.now(),
            },
        )
    return reply


def withdraw_reply(*, run: UUID, by: User) -> None:
    """Delete a reply that is not hidden; for those who may write it. Raises as that does."""
    with transaction.atomic():
        locked = _published_run(run, by)
        _check_not_hidden(locked)
        deleted, _ = Reply.objects.filter(run=locked).delete()
        if not deleted:
            raise refuse(Refusal.NOT_FOUND)


def hide_reply(*, run: UUID, why: str, by: User) -> Reply:
    """Hide a reply for a reason that is shown in its place; for maintainers.

    An empty reason shows the reply again. Raises ``forbidden``, ``not_found`` and
    ``invalid_field``.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    plain = _plain(why, LONGEST_WHY) if why.strip() else ""
    if plain is None:
        raise refuse(Refusal.INVALID_FIELD, "why")
    with transaction.atomic():
        replies = Reply.objects.select_for_update(of=("self",))
        reply = replies.filter(run=run).first()
        if reply is None:
            raise refuse(Refusal.NOT_FOUND)
        act = "hide_reply" if plain else "show_reply"
        record_act(
            actor=by.username,
            act=act,
            subject=str(run),
            why=plain,
        )
        reply.hidden_at = timezone.now() if plain else None
        reply.hidden_why = plain
        reply.save(update_fields=["hidden_at", "hidden_why"])
    return reply


def may_reply(run: Run, user: User) -> bool:
    """Return True if a user may write the reply to a run that is published."""
    memberships = user.membership_set.filter(organisation=run.submission.model.organisation_id)
    if run.submission.submitted_by_id != user.pk:
        memberships = memberships.filter(role=Role.OWNER)
    return run.state == RunState.RANKED and memberships.exists()


def _published_run(run: UUID, by: User) -> Run:
    locked = Run.objects.locked(run)
    if locked is None or locked.state != RunState.RANKED:
        raise refuse(Refusal.NOT_FOUND)
    if not may_reply(locked, by):
        raise refuse(Refusal.FORBIDDEN)
    return locked


def _check_not_hidden(run: Run) -> None:
    if Reply.objects.filter(run=run, hidden_at__isnull=False).exists():
        raise refuse(Refusal.REPLY_HIDDEN)


def _plain(text: str, longest: int) -> str | None:
    """Return a text on one line; None if it is empty, too long, or has other characters.

    Characters that are not printable could turn the direction of a page's text.
    """
    line = " ".join(text.split())
    if not line or len(line) > longest or not line.isprintable():
        return None
    return line
