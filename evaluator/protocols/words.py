"""Description of a protocol in plain words, made from its definition.

So pages and documents cannot differ from what a run does.
"""

from evaluator.protocols.protocol import Protocol

_VOTES = {
    "none": "",
    "majority": "; their majority is the answer",
    "mean": "; the score is their mean",
    "verifier": "; a second model, the verifier, scores them, and the best one is the answer",
}


def in_words(protocol: Protocol) -> str:
    """Return one paragraph of plain sentences."""
    sentences = [*_question(protocol), *_answers(protocol)]
    if protocol.program is not None:
        sentences.append("The answer is a program, which is executed.")
    if protocol.code == "fenced":
        sentences.append("Of code in fences it is the first block.")
    thinking = ", without the thinking" if protocol.thinking == "stripped" else ""
    sentences.append(f"Graded by {protocol.grader}{thinking}.")
    return " ".join(sentences)


def _question(protocol: Protocol) -> list[str]:
    """Return sentences about the form of the question, its examples and special tokens."""
    is_message = protocol.ask == "message"
    if is_message:
        asked = "One user message, to a chat API or in the chat template of weights that run here."
    else:
        asked = "A text to be continued, without a chat template."

    if not protocol.shots:
        shots = "No examples."
    elif protocol.drawn == "first":
        shots = f"The first {protocol.shots} examples of the set's shot pool."
    else:
        drawn = "for each item" if protocol.drawn == "each" else "once for the whole set"
        pool = f"{protocol.shots} examples from the set's shot pool"
        shots = f"{pool}, drawn {drawn} (seed {protocol.shot_seed})."

    if is_message:
        return [asked, shots]
    if protocol.bos == "never":
        return [asked, shots, "No special token is added before the text."]
    return [asked, shots, "The tokenizer adds its own special tokens before the text."]


def _answers(protocol: Protocol) -> list[str]:
    """Return sentences about the length of an answer, and the number of answers."""
    length = f"At most {protocol.max_tokens:,} tokens"
    if protocol.limit != "max_tokens":
        length += f" (sent as {protocol.limit})"
    if protocol.stop:
        length += f", up to {' or '.join(repr(stop) for stop in protocol.stop)}"
    if protocol.stop and protocol.stops == "cut":
        length += ", where the text is cut here; no stop is sent"

    if protocol.temperature is None:
        drawn = "at the endpoint's own temperature"
    elif protocol.temperature:
        drawn = f"at temperature {protocol.temperature:g}"
    else:
        drawn = "greedily"
    if protocol.samples == 1:
        return [f"{length}.", f"One answer, drawn {drawn}."]
    vote = _VOTES[protocol.vote]
    return [f"{length}.", f"{protocol.samples} answers, each drawn {drawn}{vote}."]
