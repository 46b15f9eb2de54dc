"""Description of a protocol in plain words, made from its definition.

So pages and documents cannot differ from what a run does.
"""

from evaluator.protocols.protocol import Protocol


def in_words(protocol: Protocol) -> str:
    """Return one paragraph of plain sentences."""
    sentences = (
        _asked(protocol),
        _shots(protocol),
        _bos(protocol),
        _answered(protocol),
        _samples(protocol),
        _graded(protocol),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _asked(protocol: Protocol) -> str:
    if protocol.ask == "message":
        return "One user message, to a chat API or in the chat template of weights that run here."
    return "A text to be continued, without a chat template."


def _shots(protocol: Protocol) -> str:
    if not protocol.shots:
        return "No examples."
    if protocol.drawn == "first":
        return f"The first {protocol.shots} examples of the set's shot pool."
    drawn = "for each item" if protocol.drawn == "each" else "once for the whole set"
    pool = f"{protocol.shots} examples from the set's shot pool"
    return f"{pool}, drawn {drawn} (seed {protocol.shot_seed})."


def _bos(protocol: Protocol) -> str:
    if protocol.ask == "message":
        return ""
    if protocol.bos == "never":
        return "No special token is added before the text."
    return "The tokenizer adds its own special tokens before the text."


def _answered(protocol: Protocol) -> str:
    text = f"At most {protocol.max_tokens:,} tokens"
    if protocol.limit != "max_tokens":
        text += f" (sent as {protocol.limit})"
    if protocol.stop:
        text += f", up to {' or '.join(repr(stop) for stop in protocol.stop)}"
        if protocol.stops == "cut":
            text += ", where the text is cut here; no stop is sent"
    return f"{text}."


def _samples(protocol: Protocol) -> str:
    if protocol.temperature is None:
        drawn = "at the endpoint's own temperature"
    elif protocol.temperature:
        drawn = f"at temperature {protocol.temperature:g}"
    else:
        drawn = "greedily"
    if protocol.samples == 1:
        return f"One answer, drawn {drawn}."
    vote = {
        "none": "",
        "majority": "; their majority is the answer",
        "mean": "; the score is their mean",
        "verifier": "; a second model, the verifier, scores them, and the best one is the answer",
    }[protocol.vote]
    return f"{protocol.samples} answers, each drawn {drawn}{vote}."


def _graded(protocol: Protocol) -> str:
    thinking = ", without the thinking" if protocol.thinking == "stripped" else ""
    executed = (
        "The answer is a program, which is executed. " if protocol.program is not None else ""
    )
    if protocol.code == "fenced":
        executed += "Of code in fences it is the first block. "
    return f"{executed}Graded by {protocol.grader}{thinking}."
