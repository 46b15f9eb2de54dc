"""A ranking as data: the JSON of the API and of ``manage.py board``, and the CSV file."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from leaderboard.rankings.models import (
    EVIDENCE,
    Basis,
    Board,
    Contact,
    EvidenceWord,
    GraderScore,
    Judged,
    LeakContrast,
    PublishedLine,
    PublishedSnapshot,
    PublishedTable,
    Row,
    Score,
    Share,
    Tested,
    noise_floor,
)

UNITS = (
    "accuracies, gaps and intervals are fractions; a gap is public less private accuracy; intervals are 95%; "
    "likelihoods are in nats per character"
)
COLUMNS = (
    "rank", "rank_best", "rank_worst", "public_rank", "model", "organisation", "family", "parameters",
    "open_weights", "access", "protocol",
    "private_right", "private_n", "private_accuracy", "private_lo", "private_hi",
    "public_right", "public_n", "public_accuracy", "public_lo", "public_hi",
    "private_truncated", "public_truncated",
    "gap", "gap_lo", "gap_hi", "worst_gap_lo", "worst_gap_hi", "smallest_visible_gap",
    "evidence", "basis", "p", "p_holm", "p_bh", "visible_gap", "adjusted_gap", "adjusted_lo", "adjusted_hi",
    "adjusted_by", "references", "fewest_contaminated", "closed", "tries", "ended", "run",
    "leak_exposed_right", "leak_exposed_n", "leak_local_right", "leak_local_n", "leak", "leak_lo", "leak_hi", "leak_p",
    "leak_visible",
    "first_look", "shown_before", "shown_since", "shown_first", "contact_seen_right", "contact_seen_n",
    "contact_fresh_right", "contact_fresh_n", "contact", "contact_lo", "contact_hi", "contact_p", "contact_visible",
    "graders",
)  # fmt: skip


PUBLISHED_COLUMNS = (
    "rank", "rank_best", "rank_worst", "public_rank", "model", "organisation", "family", "access", "parameters_b",
    "active_parameters_b", "private_right", "private_n", "private_accuracy", "private_lo", "private_hi",
    "public_right", "public_n", "public_accuracy", "public_lo", "public_hi", "gap", "gap_lo", "gap_hi",
    "p_greater", "p_greater_holm", "p_greater_bh", "p_two_sided", "p_two_sided_holm", "p_two_sided_bh", "visible_gap",
    "printed_gap", "printed_z", "peers_gap", "peers_lo", "peers_hi", "peers_p", "peers_holm", "peers_bh",
    "peers_references", "peers_visible_gap", "loglik_per_char", "role", "basis", "evidence",
)  # fmt: skip


def as_json(board: Board, rows: Iterable[Row]) -> dict[str, Any]:
    """The board with these ``rows`` of it as JSON data; missing scores stand apart and are never 0."""
    snapshot = board.snapshot
    return {
        "pair": board.pair.slug,
        "units": UNITS,
        "as_of": snapshot and snapshot.created.isoformat(),
        "method": snapshot and snapshot.method,
        "inputs_hash": snapshot and snapshot.inputs_hash,
        "panel": snapshot and snapshot.panel,
        "families": snapshot.families if snapshot else [],
        "likelihood": snapshot and snapshot.likelihood,
        "models": board.columns.models,
        "noise_floor": noise_floor().summary(),
        "rows": [row.to_dict() | {"word": row.word} for row in rows],
        **board.unranked.to_dict(),
    }


def as_csv(rows: Iterable[Row]) -> str:
    """One line a ranked model, under :data:`COLUMNS`."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_line(row) for row in rows)
    return file.getvalue()


def _line(row: Row) -> list[object]:
    private, public = row.private, row.public
    return [
        row.rank, *row.rank_range, row.public_rank, *map(_plain, (row.model, row.organisation, row.family)),
        row.parameters, row.open_weights, row.access, row.protocol,
        *_side(private), *_side(public), private.truncated, public.truncated,
        row.gap, *row.interval, *row.worst, row.smallest_visible_gap,
        row.evidence, *_decision(row.judged), row.tries, row.ended, row.run,
        *_leak(row.leak), *_contact(row.contact), "; ".join(map(_by, row.graders)),
    ]  # fmt: skip


