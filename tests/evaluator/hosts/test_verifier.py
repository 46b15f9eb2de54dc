"""The verifier host on real checkpoints: three kinds of scores, in the jail, beside what the library computes."""

import asyncio
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    PreTrainedTokenizerFast,
)

from demo import train
from evaluator import jail
from evaluator.artefacts import inspect_checkpoint
from evaluator.backends import serve_checkpoint
from evaluator.errors import Code, EvaluatorError

SMALL = Path(train.__file__).parent / "checkpoints" / "small"
TEXTS = [
    "Question: Ada has 4 bells.\nAnswer: 4.",
    "Question: Bo has 14 corks and finds 3 more. How many?\nAnswer: 14 + 3 = 17. #### 17",
    "x",
]


def saved(folder: Path, kind: Any, labels: int) -> Any:
    """A checkpoint with a drawn head on the demo's small model, in float32, and the model."""
    torch.manual_seed(5)
    about = {} if kind is LlamaForCausalLM else {"num_labels": labels}
    model = kind.from_pretrained(SMALL, dtype=torch.float32, **about).eval()
    if labels:
        torch.nn.init.normal_(model.score.weight, std=0.5)
    model.save_pretrained(folder)
    train.save_tokenizer(PreTrainedTokenizerFast.from_pretrained(SMALL), folder)
    return model


async def scores(folder: Path, workdir: Path, texts: list[str] = TEXTS) -> list[float]:
    async with serve_checkpoint(
        folder, jailed=jail.available(), ready_seconds=120, workdir=workdir, verifier=True
    ) as server:
        asked = [server.score(text, question=" Right?", answer=" 7") for text in texts]
        return [score.value for score in await asyncio.gather(*asked)]


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        pytest.param(LlamaForTokenClassification, 1, id="token head", marks=pytest.mark.slow),
        pytest.param(LlamaForSequenceClassification, 2, id="sequence head", marks=pytest.mark.slow),
        pytest.param(LlamaForCausalLM, 0, id="answer token"),
    ],
)
def test_scores_are_those_of_the_library_for_the_last_token(
    tmp_path: Path, kind: Any, labels: int
) -> None:
    model = saved(tmp_path / "verifier", kind, labels)
    facts = inspect_checkpoint(tmp_path / "verifier", verifier=True)
    assert facts.architecture == kind.__name__
    found = asyncio.run(scores(tmp_path / "verifier", tmp_path / "w"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(SMALL)
    model.config.pad_token_id = tokenizer.pad_token_id
    for text, score in zip(TEXTS, found, strict=True):
        asked = text if labels else text + " Right?"
        ids = torch.tensor([tokenizer.encode(asked)])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits
        if labels == 1:
            expected = logits[0, -1, 0].sigmoid()
        elif labels == 2:
            expected = logits[0].softmax(-1)[1]
        else:
            [seven, *_] = tokenizer.encode(" 7", add_special_tokens=False)
            expected = logits[0, -1].softmax(-1)[seven]
        assert score == pytest.approx(float(expected), abs=1e-5)
    assert len(set(found)) == len(TEXTS)


@pytest.mark.slow
def test_a_head_of_many_labels_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "verifier", LlamaForTokenClassification, 3)
    with pytest.raises(EvaluatorError) as refused:
        asyncio.run(scores(tmp_path / "verifier", tmp_path / "w"))
    assert refused.value.code is Code.CHECKPOINT_BAD_CONFIG


@pytest.mark.slow
def test_a_text_beyond_the_context_is_refused_by_its_code(tmp_path: Path) -> None:
    saved(tmp_path / "verifier", LlamaForTokenClassification, 1)
    with pytest.raises(EvaluatorError) as refused:
        asyncio.run(scores(tmp_path / "verifier", tmp_path / "w", ["word " * 2000]))
    assert refused.value.code is Code.PROMPT_TOO_LONG


def test_a_score_that_is_no_number_is_none_of_its_own(tmp_path: Path) -> None:
    from evaluator.hosts.batching import Request
    from evaluator.hosts.judging import ScoringModel

    saved(tmp_path / "verifier", LlamaForTokenClassification, 1)
    host = ScoringModel(tmp_path / "verifier")
    host._model.score.weight.data.fill_(float("nan"))
    [answer] = host.generate([host.encode(Request("x", 0))])
    assert answer.score is None and not isnan(answer.usage[0])


def test_a_verifier_is_no_model_to_be_asked(tmp_path: Path) -> None:
    saved(tmp_path / "verifier", LlamaForTokenClassification, 1)
    with pytest.raises(EvaluatorError) as refused:
        inspect_checkpoint(tmp_path / "verifier")
    assert refused.value.code is Code.CHECKPOINT_BAD_CONFIG
