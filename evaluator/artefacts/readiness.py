"""Readiness of a model on the hub for an evaluation: one check a line, each with its next step.

Pure: judged by the facts of headers and configuration alone. What the intake program refuses, as
pickles, GGUF files and code of the repository, has no facts to be judged by.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from evaluator.artefacts.adapters import CONFIG
from evaluator.artefacts.architectures import engines, pinned
from evaluator.artefacts.quantised import LOADED_ON_GPU
from evaluator.artefacts.sizes import MAX_CONTEXT, gpu_need
from evaluator.contract.hub import ModelFacts
from evaluator.contract.previews import PromptFacts
from evaluator.errors import EXPLANATIONS, Code, EvaluatorError

_PROMPT = "first prompt"
CONTEXT_TOO_SHORT = "context_too_short"
"""Code of the site's refusal of a context that the protocol's answer fills."""
EXAMPLE_TOKENS = 200
"""Tokens that a question with its worked answer rarely exceeds; with less left it is short."""
GPU_SIZES = (16, 24, 40, 48, 80, 96, 141)
"""GB of memory of the GPUs that evaluators commonly have."""
_USABLE = 0.92
"""Share of a GPU's memory that a placement uses at most."""


class Level(StrEnum):
    """Level of a check: a refusal means that no run is queued."""

    OK = "ok"
    WARNING = "warning"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check. ``code`` names a refusal's or a warning's reason, ``advice`` the next
    step; both are empty where all is well."""

    subject: str
    level: Level
    sentence: str
    code: str = ""
    advice: str = ""
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Demands:
    """Demands of a protocol on a model: tokens of an answer, shots, and a chat template or none."""

    answer: int
    shots: int
    template: bool


def checks(facts: ModelFacts, demands: Demands | None) -> tuple[Check, ...]:
    """Return the checks of a model in reading order; without demands those of any protocol."""
    need = gpu_need(facts.weights, facts.cached, facts.context)
    context = min(facts.context, MAX_CONTEXT)
    memory = Check(
        "memory",
        Level.OK,
        f"Needs {memory_words(need)}: weights, the cache of {context:,}"
        " tokens of context, and the engine.",
    )
    licence = Check("licence", Level.OK, f"The model card names {facts.licence}.")
    if not facts.licence:
        licence = Check(
            "licence",
            Level.WARNING,
            "The model card names no licence.",
            "licence_missing",
            "State it in the form, or add it to the card.",
        )
    return (
        *_adapter(facts),
        _architecture(facts),
        _weights(facts),
        memory,
        Check("code", Level.OK, "No file asks to run code of its own; weights are safetensors."),
        Check("tokenizer", Level.OK, "tokenizer.json is there."),
        *_template(facts, demands),
        *_context(facts, demands),
        licence,
    )


def check_verifier(facts: ModelFacts) -> Check:
    """Return the check of the second model of a system, which is loaded once the first has ended.

    Only our own host serves it, which unpacks no weights.
    """
    if facts.quantisation:
        return _refusal("verifier", Code.CHECKPOINT_QUANTISED, facts.quantisation)
    need = gpu_need(facts.weights, facts.cached, facts.context)
    sentence = (
        f"{facts.architecture} with {facts.parameters:,} parameters needs"
        f" {memory_words(need)}. It is loaded when"
        " the model has written all candidates, so the larger of the two decides."
    )
    return Check("verifier", Level.OK, sentence)


def check_prompt(facts: ModelFacts, demands: Demands, prompt: PromptFacts) -> Check:
    """Return the check of the first public item's prompt, with its tokens."""
    if prompt.tokens is None:
        sentence = "It is rendered below; its tokens cannot be counted here."
        return Check(_PROMPT, Level.OK, sentence)
    counts = f"{prompt.tokens:,} tokens of {facts.context:,}"
    if prompt.tokens >= facts.context:
        return _refusal(_PROMPT, Code.PROMPT_TOO_LONG, counts)
    if prompt.tokens + demands.answer > facts.context:
        return Check(
            _PROMPT,
            Level.WARNING,
            f"It has {counts} of context, and an answer may have {demands.answer:,}.",
            "context_short",
            "Long answers will be cut: choose another benchmark, or a model with more context.",
        )
    return Check(_PROMPT, Level.OK, f"It has {counts} of context.")


