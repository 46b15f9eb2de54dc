"""A ranking as data: the JSON of the API and of ``manage.py board``, and the CSV file."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any

from leaderboard.board.lookup import Board
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import GraderScore, Row
from leaderboard.charts import frontier
from leaderboard.charts.frontier import Size
from leaderboard.evidence.exports import UNITS, plain_cell, score_cells
from leaderboard.evidence.leaks import LeakContrast, PriorExposure, StagedContrast
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.summaries import LaterTries

COLUMNS = (
    "rank",
    "rank_best",
    "rank_worst",
    "public_rank",
    "model",
    "organisation",
    "verified",
    "family",
    "parameters",
    "open_weights",
    "access",
    "protocol",
    "private_right",
    "private_n",
    "private_accuracy",
    "private_lo",
    "private_hi",
    "public_right",
    "public_n",
    "public_accuracy",
    "public_lo",
    "public_hi",
    "private_truncated",
    "public_truncated",
    "gap",
    "gap_lo",
    "gap_hi",
    "worst_gap_lo",
    "worst_gap_hi",
    "smallest_visible_gap",
    "evidence",
    "basis",
    "method",
    "p",
    "p_holm",
    "q_bh",
    "visible_gap",
    "visible_gap_overfit",
    "first_run",
    "adjusted_gap",
    "adjusted_lo",
    "adjusted_hi",
    "adjusted_by",
    "references",
    "fewest_contaminated",
    "closed",
    "tries",
    "ended",
    "run",
    "leak_exposed_right",
    "leak_exposed_n",
    "leak_local_right",
    "leak_local_n",
    "leak",
    "leak_lo",
    "leak_hi",
    "leak_p",
    "leak_visible",
    "exposure_extent",
    "shown_before",
    "shown_since",
    "shown_first",
    "prior_exposure_seen_right",
    "prior_exposure_seen_n",
    "prior_exposure_fresh_right",
    "prior_exposure_fresh_n",
    "prior_exposure",
    "prior_exposure_lo",
    "prior_exposure_hi",
    "prior_exposure_p",
    "prior_exposure_visible",
    "staged_runs",
    "staged_comparisons",
    "staged_share",
    "staged_lo",
    "staged_hi",
    "staged_p",
    "staged_visible",
    "graders",
    "private_step",
    "private_within",
    "private_planned",
    "samples",
    "private_samples_right",
    "private_standard_error",
    "public_samples_right",
    "public_standard_error",
    "trained_on_public",
    "later_tries",
    "later_lowest",
    "later_highest",
    "replaced_run",
    "lineage_runs",
    "efficient",
    "tokens",
    "efficient_in_tokens",
)


def as_json(board: Board, rows: Iterable[Row]) -> dict[str, Any]:
    """Return the board with these ``rows`` as JSON data; a missing score is never 0."""
    snapshot = board.snapshot
    efficient = efficient_models(snapshot)
    return {
        "pair": board.pair.slug,
        "units": UNITS,
        "as_of": snapshot and snapshot.created.isoformat(),
        "method": snapshot and snapshot.method,
        "inputs_hash": snapshot and snapshot.inputs_hash,
        "panel": snapshot and snapshot.panel,
        "families": snapshot.families if snapshot else [],
        "likelihood": snapshot and snapshot.likelihood,
        "decided": snapshot.decided if snapshot else [],
        "surest_gaps": snapshot.surest if snapshot else [],
        "models": board.size,
        "noise_floor": noise_floor().summary(),
        "rows": [
            row.to_dict()
            | {
                "evidence_label": row.evidence.label,
                "step": row.step,
                "efficient": efficient[Size.PARAMETERS].get(row.model),
                "efficient_in_tokens": efficient[Size.TOKENS].get(row.model),
            }
            for row in rows
        ],
        **board.unranked.to_dict(),
    }


def efficient_models(snapshot: Snapshot | None) -> Mapping[Size, Mapping[str, bool]]:
    """Return by size the models whose size is known, True for those on the board's frontier."""
    return {size: frontier.efficient(snapshot.sized(size)) if snapshot else {} for size in Size}


