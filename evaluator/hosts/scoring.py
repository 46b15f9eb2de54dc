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


def padded(batch: Sequence[Encoded], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and attention mask of a batch, both (texts, width), padded on the right."""
    width = max(len(encoded.tokens) for encoded in batch)
    shape = (len(batch), width)
    ids = torch.full(shape, pad)
    mask = torch.zeros(shape, dtype=torch.long)
    for row, encoded in enumerate(batch):
        length = len(encoded.tokens)
        ids[row, :length] = torch.tensor(encoded.tokens)
        mask[row, :length] = 1
    return ids, mask


def read(
    model: torch.nn.Module,
    batch: Sequence[Encoded],
    *,
    pad: int,
    vocabulary: int,
) -> Iterator[Scores]:
    """Yield the scores of each text, in order. Logits become float32 before normalisation."""
    width = max(len(encoded.tokens) for encoded in batch)
    rows = max(1, MAX_LOGITS // (width * vocabulary))
    for start in range(0, len(batch), rows):
        yield from _read(model, batch[start : start + rows], pad)


def _read(
    model: torch.nn.Module,
    batch: Sequence[Encoded],
    pad: int,
) -> Iterator[Scores]:
    device = next(model.parameters()).device
    ids, mask = padded(batch, pad)
    with torch.inference_mode():
        output = model(ids.to(device), attention_mask=mask.to(device), use_cache=False)
        logprobs = output.logits.float().log_softmax(dim=-1)  # (texts, width, vocabulary)
        following = ids[:, 1:, None].to(device)
        of_following = logprobs[:, :-1].gather(2, following)
        scores = of_following[:, :, 0].tolist()
        best = logprobs.max(dim=-1)
        values = best.values.tolist()
        tokens = best.indices.tolist()
    for row, encoded in enumerate(batch):
        length = len(encoded.tokens)
        likeliest = zip(tokens[row], values[row], strict=True)
        yield [None, *scores[row][: length - 1]], list(likeliest)[:length]