def check_unrendered(failure: EvaluatorError) -> Check:
    """Return the check of a first prompt that was not rendered.

    It is a refusal where the model's own template or tokenizer is why.
    """
    if failure.code.startswith("checkpoint_"):
        return _refusal(_PROMPT, failure.code, failure.detail or "it was not rendered")
    known = EXPLANATIONS[failure.code]
    return Check(
        _PROMPT,
        Level.WARNING,
        f"It cannot be shown now. {known.sentence}",
        failure.code.value,
        "You may submit: the evaluator renders it before it asks an item.",
    )


def memory_words(need: int) -> str:
    """Return the GPUs that hold ``need`` bytes, in words."""
    gib = need / 2**30
    for size in GPU_SIZES:
        if need <= size * 10**9 * _USABLE:
            return f"one GPU with {size} GB (about {gib:.1f} GiB are used)"
    return f"several GPUs that share about {gib:.0f} GiB"


def _adapter(facts: ModelFacts) -> Iterator[Check]:
    adapter = facts.adapter
    if adapter is None:
        return
    base = "an upload"
    if adapter.base:
        base = f"{adapter.base.repo}, commit {adapter.base.commit}"
    yield Check(
        "adapter",
        Level.OK,
        f"LoRA of rank {adapter.rank} on {adapter.modules} matrices of {base}. It is merged before"
        " the evaluation, and all that follows is said of the merged model.",
    )
    base_differs = adapter.base is not None and adapter.named != adapter.base.repo
    if adapter.named and base_differs:
        yield Check(
            "base model",
            Level.WARNING,
            f"{CONFIG} names {adapter.named}.",
            "base_differs",
            "Make sure that both hold the weights that the adapter was trained on.",
        )


def _architecture(facts: ModelFacts) -> Check:
    name = facts.architecture
    table = pinned()
    loaded_by = engines(name, facts.quantisation)
    if not loaded_by:
        return _refusal("architecture", Code.CHECKPOINT_UNKNOWN_MODEL, name)
    return Check(
        "architecture",
        Level.OK,
        f"{name} is loaded by {' or '.join(loaded_by)} (vLLM {table.vllm.version},"
        f" Transformers {table.transformers.version}).",
    )


def _weights(facts: ModelFacts) -> Check:
    method = facts.quantisation
    stored = f"{facts.parameters:,} parameters, stored as {', '.join(facts.types)}"
    if not method:
        return Check("weights", Level.OK, f"{stored}.")
    if method not in LOADED_ON_GPU:
        return _refusal("weights", Code.CHECKPOINT_QUANTISED, method)
    return Check(
        "weights", Level.OK, f"{stored}, quantised by {method}: only vLLM on a GPU loads them."
    )


def _template(facts: ModelFacts, demands: Demands | None) -> Iterator[Check]:
    if demands is None:
        there = "There is a chat template." if facts.chat else "There is no chat template."
        yield Check("chat template", Level.OK, there)
    elif demands.template and not facts.chat:
        yield _refusal("chat template", Code.CHECKPOINT_BAD_TEMPLATE, "there is none")
    elif demands.template:
        sentence = "There is a chat template; the protocol's message is rendered by it."
        yield Check("chat template", Level.OK, sentence)
    elif facts.chat:
        sentence = "There is a chat template; this protocol gives every model plain text instead."
        yield Check("chat template", Level.OK, sentence)
    else:
        yield Check("chat template", Level.OK, "None is there, and this protocol needs none.")


def _context(facts: ModelFacts, demands: Demands | None) -> Iterator[Check]:
    context = f"{facts.context:,} tokens of context"
    if demands is None:
        yield Check("context", Level.OK, f"{context}.")
        return
    left = facts.context - demands.answer
    if left <= 0:
        yield Check(
            "context",
            Level.REFUSAL,
            f"{context}, and an answer may have {demands.answer:,}.",
            CONTEXT_TOO_SHORT,
            "Submit a model with a longer context, or choose another benchmark.",
            f"{facts.context} tokens, an answer has {demands.answer}",
        )
    elif left < EXAMPLE_TOKENS * (demands.shots + 1):
        yield Check(
            "context",
            Level.WARNING,
            f"{context}: an answer may have {demands.answer:,}, so {left:,} are left for the"
            f" question and {demands.shots} examples.",
            "context_short",
            "Compare with the length of the public questions in this model's tokens.",
        )
    else:
        yield Check(
            "context", Level.OK, f"{context}, of which an answer may have {demands.answer:,}."
        )


def _refusal(subject: str, code: Code, detail: str) -> Check:
    known = EXPLANATIONS[code]
    sentence = f"{known.sentence[:-1]}: {detail}."
    return Check(subject, Level.REFUSAL, sentence, code.value, known.advice, detail)
