"""One protocol: its definition, its shots and its prompts."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from evaluator.contract import canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a question is asked; all that shapes a prompt or an answer is a field and so in the digest.

    ``question`` and ``shot`` are templates with ``{question}`` and ``{answer}``; ``shot_seed`` seeds the
    draws (None where nothing is drawn); ``max_tokens`` bounds the completion.
    """

    id: str
    shots: int
    shot_seed: int | None
    max_tokens: int
    stop: tuple[str, ...]
    temperature: float = 0.0
    question: str = "Question: {question}\nAnswer:"
    shot: str = "Question: {question}\nAnswer: {answer}\n\n"
    grader: str = "numeric-1"

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal over the canonical JSON of the definition."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()

    def draws(self, n_items: int, pool_size: int) -> tuple[tuple[int, ...], ...]:
        """Indices into the shot pool for each item of a whole set, in set order.

        One generator serves the whole set, as in lm-evaluation-harness (``ContextSampler``: one
        ``random.Random(1234)`` for a task, one ``sample`` for a document), so the shots of an item
        depend on its place in the set and not on which items are asked, or in which order.
        Raises ``set_too_few_shots``.
        """
        if self.shots == 0:
            return ((),) * n_items
        if pool_size < self.shots:
            raise error(Code.SET_TOO_FEW_SHOTS)
        # Reproducible by design; secrecy is not asked of it.
        generator = random.Random(self.shot_seed)  # noqa: S311
        pool = range(pool_size)
        return tuple(tuple(generator.sample(pool, self.shots)) for _ in range(n_items))

    def prompt(self, item: Item, shots: Sequence[Item]) -> str:
        """The whole prompt for ``item``: the shots with their answers, then the question."""
        if len(shots) != self.shots:
            raise error(Code.SET_TOO_FEW_SHOTS)
        shown = "".join(_fill(self.shot, shot) for shot in shots)
        return shown + _fill(self.question, item)


def _fill(template: str, item: Item) -> str:
    return template.format(question=item.question, answer=item.answer)
