"""Charts of a published table."""

from collections.abc import Sequence

from django.utils.safestring import SafeString

from leaderboard.charts import planes
from leaderboard.published.points import of_line
from leaderboard.published.results import Basis, PanelFacts, PublishedLine


def scatter(lines: Sequence[PublishedLine], basis: Basis, panel: PanelFacts | None) -> SafeString:
    """Private against public accuracy, with the diagonal, and what the other models lead to expect as a curve."""
    return planes.scatter([of_line(line, basis) for line in lines], panel.curve if panel else ())


def likelihood(lines: Sequence[PublishedLine], basis: Basis) -> SafeString:
    """The gap against the log-likelihood per character."""
    return planes.likelihood([of_line(line, basis) for line in lines])
