"""Charts of a board."""

from collections.abc import Sequence

from django.utils.safestring import SafeString

from leaderboard.board.points import of_row
from leaderboard.board.rows import Row
from leaderboard.charts import planes
from leaderboard.charts.orders import draw_peers, draw_slopes


def slopes(rows: Sequence[Row]) -> SafeString:
    """As :func:`draw_slopes`, of ranked rows."""
    return draw_slopes([of_row(row) for row in rows])


def peers(row: Row, near: Sequence[Row]) -> SafeString:
    """As :func:`draw_peers`, of ranked rows."""
    return draw_peers(row.model, [of_row(one) for one in near])


def likelihood(rows: Sequence[Row]) -> SafeString:
    """The gap against the log-likelihood per character of the public items, of the rows that have one."""
    return planes.likelihood([of_row(row) for row in rows])
