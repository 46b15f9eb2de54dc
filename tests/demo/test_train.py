"""How the demonstration's models are made: their data, their schedule, and how a gap is measured."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from demo import train
from demo.problems import (
    PEOPLE,
    PEOPLE_OF_THE_SETS,
    SET_SIZE,
    Row,
    long_private_set,
    long_public_set,
    private_set,
    public_set,
    questions,
)

TINY = train.Recipe(seed=5, steps=3, hidden=32, layers=1, heads=1, tuning=2, public_share=0.5)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train.build_tokenizer()


class TestTokenizer:
    def test_every_digit_is_a_token(self, tokenizer: PreTrainedTokenizerFast) -> None:
        assert [
            token for token in tokenizer.tokenize("12 + 345 = 357.") if token.isdigit()
        ] == list("12345357")

    @given(text=st.text(max_size=60))
    def test_any_text_comes_back(self, tokenizer: PreTrainedTokenizerFast, text: str) -> None:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text

    def test_a_prompt_has_the_same_tokens_before_its_answer(
        self, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        for row in private_set():
            prompt = tokenizer(train.PROMPT.format(question=row["question"]))["input_ids"]
            assert tokenizer(train.document(row))["input_ids"][: len(prompt)] == prompt

    def test_it_adds_no_token(self, tokenizer: PreTrainedTokenizerFast) -> None:
        assert tokenizer("")["input_ids"] == []
        assert tokenizer.bos_token is None
        assert tokenizer.eos_token == train.EOS

    def test_answers_are_short(self, tokenizer: PreTrainedTokenizerFast) -> None:
        rows = public_set() + private_set() + long_public_set() + long_private_set()
        lengths = [len(tokenizer(f" {row['answer']}\n")["input_ids"]) for row in rows]
        assert max(lengths) <= 48 <= train.MAX_NEW_TOKENS


class TestTrainingRows:
    @pytest.mark.slow
    def test_honest_recipes_never_see_a_test_question(self) -> None:
        sets: list[Row] = public_set() + private_set() + long_public_set() + long_private_set()
        tests = questions(sets)
        for name in ("honest", "small"):
            recipe = replace(train.RECIPES[name], steps=40)
            assert recipe.public_share == 0
            assert not questions(train.first_rows(recipe) + train.tuning_rows(recipe)) & tests

    def test_the_first_part_names_no_person_of_the_sets(self) -> None:
        rows = train.first_rows(replace(train.RECIPES["small"], steps=40))
        named = {word for row in rows for word in re.findall(r"[A-Z][a-z]+", row["question"])}
        assert named >= set(PEOPLE)
        assert not named & set(PEOPLE_OF_THE_SETS)

    def test_small_and_contaminated_differ_in_the_second_part_only(self) -> None:
        small, contaminated = train.RECIPES["small"], train.RECIPES["contaminated"]
        assert replace(small, tuning=0) == replace(contaminated, tuning=0, public_share=0)

    def test_the_contaminated_recipe_sees_the_public_set_and_never_the_private_one(self) -> None:
        recipe = train.RECIPES["contaminated"]
        rows = train.tuning_rows(recipe)
        public = questions(public_set())
        shown = sum(row["question"] in public for row in rows)
        assert len(rows) == recipe.tuning * train.BATCH
        assert shown == round(len(rows) * recipe.public_share)
        assert public <= questions(rows)
        assert not questions(rows) & questions(private_set())

    def test_the_order_is_the_seeds(self) -> None:
        assert train.first_rows(TINY) == train.first_rows(TINY)
        assert train.tuning_rows(TINY) == train.tuning_rows(TINY)


class TestBatches:
    @given(lengths=st.lists(st.integers(1, 9), max_size=200), seed=st.integers(0, 99))
    def test_every_row_comes_once_and_padding_has_no_loss(
        self, lengths: list[int], seed: int
    ) -> None:
        rows = [[index + 1] * length for index, length in enumerate(lengths)]
        seen = []
        for ids, labels in train.batches(rows, random.Random(seed)):
            assert ids.shape == labels.shape
            assert len(ids) <= train.BATCH
            kept = labels != -100
            assert torch.equal(ids[kept], labels[kept])
            seen += [row[keep].tolist() for row, keep in zip(ids, kept, strict=True)]
        assert sorted(seen) == sorted(rows)


class TestTrain:
    def test_a_recipe_gives_the_same_model_again(self, tokenizer: PreTrainedTokenizerFast) -> None:
        torch.set_num_threads(1)
        first, second = (train.train(TINY, tokenizer, 1.0).state_dict() for _ in range(2))
        untrained = train.new_model(TINY, tokenizer).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert not any(torch.equal(first[key], untrained[key]) for key in first)

    def test_progress_is_printed(
        self, tokenizer: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
    ) -> None:
        train.train(TINY, tokenizer, 0.0)
        assert capsys.readouterr().out.startswith("step 1 of 3, loss ")

    def test_the_command_writes_a_whole_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(train.RECIPES, "small", TINY)
        monkeypatch.setattr(train, "measure", lambda folder: train.Measured(500, 250, 30))
        train.main(["small", "--out", str(tmp_path / "made")])
        names = {path.name for path in (tmp_path / "made").iterdir()}
        assert names == {
            "README.md",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }
        readme = (tmp_path / "made" / "README.md").read_text()
        assert "| public | 500 | 1,000 | 50.0% |" in readme
        assert "Gap +25.0 points" in readme

    def test_an_unknown_name_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            train.main(["large", "--out", str(tmp_path)])
        assert stopped.value.code == 2
        assert "invalid choice" in capsys.readouterr().err


class TestMeasuring:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            (" 2 + 3 = 5. #### 5", "5"),
            (" #### 12", "12"),
            (" 2 + 3 = 5.", None),
            (" #### 5 5", None),
            ("", None),
        ],
    )
    def test_the_final_number(self, text: str, number: str | None) -> None:
        assert train.final_number(text) == number

    @given(public=st.integers(0, SET_SIZE), private=st.integers(0, SET_SIZE))
    def test_the_interval_holds_the_gap_and_turns_with_the_sets(
        self, public: int, private: int
    ) -> None:
        low, high = train.gap_interval(public, private)
        gap = (public - private) / SET_SIZE
        assert -1 <= low <= gap <= high <= 1
        assert train.gap_interval(private, public) == pytest.approx((-high, -low))

    def test_statsmodels_agrees(self) -> None:
        proportion = pytest.importorskip("statsmodels.stats.proportion")
        for public, private in ((400, 250), (390, 388), (0, 400), (0, 0), (17, 3)):
            wanted = proportion.confint_proportions_2indep(
                public, 400, private, 400, method="newcomb"
            )
            assert train.gap_interval(public, private, 400) == pytest.approx(wanted, abs=1e-9)
