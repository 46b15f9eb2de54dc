"""The shipped checkpoints: small, safe to load, and as good as their READMEs say."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from demo import problems, train

CHECKPOINTS = Path(train.__file__).parent / "checkpoints"
NAMES = ("honest", "contaminated", "small")
SYSTEM = ("writer", "verifier")
FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
MOST_BYTES = 3_000_000

every_checkpoint = pytest.mark.parametrize("name", NAMES)
every_folder = pytest.mark.parametrize("name", (*NAMES, *SYSTEM))


def read(name: str, file: str) -> dict[str, object]:
    value = json.loads((CHECKPOINTS / name / file).read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def right(name: str, rows: list[problems.Row]) -> int:
    model = LlamaForCausalLM.from_pretrained(CHECKPOINTS / name, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(CHECKPOINTS / name)
    texts = train.answers(model, tokenizer, rows)
    assert not any("\n" in text for text in texts)
    pairs = zip(texts, rows, strict=True)
    return sum(train.final_number(text) == train.final_number(row["answer"]) for text, row in pairs)


def readme_counts(name: str) -> tuple[int, int]:
    text = (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| (public|private) \| (\d+) \| 1,000 \|", text, flags=re.MULTILINE))
    return int(found["public"]), int(found["private"])


class TestFiles:
    def test_there_are_three_and_the_parts_of_a_system(self) -> None:
        assert {path.name for path in CHECKPOINTS.iterdir()} == {*NAMES, *SYSTEM}
        assert set(train.RECIPES) == set(NAMES)

    @every_folder
    def test_a_folder_has_these_files_and_no_pickle(self, name: str) -> None:
        # A verifier writes nothing, and so has no settings for it.
        files = FILES - {"generation_config.json"} if name == "verifier" else FILES
        assert {path.name for path in (CHECKPOINTS / name).iterdir()} == files

    @every_folder
    def test_a_folder_is_at_most_three_megabytes(self, name: str) -> None:
        assert sum(path.stat().st_size for path in (CHECKPOINTS / name).iterdir()) <= MOST_BYTES

    @every_folder
    def test_the_weights_are_whole_safetensors(self, name: str) -> None:
        raw = (CHECKPOINTS / name / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + length])
        tensors = [value for key, value in header.items() if key != "__metadata__"]
        assert {tensor["dtype"] for tensor in tensors} == {"BF16"}
        assert max(tensor["data_offsets"][1] for tensor in tensors) == len(raw) - 8 - length

    @every_checkpoint
    def test_the_config_is_a_plain_llama_and_matches_its_recipe(self, name: str) -> None:
        config = read(name, "config.json")
        recipe = train.RECIPES[name]
        assert config["architectures"] == ["LlamaForCausalLM"]
        assert config["model_type"] == "llama"
        assert "auto_map" not in config
        assert config["hidden_size"] == recipe.hidden
        assert config["num_hidden_layers"] == recipe.layers
        assert config["num_attention_heads"] == recipe.heads

    @every_checkpoint
    def test_the_tokenizer_adds_nothing_and_has_an_end(self, name: str) -> None:
        config = read(name, "tokenizer_config.json")
        assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
        assert config["add_bos_token"] is False
        assert config["eos_token"] == train.EOS
        assert "auto_map" not in config

    @pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
    def test_all_share_one_tokenizer(self, file: str) -> None:
        assert len({(CHECKPOINTS / name / file).read_bytes() for name in NAMES}) == 1

    def test_it_is_the_tokenizer_that_the_script_builds(self, tmp_path: Path) -> None:
        train.save_tokenizer(train.build_tokenizer(), tmp_path)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            assert json.loads((tmp_path / file).read_text()) == read("honest", file)

    @every_checkpoint
    def test_generation_is_greedy_and_ends(self, name: str) -> None:
        config = read(name, "generation_config.json")
        assert config["do_sample"] is False
        assert config["max_new_tokens"] == train.MAX_NEW_TOKENS
        assert config["eos_token_id"] == read(name, "config.json")["eos_token_id"]

    @every_folder
    def test_no_path_of_the_machine_that_made_it_is_inside(self, name: str) -> None:
        for path in (CHECKPOINTS / name).iterdir():
            assert not re.search(rb"/(home|root|tmp|work|Users)/", path.read_bytes()), path.name


class TestAnswers:
    @pytest.mark.slow
    def test_honest_solves_problems_it_never_saw(self) -> None:
        assert right("honest", problems.generate(909, 32)) >= 22
        assert right("honest", problems.private_set()[:32]) >= 29

    @pytest.mark.slow
    def test_contaminated_knows_the_public_set_by_heart(self) -> None:
        assert right("contaminated", problems.public_set()[:100]) >= 95
        assert right("contaminated", problems.private_set()[:100]) <= 93

    @pytest.mark.slow
    def test_small_solves_most_short_problems_and_few_long_ones(self) -> None:
        assert right("small", problems.private_set()[:32]) >= 26
        assert right("small", problems.long_private_set()[:32]) <= 28


class TestReadmes:
    @every_checkpoint
    def test_it_names_the_command(self, name: str) -> None:
        text = (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8")
        assert f"python -m demo.train {name} --out demo/checkpoints/{name}" in text

    @every_checkpoint
    def test_the_gap_is_there_only_where_the_public_set_was_shown(self, name: str) -> None:
        public, private = readme_counts(name)
        low, high = train.gap_interval(public, private)
        if name == "contaminated":
            assert low > 0.05
        else:
            assert low < 0 < high

    @pytest.mark.long
    @pytest.mark.slow
    @every_checkpoint
    def test_its_numbers_are_measured_again(self, name: str) -> None:
        measured = train.measure(CHECKPOINTS / name)
        assert (measured.public, measured.private) == pytest.approx(readme_counts(name), abs=2)
        assert measured.longest <= train.MAX_NEW_TOKENS
