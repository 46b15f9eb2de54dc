"""The recorder's work for this app, called by name so that no app below imports this one."""

import logging

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.celery import REBUILD_TASK, app
from leaderboard.errors import SiteUnavailable, quiet_database
from leaderboard.submissions import actions as submissions

logger = logging.getLogger(__name__)


@app.task(name=REBUILD_TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def rebuild(slug: str) -> None:
    """Bring the ranking of one pair up to date, and close its cohort where that is due by the
    clock.

    Safe to call any number of times. What fails here is asked for again by the housekeeping.
    """
    try:
        with quiet_database():
            pairs = SetPair.objects.select_related("public", "private")
            pair = pairs.filter(slug=slug).first()
            if pair is None:
                return
            if submissions.is_due(pair=pair):
                actions.close_cohort(pair=pair)
            else:
                actions.rebuild(pair=pair)
    except SiteUnavailable as failure:
        logger.warning("ranking put off: %s %s", failure.code, failure.detail)
