"""What the variants of a protocol change, and that each change is in the digest and nowhere else."""

from dataclasses import fields, replace

import pytest

from evaluator import protocols
from evaluator.items import Item
from evaluator.protocols import Asked, Protocol

FIRST, STUDY = protocols.get("gsm8k-cot-5shot"), protocols.get("gsm1k-5shot")
REASONING = protocols.get("gsm1k-0shot-reasoning")
ITEM = Item(question="How many {eggs}?", answer="#### 3", gold="3")
LATER = {
    "drawn": "once", "ask": "message", "bos": "never", "thinking": "stripped", "samples": 2, "vote": "majority",
    "stops": "cut", "limit": "max_completion_tokens", "program": "", "code": "fenced",
    "verdict": "sequence", "verdict_answer": "yes",
}  # fmt: skip


def test_every_later_field_is_tried_here() -> None:
    first = {
        "id",
        "shots",
        "shot_seed",
        "max_tokens",
        "stop",
        "temperature",
        "question",
        "shot",
        "grader",
    }
    assert set(LATER) == {field.name for field in fields(Protocol)} - first


@pytest.mark.parametrize("name", LATER)
def test_a_later_field_is_in_the_digest_where_it_is_not_at_its_default(name: str) -> None:
    assert name not in FIRST.definition
    changed = replace(FIRST, **{name: LATER[name]})
    assert changed.definition == FIRST.definition | {name: LATER[name]}
    assert changed.digest != FIRST.digest


def test_digests_differ() -> None:
    assert len({protocols.get(name).digest for name in protocols.ids()}) == len(protocols.ids())


def test_the_study_differs_from_the_harness_by_what_stands_before_the_text() -> None:
    same = {"id": STUDY.id, "bos": "never"}
    assert replace(FIRST, **same) == STUDY  # type: ignore[arg-type]
    assert STUDY.draws(50, 7473) == FIRST.draws(50, 7473)


def test_fixed_shots_are_one_draw_and_make_one_beginning() -> None:
    fixed = protocols.get("gsm1k-5shot-fixed")
    draws = fixed.draws(200, 7473)
    assert set(draws) == {STUDY.draws(1, 7473)[0]}
    assert fixed.draws(0, 7473) == ()
    shots = [Item(question=f"q{n}", answer=f"#### {n}", gold=str(n)) for n in range(5)]
    prompts = [
        fixed.prompt(Item(question=q, answer="#### 1", gold="1"), shots) for q in ("one?", "two?")
    ]
    shared = "".join(f"Question: q{n}\nAnswer: #### {n}\n\n" for n in range(5)) + "Question: "
    assert all(prompt.startswith(shared) for prompt in prompts)


def test_budgets_are_those_that_the_studies_give() -> None:
    budgets = {name: protocols.get(name).max_tokens for name in protocols.ids()}
    assert (budgets["gsm1k-5shot"], budgets["gsm1k-5shot-fixed"], budgets["gsm1k-5shot-api"]) == (
        1000,
        1000,
        4096,
    )
    assert budgets["gsm1k-5shot-chat"] == 1000
    assert budgets["gsm1k-0shot-reasoning"] >= 32_000
    lmsi = protocols.get("lmsi-5shot-sc32")
    assert (lmsi.samples, lmsi.temperature, lmsi.max_tokens, lmsi.vote) == (
        32,
        0.7,
        256,
        "majority",
    )


def test_the_reasoning_prompt() -> None:
    assert REASONING.prompt(ITEM, ()) == (
        "How many {eggs}?\n\nReason step by step, and put your final answer within \\boxed{}."
    )


@pytest.mark.parametrize(
    ("completion", "graded"),
    [
        ("<think>17?</think>It is 18.", "It is 18."),
        ("17?</think>\n18", "\n18"),
        ("<think>one</think>17<think>two</think>18", "18"),
        ("<think>It is 18, sure.", ""),
        ("18 <think>or", "18 "),
        ("18", "18"),
        ("", ""),
    ],
)
def test_thinking_is_stripped_where_the_protocol_says_so(completion: str, graded: str) -> None:
    assert REASONING.graded(completion) == graded
    assert FIRST.graded(completion) == completion


