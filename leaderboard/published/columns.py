"""Columns of a published table."""

from leaderboard.charts.ranking import Column

COLUMNS = (
    Column("rank", "num rank", "Rank"),
    Column("model", "name", "Model", sortable=True),
    Column("family", "family", "Family", "Family", sortable=True),
    Column("organisation", "organisation", "Organisation", "Organisation"),
    Column("size", "num size", "Size", "Size", sortable=True),
    Column("access", "access", "Access", "Access"),
    Column("known", "known", "Known", "Known"),
    Column("private", "num private", "Private, %", sortable=True),
    Column("public", "num public", "Public, %", "Public", sortable=True),
    Column("scores", "pic", "Private and public, %", "Both scores", axis="scores"),
    Column("gap", "num gap", "Gap, pp", "Gap", sortable=True),
    Column("interval", "pic2", "95% interval of the gap, pp", "Interval of the gap", axis="gaps"),
    Column("peers", "num adjusted", "Vs peers", "Gap against peers", sortable=True),
    Column("evidence", "evidence", "Evidence", sortable=True),
)
"""A visitor may choose those with a label; the others always stand."""
DEFAULT_COLUMNS = ("family", "size", "known", "public", "scores", "gap", "interval", "peers")
