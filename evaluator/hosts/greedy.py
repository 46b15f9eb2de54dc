"""Checkpoint run with Transformers, in batches: continued greedily, by sampling, or scored.

The checkpoint's own generation settings are ignored but for its end-of-text tokens: the protocol
decides how a model is asked.
"""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessorList,
)
from transformers.generation import StoppingCriteria, StoppingCriteriaList

from evaluator.hosts.batching import Answer, Encoded, OutOfMemory, Request, Token, TooLong
from evaluator.hosts.drawing import Drawn
from evaluator.hosts.loading import load
from evaluator.hosts.scoring import Scores, read

_TAIL = 6
"""Tokens of the prompt that are decoded with the continuation, to preserve its leading space."""


class GreedyModel:
    """Causal language model and its tokenizer. Raises HOST_FAILED where they cannot be loaded."""

    def __init__(self, folder: Path) -> None:
        loaded = load(folder, AutoModelForCausalLM)
        self._tokenizer = loaded.tokenizer
        self._model = loaded.model
        self._context = loaded.context
        self.special_tokens: dict[str, str] = dict(self._tokenizer.special_tokens_map)
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._pad = self._tokenizer.pad_token_id
        if self._pad is None:
            self._pad = self._ends[0] if self._ends else 0
        self._model.generation_config = GenerationConfig()
        vocabulary = [[token] for token in range(len(self._tokenizer))]
        self._texts = self._tokenizer.batch_decode(vocabulary, clean_up_tokenization_spaces=False)
        self._closings: dict[tuple[str, ...], torch.Tensor] = {}
        self._tokenizer("x")  # sets truncation and padding; then threads may share it

    def encode(self, request: Request) -> Encoded:
        """Return the tokens of a prompt. Raises TooLong where not even one token could follow."""
        encoding = self._tokenizer(
            request.prompt,
            verbose=False,
            add_special_tokens=request.special,
            return_offsets_mapping=request.echo,
        )
        tokens = tuple(encoding["input_ids"])
        if not tokens:
            tokens = tuple(self._ends[:1]) or (0,)
        if len(tokens) + (not request.echo) > self._context:
            raise TooLong
        max_new = min(request.max_tokens, self._context - len(tokens))
        if not request.echo:
            return Encoded(
                tokens,
                max_new,
                request.stop,
                request.temperature,
                request.seed,
            )
        offsets = encoding["offset_mapping"]
        spans = [(int(begin), int(end)) for begin, end in offsets]
        if not spans:
            spans = [(0, 0)]
        return Encoded(
            tokens,
            max_new,
            request.stop,
            echo=request.prompt,
            spans=tuple(spans),
        )

    def generate(self, batch: Sequence[Encoded]) -> list[Answer]:
        """Continue prompts of one kind, padded on the left; or score them. Raises OutOfMemory."""
        try:
            if batch[0].echo is None:
                return self._continue(batch)
            size = self._model.get_output_embeddings().weight.shape[0]
            scores = read(self._model, batch, pad=self._pad, vocabulary=size)
            pairs = zip(batch, scores, strict=True)
            return [self._echo(encoded, score) for encoded, score in pairs]
        except (torch.OutOfMemoryError, MemoryError):
            raise OutOfMemory from None
        except RuntimeError as problem:  # the CPU's allocator has no class of its own
            if "allocate memory" in str(problem):
                raise OutOfMemory from None
            raise

    def _echo(self, encoded: Encoded, scores: Scores) -> Answer:
        """Return the prompt's tokens, and the likeliest next one where there is space for it."""
        text = encoded.echo or ""
        logprobs, best = scores
        named = []
        for token, value in best:
            named.append((self._decode([token]), value))
        tokens = []
        # The likeliest token of each place is given by the tokens before it.
        before = [None, *named[:-1]]
        places = zip(encoded.spans, logprobs, before, strict=True)
        for (begin, end), logprob, likeliest in places:
            tokens.append(Token(text[begin:end], begin, logprob, likeliest))
        if not encoded.max_new:
            return Answer(text, cut=True, tokens=tuple(tokens))
        after, value = named[-1]
        ended = best[-1][0] in self._ends
        text_after = "" if ended else after
        last = Token(text_after, len(text), value, best=(after, value))
        tokens.append(last)
        return Answer(text + text_after, cut=not ended, tokens=tuple(tokens))

    def _continue(self, batch: Sequence[Encoded]) -> list[Answer]:
        width = max(len(encoded.tokens) for encoded in batch)
        padded = []
        mask = []
        for encoded in batch:
            missing = width - len(encoded.tokens)
            padding = [self._pad] * missing
            padded.append(padding + list(encoded.tokens))
            attended = [1] * len(encoded.tokens)
            mask.append([0] * missing + attended)
        stops = batch[0].stop
        # A stop string that is one special token would never show in the decoded text.
        special = self._tokenizer.get_added_vocab()
        stop_tokens = [special[stop] for stop in stops if stop in special]
        new_ends = [token for token in stop_tokens if token not in self._ends]
        ends = self._ends + new_ends
        settings = GenerationConfig(
            max_new_tokens=batch[0].max_new,
            do_sample=False,
            eos_token_id=ends or None,
            pad_token_id=self._pad,
        )
        processors = LogitsProcessorList()
        if batch[0].temperature > 0:
            processors.append(Drawn(batch))
        with torch.inference_mode():
            out = self._model.generate(
                torch.tensor(padded, device=self._model.device),
                attention_mask=torch.tensor(mask, device=self._model.device),
                generation_config=settings,
                logits_processor=processors,
                stopping_criteria=StoppingCriteriaList([self._stopping(stops, width)]),
            )
        rows = out[:, width:].tolist()
        answers = []
        for encoded, row in zip(batch, rows, strict=True):
            answers.append(self._answer(encoded, row, ends))
        return answers

    def _stopping(self, stops: tuple[str, ...], width: int) -> "_StopStrings":
        if stops not in self._closings:
            vocabulary = self._model.get_output_embeddings().weight.shape[0]
            size = max(vocabulary, len(self._texts))
            closing = _closing(self._texts, stops, size)
            self._closings = {stops: closing.to(self._model.device)}
        return _StopStrings(self._tokenizer, stops, width, self._closings[stops])

    def _answer(
        self,
        encoded: Encoded,
        row: list[int],
        ends: list[int],
    ) -> Answer:
        before_end = list(takewhile(lambda token: token not in ends, row))
        tail = list(encoded.tokens[-_TAIL:])
        before = self._decode(tail)
        whole = self._decode(tail + before_end)
        text = whole[len(before) :]
        if not whole.startswith(before):
            text = self._decode(before_end)
        places = [text.find(stop) for stop in encoded.stop]
        stops = [place for place in places if place >= 0]
        # A row that a stop string ended is filled up with padding.
        last = {*ends, self._pad}
        before_last = list(takewhile(lambda token: token not in last, row))
        written = min(len(before_last) + 1, len(row))
        usage = (len(encoded.tokens), written)
        if stops:
            return Answer(text[: min(stops)], cut=False, usage=usage)
        has_end = len(before_end) < len(row)
        return Answer(text, cut=not has_end and len(row) >= encoded.max_new, usage=usage)

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once a stop string stands in its last tokens.

    This only saves time: the text is cut afterwards. ``closing`` marks the tokens of the vocabulary
    with which a stop string could end: decoding every row at every step costs more than a small
    model.
    """

    def __init__(
        self,
        tokenizer: object,
        stops: Sequence[str],
        start: int,
        closing: torch.Tensor,
    ) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._start = start
        self._closing = closing
        longest = max((len(stop.encode()) for stop in stops), default=0)
        self._window = longest + 1

    def __call__(
        self,
        input_ids: torch.Tensor,
        scores: object,
        **_: object,
    ) -> torch.Tensor:
        done = torch.zeros(
            len(input_ids),
            dtype=torch.bool,
            device=input_ids.device,
        )
        if not self._stops:
            return done
        closing = self._closing[input_ids[:, -1]]
        rows = closing.nonzero()[:, 0]
        if not len(rows):
            return done
        start = max(self._start, input_ids.shape[1] - self._window)
        recent = input_ids[rows, start:].tolist()
        texts = self._tokenizer.batch_decode(  # type: ignore[attr-defined]
            recent, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        stopped = [any(stop in text for stop in self._stops) for text in texts]
        done[rows] = torch.tensor(
            stopped,
            dtype=torch.bool,
            device=input_ids.device,
        )
        return done


def _closing(
    texts: Sequence[str],
    stops: Sequence[str],
    size: int,
) -> torch.Tensor:
    """Return, for each of ``size`` tokens, true if a stop string could end with it.

    Such a token holds the last character of one, or a part of a character, which decodes to U+FFFD.
    """
    last = {stop[-1] for stop in stops} | {"\ufffd"}
    closing = torch.ones(size, dtype=torch.bool)
    may_end = [not last.isdisjoint(text) for text in texts]
    closing[: len(texts)] = torch.tensor(may_end)
    return closing


def _end_tokens(model: object, tokenizer: object) -> list[int]:
    tokens: list[object] = []
    settings = [getattr(model, name, None) for name in ("config", "generation_config")]
    for source in (tokenizer, *settings):
        named = getattr(source, "eos_token_id", None)
        tokens += named if isinstance(named, list) else [named]
    valid = {token for token in tokens if isinstance(token, int) and token >= 0}
    return sorted(valid)
