"""Scoring of texts: the log-probability of each of their tokens.

Texts are padded on the right, which no causal model attends to, and read without any cache, so that
a value depends on its own text alone and not on the rest of its batch or on earlier ones.
"""

from collections.abc import Iterator, Sequence

import torch

from evaluator.hosts.batching import Encoded

MAX_LOGITS = 1 << 26
"""Logits that are held at once (256 MiB as float32): texts x tokens x vocabulary."""

Scores = tuple[list[float | None], list[tuple[int, float]]]
"""Of a text with T tokens: T log-probabilities, None first; the likeliest token of each place."""


def read(
    model: torch.nn.Module, batch: Sequence[Encoded], *, pad: int, vocabulary: int
) -> Iterator[Scores]:
    """Yield the scores of each text, in order. Logits become float32 before normalisation."""
    width = max(len(encoded.tokens) for encoded in batch)
    rows = max(1, MAX_LOGITS // (width * vocabulary))
    for start in range(0, len(batch), rows):
        yield from _read(model, batch[start : start + rows], pad)


def _read(model: torch.nn.Module, batch: Sequence[Encoded], pad: int) -> Iterator[Scores]:
    width = max(len(encoded.tokens) for encoded in batch)
    device = next(model.parameters()).device
    ids = torch.full((len(batch), width), pad)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for row, encoded in enumerate(batch):
        ids[row, : len(encoded.tokens)] = torch.tensor(encoded.tokens)
        mask[row, : len(encoded.tokens)] = 1
    with torch.inference_mode():
        logits = model(ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
        logprobs = logits.float().log_softmax(dim=-1)  # (texts, width, vocabulary)
        scores = logprobs[:, :-1].gather(2, ids[:, 1:, None].to(device))[:, :, 0].tolist()
        best = logprobs.max(dim=-1)
        values = best.values.tolist()
        tokens = best.indices.tolist()
    for row, encoded in enumerate(batch):
        length = len(encoded.tokens)
        yield (
            [None, *scores[row][: length - 1]],
            list(zip(tokens[row][:length], values[row][:length], strict=True)),
        )