FITS: dict[str, set[Asked]] = {
    "gsm8k-cot-5shot": {"checkpoint", "completions", "chat"},
    "demo-0shot": {"checkpoint", "completions", "chat"},
    "gsm1k-5shot": {"checkpoint"},
    "gsm1k-5shot-fixed": {"checkpoint"},
    "gsm1k-5shot-chat": {"checkpoint", "chat"},
    "gsm1k-5shot-api": {"checkpoint", "chat"},
    "gsm1k-0shot-reasoning": {"checkpoint", "chat"},
    "lmsi-5shot-sc32": {"checkpoint", "completions", "chat"},
    "gsm1k-5shot-chat-2": {"checkpoint", "chat"},
    "gsm1k-5shot-api-2": {"checkpoint", "chat"},
    "gsm1k-5shot-reasoning-api": {"chat"},
    "gsm1k-0shot-reasoning-api": {"chat"},
    "gsm1k-5shot-k4": {"checkpoint"},
    "demo-0shot-k4": {"checkpoint"},
    "lmsi-5shot-sc32-t12": {"checkpoint", "completions", "chat"},
    "humaneval-0shot": {"checkpoint", "completions"},
    "humaneval-0shot-k10": {"checkpoint"},
    "mbpp-3shot": {"checkpoint", "completions"},
    "humaneval-0shot-chat": {"checkpoint", "chat"},
    "mbpp-0shot-chat": {"checkpoint", "chat"},
    "tinygsm-program-1": {"checkpoint", "completions"},
    "demo-program-1": {"checkpoint", "completions"},
    "gsm1k-5shot-vote-16": {"checkpoint"},
    "gsm1k-5shot-best-of-16": {"system"},
    "tinygsm-verify-48": {"system"},
    "demo-verify-48": {"system"},
    "math-4shot": {"checkpoint", "completions", "chat"},
    "math-0shot-chat": {"checkpoint", "chat"},
    "choice-0shot": {"checkpoint", "completions", "chat"},
    "choice-0shot-chat": {"checkpoint", "chat"},
}


@pytest.mark.parametrize("name", protocols.ids())
def test_what_each_can_be_asked_of(name: str) -> None:
    every: list[Asked] = ["checkpoint", "completions", "chat", "system"]
    assert {asked for asked in every if protocols.get(name).fits(asked)} == FITS[name]


def test_several_samples_need_a_vote_and_a_vote_needs_several() -> None:
    assert not replace(FIRST, samples=2).fits("checkpoint")
    assert not replace(FIRST, vote="majority").fits("checkpoint")
    assert replace(FIRST, samples=2, vote="majority").fits("checkpoint")


def test_a_draw_has_a_seed_of_its_own_and_the_same_in_every_run() -> None:
    assert FIRST.seed("open", 0, 0) is None
    drawn = protocols.get("lmsi-5shot-sc32")
    places = [
        (name, index, sample)
        for name in ("open", "closed")
        for index in range(50)
        for sample in range(32)
    ]
    seeds = {place: drawn.seed(*place) for place in places}
    assert len(set(seeds.values())) == len(places)
    assert seeds == {place: drawn.seed(*place) for place in places}
    assert all(seed is not None and 0 <= seed < 1 << 31 for seed in seeds.values())


def test_four_samples_differ_from_the_study_by_being_four() -> None:
    four = protocols.get("gsm1k-5shot-k4")
    same = {
        "id": STUDY.id,
        "temperature": 0.0,
        "samples": 1,
        "vote": "none",
        "grader": STUDY.grader,
    }
    assert replace(four, **same) == STUDY  # type: ignore[arg-type]
    assert four.draws(50, 7473) == STUDY.draws(50, 7473)
    assert protocols.samples_of_mean(four.id) == 4
    assert {
        protocols.samples_of_mean(name) for name in ("gsm1k-5shot", "lmsi-5shot-sc32", "unknown")
    } == {1}


def test_second_setting_of_lmsi_differs_by_its_temperature() -> None:
    first, second = (protocols.get(name) for name in ("lmsi-5shot-sc32", "lmsi-5shot-sc32-t12"))
    assert second.temperature == 1.2
    assert replace(second, id=first.id, temperature=0.7) == first
    assert second.seed("open", 0, 0) != first.seed("open", 0, 0)


def test_a_mean_over_samples_is_for_weights() -> None:
    four = protocols.get("demo-0shot-k4")
    asked: tuple[Asked, ...] = ("checkpoint", "completions", "chat")
    assert [four.fits(one) for one in asked] == [True, False, False]
    assert not replace(four, samples=1).fits("checkpoint")
