"""How a command shows an error to a program that called it."""

from evaluator.errors import EXPLANATIONS, EvaluatorError


def failure_record(failure: EvaluatorError) -> dict[str, str]:
    """What ``--json`` prints for an error: code, sentence, advice, and the detail where there is one."""
    known = EXPLANATIONS[failure.code]
    record = {"error": failure.code.value, "sentence": known.sentence, "advice": known.advice}
    return record | ({"detail": failure.detail} if failure.detail else {})
