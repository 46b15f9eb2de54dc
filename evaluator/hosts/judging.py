"""Verifier run with Transformers: one score for a text, from 0 to 1.

The architecture decides where the score is read:

- token classification, the value head of TinyGSM: the head at the text's *last* token;
- sequence classification: the head, which the library places at that token too;
- a language model: the probability that its next token is the one that the request names.

A head of one label gives a logit, whose sigmoid is the score; of two labels, the second one's
probability. A score that is no finite number is None, and the evaluator ranks it last.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from evaluator.artefacts.config import VERIFIERS, read_architecture
from evaluator.errors import Code, error
from evaluator.hosts.batching import Answer, Encoded, OutOfMemory, Request, TooLong
from evaluator.hosts.loading import load
from evaluator.hosts.preflight import auto_class
from evaluator.hosts.scoring import padded

_HEADS = (1, 2)
"""Numbers of labels that a head may have."""


class ScoringModel:
    """Verifier and its tokenizer, as the batcher calls it.

    Raises HOST_FAILED where they cannot be loaded, CHECKPOINT_BAD_CONFIG for a head of more labels.
    """

    def __init__(self, folder: Path) -> None:
        architecture = read_architecture(folder, VERIFIERS)
        loaded = load(folder, auto_class(architecture))
        config = loaded.config
        self._tokenizer = loaded.tokenizer
        self._model = loaded.model
        self._context = loaded.context
        self.is_language_model = architecture.endswith("ForCausalLM")
        self._for_tokens = architecture.endswith("ForTokenClassification")
        if not self.is_language_model and config.num_labels not in _HEADS:
            raise error(Code.CHECKPOINT_BAD_CONFIG, f"a verifier of {config.num_labels} labels")
        pad = self._tokenizer.pad_token_id
        self._pad = 0 if pad is None else pad
        config.pad_token_id = self._pad
        self._tokenizer("x")  # sets truncation and padding; then threads may share it

    def encode(self, request: Request) -> Encoded:
        """Return the tokens of a text. Its ``stop`` names a language model's answer, if any.

        Raises TooLong beyond the context.
        """
        encoding = self._tokenizer(request.prompt, verbose=False)
        tokens = tuple(encoding["input_ids"]) or (self._pad,)
        if len(tokens) > self._context:
            raise TooLong
        return Encoded(tokens, 0, request.stop, echo=request.prompt)

    def generate(self, batch: Sequence[Encoded]) -> list[Answer]:
        """Score texts, padded on the right. Raises OutOfMemory."""
        try:
            scores = self._scores(batch)
        except (torch.OutOfMemoryError, MemoryError):
            raise OutOfMemory from None
        except RuntimeError as problem:  # the CPU's allocator has no class of its own
            if "allocate memory" in str(problem):
                raise OutOfMemory from None
            raise
        answers = []
        for encoded, score in zip(batch, scores, strict=True):
            usage = (len(encoded.tokens), 0)
            answers.append(Answer("", cut=False, usage=usage, score=score))
        return answers

    def _scores(self, batch: Sequence[Encoded]) -> list[float | None]:
        ids, mask = padded(batch, self._pad)
        device = self._model.device
        with torch.inference_mode():
            mask = mask.to(device)
            output = self._model(ids.to(device), attention_mask=mask)
            logits = output.logits.double()
        rows = torch.arange(len(batch), device=device)
        if self._for_tokens or self.is_language_model:
            last = [len(encoded.tokens) - 1 for encoded in batch]
            logits = logits[rows, torch.tensor(last, device=device)]
        if self.is_language_model:
            chosen = [self.token(encoded.stop) for encoded in batch]
            probabilities = logits.softmax(dim=-1)
            values = probabilities[rows, torch.tensor(chosen, device=device)]
        elif logits.shape[1] == 1:
            values = logits[:, 0].sigmoid()
        else:
            values = logits.softmax(dim=-1)[:, 1]
        numbers: list[float] = values.tolist()
        return [number if math.isfinite(number) else None for number in numbers]

    def token(self, answer: Sequence[str]) -> int:
        """Return the token of a fixed answer: the first one of its text.

        Raises CHECKPOINT_BAD_CONFIG where the tokenizer has none for it.
        """
        text = answer[0] if answer else ""
        tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if not tokens:
            raise error(Code.CHECKPOINT_BAD_CONFIG, "no token for the answer")
        return int(tokens[0])
