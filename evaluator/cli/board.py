"""``board``: the ranking of a pair on a site."""

import argparse
import json

from evaluator.cli.answers import BoardTable, read_as
from evaluator.cli.client import site_of
from evaluator.cli.failures import DONE
from evaluator.cli.options import SITE_OPTIONS, Commands
from evaluator.cli.show import columns, printable

HEADINGS = ("rank", "model", "private", "", "public", "", "gap, pp", "95% interval", "evidence")
RIGHT_ALIGNED = (2, 3, 4, 5, 6, 7)


def add_commands(commands: Commands) -> None:
    """Add ``board``."""
    board = commands.add_parser("board", parents=[SITE_OPTIONS])
    board.add_argument(
        "pair", nargs="?", default="", help="the benchmark's short name (default: the newest)"
    )
    board.add_argument("--sort", default="", help="a column, as in the address of the page")
    board.add_argument("--search", default="", help="part of a model's or organisation's name")
    board.set_defaults(handler=board_command)


def board_command(args: argparse.Namespace) -> int:
    """Print the ranking. Returns 0."""
    site = site_of(args, token=False)
    data = site.get(
        "/board",
        pair=args.pair,
        q=args.search,
        sort=args.sort,
    )
    found = read_as(BoardTable, data)
    if args.json:
        print(json.dumps(data))
        return DONE
    rows: list[tuple[str, ...]] = [HEADINGS]
    for row in found.rows:
        best, worst = row.rank_range
        low, high = row.interval
        cells = (
            str(best) if best == worst else f"{best}–{worst}",
            row.model,
            f"{100 * row.private.accuracy:.1f}%",
            row.private.fraction,
            f"{100 * row.public.accuracy:.1f}%",
            row.public.fraction,
            _points(row.gap),
            f"{_points(low)} to {_points(high)}",
            row.evidence_label,
        )
        rows.append(cells)
    print(columns(rows, RIGHT_ALIGNED) if found.rows else "No model is ranked.")
    for one in found.unranked:
        print(printable(f"not ranked: {one.model} ({one.reason})"))
    for reason, count in found.pending.items():
        print(printable(f"not ranked: {count} {reason.replace('_', ' ')}"))
    print(site.page(f"/boards/{printable(found.pair)}/"))
    return DONE


def _points(gap: float) -> str:
    """Return a gap in percentage points, signed, with a true minus."""
    text = f"{100 * gap:+.1f}"
    if text in ("+0.0", "-0.0"):
        return "0.0"
    return text.replace("-", "−")
