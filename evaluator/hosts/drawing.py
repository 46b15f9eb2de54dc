"""Drawing tokens at a temperature, each prompt with a generator of its own, so that its neighbours in a batch
do not change what it draws.

Adding Gumbel noise to the scaled logits and taking the largest draws from their softmax exactly (Gumbel-max),
and so the greedy loop of Transformers serves both.
"""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from evaluator.hosts.batching import Encoded


class Drawn(LogitsProcessor):  # type: ignore[misc]
    """Turns the logits of a batch, shape (rows, vocabulary), into scores whose largest is a draw."""

    def __init__(self, batch: Sequence[Encoded]) -> None:
        self._temperatures = torch.tensor([[encoded.temperature] for encoded in batch])
        self._generators = [_generator(encoded.seed) for encoded in batch]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores of one step."""
        noise = torch.stack(
            [
                torch.empty(scores.shape[1]).exponential_(generator=generator)
                for generator in self._generators
            ]
        )
        scaled = scores.float() / self._temperatures.to(scores.device)
        return scaled - noise.log().to(
            scores.device
        )  # −log of an exponential variable is a Gumbel one


def _generator(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator
