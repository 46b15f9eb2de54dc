"""A published table is read strictly: whole, or with every fault told and nothing quoted."""

import csv
from pathlib import Path

import pytest

from leaderboard.errors import SiteError
from leaderboard.published import csv_import as tables
from leaderboard.published.csv_import import Problem
from tests.leaderboard.published.fixtures import HEADING, file_of, line, small

GOOD = line("good")


def complaints(data: bytes, **names: str) -> str:
    with pytest.raises(SiteError, match="bad_table") as caught:
        tables.read(data, **names)
    return caught.value.detail


def test_a_line_is_read_with_what_the_table_says() -> None:
    table = tables.read(file_of("m,,North,API,,0.655,0.5,0.155,4.1,,400,200"))
    (found,) = table.lines
    assert (table.public_name, table.private_name, table.unread) == ("open", "shut", ())
    assert (found.public_right, found.public_n, found.private_right, found.private_n) == (
        262,
        400,
        100,
        200,
    )
    assert (found.organisation, found.access, found.parameters, found.loglik) == (
        "",
        "closed",
        None,
        None,
    )
    assert (found.line, found.reported_gap, found.reported_z) == (2, 0.155, 4.1)


def test_counts_may_stand_in_place_of_shares_and_columns_in_any_order() -> None:
    data = b"n_q,q_right,n_p,p_right,access,family,model,note\n50,20,40,30,open,F,m,whatever\n"
    table = tables.read(data, public="P", private="Q")
    assert (table.public_name, table.private_name, table.unread) == ("P", "Q", ("note",))
    (found,) = table.lines
    assert (found.public_right, found.public_n, found.private_right, found.private_n) == (
        30,
        40,
        20,
        50,
    )


def test_the_sets_are_taken_in_the_order_of_their_columns_unless_named() -> None:
    swapped = tables.read(file_of(GOOD), public="shut", private="open")
    assert swapped.lines[0].public_right == 190


