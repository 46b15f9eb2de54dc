"""Rules of continuing a failed run: after which codes, and how long its sealed key stays. Pure."""

from evaluator.errors import EXPLANATIONS, Code

_AFTER_A_CHANGE = frozenset(
    {
        Code.DEADLINE,
        Code.ENDPOINT_BAD_RESPONSE,
        Code.ENDPOINT_NOT_FOUND,
        Code.ENDPOINT_NO_CREDIT,
        Code.ENDPOINT_REASONING_ONLY,
        Code.ENDPOINT_REFUSES_ITEMS,
        Code.ENDPOINT_UNAUTHORIZED,
        Code.HUB_GATED,
        Code.INCOMPLETE,
        Code.NOT_STARTED,
    }
)
"""Codes after which nothing is tried by itself, and the same run may still end well."""


_KEY_IS_OVER = (Code.ENDPOINT_UNAUTHORIZED, Code.HUB_GATED, Code.DEADLINE)


def is_continuable(code: str) -> bool:
    """Return true for the code of a failure after which the same run may go on."""
    if code not in set(Code):
        return False
    known = EXPLANATIONS[Code(code)]
    return known.again or known.retried or code in _AFTER_A_CHANGE


def needs_key_no_more(code: Code) -> bool:
    """Return true where a failed run's API key is erased at once.

    The run cannot go on, or the key was refused, or all the time that the author granted it is
    over.
    """
    return code in _KEY_IS_OVER or not is_continuable(code)
