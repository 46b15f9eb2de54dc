"""A small published table as CSV text, and the real one where the data are."""

from pathlib import Path
from typing import Any

from leaderboard.published import actions
from leaderboard.published import csv_import as tables
from leaderboard.published.models import PublishedTable

HEADING = "model,organisation,family,access,params_b,open_acc,shut_acc,diff_printed,z_printed,ll_per_char_open,n_open,n_shut"
SOURCE = "A. Author & B. Author (2026), Table 1"
EQUALLY_HARD = "the authors drew both sets from one pool"
GSM1K = "H. Zhang et al. (2024), arXiv 2405.00332v4, Appendix F"


def line(
    model: str,
    family: str = "North",
    *,
    public: int = 200,
    private: int = 190,
    n: int = 400,
    loglik: str = "-0.5",
) -> str:
    return f"{model},Org,{family},open,7,{public / n:.4f},{private / n:.4f},,,{loglik},{n},{n}"


def file_of(*lines: str, heading: str = HEADING) -> bytes:
    return "\n".join((heading, *lines, "")).encode()


def small() -> bytes:
    """Fifteen models of five families, two of them far better on the public set."""
    lines = [
        line(
            f"{family.lower()}-{size}",
            family,
            public=120 + 60 * size,
            private=118 + 58 * size,
            loglik=f"-0.{9 - size}",
        )
        for family in ("North", "South", "West")
        for size in (1, 2, 3, 4)
    ]
    lines += [
        line(f"east-{size}", "East", public=180 + 60 * size, private=118 + 58 * size)
        for size in (1, 2)
    ]
    return file_of(*lines, line("alone", "Alone", public=300, private=301, loglik=""))


def imported(
    data: bytes | None = None,
    *,
    slug: str = "small",
    equally_hard: str = EQUALLY_HARD,
    same_problems: bool = False,
) -> PublishedTable:
    return actions.import_published(
        table=tables.read(small() if data is None else data),
        slug=slug,
        title="Open and shut",
        source=SOURCE,
        url="https://papers.example/1",
        equally_hard=equally_hard,
        same_problems=same_problems,
    )


def gsm1k(data_dir: Path, **options: Any) -> PublishedTable:
    """The published GSM1k table."""
    data = (data_dir / "published" / "gsm1k_table.csv").read_bytes()
    table = tables.read(data, public="GSM8K", private="GSM1k")
    fields = {
        "slug": "gsm1k",
        "title": "GSM8K and GSM1k",
        "source": GSM1K,
        "equally_hard": "by hand, to match",
    }
    return actions.import_published(table=table, **fields | options)