def test_an_owner_in_an_identifier_is_the_organisation() -> None:
    heading = HEADING.replace("organisation", "hf_or_api_id")
    data = file_of(
        "a,owner/a,F,open,,0.5,0.5,,,,10,10", "b,litellm:b,F,API,,0.5,0.5,,,,10,10", heading=heading
    )
    assert [one.organisation for one in tables.read(data).lines] == ["owner", ""]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("m,Org,North,open,7,0.5,0.5,,,,400", f"line 2: {Problem.CELLS_WANTED}"),
        ("m,Org", f"line 2: {Problem.CELLS_WANTED}"),
        (",Org,North,open,7,0.5,0.5,,,,400,400", f"line 2, model: {Problem.MISSING}"),
        ("m,Org,,open,7,0.5,0.5,,,,400,400", f"line 2, family: {Problem.MISSING}"),
        ("m\x07,Org,North,open,7,0.5,0.5,,,,400,400", f"line 2, model: {Problem.BAD_TEXT}"),
        ("m" * 121 + ",Org,North,open,7,0.5,0.5,,,,400,400", f"line 2, model: {Problem.BAD_TEXT}"),
        ("m,Org,North,ajar,7,0.5,0.5,,,,400,400", f"line 2, access: {Problem.UNKNOWN_ACCESS}"),
        ("m,Org,North,open,0,0.5,0.5,,,,400,400", f"line 2, params_b: {Problem.NOT_POSITIVE}"),
        ("m,Org,North,open,7B,0.5,0.5,,,,400,400", f"line 2, params_b: {Problem.NOT_A_NUMBER}"),
        ("m,Org,North,open,7,,0.5,,,,400,400", f"line 2, open_acc: {Problem.MISSING}"),
        ("m,Org,North,open,7,nan,0.5,,,,400,400", f"line 2, open_acc: {Problem.NOT_A_NUMBER}"),
        ("m,Org,North,open,7,50,0.5,,,,400,400", f"line 2, open_acc: {Problem.NOT_A_SHARE}"),
        ("m,Org,North,open,7,0.5,-0.5,,,,400,400", f"line 2, shut_acc: {Problem.NOT_A_SHARE}"),
        ("m,Org,North,open,7,0.5,0.5,,,,0,400", f"line 2, n_open: {Problem.NOT_POSITIVE}"),
        ("m,Org,North,open,7,0.5,0.5,,,,400,4e2", f"line 2, n_shut: {Problem.NOT_A_COUNT}"),
        ("m,Org,North,open,7,0.5,0.5,,,,400,", f"line 2, n_shut: {Problem.MISSING}"),
        ("m,Org,North,open,7,0.437,0.5,,,,50,400", f"line 2, open_acc: {Problem.NO_SUCH_COUNT}"),
        ("m,Org,North,open,7,0.500,0.400,0.200,,,400,400", f"line 2, diff_printed: {Problem.GAP_DIFFERS}"),
        ("m,Org,North,open,7,0.5,0.5,,,0.5,400,400", f"line 2, ll_per_char_open: {Problem.ABOVE_ZERO}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_told_with_its_place(bad: str, told: str) -> None:
    assert complaints(file_of(bad)) == told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", f"line 1: {Problem.NO_ROWS}"),
        (HEADING.encode(), f"line 1: {Problem.NO_ROWS}"),
        (file_of(GOOD) + b"\xff", f"line 3: {Problem.NOT_UTF8}"),
        (file_of('"m'), f"line 2: {Problem.NOT_CSV}"),
        (b" " * 1_000_001, f"line 1: {Problem.TOO_LARGE}"),
        (file_of(*["," * 11] * 2, *([GOOD] * 1001)), f"line 1004: {Problem.TOO_LARGE}"),
        (file_of(GOOD, heading=HEADING + ",model"), f"line 1, model: {Problem.COLUMN_TWICE}"),
        (file_of(GOOD, heading=HEADING.replace("family", "kind")), f"line 1, family: {Problem.COLUMN_MISSING}"),
        (file_of(GOOD, heading=HEADING.replace("shut_acc", "shut")), f"line 1, shut_acc: {Problem.COLUMN_MISSING}"),
        (file_of(GOOD, heading=HEADING.replace("n_shut", "shut_n")), f"line 1, n_…: {Problem.TWO_SETS_WANTED}"),
        (file_of(GOOD, GOOD), f"line 3, model: {Problem.MODEL_TWICE}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told(data: bytes, told: str) -> None:
    assert complaints(data) == told


def test_one_set_cannot_be_both() -> None:
    assert (
        complaints(file_of(GOOD), public="open", private="OPEN")
        == f"line 1, n_…: {Problem.TWO_SETS_WANTED}"
    )


def test_every_fault_is_told_at_once_up_to_a_limit_and_nothing_is_quoted() -> None:
    bad = "secret-name,Org,North,secret-access,7,secret,0.5,,,,400,400"
    told = complaints(
        file_of(bad, GOOD, *[f"m{i},Org,North,?,7,0.5,0.5,,,,400,400" for i in range(30)])
    )
    assert told.startswith(
        "line 2, open_acc: not_a_number; line 2, access: unknown_access; line 4, access:"
    )
    assert told.endswith("; and 12 more")
    assert "secret" not in told


def test_every_problem_can_happen() -> None:
    """The tests above name each of them, or it should not be there."""
    named = Path(__file__).read_text()
    assert [one.name for one in Problem if f"Problem.{one.name}" not in named] == []


def test_the_small_table_is_good() -> None:
    assert len(tables.read(small()).lines) == 15


@pytest.mark.data
def test_the_published_table_of_gsm1k(data_dir: Path) -> None:
    table = tables.read(
        (data_dir / "published" / "gsm1k_table.csv").read_bytes(), public="GSM8K", private="GSM1k"
    )
    assert (table.public_name, table.private_name, len(table.lines)) == ("GSM8K", "GSM1k", 63)
    assert sum(one.loglik is not None for one in table.lines) == 45
    assert {(one.public_n, one.private_n) for one in table.lines} == {(1319, 1205)}
    assert sum(one.access == "closed" for one in table.lines) == 16
    assert "p_two_sided" in table.unread
    first = table.lines[0]
    assert (first.model, first.organisation, first.public_right, first.private_right) == (
        "Yi-6B-Chat",
        "01-ai",
        576,
        430,
    )


def shown(data: bytes) -> str:
    return tables.hints(complaints(data))


def test_problems_that_are_no_mistake_in_a_cell_have_a_next_step() -> None:
    mean = "m,Org,North,open,7,0.437,0.5,,,,50,400"
    assert "as P_right, or leave out models whose score is a mean" in shown(file_of(mean))
    alone = HEADING.replace("n_shut", "shut_n")
    assert "in columns n_P and n_Q" in shown(file_of(GOOD, heading=alone))
    assert shown(file_of("m,Org,North,ajar,7,0.5,0.5,,,,400,400")) == ""


@pytest.mark.data
def test_scores_on_humaneval_that_phi_1s_paper_lists_are_means_over_samples(data_dir: Path) -> None:
    path = data_dir / "published" / "phi1_results.csv"
    assert complaints(path.read_bytes()) == f"line 1, n_…: {Problem.TWO_SETS_WANTED}"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    heading = "model,family,access,P_acc,n_P,Q_right,n_Q"
    shares = [f"{float(row['humaneval_pass1']) / 100:.3f}" for row in rows]
    lines = [
        f"{row['model']},F,open,{share},164,1,2" for row, share in zip(rows, shares, strict=True)
    ]
    told = complaints(file_of(*lines, heading=heading)).split("; ")
    assert (len(rows), len(told)) == (22, 15), "eleven, and four in whole percents"
    assert all(one.endswith(f"P_acc: {Problem.NO_SUCH_COUNT}") for one in told)


@pytest.mark.data
def test_phi_1s_pruning_table_can_be_imported(data_dir: Path) -> None:
    with (data_dir / "published" / "phi1_pruning.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["tau_ast_match_rate"] == "0.95"]
    similar, others, _ = rows
    lines = [
        f"{model},F,open,{float(similar[model]) / 100:.3f},{float(others[model]) / 100:.3f}"
        f",{similar['n_problems']},{others['n_problems']}"
        for model in ("phi1", "phi1_retrained_on_pruned", "starcoder_prompted")
    ]
    heading = "model,family,access,similar_acc,other_acc,n_similar,n_other"
    read = tables.read(file_of(*lines, heading=heading)).lines
    counts = [(one.public_right, one.public_n, one.private_right, one.private_n) for one in read]
    assert counts == [(58, 71, 25, 93), (53, 71, 30, 93), (41, 71, 27, 93)]
