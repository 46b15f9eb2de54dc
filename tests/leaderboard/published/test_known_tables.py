"""Pages of published tables whose truth is known: contaminated models are flagged, others are not.

The files are read as an operator would import them, and the levels are those of the pages.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from django.test import Client

from bench.published import EVAL_PLUS, FALLEN, KNOWN, LIVE_CODE_BENCH
from tests.leaderboard.published.fixtures import imported

pytestmark = [pytest.mark.data, pytest.mark.django_db]

HEADING = ("model", "family", "access", "open_right", "n_open", "shut_right", "n_shut", "reference")
COUNTS = ("public_correct", "public_n", "private_correct", "private_n")
SAMPLES = ("public_samples_right", "public_samples", "private_samples_right", "private_samples")
FLAGGED = ("overfit", "watch")


def read(data_dir: Path, name: str) -> list[dict[str, str]]:
    with (data_dir / "published" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def import_file(
    lines: Iterator[Sequence[object]], slug: str, *, same_problems: bool = False
) -> None:
    """Import a table that does not state that its sets are equally hard."""
    file = io.StringIO()
    csv.writer(file).writerows([HEADING, *lines])
    imported(file.getvalue().encode(), slug=slug, equally_hard="", same_problems=same_problems)


def levels(client: Client, slug: str) -> dict[str, tuple[str, float]]:
    """Return the level of each model, and its p-value against the others, as the site states them.

    The page counts the same levels.
    """
    table = json.loads(client.get(f"/api/v1/published/{slug}").content)
    found = {
        row["model"]: (row["evidence"], row["peers"]["greater"]["p"] if row["peers"] else 1.0)
        for row in table["rows"]
    }
    page = client.get(f"/published/{slug}/").content.decode()
    for level in ("overfit", "watch", "no evidence", "cannot tell"):
        count = sum(own == level.replace(" ", "_") for own, _ in found.values())
        assert f"<b>{count}</b> <span>{level}</span>" in page
    return found


@pytest.mark.parametrize(("panel", "fewest"), [("clean", 17), ("blind", 14)])
def test_models_contaminated_on_purpose_are_found(
    client: Client, data_dir: Path, panel: str, fewest: int
) -> None:
    rows = read(data_dir, KNOWN)
    bad = {row["model"] for row in rows if row["contaminated_by_design"] == "1"}
    assert (len(rows), len(bad)) == (65, 18)

    def lines() -> Iterator[Sequence[object]]:
        for place, row in enumerate(rows):
            known = panel == "clean" and row["model"] not in bad
            counts = [row[name] for name in COUNTS]
            yield row["model"], f"F{place}", "open", *counts, "not fine-tuned" if known else ""

    import_file(lines(), "constat")
    found = levels(client, "constat")
    at_05 = {model for model, (_, p) in found.items() if p <= 0.05}
    assert len(at_05 & bad) >= fewest
    assert len(at_05 - bad) <= 3
    flagged = {model for model, (level, _) in found.items() if level in FLAGGED}
    assert len(flagged & bad) >= 16
    assert not flagged - bad
    page = client.get("/published/constat/").content.decode()
    assert ("They are known from elsewhere not to overfit." in page) == (panel == "clean")
    assert ("Whether they overfit themselves is not known." in page) == (panel == "blind")


def test_livecodebench_flags_exactly_the_four_models_that_are_known(
    client: Client, data_dir: Path
) -> None:
    def lines() -> Iterator[Sequence[object]]:
        for row in read(data_dir, LIVE_CODE_BENCH):
            organisation = row["model"].split("/")[0].split("-")[0]
            yield row["model"], organisation, "open", *(row[name] for name in SAMPLES), ""

    import_file(lines(), "live")
    found = levels(client, "live")
    assert {model for model, (level, _) in found.items() if level in FLAGGED} == FALLEN


def import_eval_plus(data_dir: Path, name: str, *, same_problems: bool) -> None:
    """Import one of EvalPlus's two sets: the original and the stricter tests of its problems."""
    rows = [row for row in read(data_dir, EVAL_PLUS) if row["public_set"] == name]

    def lines() -> Iterator[Sequence[object]]:
        for place, row in enumerate(rows):
            yield row["model"], f"F{place}", "open", *(row[part] for part in COUNTS), ""

    import_file(lines(), name, same_problems=same_problems)


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_stricter_tests_of_the_same_problems_flag_no_model(
    client: Client, data_dir: Path, name: str
) -> None:
    import_eval_plus(data_dir, name, same_problems=True)
    found = levels(client, name)
    assert len(found) > 80
    assert {level for level, _ in found.values()} == {"cannot_tell"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_stricter_tests_of_the_same_problems_make_no_model_overfit(
    client: Client, data_dir: Path, name: str
) -> None:
    """The tests do not fit such a table. As a control they are tried all the same."""
    import_eval_plus(data_dir, name, same_problems=False)
    found = levels(client, name)
    assert len(found) > 80
    assert [level for level, _ in found.values()].count("overfit") == 0
    page = client.get(f"/published/{name}/").content.decode()
    assert "None: no score on the open set is higher" in page or "None: no score on open" in page
