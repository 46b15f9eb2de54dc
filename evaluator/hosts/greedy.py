"""Checkpoint run with Transformers, in batches: continued greedily, by sampling, or scored.

The checkpoint's own generation settings are ignored but for its end-of-text tokens: the protocol
decides how a model is asked.
"""

import errno
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
)
from transformers.generation import StoppingCriteria, StoppingCriteriaList

from evaluator.errors import Code, error
from evaluator.hosts.batching import Answer, Encoded, OutOfMemory, Request, Token, TooLong
from evaluator.hosts.drawing import Drawn
from evaluator.hosts.scoring import Scores, read

_TAIL = 6
"""Tokens of the prompt that are decoded with the continuation, to preserve its leading space."""


class GreedyModel:
    """Causal language model and its tokenizer. Raises HOST_FAILED where they cannot be loaded."""

    def __init__(self, folder: Path) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            config = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
            self._tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
            model, loaded = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype_on(device),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        except Exception as problem:  # noqa: BLE001 - the library's exceptions quote the files
            number = problem.errno if isinstance(problem, OSError) else None
            name = errno.errorcode.get(number or 0, "")
            raise error(Code.HOST_FAILED, f"{type(problem).__name__} {name}".strip()) from None
        # A configuration may name other files than were checked.
        if loaded["missing_keys"] or loaded["mismatched_keys"]:
            raise error(Code.CHECKPOINT_MISSING_TENSORS, "in the files that its config.json names")
        self.special_tokens: dict[str, str] = dict(self._tokenizer.special_tokens_map)
        self._ends = _end_tokens(model, self._tokenizer)
        self._pad = self._tokenizer.pad_token_id
        if self._pad is None:
            self._pad = self._ends[0] if self._ends else 0
        model.generation_config = GenerationConfig()
        self._model = model.to(device).eval()
        self._context = int(
            getattr(config.get_text_config(), "max_position_embeddings", None) or 1 << 20
        )
        self._texts = self._tokenizer.batch_decode(
            [[token] for token in range(len(self._tokenizer))], clean_up_tokenization_spaces=False
        )
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
        tokens = tuple(encoding["input_ids"]) or tuple(self._ends[:1]) or (0,)
        if len(tokens) + (not request.echo) > self._context:
            raise TooLong
        max_new = min(request.max_tokens, self._context - len(tokens))
        if not request.echo:
            return Encoded(tokens, max_new, request.stop, request.temperature, request.seed)
        offsets = encoding["offset_mapping"]
        spans = tuple((int(begin), int(end)) for begin, end in offsets) or ((0, 0),)
        return Encoded(tokens, max_new, request.stop, echo=request.prompt, spans=spans)

    def generate(self, batch: Sequence[Encoded]) -> list[Answer]:
        """Continue prompts of one kind, padded on the left; or score them. Raises OutOfMemory."""
        try:
            return self._read(batch) if batch[0].echo is not None else self._continue(batch)
        except (torch.OutOfMemoryError, MemoryError):
            raise OutOfMemory from None
        except RuntimeError as problem:  # the CPU's allocator has no class of its own
            if "allocate memory" in str(problem):
                raise OutOfMemory from None
            raise

    def _read(self, batch: Sequence[Encoded]) -> list[Answer]:
        size = self._model.get_output_embeddings().weight.shape[0]
        scores = read(self._model, batch, pad=self._pad, vocabulary=size)
        return [self._echo(encoded, score) for encoded, score in zip(batch, scores, strict=True)]

    def _echo(self, encoded: Encoded, scores: Scores) -> Answer:
        """Return the prompt's tokens, and the likeliest next one where there is space for it."""
        text = encoded.echo or ""
        logprobs, best = scores
        named = [(self._decode([token]), value) for token, value in best]
        tokens = [
            Token(text[begin:end], begin, logprob, named[at - 1] if at else None)
            for at, ((begin, end), logprob) in enumerate(zip(encoded.spans, logprobs, strict=True))
        ]
        if not encoded.max_new:
            return Answer(text, cut=True, tokens=tuple(tokens))
        after, value = named[-1]
        ended = best[-1][0] in self._ends
        text_after = "" if ended else after
        tokens.append(Token(text_after, len(text), value, (after, value)))
        return Answer(text + text_after, cut=not ended, tokens=tuple(tokens))

    def _continue(self, batch: Sequence[Encoded]) -> list[Answer]:
        width = max(len(encoded.tokens) for encoded in batch)
        padded = [
            [self._pad] * (width - len(encoded.tokens)) + list(encoded.tokens) for encoded in batch
        ]
        mask = [
            [0] * (width - len(encoded.tokens)) + [1] * len(encoded.tokens) for encoded in batch
        ]
        ends = self._ends + self._special(batch[0].stop)
        settings = GenerationConfig(
            max_new_tokens=batch[0].max_new,
            do_sample=False,
            eos_token_id=ends or None,
            pad_token_id=self._pad,
        )
        with torch.inference_mode():
            out = self._model.generate(
                torch.tensor(padded, device=self._model.device),
                attention_mask=torch.tensor(mask, device=self._model.device),
                generation_config=settings,
                logits_processor=LogitsProcessorList(
                    [Drawn(batch)] if batch[0].temperature > 0 else []
                ),
                stopping_criteria=StoppingCriteriaList([self._stopping(batch[0].stop, width)]),
            )
        rows = out[:, width:].tolist()
        return [self._answer(encoded, row, ends) for encoded, row in zip(batch, rows, strict=True)]

    def _stopping(self, stops: tuple[str, ...], width: int) -> "_StopStrings":
        if stops not in self._closings:
            size = max(self._model.get_output_embeddings().weight.shape[0], len(self._texts))
            self._closings = {stops: _closing(self._texts, stops, size).to(self._model.device)}
        return _StopStrings(self._tokenizer, stops, width, self._closings[stops])

    def _answer(self, encoded: Encoded, row: list[int], ends: list[int]) -> Answer:
        end = next((at for at, token in enumerate(row) if token in ends), None)
        tail = list(encoded.tokens[-_TAIL:])
        before = self._decode(tail)
        whole = self._decode(tail + row[:end])
        text = whole[len(before) :] if whole.startswith(before) else self._decode(row[:end])
        places = [text.find(stop) for stop in encoded.stop]
        stops = [place for place in places if place >= 0]
        # A row that a stop string ended is filled up with padding.
        ended = (at + 1 for at, token in enumerate(row) if token in ends or token == self._pad)
        written = next(ended, len(row))
        usage = (len(encoded.tokens), written)
        if stops:
            return Answer(text[: min(stops)], cut=False, usage=usage)
        return Answer(text, cut=end is None and len(row) >= encoded.max_new, usage=usage)

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _special(self, stops: Sequence[str]) -> list[int]:
        """Return stop strings that are one special token each.

        They would never show in the decoded text.
        """
        special = self._tokenizer.get_added_vocab()
        return [
            special[stop] for stop in stops if stop in special and special[stop] not in self._ends
        ]


