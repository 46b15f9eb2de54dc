"""Published tables as data: JSON of the API, and CSV."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from leaderboard.charts import frontier
from leaderboard.evidence.exports import UNITS, plain_cell, score_cells
from leaderboard.evidence.summaries import FamilyLine, Tested
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.points import sized
from leaderboard.published.results import Basis, PublishedResult, is_tested

PUBLISHED_COLUMNS = (
    "rank", "rank_best", "rank_worst", "public_rank", "model", "organisation", "family", "access",
    "parameters_b", "active_parameters_b", "private_right", "private_n", "private_accuracy",
    "private_lo", "private_hi", "public_right", "public_n", "public_accuracy", "public_lo",
    "public_hi", "gap", "gap_lo", "gap_hi", "p_greater", "p_greater_holm", "p_greater_bh",
    "p_two_sided", "p_two_sided_holm", "p_two_sided_bh", "visible_gap", "reported_gap",
    "reported_z", "peers_gap", "peers_lo", "peers_hi", "peers_p", "peers_holm", "peers_bh",
    "peers_references", "peers_visible_gap", "loglik_per_char", "role", "basis", "evidence",
    "efficient",
)  # fmt: skip


def published_as_json(
    table: PublishedTable,
    snapshot: PublishedSnapshot,
    lines: Sequence[PublishedResult],
    basis: Basis,
    answers: object,
) -> dict[str, Any]:
    """Return a table as JSON data: the rows asked for, and all else that its page states."""
    analysis = snapshot.analysis()
    efficient = frontier.efficient(sized(analysis.lines))
    rows = []
    for line in lines:
        row = model_as_json(line, basis)
        row["efficient"] = efficient.get(line.model)
        rows.append(row)
    parts = analysis.to_dict()
    for name in ("basis", "lines", "families"):
        del parts[name]
    return {
        "table": table.slug,
        "title": table.title,
        "source": table.source,
        "url": table.url,
        "equally_hard": table.equally_hard,
        "same_problems": table.same_problems,
        "ran_by": table.ran_by,
        "public": table.public_name,
        "private": table.private_name,
        "digest": table.digest,
        "units": UNITS,
        "as_of": snapshot.created.isoformat(),
        "method": snapshot.method,
        "seed": snapshot.seed,
        "inputs_hash": snapshot.inputs_hash,
        "basis": basis,
        "summary": answers,
        "rows": rows,
        **parts,
        "families": [family_as_json(family) for family in analysis.families],
    }


def model_as_json(line: PublishedResult, basis: Basis) -> dict[str, Any]:
    """Return one model of a published table, with its evidence level under ``basis``."""
    level = line.level(basis)
    return line.to_dict() | {"evidence": level, "evidence_label": level.label}


def family_as_json(family: FamilyLine) -> dict[str, Any]:
    """Return one family; without a test its ``p_sign`` is null."""
    data = family.to_dict()
    return data if is_tested(family) else data | {"p_sign": None}


def published_as_csv(
    lines: Iterable[PublishedResult], basis: Basis, efficient: Mapping[str, bool]
) -> str:
    """Return one row a model under :data:`PUBLISHED_COLUMNS`; a missing value is an empty cell.

    ``efficient`` are the models of known size in the table, True for those on its frontier.
    """
    file = StringIO()
    writer = csv.DictWriter(file, PUBLISHED_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        record = _record(line, basis)
        record["efficient"] = efficient.get(line.model)
        writer.writerow(record)
    return file.getvalue()


def _record(line: PublishedResult, basis: Basis) -> dict[str, object]:
    """Return the cells of one model by column."""
    record: dict[str, object] = {
        "rank": line.rank,
        "rank_best": line.rank_range[0],
        "rank_worst": line.rank_range[1],
        "public_rank": line.public_rank,
        "model": plain_cell(line.model),
        "organisation": plain_cell(line.organisation),
        "family": plain_cell(line.family),
        "access": line.access,
        "parameters_b": line.parameters,
        "active_parameters_b": line.active_parameters,
        **score_cells("private", line.private),
        **score_cells("public", line.public),
        "gap": line.gap,
        "gap_lo": line.interval[0],
        "gap_hi": line.interval[1],
        "reported_gap": line.reported_gap,
        "reported_z": line.reported_z,
        "loglik_per_char": line.loglik,
        "role": line.role,
        "basis": basis,
        "evidence": line.level(basis),
    }
    raw = line.raw
    peers = line.peers
    if raw:
        record |= _p_values("p_greater", raw.greater)
        record |= _p_values("p_two_sided", raw.two_sided)
        record["visible_gap"] = raw.visible
    if peers:
        record |= {
            "peers_gap": peers.gap,
            "peers_lo": peers.interval[0],
            "peers_hi": peers.interval[1],
            "peers_p": peers.greater.p,
            "peers_holm": peers.greater.holm,
            "peers_bh": peers.greater.benjamini_hochberg,
            "peers_references": peers.references,
            "peers_visible_gap": peers.visible,
        }
    return record


def _p_values(name: str, test: Tested) -> dict[str, object]:
    return {name: test.p, f"{name}_holm": test.holm, f"{name}_bh": test.benjamini_hochberg}
