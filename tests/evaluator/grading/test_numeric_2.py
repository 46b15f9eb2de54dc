r"""``numeric-2`` by kinds of answers: what is read, what earns nothing, and what stays as ``numeric-1`` has it.

The tables hold variants of our own; the collected field cases are read from the data folder.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator import grading
from evaluator.contract import Outcome
from evaluator.grading import Grade
from tests.evaluator.grading import test_forms as forms

RIGHT, WRONG, NONE, CUT = Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.TRUNCATED
OTHERWISE = {"G003-10", "G003-43", "G005-3", "G005-4", "G005-6", "G005-7"}
"""Forms that numeric-1 reads otherwise on purpose: groups that can be read in one way only, digits, words."""


def grade(response: str, gold: str = "18", *, cut: bool = False) -> Grade:
    return grading.grade("numeric-2", response, gold, cut=cut)


THINKING = [
    (opening, closing)
    for opening, closing in [
        ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("<THINK>", "</THINK>"),
        ("<reasoning>", "</reasoning>"), ("[THINK]", "[/THINK]"), ("[think]", "[/think]"), ("◁think▷", "◁/think▷"),
        ("<seed:think>", "</seed:think>"), ("<|START_THINKING|>", "<|END_THINKING|>"), ("<scratchpad>", "</scratchpad>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<reflection>", "</reflection>"), ("<antThinking>", "</antThinking>"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("<|channel|>commentary<|message|>", "<|end|><|channel|>final<|message|>"), ("<|channel>thought\n", "<channel|>"),
        ("Thinking...\n", "...done thinking.\n"), ("analysisWe need more.", "assistantfinal"),
        ("Here is my thought process:", "Here is my response:"), ('<thinking effort="high">', "</thinking>"),
    ]
]  # fmt: skip
READ = {
    "thinking": [
        ("It was 17.</thinking>18", "18"), ("It was 17.[/THINK]\n18", "18"), ("◁/think▷18", "18"),
        ("I have no <thinking> tags. The answer is 18.", "18"), ("Without `<think>` the answer is 18.", "18"),
        ("<think>a</think>b<think>the answer is 17</think>#### 18", "18"),
        ("<reasoning>9*2</reasoning>\n<answer>18</answer>", "18"), ("<think>5</think><response>It is 18</response>", "18"),
        ("<|begin_of_solution|>It is 18.<|end_of_solution|>", "18"), ("<|begin_of_box|>18<|end_of_box|>", "18"),
        ("<|channel|>analysis<|message|>17<|end|><|start|>assistant<|channel|>final<|message|>18<|return|>", "18"),
    ],
    "keys": [
        ('{"final_answer": 18}', "18"), ('{"steps": 5, "final_answer": "18 eggs", "n": 3}', "18"),
        ('{"finalAnswer": 18, "confidence": 0.9}', "18"), ('{"answer_value": 18, "unit": "eggs", "steps": 3}', "18"),
        ("{'answer': 18, 'confidence': 99}", "18"), ('{"Final Answer": "$18.00", "check": 20}', "18"),
        ('{"result": 18, "steps": 3}', "18"), ('{"answer": {"value": 18, "unit": "eggs"}, "n": 3}', "18"),
        ('{"answer": [18], "n": 3}', "18"), ('{"answer": 1234, "n": 3}', "1234"), ('{"answer": "1,234", "n": 3}', "1234"),
        ("```yaml\nfinal_answer: 18\nsteps: 3\n```", "18"), ("```toml\nanswer = 18\nn = 3\n```", "18"),
        ("```xml\n<answer>18</answer><n>3</n>\n```", "18"), ('{"answer": "18 = 9 * 2"}', "18"),
        ('{"answer": 18, "value": 3}', "18"), ('{"answer": "eighteen"}', "18"),
    ],
    "tags": [
        ("<answer>18</answer> I am 95% sure.", "18"), ("<answer>\n18\n</answer>\nChecked in 3 steps.", "18"),
        ("<final_answer>18 dollars</final_answer> (2 steps)", "18"), ("<answer>9 * 2 = 18</answer> 5", "18"),
        ("<ANSWER>18</ANSWER> 100", "18"), ("<answer>$18</answer> for 3 days", "18"), ("<answer>18", "18"),
        ("<answer>The total is 18.</answer> 7 of 10", "18"), ("<answer>three</answer> 7", "3"),
    ],
    "after the answer": [
        ("The answer is 18 inches, because 1 foot = 12 inches.", "18"), ("Answer: 18 eggs since 9 * 2 = 18 and 20 - 2 = 18", "18"),
        ("The answer is 18 dollars; check: 18 / 2 = 9.", "18"), ("Answer: 18 (check: 18 / 2 = 9)", "18"),
        ("#### 18 inches (1 foot = 12 inches)", "18"), ("The answer is 18 [as 9 * 2 = 18, 18 / 9 = 2].", "18"),
        ("The answer is 18 dollars, given that 1 dollar = 100 cents.", "18"), ("Answer: 18 cm (180 mm)", "18"),
        ("#### 18\nCheck: 9 * 2 = 18, and 18 - 3 = 15.", "18"), ("\\boxed{18}\n\nVerification: 18 + 2 = 20.", "18"),
        ("The answer is 18. To check: 18 / 2 = 9.", "18"), ("Ans: 18 (in 3 steps)", "18"), ("Ans. 18 (2 steps)", "18"),
        ("Final: 18 (took 3 steps)", "18"), ("**Final Answer**\n\n18\n\nSteps: 3", "18"),
    ],
    "reasons without a mark": [
        ("18 inches, because 1 foot = 12 inches", "18"), ("It is 18 inches because 1 foot = 12 inches.", "18"), ("The answer is 18 inches as 1 foot = 12 inches.", "18"),
        ("So it is 18 inches, since 1.5 * 12 = 18 and 1 foot = 12 inches.", "18"), ("She has 9 left because 16 - 7 = 9, so she makes 9 * 2 = 18.", "18"),
        ("Because 1 foot = 12 inches, it is 18", "18"), ("The answer is 17, wait, no, 18.", "18"), ("The answer is 17, sorry, 18.", "18"),
        ("18\n\nUser: next?\nAssistant: 25", "18"), ("#### 18\n\n\nJohn has 5 apples and buys 7. How many apples does he have?\n#### 12", "18"),
        ("#### 17\n\nIs this right? I think that I forgot the 2 eggs of Sunday, did I?\n#### 18", "18"),
    ],
    "headings": [
        ("#### 1 - Count\n16 - 7 = 9\n#### 2 - Multiply\n9 * 2 = 18 dollars", "18"), ("#### 1: Count\n16 - 7 = 9\n#### 2: Sell\nSo 18.", "18"),
        ("#### 1) Count\n9\n#### 2) Sell\n9 * 2 = 18", "18"), ("#### (1) Count\n9\n#### (2) Sell\n18 in all", "18"),
        ("#### 1 Count them\n9\n#### 2 Multiply\n9 * 2 = 18", "18"), ("#### 1. **Count**\n9\n#### 2. **Sell**\n9 * 2 = 18", "18"),
        ("#### 1 – Count\n9\n\n#### 2 – Sell\n18 in all\n#### 18", "18"), ("#### 18 dollars\nThank you.", "18"), ("#### 18 - done", "18"),
        ("#### Final Answer\n18\n", "18"), ("#### Answer: 18\n", "18"),
    ],
    "signs in words": [
        ("The answer is negative 18.", "-18"), ("The answer is minus 18 degrees.", "-18"), ("#### negative 18", "-18"),
        ("\\boxed{\\text{negative } 18}", "-18"), ("Answer: minus $18", "-18"), ("The temperature is 18 degrees below zero.", "-18"),
        ("The answer is 20 minus 2 = 18.", "18"), ("The answer is minus eighteen.", "-18"), ("La respuesta es menos 18.", "-18"),
        ("答案是负18", "-18"), ("So it falls to minus 18.", "-18"),
    ],
    "scales": [
        ("The answer is $1.2M.", "1200000"), ("The answer is $1.2m", "1200000"), ("#### 1.2 million", "1200000"), ("$3B", "3000000000"),
        ("The answer is 3bn dollars", "3000000000"), ("It is 2 trillion dollars.", "2000000000000"), ("Answer: 5 hundred", "500"),
        ("Answer: 2.5 lakh", "250000"), ("Answer: 3 crore rupees", "30000000"), ("18m", "18"), ("The answer is €70K.", "70000"),
        ("The answer is 18 m.", "18"), ("The answer is 2 dozen.", "2"),
    ],
    "fractions": [
        (r"\boxed{\frac{37.5}{2.5}}", "15"), (r"\boxed{\frac{1,800}{100}}", "18"), (r"\frac{1{,}800}{100}", "18"), (r"\boxed{\frac{\$36}{2}}", "18"),
        (r"\boxed{\frac{36 \text{ eggs}}{2}}", "18"), (r"\dfrac{36}{2}", "18"), (r"\frac12", "0.5"), (r"\boxed{-\frac{3}{4}}", "-0.75"),
        (r"\boxed{2\frac{1}{2}}", "2.5"), (r"\tfrac{.5}{2}", "0.25"), ("3⁄4", "0.75"), ("3∕4", "0.75"), ("The answer is 2 and 3/4 cups.", "2.75"),
        ("The answer is 2 and a half hours.", "2.5"), ("Answer: two and a half", "2.5"), ("The answer is three quarters.", "0.75"),
        (r"\frac{36\,\mathrm{km}}{2}", "18"), (r"\boxed{\frac{-36}{-2}}", "18"),
    ],
    "clock times": [
        ("The answer is 2:00.", "2"), ("The answer is 2:00 PM.", "2"), ('{"answer": "2:00 pm"}', "2"), ("#### 11:00 a.m.", "11"), ("02:00", "2"),
        ("She starts at 2:00pm.", "2"),
    ],
    "sentences": [
        ("So 16 people think that horse #12 will win.", "16"), ("16 people think that horse number 12 will win", "16"), ("three trucks", "3"),
        ("They need three trucks.", "3"), ("24 boxes, 8 to a truck.\nSo they need three trucks.", "3"), ("Three trucks.", "3"),
        ("The answer is twenty-one eggs.", "21"), ("The answer is one hundred and five.", "105"), ("The answer is two thousand three hundred.", "2300"),
        ("The answer is 20 - 2, which is 18.", "18"), ("The answer is 5 more than 13, which makes 18.", "18"), ("The answer is 9 times 2, making 18.", "18"),
        ("The answer is 50% of 36, that is 18.", "18"), ("The answer is 18, which is 2 less than 20.", "18"), ("18 is the answer to question 3", "18"),
        ("The answer is that 18 people like option 3.", "18"),
    ],
    "scripts": [
        ("١٨", "18"), ("१८", "18"), ("۱۸", "18"), ("#### １８", "18"), ("১৮", "18"), ("๑๘", "18"), ("الإجابة هي ١٨.", "18"), ("उत्तर: १८", "18"),
        ("答案：１８", "18"), ("答案是18元。", "18"), ("答えは18です。", "18"), ("정답은 18입니다.", "18"), ("١٬٢٣٤٫٥", "1234.5"), ("௧௮", "18"),
        ("1️⃣8️⃣", "18"),
    ],
    "languages": [
        ("La respuesta es 18 (en 3 pasos).", "18"), ("La réponse est 18 (en 3 étapes).", "18"), ("Die Antwort ist 18 (in 3 Schritten).", "18"),
        ("Die Antwort lautet: 18. Das sind 3 Schritte.", "18"), ("A resposta é 18. São 3 passos.", "18"), ("La risposta è 18. Sono 3 passi.", "18"),
        ("Ответ: 18 (3 шага)", "18"), ("Respuesta final: 18\nPasos: 3", "18"), ("答案是 18，共 3 步。", "18"), ("Odpowiedź: 18 (3 kroki)", "18"),
        ("Đáp số: 18 (3 bước)", "18"), ("Antwoord: 18 (3 stappen)", "18"), ("Cevap: 18 (3 adım)", "18"),
    ],
    "money": [
        ("The answer is $18 and 50 cents.", "18.5"), ("The answer is 18 dollars 50 cents.", "18.5"), ("It costs £18 and 50 pence: the answer is £18 and 50p", "18.5"),
        ("The answer is 18 euros and 5 cents", "18.05"), ("Answer: ₩18", "18"), ("Answer: R$18", "18"), ("Answer: 18 ₽", "18"), ("Answer: Rs. 18 (3 steps)", "18"),
        ("Answer: CHF 18 (3 steps)", "18"), ("Answer: USD 18 (3 steps)", "18"),
    ],
    "separators": [
        (r"\boxed{18~000}", "18000"), ("Answer: 1.234,50", "1234.5"), ("Answer: 1.234.567", "1234567"), ("Answer: 1,23,456", "123456"),
        ("Answer: 12,5 €", "12.5"), ("Answer: 0,125", "0.125"), ("Answer: 1,234", "1234"), ("Answer: 1.234.567,8", "1234567.8"),
    ],
    "said twice": [
        ("The answer is 1/2, or 0.5.", "0.5"), ("The answer is 18.0 or 18.", "18"), ("The answer is 2 hours, or 120 minutes.", "2"),
        ("The answer is 18 dollars or 1800 cents.", "18"), ("The answer is 120 minutes or 2 hours.", "120"), ("The answer is 18 dollars (= 1800 cents).", "18"),
        ("The answer is eighteen (18).", "18"),
    ],
    "taken back": [
        ("#### 17\nHold on, I forgot one egg. So it is 18, not 17.", "18"), ("The answer is ~~17~~ 18.", "18"), ("The answer is not 17 but 18.", "18"),
        ("The answer is 17. Wait, I made a mistake. It should be 18.", "18"), ("#### 17\nCorrection: 18", "18"), (r"\boxed{\cancel{17} 18}", "18"),
        ("The answer is <del>17</del> 18.", "18"), ("The answer is 17. Oops, I meant 18.", "18"), ("The answer is 18, not 17.", "18"),
        ("The answer is 18. Wait, let me check: 9 * 2 = 18. Yes.", "18"),
    ],
    "run-on": [
        ("#### 18\n\nQuestion: A pen costs $5.\nAnswer: 25\n#### 25", "18"), ("#### 18\n\nQ: Ben has 4.\nA: 24", "18"), ("Answer: 18<|endoftext|>Question: 3+4?\nAnswer: 7", "18"),
        ("#### 18\n\nProblem 2: A pen costs $5.\n#### 25", "18"), ("The answer is 18.\n\nQuestion 2: pens?\nThe answer is 25.", "18"), ("#### 18</s>#### 25", "18"),
        ("#### 18<|im_end|>\n<|im_start|>user\nmore?\n#### 25", "18"), ("9 * 2 = 18 dollars\n\nQuestion: A pen?\nAnswer: 25", "18"), ("#### 18\n\nHuman: And 5 pens?\nAssistant: 25", "18"),
        ("#### 18\n\n**Question:** pens\n**Answer:** 25", "18"), ("#### 18\n\n### Instruction:\npens\n### Response:\nThe answer is 25", "18"), ("答案是18\n\n问题：5？\n答案是25", "18"),
        ("Question: Janet has 16 eggs.\nAnswer: 18", "18"), ("#### 18\n#### 18\n\nQuestion: 5\n#### 5", "18"), ("<|im_start|>assistant\n#### 18<|im_end|>", "18"),
    ],
    "closing words": [
        ("Janet makes **$18** a day.\n\nAsk me anything, I am here 24/7!", "18"), ("She earns 18 dollars.\n\n(Word count: 42)", "18"), ("She makes $18.\n\n---\n*Solved in 2 steps.*", "18"),
        ("She makes $18 a day (9 eggs x $2).", "18"), ("It is 18. I am 95% sure.", "18"), ("She makes $18.\n\nConfidence: 95%", "18"), ("She makes $18.\nLet me know if you have 2 more questions!", "18"),
        ("She makes $18.\n\n_Generated in 3 seconds._", "18"), ("She makes $18 in 3 steps.", "18"), ("She makes $18. [1]", "18"), ("She makes $18.\n\nNote: I took 7 days for a week.", "18"),
    ],
}  # fmt: skip
EARNS_NOTHING = {
    "hedge": [
        "18 or 19", "The answer is 18 or 19.", "The answer is between 18 and 19.", "The answer is 18 to 19.", "The answer is 18-19.", "The answer is either 19 or 18.",
        r"\boxed{18 \text{ or } 19}", r"\boxed{18 \pm 1}", r"\boxed{18} or \boxed{19}", r"\boxed{19} or \boxed{18}", "#### 18 or #### 19", "#### 18/19 or so: 18 or 19", "Answer: 18 (or 19)", "Answer: 18, maybe 19",
        "The answer is 18. Or maybe 19.", "The answer is 18. It could also be 19.", "Possible answers: 17, 18", "Answer: 17, 18, 19", "The answer is one of 17, 18 or 19.", "It is 19 or 18",
        "The answer is seventeen or eighteen.", "The answer is 18 or possibly even 19.", '{"answer": "18 or 19"}', '{"answer": [17, 18]}', '{"answer": {"red": 18, "blue": 17}}', "<answer>18 or 19</answer>", r"\boxed{17, 18}", "The answer is 18; 19; 20.",
        "The answer is 18 | 19", "Answer: 18 & 19", "The answer could be 18 or 19.", "The answer is 18±1.", "The answer is 18~19.", "between 17 and 18", "It is 17 to 18", r"\boxed{\{17, 18\}}",
        "The answer is somewhere between 17 eggs and 18 eggs.",
    ],
    "factor": [
        r"\boxed{18\pi}", r"\boxed{18 \pi}", r"\boxed{18\sqrt{2}}", r"\boxed{18 \sqrt 2}", "The answer is 18π.", "The answer is 18√2.", "#### 18\\pi", "The answer is 18 pi square feet.", r"\boxed{\sqrt{2} \cdot 18}",
        r"\boxed{\pi \cdot 18}", r"\boxed{18 \cdot \pi}", r"\boxed{18\ln 2}", r"\boxed{18x}", r"\boxed{\frac{18}{x}}", r"\boxed{\frac{18}{\pi}}", r"\boxed{\frac{\sqrt{18}}{2}}", r"\boxed{\sqrt{18}}", "The answer is 18 * sqrt(2).",
        r"\boxed{\frac{18\pi}{2}}", r"\boxed{18i}", "The answer is 18 × π.", r"\boxed{\frac{18}{2}}", r"\boxed{\frac{1,800}{18}}", "18π", r"\boxed{18\sqrt[3]{2}}",
    ],
    "negated": ["The answer is not 18.", "The answer isn't 18.", "The answer is -18.", "The answer is negative 18.", "The answer is minus 18", "#### 17\nWait, it is 16, not 18. So it is 16."],
    "expression": ["The answer is 18 times 2.", "The answer is 18 more than 13.", "The answer is 18 - 2", "The answer is 18% of 50."],
    "next question": [
        "#### 17\n\nQuestion: pens?\nAnswer: #### 18", "The answer is 17.\n\nQ: pens?\nA: 18", "Answer: 17<|eot_id|>Answer: 18", "9 * 2 = 17\n\nProblem: pens\n#### 18", "#### 17</s>18",
    ],
    "thinking": ["<think>#### 18</think>", "<thinking>The answer is 18", "[THINK]18", "<reasoning>#### 18</reasoning>", "◁think▷18", "<|channel|>analysis<|message|>The answer is 18", "Sure!\n<think>The answer is 18."],
    "refusal": [
        "There is not enough information; I only know that she has 18 eggs.", "Sorry, as an AI model from 18 I cannot do sums.", "It cannot be determined how many of the 18 eggs are sold.", "I can't answer that: 18 eggs are not enough.",
        "Answer: I cannot compute this from 18 eggs.", "There isn't enough information.\nShe has 18 eggs.", "I don't know what happened to the 18 eggs.",
    ],
    "time": ["The answer is 18:30.", "#### 3:18", "2:18"],
    "separator": ["#### 1,8", "#### 18.000.00", "#### 18_0", "#### 18,00,0"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("response", "gold"), [pytest.param(*row, id=f"{kind}-{n}") for kind, rows in READ.items() for n, row in enumerate(rows)]
)  # fmt: skip
def test_is_read(response: str, gold: str) -> None:
    assert grade(response, gold).outcome is RIGHT, grade(response, gold).extracted


@pytest.mark.parametrize(
    "response", [pytest.param(row, id=f"{kind}-{n}") for kind, rows in EARNS_NOTHING.items() for n, row in enumerate(rows)]
)  # fmt: skip
def test_earns_nothing(response: str) -> None:
    assert grade(response).outcome in {WRONG, NONE}, grade(response).extracted


@pytest.mark.parametrize(("opening", "closing"), THINKING)
def test_thinking_is_not_read(opening: str, closing: str) -> None:
    thoughts = "Perhaps the answer is 17.\n#### 17\n"
    assert grade(f"{opening}{thoughts}{closing}She makes 18 dollars.").outcome is RIGHT
    assert grade(f"{opening}{thoughts}{closing}She makes 18 dollars.", "17").outcome is WRONG
    assert grade(f"{opening}{thoughts}", "17").outcome is NONE
    assert grade(f"{opening}{thoughts}", "17", cut=True).outcome is CUT
    if not opening.startswith(("analysis", "Thinking", "Here")):
        assert grade(f"Let me see.\n{opening}{thoughts}", "17", cut=True).outcome is CUT


@pytest.mark.data
def test_the_collected_field_cases(data_dir: Path) -> None:
    cases = [
        json.loads(line)
        for line in (data_dir / "grading" / "field_cases.jsonl").read_bytes().splitlines()
    ]
    graded = {
        case["id"]: grade(case["response"], case["gold"], cut=case["cut"]).outcome.name.lower()
        for case in cases
    }
    assert graded == {case["id"]: case["expected_outcome"] for case in cases}
    before = [
        grading.grade("numeric-1", case["response"], case["gold"], cut=case["cut"])
        for case in cases
    ]
    failed = [
        c["id"]
        for c, one in zip(cases, before, strict=True)
        if one.outcome.name.lower() != c["expected_outcome"]
    ]
    assert (len(cases), len(failed)) == (142, 40), "the cases tell the two graders apart no more"


PIECES = st.one_of(
    st.text(max_size=12),
    st.integers(-9999, 9999).map(str),
    st.sampled_from([
        "####", "\\boxed{", "}", "The answer is", "Answer:", "A:", "<think>", "</think>", "or", "and", "not", " = ", "(", ")", ",", ";", ".", "\n",
        "\\frac{", "}{", "\\sqrt{", "\\pi", "$", "%", "~", "negative", "eighteen", "hundred", "half", '{"answer": ', "<answer>", "</answer>", "Question:",
        "wait, ", "so it is ", "between", "2:00", "#12", "١٨", "```", "**", "<|endoftext|>", "[THINK]", "1/2", "1.234,5", "cents", "million",
    ]),
)  # fmt: skip


@given(st.lists(PIECES, max_size=40), st.sampled_from(["", " "]), st.booleans())
def test_any_text_has_an_outcome_and_the_same_one_each_time(
    pieces: list[str], between: str, cut: bool
) -> None:
    response = between.join(pieces)
    first, second = (grade(response, cut=cut) for _ in range(2))
    assert first == second
    assert first.outcome in {RIGHT, WRONG, CUT if cut else NONE}
    assert len(first.extracted) <= 200


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_a_stated_number_is_read_and_no_other(stated: int, gold: int) -> None:
    for response in (
        f"#### {stated}",
        f"The answer is {stated}.",
        f"\\boxed{{{stated}}}",
        f'{{"final_answer": {stated}}}',
    ):
        assert grade(response, str(gold)).outcome is (RIGHT if stated == gold else WRONG)
        assert grade(response, str(stated)).outcome is RIGHT


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_different_numbers_are_never_an_answer(first: int, second: int) -> None:
    for response in (
        f"The answer is {first} or {second}.",
        f"#### {first} or {second}",
        f"It is {first} or {second}",
    ):
        for gold in {first, second}:
            assert grade(response, str(gold)).outcome is (RIGHT if first == second else WRONG)


@given(st.integers(0, 10**9))
def test_digits_of_every_script_are_the_same_number(number: int) -> None:
    for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10, 0x1D7CE):
        written = "".join(chr(zero + int(digit)) for digit in str(number))
        assert grade(f"The answer is {written}.", str(number)).outcome is RIGHT


FORMS = (
    *(
        *forms.ACCEPTED,
        *forms.PLACE,
        *forms.GROUPING,
        *forms.SPELLING,
        *forms.SCRIPTS,
        *forms.HOSTILE_NUMBERS,
    ),
    *(*forms.INJECTION, *forms.EMPTY, *forms.OTHERS, *forms.INVISIBLE, *forms.WRAPPED),
)


@pytest.mark.parametrize(
    ("response", "gold", "expected"), [form for form in FORMS if form.id not in OTHERWISE]
)
def test_the_forms_of_numeric_1_stay(response: str, gold: str, expected: Outcome) -> None:
    assert grade(response, gold).outcome is expected, grade(response, gold).extracted
