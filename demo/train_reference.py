"""Train the checkpoint of the engines' self-test: ``python -m demo.train_reference``.

It learns four sentences by heart, so that its greedy answers are the same on every processor and in
every number format: at each token the best logit leads by ``MARGIN`` at least. The checkpoint and
its answers are written to ``evaluator/backends/reference``.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import evaluator

FOLDER = Path(evaluator.__path__[0]) / "backends" / "reference"
SENTENCES = (
    ("The digits of pi are", " 3.14159265358979"),
    ("The digits of e are", " 2.71828182845904"),
    ("Count down from nine:", " 9 8 7 6 5 4 3 2 1"),
    ("The first primes are", " 2 3 5 7 11 13 17"),
)
MARGIN = 4.0
STEPS = 400
EOS = "<eos>"
_IGNORED = -100


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of single bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {EOS: 0}
    for number, letter in enumerate(alphabet, start=1):
        vocabulary[letter] = number
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=EOS)


def build_model(vocabulary: int) -> LlamaForCausalLM:
    """Return an untrained model that every engine's kernels can run."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def rows(tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and labels, one row a sentence; the prompt is no label."""
    tokens = []
    labels = []
    for prompt, answer in SENTENCES:
        asked = tokenizer.encode(prompt)
        answered = [*tokenizer.encode(answer), 0]
        tokens.append(torch.tensor(asked + answered))
        labels.append(torch.tensor([_IGNORED] * len(asked) + answered))
    return (
        pad_sequence(tokens, batch_first=True, padding_value=0),
        pad_sequence(labels, batch_first=True, padding_value=_IGNORED),
    )


def margin(
    model: LlamaForCausalLM,
    tokens: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    """Return the least lead of the right token's logit over the others."""
    with torch.no_grad():
        logits = model(tokens).logits[:, :-1].float()
    wanted = labels[:, 1:]
    counted = wanted != _IGNORED
    places = wanted[counted][:, None]
    right = logits[counted].gather(1, places)
    others = logits[counted].scatter(1, places, float("-inf"))
    leads = right[:, 0] - others.max(1).values
    return float(leads.min())


def main() -> None:
    """Train, check and save."""
    torch.set_num_threads(1)
    torch.manual_seed(11)
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer))
    tokens, labels = rows(tokenizer)
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=3e-3,
        weight_decay=0.0,
    )
    for _ in range(STEPS):
        loss = model(tokens, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model = model.to(torch.bfloat16)
    lead = margin(model, tokens, labels)
    if lead < MARGIN:
        raise SystemExit(f"the best logit leads by {lead:.2f} only")
    model.generation_config.eos_token_id = 0
    model.save_pretrained(FOLDER)
    tokenizer.save_pretrained(FOLDER)
    answers = [{"prompt": prompt, "answer": answer} for prompt, answer in SENTENCES]
    text = json.dumps(answers, indent=2) + "\n"
    (FOLDER / "answers.json").write_text(text, encoding="utf-8")
    print(f"loss {loss.item():.5f}, least lead of the best logit {lead:.2f}")


if __name__ == "__main__":
    main()
