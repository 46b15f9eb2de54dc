"""The recorder's work for this app, called by name so that no app below imports this one."""

from celery import shared_task

from leaderboard.benchmarks.models import SetPair
from leaderboard.celery import REBUILD_TASK
from leaderboard.rankings import actions


@shared_task(name=REBUILD_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def rebuild(slug: str | None = None) -> None:
    """Bring the ranking of one pair up to date, or of every pair. Safe to call any number of times."""
    for pair in SetPair.objects.filter(**({} if slug is None else {"slug": slug})):
        actions.rebuild(pair=pair)
