"""A run under its lock, as the reports of one message change it."""

from collections.abc import Iterable, Mapping

from leaderboard.submissions.models import Run, RunOutcomes

MERGED = (
    "packed",
    "right",
    "wrong",
    "no_answer",
    "truncated",
    "not_counted",
    "samples_right",
)
"""Columns of outcomes that a report of outcomes changes."""
Rows = Mapping[str, RunOutcomes]
"""The outcomes of a run, by the name of the set."""


class LockedRun:
    """A locked run and its outcomes, which are read once and written once for a message.

    ``write`` before any part of the site that reads the run or its outcomes from the database.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._rows: Rows | None = None
        self._changed: dict[int, RunOutcomes] = {}
        self._columns: set[str] = set()

    @property
    def rows(self) -> Rows:
        """The outcomes with their sets, but for the manifests, which are long."""
        if self._rows is None:
            outcomes = self.run.outcomes.select_related("item_set").defer("item_set__manifest")
            self._rows = {row.item_set.name: row for row in outcomes}
        return self._rows

    def hold(
        self,
        rows: Iterable[RunOutcomes],
        columns: Iterable[str],
    ) -> None:
        """Hold changes of these columns until :meth:`write`."""
        changed = {row.pk: row for row in rows}
        if changed:
            self._changed |= changed
            self._columns.update(columns)

    def write(self) -> None:
        """Write what is held, of the outcomes and of the run. Raises as :meth:`Run.write_held`."""
        if self._changed:
            RunOutcomes.objects.bulk_update(self._changed.values(), sorted(self._columns))
            self._changed = {}
            self._columns = set()
        self.run.write_held()
