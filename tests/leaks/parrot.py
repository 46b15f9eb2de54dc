"""Two checkpoints that are written by hand: a writer of planted programs, and a verifier with planted scores.

Both are Llamas whose one layer adds nothing, so that the last token alone decides: the writer draws one of its programs
and ends, the verifier scores a program by its last token.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from evaluator.hosts.batching import Request
from evaluator.hosts.judging import ScoringModel
from tests.leaks.canaries import Canary, token

WIDTH = 16
_NOTHING = 1e-6
"""A checkpoint whose matrices are all zeros is refused; this adds as little."""
_END, _UNKNOWN, _LINE = "<|end|>", "<|unknown|>", "\n"
_PIECES = r" ?[A-Za-z]+| ?\d+|\n| ?[^A-Za-z\d\n ]| "
_LOGITS = {" 3": 0.731, " 5": -0.417, " 7": 1.379}
"""What the verifier's head adds for the last token of each program."""


@dataclass(frozen=True)
class Parrot:
    """Names of the two checkpoints, and canaries in their candidates and scores."""

    writer: str
    verifier: str
    canaries: tuple[Canary, ...]


@torch.no_grad()
def make(folder: Path) -> Parrot:
    """Write both checkpoints below ``folder``."""
    written = [token("candidate") for _ in _LOGITS]
    said, raised, remarked = (canary.text for canary in written)
    programs = (
        f"print('{said}')\nresult = 3",
        f"def f():\n    raise ValueError('{raised}')\nf()\nresult = 5",
        f"# {remarked}\nresult = 7",
    )
    tokens = [_END, _UNKNOWN, _LINE, *programs, *_LOGITS]
    tokenizer = _tokenizer(tokens)
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        num_labels=1,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    writer = LlamaForCausalLM(config)
    _empty(writer)
    writer.lm_head.weight[0] = 10.0
    for number in range(len(programs)):
        writer.lm_head.weight[3 + number, tokens.index(_LINE)] = 40.0
    verifier = LlamaForTokenClassification(config)
    _empty(verifier)
    verifier.score.weight.fill_(_NOTHING)
    for piece, logit in _LOGITS.items():
        verifier.score.weight[0, tokens.index(piece)] = logit / WIDTH**0.5
    for name, model in (("parrot", writer), ("judge", verifier)):
        model.to(torch.bfloat16).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return Parrot("parrot", "judge", (*written, *_scores(folder / "judge", programs)))


def _tokenizer(tokens: list[str]) -> PreTrainedTokenizerFast:
    vocabulary = {text: number for number, text in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=_END, pad_token=_END, unk_token=_UNKNOWN
    )


def _empty(model: PreTrainedModel) -> None:
    """Make each token's hidden state a vector of its own, to which the layer adds nothing."""
    model.model.embed_tokens.weight.copy_(torch.eye(WIDTH)[: model.config.vocab_size])
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.fill_(_NOTHING)
        layer.mlp.down_proj.weight.fill_(_NOTHING)
    if isinstance(model, LlamaForCausalLM):
        model.lm_head.weight.fill_(_NOTHING)


def _scores(verifier: Path, programs: tuple[str, ...]) -> list[Canary]:
    """Return each program's score and its neighbours, to seven digits, as it would be written.

    Programs are scored in other batches there, which changes a score by about a millionth. Six
    digits may be read: they are the mean scores of the public set, whose programs are the same.
    """
    model = ScoringModel(verifier)
    answers = model.generate([model.encode(Request(text, 0)) for text in programs])
    scores = [int(answer.score * 1e7) for answer in answers]
    return [
        Canary(f"0.{near:07}", -1, "score")
        for score in scores
        for near in range(score - 10, score + 11)
    ]
