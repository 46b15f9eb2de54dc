"""Writing the log of what maintainers do."""

from leaderboard.accounts.models import LONGEST_REASON, AuditEntry

_MOST = 300


def record_act(*, actor: str, act: str, subject: str = "", why: str = "") -> None:
    """Write that a maintainer is about to act. Called before the act, which then may still fail."""
    AuditEntry.objects.create(
        actor=actor, act=act[:100], subject=subject[:_MOST], why=why.strip()[:LONGEST_REASON]
    )
