"""End of the leases that have run out, by what the recorder has recorded.

A lease is judged by the reports that had been sent when it ended, not by those that have been
recorded so far. The housekeeping therefore sends its moment through the recorder's own queue,
behind the reports that wait there: once the message is taken, whatever was sent before that moment
has been recorded.

Where no such message came for long, broker, recorder or database were away, and evaluators may
still have reports on their disks. The outage does not count: each lease then has a whole term anew.
"""

import logging
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction

from leaderboard.celery import BEAT_SECONDS
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import try_to_send
from leaderboard.submissions.actions.runs import reap
from leaderboard.submissions.models import RECORDED, Heartbeat, Run, lease_end
from leaderboard.submissions.states import LIVE

logger = logging.getLogger(__name__)


def request_end_of_lapsed() -> bool:
    """Ask, behind the reports that wait, for the end of the leases that are over by now."""
    return try_to_send(partial(dispatch.send_end_lapsed, _database_clock()))


def end_lapsed(*, moment: datetime) -> int:
    """End the attempts whose lease was over at ``moment``, by when all reports are recorded.

    A moment that lies ahead counts as now, and one that another recorder has passed does nothing.
    Returns how many runs were taken.
    """
    moment = min(moment, _database_clock())
    with transaction.atomic():
        before = Heartbeat.move(RECORDED, moment)
        if before is not None and moment <= before:
            return 0
        # A recorder that keeps up leaves no more time between two moments.
        seconds = max(2 * BEAT_SECONDS, settings.LEASE_SECONDS / 3)
        longest_pause = timedelta(seconds=seconds)
        if before is None or moment - before > longest_pause:
            # A run that is locked is being recorded, and so has a whole term already.
            live = Run.objects.filter(state__in=LIVE)
            locked = live.select_for_update(skip_locked=True)
            pks = list(locked.values_list("pk", flat=True))
            runs = Run.objects.filter(pk__in=pks)
            extended = runs.update(lease_expires=lease_end())
            logger.warning("reports were not recorded for long: %d leases extended", extended)
    return reap(recorded_until=moment)


def _database_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
