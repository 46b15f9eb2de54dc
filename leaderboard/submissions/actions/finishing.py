"""Storing the summary of a finished attempt: counts, votes, likelihoods, reasons.

Parts that do not fit the run raise ``bad_message``. Aggregates over a sealed set are over at least
the minimum cell size.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from evaluator.contract import (
    MIN_CELL_SIZE,
    Candidates,
    Finished,
    GraderCounts,
    Reasons,
    SetCounts,
    SetLikelihood,
    SetUsage,
    Votes,
)
from evaluator.errors import Code, error
from leaderboard.submissions.actions.artefacts import check_identity
from leaderboard.submissions.actions.commitments import is_post_release
from leaderboard.submissions.actions.locked import LockedRun, Rows
from leaderboard.submissions.models import (
    CountsByGrader,
    Run,
    RunOutcomes,
    TensorList,
)

SUMMARISED = ("votes", "candidates", "likelihood", "reasons")
"""Columns of outcomes that hold aggregates of a finished attempt."""


class OfSet(Protocol):
    """Part of a report that is about one set."""

    @property
    def name(self) -> str:
        """Name of the set."""


Part = TypeVar("Part", bound=OfSet)


def _summaries(row: RunOutcomes) -> list[object]:
    return [getattr(row, name) for name in SUMMARISED]


def store_summary(locked: LockedRun, body: Finished) -> None:
    """Check all that a finished attempt reports, and store it; some of it is held until later."""
    run = locked.run
    rows = locked.rows
    before = {name: _summaries(row) for name, row in rows.items()}
    _check_counts(rows, body.sets)
    _check_system(run, rows, body)
    _set_votes(rows, body.votes)
    _set_candidates(run, rows, body.candidates or ())
    _store_grader_counts(run, rows, body.graders)
    _set_likelihoods(run, rows, body.likelihoods)
    _set_reasons(run, rows, body.reasons)
    changed = []
    for name, row in rows.items():
        if _summaries(row) != before[name]:
            changed.append(row)
    locked.hold(changed, SUMMARISED)
    weights = run.weights
    if body.weights:
        # The list of tensors is stored once for all runs of the same weights.
        weights = body.weights.digest()
        fields = {"compared": False}
        TensorList.objects.update_or_create(
            digest=weights,
            defaults=fields,
            create_defaults=fields | {"data": body.weights.to_dict()},
        )
        check_identity(run, weights)
    run.hold(
        claimed=[counts.to_dict() for counts in body.sets],
        record=body.record.to_dict() if body.record else None,
        artefact=body.artefact,
        post_release=is_post_release(run, body.artefact),
        likelihood_failed=body.likelihood_failed or "",
        parts=[part.to_dict() for part in body.parts or ()],
        tokens_per_item=_tokens_per_item(rows, body.usage or ()),
        weights=weights,
    )


def _by_set(
    rows: Rows,
    parts: Sequence[Part],
    what: str,
) -> dict[str, Part]:
    """Return the parts by set: at most one for each set of the run, and none for another."""
    by_set = {part.name: part for part in parts}
    is_once_each = len(by_set) == len(parts)
    if not is_once_each or not by_set.keys() <= rows.keys():
        raise error(Code.BAD_MESSAGE, f"{what} are not for the sets of the run")
    return by_set


def _least(row: RunOutcomes) -> int:
    """Return the fewest items that an aggregate over the set may be over."""
    return MIN_CELL_SIZE if row.item_set.sealed else 1


def _is_over_set(part: Votes | Candidates, row: RunOutcomes) -> bool:
    """Return True where the counts are over the whole set, and no bin is over too few items."""
    items_in_bins = sum(items.n for items in part.bins)
    if not part.n == row.n == items_in_bins:
        return False
    least = _least(row)
    return all(items.n >= least and items.right <= items.n for items in part.bins)


def _check_counts(rows: Rows, sets: Sequence[SetCounts]) -> None:
    if sorted(counts.name for counts in sets) != sorted(rows):
        raise error(Code.BAD_MESSAGE, "counts are not for the sets of the run")
    for counts in sets:
        if counts.n != rows[counts.name].n or counts.closed > counts.n or counts.not_counted:
            raise error(Code.BAD_MESSAGE, "counts do not fit their set")


def _check_system(run: Run, rows: Rows, body: Finished) -> None:
    """Raise ``bad_message`` unless the record and the parts of a system are those of the run."""
    submission = run.submission
    record = body.record
    if record:
        asked = (submission.asked_by, submission.pair.grader)
        recorded = (record.protocol, record.grader)
        sets = sorted(shots.name for shots in record.shots)
        if sets != sorted(rows) or recorded != asked:
            raise error(Code.BAD_MESSAGE, "a record is not of the run")
    roles = [part.role for part in body.parts or ()]
    expected = ["generator", "verifier"] if submission.verifier else []
    if roles != expected:
        raise error(Code.BAD_MESSAGE, "parts do not fit the system")


def _set_votes(rows: Rows, votes: Sequence[Votes]) -> None:
    """Set the aggregates over several samples an item, set by set."""
    by_set = _by_set(rows, votes, "votes")
    for name, row in rows.items():
        of_set = by_set.get(name)
        if of_set:
            all_samples = of_set.n * of_set.samples
            if not _is_over_set(of_set, row) or of_set.right > all_samples:
                raise error(Code.BAD_MESSAGE, "votes do not fit their set")
        row.votes = of_set.to_dict() if of_set else None


def _set_candidates(run: Run, rows: Rows, candidates: Sequence[Candidates]) -> None:
    """Set the aggregates over the scored candidates of a system, set by set."""
    if candidates and not run.submission.verifier:
        raise error(Code.BAD_MESSAGE, "candidates are of systems only")
    by_set = _by_set(rows, candidates, "candidates")
    for name, row in rows.items():
        of_set = by_set.get(name)
        if of_set:
            all_samples = of_set.n * of_set.samples
            most = max(of_set.right, of_set.unreadable, of_set.unscored)
            fits = row.n >= _least(row) and most <= all_samples
            if not fits or not _is_over_set(of_set, row):
                raise error(Code.BAD_MESSAGE, "candidates do not fit their set")
        row.candidates = of_set.to_dict() if of_set else None


def _tokens_per_item(rows: Rows, usages: Sequence[SetUsage]) -> float | None:
    """Return the mean number of tokens an item, over the public sets; None where none are known."""
    by_set = _by_set(rows, usages, "usages")
    for name, usage in by_set.items():
        row = rows[name]
        if row.item_set.sealed or usage.n > row.n:
            raise error(Code.BAD_MESSAGE, "usages do not fit their set")
    tokens = sum(usage.tokens_in + usage.tokens_out for usage in usages)
    if not tokens:
        return None
    items = sum(usage.n for usage in usages)
    return tokens / items


def _store_grader_counts(run: Run, rows: Rows, counts: Sequence[GraderCounts]) -> None:
    """Store each grader's counts over the answers as they came."""
    places = {(part.set, part.grader) for part in counts}
    if len(places) != len(counts):
        raise error(Code.BAD_MESSAGE, "counts of graders are not for the sets of the run")
    for part in counts:
        if part.set not in rows or part.n > rows[part.set].n:
            raise error(Code.BAD_MESSAGE, "counts of graders are not for the sets of the run")
        if part.n != part.closed:
            raise error(Code.BAD_MESSAGE, "counts of graders do not add up")
    if run.token > 1 or run.claimed is not None:  # else no attempt has finished before
        run.counts_by_grader.all().delete()
    CountsByGrader.objects.bulk_create(
        CountsByGrader(
            run=run,
            item_set=rows[part.set].item_set,
            grader=part.grader,
            n=part.n,
            right=part.right,
            wrong=part.wrong,
            no_answer=part.no_answer,
            truncated=part.truncated,
        )
        for part in counts
    )


