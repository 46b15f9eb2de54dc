"""The demonstration's problems: the same for a seed, apart between the sets, and true."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.problems import (
    LARGEST,
    LONG,
    LONG_PRIVATE_SEED,
    LONG_PUBLIC_SEED,
    LONG_SET_SIZE,
    PEOPLE,
    PEOPLE_OF_THE_SETS,
    PRIVATE_SEED,
    PUBLIC_SEED,
    SET_SIZE,
    SHORT,
    TEMPLATES,
    TOKENIZER_SEED,
    TRAINING_SEED,
    Row,
    Template,
    generate,
    long_private_set,
    long_public_set,
    private_set,
    public_set,
    questions,
    training_set,
)

STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)\.")
ANSWER = re.compile(r"(?:\d+ [-+*/] \d+ = \d+\. ){1,4}#### (\d+)")

seeds = st.integers(0, 2**32)
some = settings(max_examples=30, deadline=None)


def template_of(question: str) -> Template:
    """The one template whose sentence the question is."""
    found = [t for t in TEMPLATES if re.fullmatch(_pattern(t.text), question)]
    assert len(found) == 1, question
    return found[0]


def _pattern(text: str) -> str:
    parts = re.split(r"(\{\w+\})", text)
    return "".join(
        _blank(part[1:-1]) if part.startswith("{") else re.escape(part) for part in parts
    )


def _blank(name: str) -> str:
    return r"\d+" if len(name) == 1 else r"[A-Za-z]+"


def worked(first: int, sign: str, second: int) -> int:
    if sign == "/":
        assert first % second == 0
        return first // second
    return {"+": first + second, "-": first - second, "*": first * second}[sign]


class TestTemplates:
    def test_there_are_many(self) -> None:
        assert len(TEMPLATES) >= 24
        assert len({template.text for template in TEMPLATES}) == len(TEMPLATES)

    def test_they_take_one_to_four_steps(self) -> None:
        counts = Counter(len(template.steps) for template in TEMPLATES)
        assert sorted(counts) == [1, 2, 3, 4]
        assert min(counts.values()) >= 6

    @pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.text[:40])
    def test_every_blank_is_used_and_every_result_leads_on(self, template: Template) -> None:
        blanks = set("abcde"[: len(template.sizes)])
        used = {word for step in template.steps for word in step.split()[::2]}
        results = set("wxyz"[: len(template.steps)])
        assert set(re.findall(r"\{([a-e])\}", template.text)) == blanks
        assert used == blanks | (results - {"wxyz"[len(template.steps) - 1]})

    @pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.text[:40])
    def test_it_ends_in_a_question_and_fits_a_line(self, template: Template) -> None:
        assert template.text.endswith("?")
        assert "\n" not in template.text


class TestGenerate:
    @some
    @given(seed=seeds, n=st.integers(0, 70))
    def test_a_seed_gives_the_same_rows_again(self, seed: int, n: int) -> None:
        rows = generate(seed, n)
        assert rows == generate(seed, n)
        assert len(rows) == n

    @some
    @given(seed=seeds)
    def test_another_seed_gives_other_rows(self, seed: int) -> None:
        assert generate(seed, 40) != generate(seed + 1, 40)

    @some
    @given(seed=seeds, n=st.integers(1, 70))
    def test_rows_are_distinct_questions_on_one_line(self, seed: int, n: int) -> None:
        rows = generate(seed, n)
        assert len({row["question"] for row in rows}) == n
        for row in rows:
            assert set(row) == {"question", "answer"}
            assert row["question"].isascii()
            assert "{" not in row["question"]
            assert "\n" not in row["question"] + row["answer"]

    @some
    @given(seed=seeds)
    def test_every_sum_is_true_and_the_last_is_the_answer(self, seed: int) -> None:
        for row in generate(seed, len(TEMPLATES)):
            whole = ANSWER.fullmatch(row["answer"])
            assert whole is not None, row["answer"]
            results = []
            for first, sign, second, result in STEP.findall(row["answer"]):
                assert worked(int(first), sign, int(second)) == int(result)
                results.append(int(result))
            assert int(whole[1]) == results[-1]
            assert all(1 <= result <= LARGEST for result in results)

    @some
    @given(seed=seeds)
    def test_the_sums_start_from_the_numbers_of_the_question(self, seed: int) -> None:
        for row in generate(seed, len(TEMPLATES)):
            known = set(re.findall(r"\d+", row["question"]))
            for first, _, second, result in STEP.findall(row["answer"]):
                assert {first, second} <= known
                known.add(result)

    @some
    @given(seed=seeds)
    def test_each_template_comes_once_in_a_round(self, seed: int) -> None:
        rows = generate(seed, len(TEMPLATES))
        assert {template_of(row["question"]) for row in rows} == set(TEMPLATES)

    @some
    @given(seed=seeds)
    def test_the_answer_has_its_templates_steps(self, seed: int) -> None:
        for row in generate(seed, len(TEMPLATES)):
            steps = template_of(row["question"]).steps
            signs = [step.split()[1] for step in steps]
            assert [sign for _, sign, _, _ in STEP.findall(row["answer"])] == signs

    def test_people_in_one_problem_are_two(self) -> None:
        for row in generate(7, 640):
            names = re.findall(r"\b[A-Z][a-z]+\b", row["question"])
            if "{other}" in template_of(row["question"]).text:
                assert len(set(names) - {"How", "They", "Then", "Together", "From"}) == 2

    @some
    @given(seed=seeds)
    def test_avoided_questions_do_not_come(self, seed: int) -> None:
        first = {row["question"] for row in generate(seed, 40)}
        again = {row["question"] for row in generate(seed, 40, avoid=first)}
        assert len(again) == 40
        assert not first & again

    def test_no_rows_is_an_answer(self) -> None:
        assert generate(1, 0) == []

    def test_a_negative_count_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot make -1"):
            generate(1, -1)

    def test_running_out_is_an_error_and_no_endless_loop(self) -> None:
        class Everything:
            def __contains__(self, question: object) -> bool:
                return True

        with pytest.raises(ValueError, match="no new problem left"):
            generate(1, 1, avoid=Everything())


class TestSets:
    def test_seeds_differ(self) -> None:
        seeds = {PUBLIC_SEED, PRIVATE_SEED, LONG_PUBLIC_SEED, LONG_PRIVATE_SEED}
        assert len(seeds | {TRAINING_SEED, TOKENIZER_SEED}) == 6

    def test_sizes(self) -> None:
        assert len(public_set()) == len(private_set()) == SET_SIZE == 1_000
        assert len(long_public_set()) == len(long_private_set()) == LONG_SET_SIZE == 400

    def test_they_are_the_same_each_time(self) -> None:
        assert public_set() == public_set()
        assert private_set() == private_set()

    def test_no_question_is_in_two_of_them(self) -> None:
        people = (*PEOPLE, *PEOPLE_OF_THE_SETS)
        sets = [public_set(), private_set(), long_public_set(), long_private_set()]
        sets += [training_set(8_000), training_set(8_000, seed=1, people=people)]
        for first, second in combinations([questions(rows) for rows in sets[:5]], 2):
            assert not first & second
        assert not questions(sets[5]) & {q for rows in sets[:4] for q in questions(rows)}

    @pytest.mark.parametrize("make", [public_set, private_set, long_public_set, long_private_set])
    def test_each_names_a_person_that_no_earlier_training_row_names(
        self, make: Callable[[], list[Row]]
    ) -> None:
        assert not set(PEOPLE) & set(PEOPLE_OF_THE_SETS)
        for row in make():
            assert set(re.findall(r"[A-Z][a-z]+", row["question"])) & set(PEOPLE_OF_THE_SETS)

    @pytest.mark.parametrize(
        ("make", "templates"),
        [
            (public_set, SHORT),
            (private_set, SHORT),
            (long_public_set, LONG),
            (long_private_set, LONG),
        ],
    )
    def test_each_has_every_template_in_an_equal_share(
        self, make: Callable[[], list[Row]], templates: tuple[Template, ...]
    ) -> None:
        counts = Counter(template_of(row["question"]) for row in make())
        assert set(counts) == set(templates)
        assert max(counts.values()) - min(counts.values()) <= 1

    def test_short_and_long_problems_differ_in_their_steps(self) -> None:
        assert {len(template.steps) for template in SHORT} == {1, 2}
        assert {len(template.steps) for template in LONG} == {3, 4}

    def test_training_takes_another_seed(self) -> None:
        assert training_set(50) == training_set(50, TRAINING_SEED)
        assert training_set(50) != training_set(50, TOKENIZER_SEED)
