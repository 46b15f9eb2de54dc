"""Reading and drawing: log-probabilities are those of Transformers, draws are those of the distribution."""

import math
import random
from collections import Counter
from pathlib import Path

import pytest

from evaluator.hosts import scoring
from evaluator.hosts.batching import Answer, Encoded, Request
from evaluator.hosts.greedy import GreedyModel

TEXTS = [
    "Question: Tom has 3 apples.\nAnswer: 3",
    "12 + 7 = 19",
    "Café — naïve 🙂 pears",
    "Tom " * 30,
    "Q",
    "",
]


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> GreedyModel:
    return GreedyModel(tiny_checkpoint)


def read(model: GreedyModel, texts: list[str], max_new: int = 0) -> list[Answer]:
    return model.generate([model.encode(Request(text, max_new, echo=True)) for text in texts])


def values(answer: Answer) -> list[float | None]:
    return [token.logprob for token in answer.tokens]


def test_they_are_what_transformers_itself_computes(
    model: GreedyModel, tiny_checkpoint: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    reference = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    for text, answer in zip(TEXTS[:5], read(model, TEXTS[:5]), strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            all_logprobs = reference(ids).logits.log_softmax(-1)[0]
        expected = [all_logprobs[at, token].item() for at, token in enumerate(ids[0, 1:].tolist())]
        assert values(answer)[0] is None
        assert values(answer)[1:] == pytest.approx(expected, abs=1e-5)
        assert answer.text == text


def test_the_order_of_asking_and_the_neighbours_change_nothing(
    model: GreedyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {text: values(read(model, [text])[0]) for text in TEXTS}
    chance = random.Random(3)
    for rows in (1, 2, 100):
        monkeypatch.setattr(scoring, "MAX_LOGITS", rows * 330 * 128)
        shuffled = chance.sample(TEXTS, len(TEXTS))
        for text, answer in zip(shuffled, read(model, shuffled), strict=True):
            assert values(answer)[1:] == pytest.approx(alone[text][1:], abs=1e-5)


def test_offsets_tell_every_character_to_its_token(model: GreedyModel) -> None:
    for text, answer in zip(TEXTS[:2], read(model, TEXTS[:2]), strict=True):
        assert "".join(token.text for token in answer.tokens) == text
        assert all(text[token.offset :].startswith(token.text) for token in answer.tokens)


def test_the_likeliest_next_token_comes_with_one_new_token(model: GreedyModel) -> None:
    [answer] = read(model, TEXTS[:1], max_new=1)
    [greedy] = model.generate([model.encode(Request(TEXTS[0], 1))])
    assert answer.text == TEXTS[0] + greedy.text
    last = answer.tokens[-1]
    assert last.best == (last.text, last.logprob)
    assert last.offset == len(TEXTS[0])


def test_a_text_as_long_as_the_context_can_still_be_read(model: GreedyModel) -> None:
    encoded = model.encode(Request("Tom", 0, echo=True))
    full = Encoded(
        encoded.tokens * (128 // len(encoded.tokens)), 0, (), echo="x", spans=((0, 1),) * 128
    )
    [answer] = model.generate([full])
    assert len(answer.tokens) == len(full.tokens)


def test_a_draw_depends_on_its_seed_and_not_on_its_batch(model: GreedyModel) -> None:
    drawn = [
        model.encode(Request(text, 12, (), 1.0, seed)) for text in TEXTS[:3] for seed in (1, 2)
    ]
    together = [answer.text for answer in model.generate(drawn)]
    assert together == [model.generate([one])[0].text for one in drawn]
    assert len(set(together)) == 6
    again = [
        model.generate([model.encode(Request(TEXTS[0], 12, (), 1.0))])[0].text for _ in range(2)
    ]
    assert again[0] != again[1]


def test_draws_follow_the_distribution_at_their_temperature(model: GreedyModel) -> None:
    """Chi-squared over 4,000 first tokens; a build that forgets the temperature fails it, as the last line shows."""
    import torch

    [read_once] = read(model, ["Q"], max_new=1)
    ids = torch.tensor([model.encode(Request("Q", 1)).tokens])
    with torch.inference_mode():
        logits = model._model(ids).logits[0, -1]
    drawn = [model.encode(Request("Q", 1, (), 0.7, seed)) for seed in range(4000)]
    counts = Counter(answer.text for answer in model.generate(drawn))

    def distance(temperature: float) -> float:
        expected: Counter[str] = Counter()
        for token, share in enumerate((logits / temperature).softmax(-1).tolist()):
            text = model._answer(drawn[0], [token], []).text
            expected[text] += 0 if token in model._ends else share * len(drawn)
        often = {text for text, count in expected.items() if count >= 20 and text}
        return sum((counts[text] - expected[text]) ** 2 / expected[text] for text in often) / max(
            len(often), 1
        )

    assert read_once.tokens[-1].logprob is not None and math.isfinite(read_once.tokens[-1].logprob)
    assert distance(0.7) < 2 < distance(1.0)