class _StopStrings(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once a stop string stands in its last tokens.

    This only saves time: the text is cut afterwards. ``closing`` marks the tokens of the vocabulary
    with which a stop string could end: decoding every row at every step costs more than a small
    model.
    """

    def __init__(
        self, tokenizer: object, stops: Sequence[str], start: int, closing: torch.Tensor
    ) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._start = start
        self._closing = closing
        self._window = max((len(stop.encode()) for stop in stops), default=0) + 1

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        rows = self._closing[input_ids[:, -1]].nonzero()[:, 0] if self._stops else done[:0]
        if not len(rows):
            return done
        recent = input_ids[rows, max(self._start, input_ids.shape[1] - self._window) :].tolist()
        texts = self._tokenizer.batch_decode(  # type: ignore[attr-defined]
            recent, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        stopped = [any(stop in text for stop in self._stops) for text in texts]
        done[rows] = torch.tensor(stopped, dtype=torch.bool, device=input_ids.device)
        return done


def _closing(texts: Sequence[str], stops: Sequence[str], size: int) -> torch.Tensor:
    """Return, for each of ``size`` tokens, true if a stop string could end with it.

    Such a token holds the last character of one, or a part of a character, which decodes to U+FFFD.
    """
    last = {stop[-1] for stop in stops} | {"\ufffd"}
    closing = torch.ones(size, dtype=torch.bool)
    closing[: len(texts)] = torch.tensor([not last.isdisjoint(text) for text in texts])
    return closing


def dtype_on(device: str) -> torch.dtype:
    """Return the number format that our own hosts compute in."""
    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _end_tokens(model: object, tokenizer: object) -> list[int]:
    tokens: list[object] = []
    for source in (
        tokenizer,
        getattr(model, "config", None),
        getattr(model, "generation_config", None),
    ):
        named = getattr(source, "eos_token_id", None)
        tokens += named if isinstance(named, list) else [named]
    return sorted({token for token in tokens if isinstance(token, int) and token >= 0})
