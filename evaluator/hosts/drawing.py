"""Sampling at a temperature, with one generator for each prompt.

So the other prompts of a batch do not change a draw. Adding Gumbel noise to the scaled logits and
taking the largest draws exactly from their softmax (Gumbel-max), so the greedy loop of Transformers
serves both.
"""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from evaluator.hosts.batching import Encoded


class Drawn(LogitsProcessor):  # type: ignore[misc]
    """Turns logits, shape (rows, vocabulary), into scores whose largest is a draw."""

    def __init__(self, batch: Sequence[Encoded]) -> None:
        self._temperatures = torch.tensor([[encoded.temperature] for encoded in batch])
        self._generators = []
        for encoded in batch:
            generator = torch.Generator()
            if encoded.seed is None:
                generator.seed()
            else:
                generator.manual_seed(encoded.seed)
            self._generators.append(generator)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores of one step."""
        size = scores.shape[1]
        draws = []
        for generator in self._generators:
            draws.append(torch.empty(size).exponential_(generator=generator))
        noise = torch.stack(draws)
        scaled = scores.float() / self._temperatures.to(scores.device)
        # The negative logarithm of an exponential variable is a Gumbel variable.
        return scaled - noise.log().to(scores.device)