def _leak(leak: LeakContrast | None) -> list[object]:
    if leak is None:
        return [None] * 9
    counts = (leak.exposed_right, leak.exposed_n, leak.local_right, leak.local_n)
    return [*counts, leak.difference, *leak.interval, leak.p, leak.visible]


def _contact(contact: Contact | None) -> list[object]:
    if contact is None:
        return [None] * 13
    looked, one = [contact.look, contact.before, contact.since, contact.fresh], contact.contrast
    if one is None:
        return [*looked, *[None] * 9]
    counts = (one.seen_right, one.seen_n, one.fresh_right, one.fresh_n)
    return [*looked, *counts, one.difference, *one.interval, one.p, one.visible]


def _by(one: GraderScore) -> str:
    """What one grader makes of a model on both sets, in one piece: graders come and go, columns should not."""
    public, private = f"{one.public_right}/{one.public_n}", f"{one.private_right}/{one.private_n}"
    return f"{one.grader}: public {public}, private {private}"


def _decision(judged: Judged | None) -> list[object]:
    """What stands behind the word; empty cells until it is decided."""
    if judged is None:
        return [None] * 12
    beside: list[object] = [None] * 5
    if one := judged.adjusted:
        beside = [one.gap, *one.interval, one.by, one.references]
    return [
        judged.basis, judged.p, judged.holm, judged.benjamini_hochberg, judged.visible, *beside, judged.fewest,
        judged.closed,
    ]  # fmt: skip


def _side(score: Score | Share) -> list[object]:
    return [score.right, score.n, score.accuracy, *score.interval]


def _plain(text: str) -> str:
    """Keep a spreadsheet from reading a name as a formula."""
    return "'" + text if text[:1] in "=+-@\t\r" and text else text


def published_as_json(
    table: PublishedTable,
    snapshot: PublishedSnapshot,
    lines: Sequence[PublishedLine],
    basis: Basis,
    findings: object,
) -> dict[str, Any]:
    """A published table as JSON data: the rows asked for, and all else that its page says."""
    analysis = snapshot.analysis()
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
        "findings": findings,
        "rows": [_worded(line, line.word(basis)) for line in lines],
        **{
            name: part
            for name, part in analysis.to_dict().items()
            if name not in ("basis", "lines")
        },
    }


def _worded(line: PublishedLine, word: EvidenceWord) -> dict[str, Any]:
    return line.to_dict() | {"evidence": word, "word": EVIDENCE[word]}


def published_as_csv(lines: Iterable[PublishedLine], basis: Basis) -> str:
    """One line a model, under :data:`PUBLISHED_COLUMNS`; what is missing is an empty cell."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(PUBLISHED_COLUMNS)
    writer.writerows(_published_line(line, basis) for line in lines)
    return file.getvalue()


def _published_line(line: PublishedLine, basis: Basis) -> list[object]:
    up, two, peers = line.raw.greater, line.raw.two_sided, line.peers
    names = (line.model, line.organisation, line.family)
    beside: list[object] = [None] * 8
    if peers:
        beside = [
            peers.gap,
            *peers.interval,
            *_corrected(peers.greater),
            peers.references,
            peers.visible,
        ]
    return [
        line.rank, *line.rank_range, line.public_rank, *map(_plain, names), line.access, line.parameters,
        line.active_parameters, *_side(line.private), *_side(line.public), line.gap, *line.interval, *_corrected(up),
        *_corrected(two), line.raw.visible, line.printed_gap, line.printed_z, *beside, line.loglik, line.role, basis,
        line.word(basis),
    ]  # fmt: skip


def _corrected(test: Tested) -> list[object]:
    return [test.p, test.holm, test.benjamini_hochberg]
