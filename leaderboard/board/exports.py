"""A ranking as data: the JSON of the API and of ``manage.py board``, and the CSV file."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any

from leaderboard.board.lookup import Board
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.charts import frontier
from leaderboard.charts.frontier import Size
from leaderboard.evidence.exports import UNITS, plain_cell, score_cells
from leaderboard.evidence.leaks import LeakContrast, PriorExposureContrast
from leaderboard.evidence.noise import noise_floor

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
    data = []
    for row in rows:
        derived = {
            "evidence_label": row.evidence.label,
            "step": row.step,
            "efficient": efficient[Size.PARAMETERS].get(row.model),
            "efficient_in_tokens": efficient[Size.TOKENS].get(row.model),
        }
        data.append(row.to_dict() | derived)
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
        "rows": data,
        **board.unranked.to_dict(),
    }


def efficient_models(snapshot: Snapshot | None) -> Mapping[Size, Mapping[str, bool]]:
    """Return by size the models whose size is known, True for those on the board's frontier."""
    if snapshot is None:
        return {size: {} for size in Size}
    return {size: frontier.efficient(snapshot.sized(size)) for size in Size}


def as_csv(
    rows: Iterable[Row],
    efficient: Mapping[Size, Mapping[str, bool]] | None = None,
) -> str:
    """One line a ranked model, under :data:`COLUMNS`.

    ``efficient`` are the models as :func:`efficient_models` returns them.
    """
    by_size = efficient or {size: {} for size in Size}
    file = StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        record = _record(row) | _decision_cells(row) | _exposure_cells(row)
        record["efficient"] = by_size[Size.PARAMETERS].get(row.model)
        record["efficient_in_tokens"] = by_size[Size.TOKENS].get(row.model)
        writer.writerow(record)
    return file.getvalue()


def _record(row: Row) -> dict[str, object]:
    """Return the cells of a row by column, but those of its evidence and of exposure."""
    private = row.private
    public = row.public
    record: dict[str, object] = {
        "rank": row.rank,
        "rank_best": row.rank_range[0],
        "rank_worst": row.rank_range[1],
        "public_rank": row.public_rank,
        "model": plain_cell(row.model),
        "organisation": plain_cell(row.organisation),
        "verified": row.verified,
        "family": plain_cell(row.family),
        "parameters": row.parameters,
        "tokens": row.tokens,
        "open_weights": row.open_weights,
        "access": row.access,
        "protocol": row.protocol,
        **score_cells("private", private),
        **score_cells("public", public),
        "private_truncated": private.truncated,
        "public_truncated": public.truncated,
        "gap": row.gap,
        "gap_lo": row.interval[0],
        "gap_hi": row.interval[1],
        "worst_gap_lo": row.worst[0],
        "worst_gap_hi": row.worst[1],
        "smallest_visible_gap": row.smallest_visible_gap,
        "tries": row.tries,
        "ended": row.ended,
        "run": row.run,
        "graders": "; ".join(score.cell for score in row.graders),
        "private_step": row.step,
        "private_within": row.within,
        "samples": private.samples,
        "private_samples_right": private.samples_right,
        "private_standard_error": private.standard_error,
        "public_samples_right": public.samples_right,
        "public_standard_error": public.standard_error,
        "trained_on_public": row.trained_on_public,
        "later_tries": 0,
        "lineage_runs": row.lineage_runs,
    }
    if row.adaptive:
        record["private_planned"] = row.adaptive.planned
    if row.later:
        record["later_tries"] = row.later.count
        record["later_lowest"] = row.later.lowest
        record["later_highest"] = row.later.highest
    if row.replaced:
        record["replaced_run"] = row.replaced.run
    return record


def _decision_cells(row: Row) -> dict[str, object]:
    """Return the evidence level and the numbers behind it, as far as it is decided."""
    cells: dict[str, object] = {"evidence": row.evidence}
    judged = row.judged
    if judged is None:
        return cells
    cells |= {
        "basis": judged.basis,
        "method": judged.method,
        "p": judged.p,
        "p_holm": row.holm,
        "q_bh": row.benjamini_hochberg,
        "visible_gap": judged.visible,
        "visible_gap_overfit": judged.visible_overfit,
        "first_run": judged.first and judged.first.run,
        "fewest_contaminated": judged.fewest,
        "closed": judged.closed,
    }
    if judged.adjusted:
        cells |= {
            "adjusted_gap": judged.adjusted.gap,
            "adjusted_lo": judged.adjusted.interval[0],
            "adjusted_hi": judged.adjusted.interval[1],
            "adjusted_by": judged.adjusted.by,
            "references": judged.adjusted.references,
        }
    return cells


def _exposure_cells(row: Row) -> dict[str, object]:
    """Return what is known of leaks and of prior exposure; nothing where no contrast is."""
    cells: dict[str, object] = {}
    if row.leak:
        cells |= {
            "leak_exposed_right": row.leak.exposed_right,
            "leak_exposed_n": row.leak.exposed_n,
            "leak_local_right": row.leak.local_right,
            "leak_local_n": row.leak.local_n,
            **_contrast_cells("leak", row.leak),
        }
    exposure = row.prior_exposure
    if exposure is None:
        return cells
    cells |= {
        "exposure_extent": exposure.extent,
        "shown_before": exposure.before,
        "shown_since": exposure.since,
        "shown_first": exposure.fresh,
    }
    if exposure.contrast:
        cells |= {
            "prior_exposure_seen_right": exposure.contrast.seen_right,
            "prior_exposure_seen_n": exposure.contrast.seen_n,
            "prior_exposure_fresh_right": exposure.contrast.fresh_right,
            "prior_exposure_fresh_n": exposure.contrast.fresh_n,
            **_contrast_cells("prior_exposure", exposure.contrast),
        }
    if exposure.staged:
        cells |= {
            "staged_runs": exposure.staged.runs,
            "staged_comparisons": exposure.staged.comparisons,
            "staged_share": exposure.staged.share,
            "staged_lo": exposure.staged.interval[0],
            "staged_hi": exposure.staged.interval[1],
            "staged_p": exposure.staged.p,
            "staged_visible": exposure.staged.visible,
        }
    return cells


def _contrast_cells(name: str, contrast: LeakContrast | PriorExposureContrast) -> dict[str, object]:
    return {
        name: contrast.difference,
        f"{name}_lo": contrast.interval[0],
        f"{name}_hi": contrast.interval[1],
        f"{name}_p": contrast.p,
        f"{name}_visible": contrast.visible,
    }
