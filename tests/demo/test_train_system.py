"""The writer of programs and its verifier: what they learn from, and that the verifier chooses better than greed."""

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import LlamaForTokenClassification

from demo import train, train_system
from demo.problems import (
    MIDDLE,
    PROGRAM_SET_SIZE,
    Problem,
    program_problems,
    program_sets,
    questions,
)
from evaluator.sandbox.cells import missing

CHECKPOINTS = Path(train.__file__).parent / "checkpoints"
needs_sandbox = pytest.mark.skipif(bool(missing()), reason="needs bubblewrap")


def problems_of(rows: list[dict[str, str]]) -> list[Problem]:
    return [Problem(row["question"], row["answer"], "") for row in rows]


def test_sets_are_apart_and_no_problem_of_them_is_trained_on() -> None:
    public, private = program_sets()
    assert len(public) == len(private) == PROGRAM_SET_SIZE
    assert not questions(public) & questions(private)
    shown = {problem.question for problem in program_problems(2_000, seed=5)}
    assert not shown & (questions(public) | questions(private))


@needs_sandbox
def test_the_program_of_a_problem_comes_to_its_answer() -> None:
    problems = program_problems(2 * len(MIDDLE), seed=6)
    candidates = train_system.label(problems, [problem.program for problem in problems])
    assert all(candidate.is_right for candidate in candidates)
    worse = [problem.program.replace("result =", "result = 1 +") for problem in problems]
    assert not any(candidate.is_right for candidate in train_system.label(problems, worse))


def test_the_tokenizer_is_the_one_that_the_script_builds_and_both_share_it(tmp_path: Path) -> None:
    train.save_tokenizer(train_system.build_tokenizer(), tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        built = json.loads((tmp_path / file).read_text())
        for name in ("writer", "verifier"):
            assert json.loads((CHECKPOINTS / name / file).read_text()) == built


def test_a_batch_judges_programs_and_writes_right_ones_only() -> None:
    tokenizer = train_system.build_tokenizer()
    right, other = program_problems(2, seed=7)
    shown = [
        train_system.Candidate(right, right.program, is_right=True),
        train_system.Candidate(other, "result = 12", is_right=False),
    ]
    batch = train_system._batch(
        [
            (
                tokenizer.encode(train_system.prompt(one.problem.question)),
                tokenizer.encode(one.program),
                one,
            )
            for one in shown
        ],
        tokenizer.encode("\n\n"),
    )
    written = [tokenizer.decode(row[row >= 0]) for row in batch.labels]
    assert written == [right.program + "\n\n", ""]
    judged = [
        tokenizer.decode(ids[mask > 0]) for ids, mask in zip(batch.ids, batch.scored, strict=True)
    ]
    assert judged == [right.program, "result = 12"]
    assert batch.is_right.tolist() == [1.0, 0.0]


def test_the_writer_is_taught_wrong_signs_where_it_is_to_be_wrong() -> None:
    rng = random.Random(8)
    wrong: dict[str, list[bool]] = {}
    for problem in program_problems(2_000, seed=8):
        sign = problem.program.split(" ")[3]
        wrong.setdefault(sign, []).append(train_system.taught(problem, rng) != problem.program)
    for sign, changed in wrong.items():
        assert sum(changed) / len(changed) == pytest.approx(
            train_system.WRONG_SHARES[sign], abs=0.1
        )


@pytest.mark.long
@pytest.mark.slow
@needs_sandbox
@pytest.mark.parametrize("number", [0, 1], ids=["public", "private"])
def test_the_verifier_chooses_better_than_the_writer_alone(number: int) -> None:
    writer, tokenizer = train_system.load_writer(CHECKPOINTS / "writer")
    verifier = LlamaForTokenClassification.from_pretrained(
        CHECKPOINTS / "verifier", dtype=torch.float32
    ).eval()
    some = problems_of(program_sets()[number])[:60]
    shares = train_system.measure(writer, verifier, tokenizer, some)
    greedy, _, chosen, any_right = (float(share.rstrip("%")) for share in shares)
    assert greedy + 5 < chosen <= any_right