def as_csv(rows: Iterable[Row], efficient: Mapping[Size, Mapping[str, bool]] | None = None) -> str:
    """One line a ranked model, under :data:`COLUMNS`.

    ``efficient`` are the models as :func:`efficient_models` returns them.
    """
    on = efficient or {size: {} for size in Size}
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        by_size = (on[Size.PARAMETERS].get(row.model), on[Size.TOKENS].get(row.model))
        writer.writerow([*_line(row), by_size[0], row.tokens, by_size[1]])
    return file.getvalue()


def _line(row: Row) -> list[object]:
    private, public = row.private, row.public
    return [
        row.rank,
        *row.rank_range,
        row.public_rank,
        *map(plain_cell, (row.model, row.organisation)),
        row.verified,
        plain_cell(row.family),
        row.parameters,
        row.open_weights,
        row.access,
        row.protocol,
        *score_cells(private),
        *score_cells(public),
        private.truncated,
        public.truncated,
        row.gap,
        *row.interval,
        *row.worst,
        row.smallest_visible_gap,
        row.evidence,
        *_decision(row),
        row.tries,
        row.ended,
        row.run,
        *_leak(row.leak),
        *_prior_exposure(row.prior_exposure),
        *_staged(row.prior_exposure.staged if row.prior_exposure else None),
        "; ".join(map(_grader_cell, row.graders)),
        row.step,
        row.within,
        row.adaptive and row.adaptive.planned,
        private.samples,
        private.samples_right,
        private.standard_error,
        public.samples_right,
        public.standard_error,
        row.trained_on_public,
        *_later_tries(row.later),
        row.replaced and row.replaced.run,
        row.lineage_runs,
    ]


def _later_tries(later: LaterTries | None) -> list[object]:
    return [later.count, later.lowest, later.highest] if later else [0, None, None]


def _leak(leak: LeakContrast | None) -> list[object]:
    if leak is None:
        return [None] * 9
    counts = (leak.exposed_right, leak.exposed_n, leak.local_right, leak.local_n)
    return [*counts, leak.difference, *leak.interval, leak.p, leak.visible]


def _prior_exposure(prior_exposure: PriorExposure | None) -> list[object]:
    if prior_exposure is None:
        return [None] * 13
    extent = [
        prior_exposure.extent,
        prior_exposure.before,
        prior_exposure.since,
        prior_exposure.fresh,
    ]
    contrast = prior_exposure.contrast
    if contrast is None:
        return [*extent, *[None] * 9]
    counts = (contrast.seen_right, contrast.seen_n, contrast.fresh_right, contrast.fresh_n)
    result = (contrast.difference, *contrast.interval, contrast.p, contrast.visible)
    return [*extent, *counts, *result]


def _staged(one: StagedContrast | None) -> list[object]:
    if one is None:
        return [None] * 7
    return [one.runs, one.comparisons, one.share, *one.interval, one.p, one.visible]


def _grader_cell(score: GraderScore) -> str:
    """Return one grader's counts on both sets; a column for each grader would come and go."""
    public = f"{score.public_right}/{score.public_n}"
    private = f"{score.private_right}/{score.private_n}"
    return f"{score.grader}: public {public}, private {private}"


def _decision(row: Row) -> list[object]:
    """Return the numbers behind an evidence level; empty cells until it is decided."""
    judged = row.judged
    if judged is None:
        return [None] * 15
    adjusted: list[object] = [None] * 5
    if one := judged.adjusted:
        adjusted = [one.gap, *one.interval, one.by, one.references]
    return [
        judged.basis, judged.method, judged.p, row.holm, row.benjamini_hochberg,
        judged.visible, judged.visible_overfit, judged.first and judged.first.run, *adjusted,
        judged.fewest, judged.closed,
    ]  # fmt: skip
