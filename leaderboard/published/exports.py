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
from leaderboard.published.results import Basis, PeerTest, PublishedResult, is_tested

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
PEER_COLUMNS = sum(name.startswith("peers_") for name in PUBLISHED_COLUMNS)


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
    return {
        "table": table.slug,
        "title": table.title,
        "source": table.source,
        "url": table.url,
        "equally_hard": table.equally_hard,
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
        "rows": [
            model_as_json(line, basis) | {"efficient": efficient.get(line.model)} for line in lines
        ],
        **{
            name: part
            for name, part in analysis.to_dict().items()
            if name not in ("basis", "lines", "families")
        },
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
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(PUBLISHED_COLUMNS)
    writer.writerows([*_csv_row(line, basis), efficient.get(line.model)] for line in lines)
    return file.getvalue()


def _csv_row(line: PublishedResult, basis: Basis) -> list[object]:
    names = (line.model, line.organisation, line.family)
    return [
        line.rank,
        *line.rank_range,
        line.public_rank,
        *map(plain_cell, names),
        line.access,
        line.parameters,
        line.active_parameters,
        *score_cells(line.private),
        *score_cells(line.public),
        line.gap,
        *line.interval,
        *_p_values(line.raw.greater),
        *_p_values(line.raw.two_sided),
        line.raw.visible,
        line.reported_gap,
        line.reported_z,
        *_peer_cells(line.peers),
        line.loglik,
        line.role,
        basis,
        line.level(basis),
    ]


def _peer_cells(peers: PeerTest | None) -> list[object]:
    if peers is None:
        return [None] * PEER_COLUMNS
    p_values = _p_values(peers.greater)
    return [peers.gap, *peers.interval, *p_values, peers.references, peers.visible]


def _p_values(test: Tested) -> list[object]:
    return [test.p, test.holm, test.benjamini_hochberg]
