"""Protocols: published ones never change, and an item's shots depend only on its place in the set."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator import grading, protocols
from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item, load_items

FIVE_SHOT, DEMO = protocols.get("gsm8k-cot-5shot"), protocols.get("demo-0shot")
ITEM = Item(question="What is {answer}?", answer="It is {question}.\n#### 3", gold="3")


def test_published_protocols_never_change() -> None:
    assert {name: protocols.get(name).digest for name in protocols.ids()} == {
        "gsm8k-cot-5shot": "e1728a060ab77ce55bc7ec31680fc349b452abc2ff62afc827cc65341047960e",
        "demo-0shot": "c8221602b1c3dff9df7800d4f5df61032f31493405e110fb77d3c8c46d45ff81",
        "gsm1k-5shot": "c0c1ceeddf70201f966bd3ded201031b43a3501afb92ea70e2a49784a3809161",
        "gsm1k-5shot-fixed": "ea40e4a96ccbfe5a8f5a161aab031629369122979cb2592273c52c643f862ba5",
        "gsm1k-5shot-chat": "9a3acb35398286d64c010f8a148ffebc849779a967ae73055a78a1347ec9b421",
        "gsm1k-5shot-api": "d5a731178d7b560947340e3b8bbc382e38faa64da198666dc1f7ac787150b002",
        "gsm1k-0shot-reasoning": "5af9fa3bfe5d78508bcc8952fc33f9257a31e721ee883ed70eb12b03294f5924",
        "lmsi-5shot-sc32": "57b346cf70b02811242a340c88e19e11b8ac48d5f1ed5a872b6cb525ce184ffc",
        "gsm1k-5shot-chat-2": "65c5e015b46db92d63ba9269d23357dfffd278952b679d5554cb792723db97a5",
        "gsm1k-5shot-api-2": "3595a517bc058ec9aad7d4376c486baf28e4425bbf2137cfe90b00ed4fb9b03a",
        "gsm1k-5shot-reasoning-api": "a611b8d88aed86c000c87fa768e3958dba39322eab093a183f609ccf741e3a63",
        "gsm1k-0shot-reasoning-api": "e37fa1456f4c7859bb6a6cb35ab995a80253850c9b42cc935f4368ae41a11090",
        "gsm1k-5shot-k4": "a586dc308374695ee2132901b46e829a9d0682eb7b035a978850e59d4c5a0994",
        "demo-0shot-k4": "54f645043c9b874af7ecc54cab94dc47231fd93ba6375a6167b00829926f354b",
        "lmsi-5shot-sc32-t12": "981696921af58ae984119ca85ad1678418c169dce34e2a3ebc39cabd1573d283",
        "humaneval-0shot": "121689d7b5f931ebdd006eb7e2982721f99f10b38b538c3301cbf044b5af1a51",
        "humaneval-0shot-k10": "6068dde2908960fe5e1167e3b16e5d07c468b179636170c622395999570eddef",
        "mbpp-3shot": "ff9f02ee5ce50b111d476cab4f51b44281c7759e5108a7b4c5403c07d981db7e",
        "humaneval-0shot-chat": "b37ad4da41d63c2dc401ec6e5139c674a164a2ab4faad00b2f24abfb7f4e09ae",
        "mbpp-0shot-chat": "aa2856f2923ff038d91c083cbf7a9e73360b7ed41250035e74f16aa851a9b8c6",
        "tinygsm-program-1": "49e09fc71989bf9304e4f39c51de549dcfa8aac5f888d082d92bdcb02733e678",
        "demo-program-1": "aff21b3176f5d1621ab2250fd635961535119737b0f2db3c81857240ebf94c51",
        "gsm1k-5shot-vote-16": "851f7675b2a40f82a2d070a7550ccc8ca8e7e885c65b111199a7699fbeeecb7b",
        "gsm1k-5shot-best-of-16": "421e30c69c5988e99172bddb27cfb8afbc0523e833c0e26ec54562c157227f88",
        "tinygsm-verify-48": "73febfdbc479a191609a8ecfcdf9a0a1d8206a723e4b12e63a246f3a247e875f",
        "demo-verify-48": "a19f1cd953ef2701538e361ba71777bd7aa2261ea65e495b0cf6623f30587a56",
        "math-4shot": "e36b783b2cbbe1aa9d18fa0f684c2111d0924e79a1c24ea32418db838c6da8dd",
        "math-0shot-chat": "b927ccab17e736a94f5d59e6ab5bcee954ef0873ccdb3e94f1dc24059a6a03e9",
        "choice-0shot": "019362df1c0c58bdf1384580d51fb5af50e41f5852678789b6f5195f8da19a44",
        "choice-0shot-chat": "c28da292e69dc9174a7732d84126d6fa8df7e4838542d083abd498eed3db8714",
    }


def test_unknown_protocol() -> None:
    with pytest.raises(EvaluatorError) as caught:
        protocols.get("gsm8k")
    assert caught.value.code is Code.UNKNOWN_PROTOCOL


@pytest.mark.parametrize("name", protocols.ids())
def test_grader_of_a_protocol_is_published(name: str) -> None:
    assert protocols.get(name).grader in grading.ids()


@pytest.mark.parametrize(
    "change",
    [
        {"stop": ("\n\n",)},
        {"max_tokens": 256},
        {"temperature": 0.1},
        {"shot_seed": 1},
        {"question": "{question}"},
    ],
)
def test_digest_covers_the_definition(change: dict[str, object]) -> None:
    assert replace(FIVE_SHOT, **change).digest != FIVE_SHOT.digest  # type: ignore[arg-type]


def test_prompt_is_shots_then_question_and_braces_in_items_are_text() -> None:
    shot = Item(question="q", answer="a\n#### 1", gold="1")
    assert DEMO.prompt(ITEM, ()) == "Question: What is {answer}?\nAnswer:"
    prompt = FIVE_SHOT.prompt(ITEM, [shot] * 4 + [ITEM])
    assert prompt == (
        "Question: q\nAnswer: a\n#### 1\n\n" * 4
        + "Question: What is {answer}?\nAnswer: It is {question}.\n#### 3\n\nQuestion: What is {answer}?\nAnswer:"
    )


@pytest.mark.parametrize("shots", [0, 4, 6])
def test_wrong_number_of_shots_is_refused(shots: int) -> None:
    with pytest.raises(EvaluatorError) as caught:
        FIVE_SHOT.prompt(ITEM, [ITEM] * shots)
    assert caught.value.code is Code.SET_TOO_FEW_SHOTS


def test_draws_are_known_distinct_and_the_same_for_a_longer_set() -> None:
    draws = FIVE_SHOT.draws(3, 7473)
    assert draws == (
        (6374, 3610, 957, 61, 742),
        (7462, 6610, 4769, 286, 5501),
        (5677, 687, 806, 6279, 2905),
    )
    assert FIVE_SHOT.draws(100, 7473)[:3] == draws
    assert all(len(set(drawn)) == 5 for drawn in FIVE_SHOT.draws(500, 6))
    assert DEMO.draws(3, 0) == ((), (), ())


def test_the_first_shots_are_the_pools_first_for_every_item() -> None:
    first = protocols.get("mbpp-3shot")
    assert first.draws(4, 9) == ((0, 1, 2),) * 4
    with pytest.raises(EvaluatorError) as caught:
        first.draws(1, 2)
    assert caught.value.code is Code.SET_TOO_FEW_SHOTS


def test_the_program_is_what_the_protocol_puts_first_and_the_completion() -> None:
    body = "    return {answer}\n"
    assert protocols.get("humaneval-0shot").program_of(ITEM, body) == ITEM.question + body
    assert protocols.get("mbpp-3shot").program_of(ITEM, body) == body
    header = "def simple_math_problem() -> int:\n"
    assert protocols.get("tinygsm-program-1").program_of(ITEM, body) == header + body
    assert protocols.get("tinygsm-program-1").prompt(ITEM, ()) == (
        header + '    """\n    What is {answer}?\n    """\n'
    )


@pytest.mark.parametrize(
    ("completion", "code"),
    [
        ("Here:\n```python\ndef f(): pass\n```\nand\n```\nf()\n```", "def f(): pass\n"),
        ("```\ndef f(): pass\n```", "def f(): pass\n"),
        ("```py\ndef f():\n    retu", "def f():\n    retu"),
        ("  ```python\nx = '```'\n  ```", "x = '```'\n"),
        ("def f(): pass\n", "def f(): pass\n"),
        ("```inline``` text", "```inline``` text"),
        ("", ""),
    ],
)
def test_of_fenced_code_the_first_block_is_graded(completion: str, code: str) -> None:
    assert protocols.get("humaneval-0shot-chat").graded(completion) == code
    assert protocols.get("humaneval-0shot").graded(completion) == completion


def test_a_whole_function_stands_behind_the_signature_that_it_repeats() -> None:
    asked = replace(ITEM, question='import re\ndef f(x):\n    """Return x."""\n')
    program = protocols.get("humaneval-0shot-chat").program_of(asked, "def f(x):\n    return x\n")
    names: dict[str, object] = {}
    exec(program, names)
    assert names["f"](3) == 3 and "re" in names  # type: ignore[operator]


def test_too_small_a_pool_is_refused() -> None:
    assert sorted(FIVE_SHOT.draws(1, 5)[0]) == [0, 1, 2, 3, 4]
    with pytest.raises(EvaluatorError) as caught:
        FIVE_SHOT.draws(1, 4)
    assert caught.value.code is Code.SET_TOO_FEW_SHOTS


@pytest.mark.data
def test_the_bytes_of_all_gsm8k_prompts_never_change(data_dir: Path) -> None:
    """The digest was taken when test_lm_eval.py had found every prompt equal to lm-eval's."""
    items, pool = (
        load_items(data_dir / "gsm8k" / "test.jsonl"),
        load_items(data_dir / "gsm8k" / "train.jsonl"),
    )
    draws = FIVE_SHOT.draws(len(items), len(pool))
    prompts = [
        FIVE_SHOT.prompt(item, [pool[i] for i in drawn])
        for item, drawn in zip(items, draws, strict=True)
    ]
    digest = hashlib.sha256("\0".join(prompts).encode()).hexdigest()
    assert digest == "84119a05b6c77e92415182c7963444e153dd2df04e05e238744f26b105c0a8b6"