def _set_likelihoods(run: Run, rows: Rows, likelihoods: Sequence[SetLikelihood]) -> None:
    """Set the likelihoods that weights have of each set: of all of them, or of none."""
    by_set = _by_set(rows, likelihoods, "likelihoods")
    may_have_any = not run.submission.is_endpoint and by_set.keys() == rows.keys()
    if by_set and not may_have_any:
        raise error(Code.BAD_MESSAGE, "likelihoods are not for the sets of the run")
    for name, row in rows.items():
        of_set = by_set.get(name)
        if of_set and of_set.n != row.n:
            raise error(Code.BAD_MESSAGE, "likelihoods do not fit their set")
        row.likelihood = of_set.to_dict() if of_set else None


def _set_reasons(run: Run, rows: Rows, reasons: Sequence[Reasons]) -> None:
    """Set an endpoint's reasons for no answer, set by set, over the whole item selection."""
    if reasons and not run.submission.is_endpoint:
        raise error(Code.BAD_MESSAGE, "reasons are of endpoints only")
    by_set = _by_set(rows, reasons, "reasons")
    for name, row in rows.items():
        of_set = by_set.get(name)
        row.reasons = None
        if of_set:
            row.reasons = {str(reason): count for reason, count in of_set.counts}
            without_answer = sum(row.reasons.values())
            least = max(_least(row), without_answer)
            fits = of_set.n == row.n >= least
            if row.reasons and not fits:
                raise error(Code.BAD_MESSAGE, "reasons do not fit their set")
