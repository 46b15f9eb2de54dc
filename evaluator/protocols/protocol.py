"""Protocol: its definition, its shots and its prompts."""

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from evaluator.contract import canonical_json
from evaluator.errors import Code, error
from evaluator.items import LETTERS, Item

Asked = Literal["checkpoint", "completions", "chat", "system"]
"""Kind of system that is asked: weights that run here, an endpoint by its API, or a generator and a
verifier that both run here."""

_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_FIRST = frozenset(
    {"id", "shots", "shot_seed", "max_tokens", "stop", "temperature", "question", "shot", "grader"}
)
"""Fields of the first published protocols.

A later field is in a digest only where it is not at its default, which is what those protocols did.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Way to ask a question. Every fact that shapes a prompt or an answer is a field, in the
    digest.

    - ``question`` and ``shot`` are templates with ``{question}``, ``{answer}`` and ``{choices}``,
      a line for each choice with its letter.
    - ``shot_seed`` seeds the draws (None where nothing is drawn). ``drawn``: shots for each item,
      or once for the whole set, so that all prompts share their beginning; or the ``first`` ones
      of the pool, in its order.
    - ``max_tokens`` bounds the completion; ``limit`` is the parameter that it is sent as.
    - ``ask``: a text to be continued, or one user message of a chat.
    - ``bos``: the model server puts the tokenizer's own special tokens before the text, or never
      any.
    - ``thinking``: "graded" as it stands, or "stripped": text in ``<think>`` is removed before
      grading.
    - ``samples`` are drawn of each question. ``vote``: their majority is the answer, which alone
      counts; or the score is the ``mean`` over all of them, and the majority's outcome stands in
      the counts; or a ``verifier``, the second model of a system, chooses the answer.
    - ``verdict`` and ``verdict_answer``: a verifier that is a language model reads ``verdict``
      after a prompt and its candidate, and the score is the probability of the answer's token.
    - ``stops``: the stop strings are sent with the question, or used here only. The text is cut
      here in any case.
    - A ``temperature`` of None is not sent: reasoning models of the large providers refuse any but
      their own.
    - ``program``: template of what stands before a completion in the program that is executed. None
      where a completion is no program. ``code``: all of a completion, or its first ``fenced`` block
      where it has one, as a chat model writes.
    """

    id: str
    shots: int
    shot_seed: int | None
    max_tokens: int
    stop: tuple[str, ...]
    temperature: float | None = 0.0
    question: str = "Question: {question}\nAnswer:"
    shot: str = "Question: {question}\nAnswer: {answer}\n\n"
    grader: str = "numeric-1"
    drawn: Literal["each", "once", "first"] = "each"
    ask: Literal["text", "message"] = "text"
    bos: Literal["tokenizer", "never"] = "tokenizer"
    thinking: Literal["graded", "stripped"] = "graded"
    samples: int = 1
    vote: Literal["none", "majority", "mean", "verifier"] = "none"
    stops: Literal["sent", "cut"] = "sent"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    program: str | None = None
    code: Literal["all", "fenced"] = "all"
    verdict: str = ""
    verdict_answer: str = ""

    @property
    def definition(self) -> dict[str, Any]:
        """Fields that the digest is over."""
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: value
            for name, value in asdict(self).items()
            if name in _FIRST or value != defaults[name]
        }

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal over the canonical JSON of the definition."""
        return hashlib.sha256(canonical_json(self.definition)).hexdigest()

    def draws(self, n_items: int, pool_size: int) -> tuple[tuple[int, ...], ...]:
        """Return the indices into the shot pool for each item of a whole set, in set order.

        One generator serves the whole set, as in lm-evaluation-harness (``ContextSampler``: one
        ``random.Random(1234)`` for a task, one ``sample`` for a document), so the shots of an item
        depend on its place in the set and not on the items that are asked, or their order. Shots
        that are drawn once are those of the first item. Raises ``set_too_few_shots``.
        """
        if self.shots == 0:
            return ((),) * n_items
        if pool_size < self.shots:
            raise error(Code.SET_TOO_FEW_SHOTS)
        pool = range(pool_size)
        if self.drawn == "first":
            return (tuple(pool[: self.shots]),) * n_items
        # Reproducible by design; secrecy is not asked of it.
        generator = random.Random(self.shot_seed)  # noqa: S311
        if self.drawn == "once":
            return (tuple(generator.sample(pool, self.shots)),) * n_items
        return tuple(tuple(generator.sample(pool, self.shots)) for _ in range(n_items))

    @property
    def api(self) -> Literal["completions", "chat"]:
        """API of our own model servers that it is asked by."""
        return "chat" if self.ask == "message" else "completions"

    def seed(self, set_name: str, index: int, sample: int) -> int | None:
        """Return the seed of one draw, the same in every run; None where nothing is drawn.

        It is below 2**31.
        """
        if not self.temperature:
            return None
        about = canonical_json([self.id, set_name, index, sample])
        drawn = hashlib.sha256(about).digest()
        return int.from_bytes(drawn[:4]) >> 1

    def prompt(self, item: Item, shots: Sequence[Item]) -> str:
        """Return the prompt for ``item``: the shots with their answers, then the question."""
        if len(shots) != self.shots:
            raise error(Code.SET_TOO_FEW_SHOTS)
        examples = "".join(_fill(self.shot, shot) for shot in shots)
        return examples + _fill(self.question, item)

    def program_of(self, item: Item, completion: str) -> str:
        """Return the program that a completion makes, with what the protocol puts before it."""
        return _fill(self.program or "", item) + completion

    def graded(self, completion: str) -> str:
        """Return the part of a completion that is graded.

        Where thinking is stripped: the text after the last ``</think>``, up to a ``<think>`` that
        has no end. A text that was cut while the model still thought leaves nothing. Of fenced code
        the first block is graded, which a cut text may leave open.
        """
        if self.thinking == "stripped":
            completion = completion.rpartition("</think>")[2].partition("<think>")[0]
        block = _FENCED.search(completion) if self.code == "fenced" else None
        return block[1] if block else completion

    def fits(self, asked: Asked) -> bool:
        """Return true if this engine can ask it of such a system as it is defined.

        A message needs a chat API, which our own model servers have: they render it with the
        template of the weights. Tokens before a text can be controlled on them only. Several
        samples of a question need a way to become one answer. A mean over samples is for weights:
        scores of endpoints are published in steps of items. A chat does not continue a program. A
        system, and nothing else, has a verifier, which reads the text that its generator continued.
        """
        if (self.samples > 1) != (self.vote != "none"):
            return False
        if asked == "system" or self.vote == "verifier":
            return asked == "system" and self.vote == "verifier" and self.ask == "text"
        mean_of_endpoint = self.vote == "mean" and asked != "checkpoint"
        continued = self.program is not None and self.ask == "text"
        if mean_of_endpoint or (continued and asked == "chat"):
            return False
        return self._fits_api(asked)

    def _fits_api(self, asked: Asked) -> bool:
        """Return true if the API of such a system takes what the protocol sends."""
        # Our own model servers always take a temperature, and know one name of the limit.
        if self.temperature is None or self.limit != "max_tokens":
            return asked == "chat" and self.ask == "message"
        if self.ask == "message":
            return asked != "completions"
        return asked == "checkpoint" or self.bos == "tokenizer"


def _fill(template: str, item: Item) -> str:
    lettered = zip(LETTERS, item.choices, strict=False)
    choices = "\n".join(f"{letter}. {choice}" for letter, choice in lettered)
    return template.format(question=item.question, answer=item.answer, choices=choices)
