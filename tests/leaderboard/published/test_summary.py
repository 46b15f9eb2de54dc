"""The sentences hold the analysis's own numbers, and say so where there is nothing to say."""

from pathlib import Path

import pytest
from django.test import Client

from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.summary import count_levels, summarise
from tests.leaderboard.published.fixtures import file_of, gsm1k, imported, line

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("associated_once")]


def answers(table: PublishedTable) -> dict[str, str]:
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    return {one.question: one.answer for one in summarise(table, snapshot.analysis())}


def answer(table: PublishedTable, start: str) -> str:
    (text,) = [text for question, text in answers(table).items() if question.startswith(start)]
    return text


def test_the_small_table() -> None:
    table = imported()
    raw = answer(table, "Which gaps")
    assert raw.startswith(
        "2 of 15 have p ≤ 0.001 (east-2, east-1); 0 more p ≤ 0.01. Corrected for 15 tests, 2 pass"
    )
    assert raw.endswith(
        "Its authors state that they are: the authors drew both sets from one pool."
    )
    assert "And by the test that the table itself prints?" not in answers(table)
    assert "With the reported gaps" not in answer(table, "Do models")


def test_the_first_answer_names_no_test() -> None:
    text = answer(imported(), "Which models overfit")
    assert text == (
        "2 of 15 (east-2, east-1): they score higher on open than on shut, which is taken to be equally hard, each with"
        " p ≤ 0.001. If no tested model were overfitted, chance alone would give at most 0.015 of the 15 such a p-value, on"
        " average. For 10 the items are too few to tell."
    )
    assert not {"Holm", "Benjamini"} & set(text.split())


def test_where_nothing_stands_out_the_first_answer_says_only_that() -> None:
    table = imported(
        file_of(*[line(f"m{i}", f"F{i}", public=200, private=200) for i in range(9)]),
        equally_hard="",
    )
    assert answer(table, "Which models overfit").startswith("None: no score on open is higher than")


def test_where_nobody_vouches_for_equal_difficulty_it_is_answer() -> None:
    assert answer(imported(equally_hard=""), "Which gaps").endswith(
        "The table does not state that they are."
    )


def test_a_table_of_one_model_leaves_out_what_it_cannot_answer() -> None:
    assert [question.split()[0] for question in answers(imported(file_of(line("only"))))] == [
        "Which",
        "Which",
        "And",
    ]


def test_a_longer_list_is_counted_only() -> None:
    table = imported(file_of(*[line(f"m{i}", f"F{i}", public=300, private=150) for i in range(9)]))
    assert answer(table, "Which gaps").startswith("9 of 9 have p ≤ 0.001; 0 more p ≤ 0.01.")


def test_words_are_counted_under_either_supposition() -> None:
    snapshot = PublishedSnapshot.objects.current(imported())
    assert snapshot is not None
    assert count_levels(snapshot.analysis(), "raw")["overfit"] == 2
    assert sum(count_levels(snapshot.analysis(), "peers").values()) == 15


@pytest.mark.data
def test_gsm1k(data_dir: Path) -> None:
    table = gsm1k(data_dir)
    assert answer(table, "Which gaps").startswith(
        "6 of 63 have p ≤ 0.001 (Yi-6B-Chat, math-shepherd-mistral-7b-rl, Xwin-Math-13B-V1.0, "
        "command, phi-2, Meta-Llama-3-8B-Instruct); 7 more p ≤ 0.01. Corrected for 63 tests, 6 pass Holm's"
        " correction at 5%, 14 more Benjamini and Hochberg's at 10%."
    )
    assert answer(table, "And by") == (
        "Two-sided, 19 of 63 have p ≤ .05 uncorrected, 2 of them with the higher score on the private set; 11 pass"
        " Benjamini and Hochberg's correction at 5%, 3 Holm's (Yi-6B-Chat, math-shepherd-mistral-7b-rl,"
        " Meta-Llama-3-8B-Instruct). From the counts, which are computed from rounded shares, it is 18, 11 and 4."
    )
    assert answer(table, "And if").startswith(
        "0 of 59 have p ≤ 0.001; 0 more p ≤ 0.01. Corrected for 59 tests, 0 pass Holm's"
    )
    assert "that of math-shepherd-mistral-7b-rl: +4.9 pp" in answer(table, "And if")
    assert answer(table, "Does the order").startswith(
        "Hardly: 45 of 1,949 pairs that differ in public score (2.3%)"
    )
    likelihood = answer(table, "Do models")
    assert (
        "over 45 models is 0.26 (−0.04 to 0.52, p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.085)"
        in likelihood
    )
    assert (
        "With the reported gaps it is 0.264, p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.079."
        in likelihood
    )
    assert (
        "Among the 36 models that solve at least 20% of the public set it is 0.02 (0.03 with the"
        in likelihood
    )
    assert "it rests on the models that solve less." in likelihood
    assert answer(table, "Which fam").startswith(
        "If both sets are equally hard: none, of 10 families with three models or more"
    )


def test_the_sentences_hold_for_one_model() -> None:
    table = imported(file_of(line("only")))
    assert answer(table, "Which models") == (
        "None: no score on open is higher than on shut, which is taken to be equally hard with p ≤ 0.001. For 1 the"
        " items are too few to tell."
    )
    assert "With one test there is nothing to correct for: 0 pass Holm's" in answer(
        table, "Which gaps"
    )


def test_one_model_that_stands_out_is_no_they() -> None:
    table = imported(file_of(line("only", public=300, private=150)))
    text = answer(table, "Which models")
    assert text.startswith("1 of 1 (only): it scores higher on open than on shut")
    assert "If the one tested model is not overfitted, it has p ≤ 0.001 by chance with" in text
    assert answer(table, "Which gaps").startswith("1 of 1 has p ≤ 0.001 (only); 0 more")


def test_a_model_without_peers_is_not_said_to_lack_items(client: Client) -> None:
    table = imported(file_of(line("only", public=300, private=150)), equally_hard="")
    assert answer(table, "Which models") == (
        "There is no answer: no model could be tested. 1 was not compared: too few models of other families have a"
        " private score like its own."
    )
    page = client.get("/published/small/").content.decode()
    assert "1 model on open and shut" in page
    assert (
        "not compared: too few models of other families"
        in client.get("/published/small/models/only/").content.decode()
    )


def test_one_family_is_not_many() -> None:
    rows = [line(f"m{i}", "A", public=200 + i) for i in range(3)]
    text = answer(imported(file_of(*rows, line("b", "B"))), "Which fam")
    assert "of 1 family with three models or more. Against" in text
    assert text.endswith("1 family has one or two models, too few for a test.")
    alone = answer(imported(file_of(*rows), slug="other"), "Which fam")
    assert alone.endswith("Against the other families: none.")


def test_of_many_models_chance_is_counted_in_words_that_hold() -> None:
    rows = [line(f"m{i:04}", f"F{i % 2}", public=200, private=200) for i in range(1000)]
    text = answer(imported(file_of(*rows)), "Which gaps")
    assert text.startswith("0 of 1,000 have p ≤ 0.001; 0 more p ≤ 0.01. Corrected for 1,000 tests,")
