"""Errors of the engine: one code, one sentence, one next step.

Only a code ever leaves the evaluator. Its sentence is looked up where it is shown, so that no
report, log line or page can carry the text of an item, a prompt or a completion.

- ``codes`` enumerates the codes;
- ``explanations`` holds the sentence and the next step of each;
- here stand the exceptions: split first by the party at fault, then by whether the same attempt may
  work later. ``error`` makes the one that belongs to a code.
"""

import errno
from typing import ClassVar

from evaluator.errors.codes import Code, Explanation, Fault
from evaluator.errors.explanations import EXPLANATIONS

__all__ = [
    "EXPLANATIONS",
    "Code",
    "EvaluatorError",
    "Explanation",
    "Fault",
    "OperatorError",
    "OursAgain",
    "OursNever",
    "SubmitterError",
    "TheirsAgain",
    "TheirsNever",
    "error",
    "host_error",
    "is_host_error",
]


class EvaluatorError(Exception):
    """Base of the engine's errors.

    ``detail`` helps the person at the terminal: a path, a line number, a setting's name. It never
    holds item text, a prompt or a completion, and it does not travel in a report.
    """

    fault: ClassVar[Fault]
    again: ClassVar[bool]

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(code.value, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        known = EXPLANATIONS[self.code]
        where = f" ({self.detail})" if self.detail else ""
        return f"{self.code}: {known.sentence}{where} {known.advice}"


class SubmitterError(EvaluatorError):
    """The submission has to change."""

    fault = Fault.THEIRS


class TheirsAgain(SubmitterError):
    """The submitter's side failed, and may work later."""

    again = True


class TheirsNever(SubmitterError):
    """The submission cannot work as it is."""

    again = False


class OperatorError(EvaluatorError):
    """The people who run Holdfast have to act."""

    fault = Fault.OURS


class OursAgain(OperatorError):
    """Our side failed, and may work later."""

    again = True


class OursNever(OperatorError):
    """Our side is set up wrongly."""

    again = False


_CLASSES: dict[tuple[Fault, bool], type[EvaluatorError]] = {
    (Fault.THEIRS, True): TheirsAgain,
    (Fault.THEIRS, False): TheirsNever,
    (Fault.OURS, True): OursAgain,
    (Fault.OURS, False): OursNever,
}


def error(code: Code, detail: str = "") -> EvaluatorError:
    """Return the exception of ``code``, of the class that its explanation names."""
    known = EXPLANATIONS[code]
    return _CLASSES[known.fault, known.again](code, detail)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


def host_error(failure: OSError, detail: str = "") -> EvaluatorError:
    """Return the error for an operating system's, where only our own host can be at fault."""
    if failure.errno in _FULL:
        return error(Code.DISK_FULL, detail)
    if failure.errno in _SCARCE:
        return error(Code.HOST_RESOURCES, detail)
    return error(Code.OUT_UNWRITABLE, detail)


def is_host_error(failure: OSError) -> bool:
    """Return True for errors that no file of a submitter's can cause.

    Those are too few descriptors, no memory, a full or a bad disk.
    """
    return failure.errno in _SCARCE | _FULL | {errno.EIO}
