"""The sentences hold the analysis's own numbers, and say so where there is nothing to say."""

from pathlib import Path

import pytest

from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.summary import counted, findings
from tests.leaderboard.published.fixtures import file_of, gsm1k, imported, line

pytestmark = pytest.mark.django_db


def told(table: PublishedTable) -> dict[str, str]:
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    return {one.question: one.answer for one in findings(table, snapshot.analysis())}


def said(table: PublishedTable, start: str) -> str:
    (answer,) = [answer for question, answer in told(table).items() if question.startswith(start)]
    return answer


def test_the_small_table() -> None:
    table = imported()
    raw = said(table, "Which gaps")
    assert raw.startswith(
        "2 of 15 gaps survive Holm's correction at 5% (east-2, east-1); 0 more pass"
    )
    assert raw.endswith("Its authors say so: the authors drew both sets from one pool.")
    assert "And by the test that the table itself prints?" not in told(table)
    assert "With the printed gaps" not in said(table, "Do models")


def test_the_first_answer_names_no_test() -> None:
    answer = said(imported(), "Which models look")
    assert answer == (
        "2 of 15 (east-2, east-1): higher on open than on shut, which is held for equally hard, by more than chance. If no"
        " model were overfitted, a table would have any such level in at most 5% of cases. 13 are too noisy to tell."
    )
    assert not {"Holm", "Benjamini", "p"} & set(answer.split())


def test_where_nothing_stands_out_the_first_answer_says_only_that() -> None:
    table = imported(
        file_of(*[line(f"m{i}", f"F{i}", public=200, private=200) for i in range(9)]),
        equally_hard="",
    )
    assert said(table, "Which models look").startswith(
        "None that this can show: nowhere is the score on open higher"
    )


def test_where_nobody_vouches_for_equal_difficulty_it_is_said() -> None:
    assert said(imported(equally_hard=""), "Which gaps").endswith("Nobody vouches for that here.")


def test_a_table_of_one_model_leaves_out_what_it_cannot_answer() -> None:
    assert [question.split()[0] for question in told(imported(file_of(line("only"))))] == [
        "Which",
        "Which",
        "And",
    ]


def test_a_longer_list_is_counted_only() -> None:
    table = imported(file_of(*[line(f"m{i}", f"F{i}", public=300, private=150) for i in range(9)]))
    assert said(table, "Which gaps").startswith(
        "9 of 9 gaps survive Holm's correction at 5%; 0 more"
    )


def test_words_are_counted_under_either_supposition() -> None:
    snapshot = PublishedSnapshot.objects.current(imported())
    assert snapshot is not None
    assert counted(snapshot.analysis(), "raw")["overfit"] == 2
    assert sum(counted(snapshot.analysis(), "peers").values()) == 15


@pytest.mark.data
def test_gsm1k(data_dir: Path) -> None:
    table = gsm1k(data_dir)
    assert said(table, "Which gaps").startswith(
        "6 of 63 gaps survive Holm's correction at 5% (Yi-6B-Chat, math-shepherd-mistral-7b-rl, Xwin-Math-13B-V1.0, "
        "command, phi-2, Meta-Llama-3-8B-Instruct); 14 more pass Benjamini and Hochberg's at 10%."
    )
    assert said(table, "And by") == (
        "Two-sided, 19 of 63 have p ≤ .05 uncorrected, 2 of them higher on the private set; 11 pass Benjamini and "
        "Hochberg's correction at 5%, 3 survive Holm's (Yi-6B-Chat, math-shepherd-mistral-7b-rl, "
        "Meta-Llama-3-8B-Instruct). From the counts that its shares round to it is 18, 11 and 4."
    )
    assert said(table, "And if").startswith(
        "0 of 61 stand out after Holm's correction, 0 more after Benjamini"
    )
    assert "nearest is math-shepherd-mistral-7b-rl: +5.2 pp" in said(table, "And if")
    assert said(table, "Does the order").startswith(
        "Hardly: 45 of 1,949 pairs that differ in public score (2.3%)"
    )
    likelihood = said(table, "Do models")
    assert (
        "over 45 models is 0.26 (−0.04 to 0.52, p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.085)"
        in likelihood
    )
    assert (
        "With the printed gaps it is 0.264, p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.079."
        in likelihood
    )
    assert (
        "Among the 36 models that solve at least 20% of the public set it is 0.02 (0.03 with the"
        in likelihood
    )
    assert "it rests on the models that solve less." in likelihood
    assert "Phi (+3.6 pp over 6), Mistral (+2.2 pp over 10), CodeLlama (+1.9 pp over 12)" in said(
        table, "Which fam"
    )
