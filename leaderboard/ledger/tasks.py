"""The ledger's task: asking evaluators for what the site's copy of their logs lacks."""

import logging

from kombu.exceptions import OperationalError as BrokerAway

from leaderboard.celery import ASK_LOGS_TASK, app
from leaderboard.errors import SiteUnavailable, quiet_database
from leaderboard.ledger import actions

logger = logging.getLogger(__name__)


@app.task(name=ASK_LOGS_TASK)  # type: ignore[untyped-decorator]
def ask_logs() -> None:
    """Ask every evaluator. Logs one line where broker or database are away: the task runs again
    within a minute."""
    try:
        with quiet_database():
            actions.ask_logs()
    except SiteUnavailable as failure:
        logger.warning("logs not asked for: %s", failure.code)
    except (BrokerAway, OSError) as failure:
        logger.warning("logs not asked for: %s", type(failure).__name__)
